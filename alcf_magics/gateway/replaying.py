"""A recorded answer that comes as a live one does, at a pace that can be read."""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import replace

import anyio

from .accumulator import Accumulator
from .chunks import Chunk, Delta
from .completions import Choice, Completion

#: Seconds between two pieces, words in one, and pieces that an answer comes in at most: longer
#: answers come in larger ones.
PAUSE = 0.04
WORDS = 2
MOST_PIECES = 125

_WORD = re.compile(r"\S+\s*|\s+")


class Replay:
    """What stands in the place of sending a prompt whose answer is recorded."""

    def __init__(self, recorded: Completion) -> None:
        self.recorded = recorded
        self.place = recorded.place

    async def reads(self, sent: Callable[[float], None]) -> AsyncGenerator[list[Chunk]]:
        """The chunks of the answer, a piece at a time."""
        sent(time.monotonic())
        for piece in pieces(self.recorded):
            yield [piece]
            await anyio.sleep(PAUSE)
        yield [Chunk(deltas=tuple(map(_rest, self.recorded.choices)))]

    def so_far(self, answer: Accumulator) -> Completion:
        """The recorded completion, as far as it has come."""
        choices = answer.choices
        came = [choice.finish_reason for choice in choices]
        if None not in came and len(came) == len(self.recorded.choices):
            return self.recorded
        return replace(self.recorded, choices=choices)


def pieces(completion: Completion) -> Iterator[Chunk]:
    """The first choice's reasoning and text, in pieces."""
    first = completion.choices[0]
    reasoning, text = _WORD.findall(first.reasoning), _WORD.findall(first.text)
    size = max(WORDS, math.ceil((len(reasoning) + len(text)) / MOST_PIECES))
    for piece in _joined(reasoning, size):
        yield _chunk(completion, Delta(first.index, reasoning=piece))
    for piece in _joined(text, size):
        yield _chunk(completion, Delta(first.index, content=piece))


def _joined(words: list[str], size: int) -> Iterator[str]:
    remaining = iter(words)
    while piece := "".join(itertools.islice(remaining, size)):
        yield piece


def _chunk(completion: Completion, delta: Delta) -> Chunk:
    return Chunk(model=completion.model, deltas=(delta,))


def _rest(choice: Choice) -> Delta:
    """What there is of a choice beside the pieces; of a whole message, what came is no news."""
    return Delta(
        choice.index,
        choice.text,
        choice.reasoning,
        choice.finish_reason,
        choice.tool_calls,
        whole=True,
        logprobs=choice.logprobs,
    )
