"""Chunks that add up to a completion."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from alcf_magics.gateway.completions import Accumulator, Chunk, Completion, Text, Usage, printable


def chunk(**fields: object) -> Chunk:
    return Chunk.from_json(fields)


def content(text: object, index: int = 0, finish: str | None = None) -> Chunk:
    return chunk(choices=[{"index": index, "delta": {"content": text}, "finish_reason": finish}])


def accumulated(*chunks: Chunk) -> Completion:
    answer = Accumulator("m", "c", 10.0)
    for number, piece in enumerate(chunks):
        answer.add(piece, 11.0 + number)
    return answer.completion()


def test_text_usage_and_times_add_up() -> None:
    """Content joins, usage comes in a chunk without choices, seconds count from sending."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    completion = accumulated(
        chunk(id="x", model="served", choices=[{"delta": {"role": "assistant", "content": None}}]),
        content("a"),
        content("b", finish="stop"),
        chunk(choices=[], usage=usage),
    )
    assert (completion.text, completion.finish_reason) == ("ab", "stop")
    assert (completion.id, completion.model, completion.cluster) == ("x", "served", "c")
    assert completion.usage == Usage(3, 2, 5)
    assert (completion.first_token_seconds, completion.seconds) == (2.0, 4.0)


def test_both_names_of_reasoning_are_read() -> None:
    """Reasoning arrives as reasoning_content or as reasoning, also after content."""
    completion = accumulated(
        content("H"),
        chunk(choices=[{"index": 0, "delta": {"reasoning_content": "a"}}]),
        chunk(choices=[{"index": 0, "delta": {"reasoning": "b"}}]),
    )
    assert (completion.text, completion.reasoning) == ("H", "ab")


def test_tool_calls_arrive_in_pieces() -> None:
    """A call's arguments are a text that grows, by index."""

    def call(**piece: object) -> Chunk:
        return chunk(choices=[{"index": 0, "delta": {"tool_calls": [{"index": 0, **piece}]}}])

    completion = accumulated(
        call(id="1", type="function", function={"name": "f", "arguments": '{"a"'}),
        call(function={"arguments": ": 1}"}),
        call(function="nonsense"),
    )
    assert completion.tool_calls == (
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
    )


def test_odd_chunks_are_survived() -> None:
    """What is not of the shape expected counts as nothing."""
    for odd in (
        {"choices": None},
        {"choices": [None, 3, {"delta": None}, {"delta": {"content": 7}}]},
        {"choices": [{"index": "x", "delta": {"tool_calls": "y"}}], "usage": 5, "model": None},
        {"usage": {"prompt_tokens": "many"}},
    ):
        assert accumulated(Chunk.from_json(odd)).text == ""


def test_the_repr_is_the_text() -> None:
    """A completion shows as its text, and nothing in it is lost by that."""
    completion = Completion("two\nlines", model="m")
    assert repr(completion) == str(completion) == f"{completion}" == "two\nlines"


@given(st.text(), st.data())
def test_characters_split_between_chunks_are_put_together(text: str, data: st.DataObject) -> None:
    """A character beyond the first 65,536 may come as two halves, in two chunks."""
    halves = json.loads(json.dumps(text))  # as JSON brings it
    units = "".join(
        half.decode("utf-16-le", "surrogatepass")
        for char in halves
        for half in [char.encode("utf-16-le", "surrogatepass")[i : i + 2] for i in (0, 2)]
        if half
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(units)), max_size=6)))
    grown = Text()
    for begin, end in zip([0, *cuts], [*cuts, len(units)], strict=True):
        grown.add(units[begin:end])
        str(grown).encode()  # at every moment a text that can be sent
    assert grown.whole() == text


def test_a_half_that_stays_alone_is_replaced() -> None:
    """A broken character becomes the replacement character, and can be sent and saved."""
    for pieces in (["a\ud83d"], ["a\ud83d", "b"], ["\ude00"]):
        grown = Text()
        for piece in pieces:
            grown.add(piece)
        assert "\ufffd" in grown.whole()
        grown.whole().encode()


def test_control_sequences_do_not_reach_a_terminal() -> None:
    """Escape codes that a model writes are taken out; line ends and tabs stay."""
    assert printable("a\x1b]0;title\x07b\x9b1m\tc\n") == "a]0;titleb1m\tc\n"
