"""Builders of chunks, and of completions that nobody had to ask for."""

from __future__ import annotations

from typing import Any

from alcf_magics.gateway.accumulator import Accumulator
from alcf_magics.gateway.chat import ChatRequest
from alcf_magics.gateway.chunks import Chunk, chunk_of
from alcf_magics.gateway.completions import Choice, Completion
from alcf_magics.gateway.models import Model, Status

PLACE = Model("org/Name", "red", "fw", "https://gateway.example/red/fw/v1", Status.LIVE)


def completion(text: str = "", *, prompt: str = "hi", reasoning: str = "", **fields: Any) -> Any:
    """A completion of one choice; `finish` is why it ended."""
    finish = fields.pop("finish", "stop")
    place = fields.pop("place", PLACE)
    return Completion(
        choices=(Choice(0, text, reasoning, finish),),
        request=ChatRequest.of(place.name, prompt),
        place=place,
        model=fields.pop("model", place.name),
        **fields,
    )


def chunk(**fields: object) -> Chunk:
    """A chunk as JSON brings it."""
    return chunk_of(fields)


def content(text: object, index: int = 0, finish: str | None = None) -> Chunk:
    """A chunk with a piece of text."""
    return chunk(choices=[{"index": index, "delta": {"content": text}, "finish_reason": finish}])


def accumulated(*chunks: Chunk) -> Accumulator:
    """What chunks add up to, sent at 10 and arriving at 11, 12, …"""
    answer = Accumulator("m", 10.0)
    for number, piece in enumerate(chunks):
        answer.add(piece, 11.0 + number)
    return answer
