"""A recorded answer in pieces: they add up to it, and come at a pace that can be read."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from alcf_magics.gateway import replaying
from alcf_magics.gateway.accumulator import Accumulator
from alcf_magics.gateway.chat import ChatRequest, Message
from alcf_magics.gateway.completions import Choice, Completion
from alcf_magics.gateway.models import Model
from alcf_magics.gateway.replaying import MOST_PIECES, Replay, pieces

RECORDED = Completion(
    choices=(Choice(0, "One two three.", "Hm, so.", "stop"), Choice(1, "Four.", "", "length")),
    request=ChatRequest("m", (Message("user", "Why?"),)),
    place=Model("m", "metis", "api", ""),
    model="m",
    recorded="2026-11-20",
)


def of_text(text: str) -> Completion:
    return replace(RECORDED, choices=(Choice(0, text, "", "stop"),))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "one",
        "  two words ",
        "a\n\n    code\n\tmore\n",
        "x" * 10_000,
        " " * 1_000_000,
        "日本語 " * 900,
        "<think>",
    ],
)
def test_the_pieces_are_the_text(text: str) -> None:
    """Whatever it is made of; a million spaces, too, which must not take the square of that."""
    found = list(pieces(of_text(text)))
    assert "".join(delta.content for chunk in found for delta in chunk.deltas) == text
    assert len(found) <= MOST_PIECES


def test_a_long_answer_takes_no_longer_than_a_longish_one() -> None:
    """Larger pieces, not more."""
    assert len(list(pieces(of_text("word " * 100_000)))) <= MOST_PIECES
    assert len(list(pieces(of_text("word " * 20)))) == 10


def replay(recorded: Completion, upto: int | None = None) -> tuple[Accumulator, Completion]:
    """The answer so far after so many reads, and the completion then."""
    one, answer = Replay(recorded), Accumulator("m", 0.0)

    async def read() -> None:
        count = 0
        async for chunks in one.reads(answer.sent):
            for chunk in chunks:
                answer.add(chunk, 1.0)
            count += 1
            if count == upto:
                return

    asyncio.run(read())
    return answer, one.so_far(answer)


def test_reasoning_comes_first_and_all_choices_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The completion is the recorded one, to the letter."""
    monkeypatch.setattr(replaying, "PAUSE", 0.0)
    answer, begun = replay(RECORDED, upto=1)
    assert (str(answer.reasoning), str(answer.content)) == ("Hm, so.", "")
    assert begun.finish_reason is None
    assert begun.recorded == "2026-11-20"
    answer, whole = replay(RECORDED)
    assert whole is RECORDED
    assert answer.choices == RECORDED.choices


def test_a_tag_in_the_text_stays_in_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was text when it was recorded is text in the replay, whatever it looks like."""
    monkeypatch.setattr(replaying, "PAUSE", 0.0)
    _, whole = replay(of_text("The tag </think> ends it."))
    assert whole.text == "The tag </think> ends it."
    assert whole.reasoning == ""
