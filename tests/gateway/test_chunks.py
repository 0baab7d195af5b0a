"""What a chunk of any shape says, and that no shape of one costs an answer."""

from __future__ import annotations

import pytest

from alcf_magics.gateway.chunks import Usage, chunk_of
from support.completions import accumulated, chunk, content


def test_odd_chunks_are_survived() -> None:
    """What is not of the shape expected counts as nothing."""
    for odd in (
        {"choices": None},
        {"choices": [None, 3, {"delta": None}, {"delta": {"content": 7}}]},
        {"choices": [{"index": "x", "delta": {"tool_calls": "y"}}], "usage": 5, "model": None},
        {"usage": {"prompt_tokens": "many"}},
        {"id": [], "model": {}, "choices": [{"finish_reason": 7, "delta": []}]},
    ):
        answer = accumulated(chunk_of(odd))
        assert str(answer.content) == ""
        assert answer.usage is None


@pytest.mark.parametrize(
    "absurd",
    [-1, 10**400, float("nan"), float("inf"), 1.0, "12", True, None, [], int("9" * 4300)],
)
def test_an_absurd_count_is_left_out(absurd: object) -> None:
    """A number that cannot be one of tokens says nothing, and takes nothing from the others."""
    usage = Usage.from_json({"prompt_tokens": 3, "completion_tokens": absurd})
    assert usage == Usage(3, None, None)


@pytest.mark.parametrize("none", [{}, None, [], "x", {"prompt_tokens": -1}, {"other": 5}])
def test_usage_that_says_nothing_takes_nothing_away(none: object) -> None:
    """Counts that came stand, when an empty usage comes last."""
    answer = accumulated(
        chunk(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2}),
        chunk(choices=[], usage=none),
    )
    assert answer.usage == Usage(3, 2, 5)


def test_counts_add_up_as_far_as_they_are_known() -> None:
    """An unknown count adds nothing, and two of them stay unknown."""
    assert Usage(1, None, 3) + Usage(2, None, None) == Usage(3, None, 3)


@pytest.mark.parametrize("word", ["null", "None", "", None, " \n"])
def test_a_finish_reason_that_is_none_is_none(word: object) -> None:
    """Some servers write the word null where they mean none."""
    assert chunk(choices=[{"delta": {}, "finish_reason": word}]).deltas[0].finish_reason is None


def test_content_in_parts_and_refusals_are_text() -> None:
    """A content may be a list of parts, and a refusal is what the model says."""
    parts = [{"type": "text", "text": "A"}, {"type": "image"}, 5, {"type": "text", "text": "B"}]
    assert str(accumulated(content(parts)).content) == "AB"
    refused = chunk(choices=[{"delta": {"content": None, "refusal": "I won't."}}])
    assert str(accumulated(refused).content) == "I won't."


def test_names_in_a_chunk_are_lines() -> None:
    """Model, id and finish reason come from outside, and stand in lines."""
    odd = "a\x1b]0;x\x07\u202eb\nc"
    made = chunk(id=odd, model=odd, choices=[{"delta": {}, "finish_reason": odd}])
    assert made.id == made.model == made.deltas[0].finish_reason == "a]0;xb c"


@pytest.mark.parametrize(
    "delta",
    [
        {"content": {"type": "text", "text": "A"}},
        {"content": ["A"]},
        {"content": [{"type": "refusal", "refusal": "A"}]},
    ],
)
def test_no_shape_of_a_content_is_dropped(delta: object) -> None:
    """A part alone, a bare text among parts, and a refusal among them are text, too."""
    assert str(accumulated(chunk(choices=[{"delta": delta}])).content) == "A"


def test_text_beside_the_index_is_text() -> None:
    """Servers of plain completions put it there."""
    assert str(accumulated(chunk(choices=[{"index": 0, "text": "A"}])).content) == "A"


@pytest.mark.parametrize("thought", ["T", [{"type": "text", "text": "T"}]])
def test_thinking_among_the_parts_is_reasoning(thought: object) -> None:
    """It stands apart from the text of the same content."""
    parts = [{"type": "thinking", "thinking": thought}, {"type": "text", "text": "A"}]
    answer = accumulated(content(parts))
    assert (str(answer.content), str(answer.reasoning)) == ("A", "T")
