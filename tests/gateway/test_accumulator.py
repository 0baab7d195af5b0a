"""Chunks that add up to an answer."""

from __future__ import annotations

from alcf_magics.gateway.accumulator import Accumulator, Follower, Pieces
from alcf_magics.gateway.chunks import Chunk, Usage
from support.completions import accumulated, chunk, content


def test_text_usage_and_times_add_up() -> None:
    """Content joins, usage comes in a chunk without choices, seconds count from sending."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    answer = accumulated(
        chunk(id="x", model="served", choices=[{"delta": {"role": "assistant", "content": None}}]),
        content("a"),
        content("b", finish="stop"),
        chunk(choices=[], usage=usage),
    )
    [choice] = answer.choices
    assert (choice.text, choice.finish_reason) == ("ab", "stop")
    assert (answer.id, answer.model) == ("x", "served")
    assert answer.usage == Usage(3, 2, 5)
    assert (answer.first_token_seconds, answer.seconds) == (2.0, 4.0)


def test_both_names_of_reasoning_are_read() -> None:
    """Reasoning arrives as reasoning_content or as reasoning, also after content."""
    [choice] = accumulated(
        content("H"),
        chunk(choices=[{"index": 0, "delta": {"reasoning_content": "a"}}]),
        chunk(choices=[{"index": 0, "delta": {"reasoning": "b"}}]),
    ).choices
    assert (choice.text, choice.reasoning) == ("H", "ab")


def test_tool_calls_arrive_in_pieces() -> None:
    """A call's arguments are a text that grows, by index."""

    def call(**piece: object) -> Chunk:
        return chunk(choices=[{"index": 0, "delta": {"tool_calls": [{"index": 0, **piece}]}}])

    [choice] = accumulated(
        call(id="1", type="function", function={"name": "f", "arguments": '{"a"'}),
        call(function={"arguments": ": 1}"}),
        call(function="nonsense"),
    ).choices
    assert choice.tool_calls == (
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
    )


def test_a_whole_message_behind_its_pieces_says_nothing_new() -> None:
    """Some servers end a stream with the whole answer once more: it is not doubled."""
    whole = chunk(
        choices=[{"index": 0, "message": {"content": "ab"}, "finish_reason": "stop"}],
        usage={"prompt_tokens": 1, "completion_tokens": 2},
    )
    streamed = accumulated(content("a"), content("b"), whole)
    assert streamed.choices == accumulated(whole).choices
    assert streamed.choices[0].text == "ab"
    assert streamed.usage == Usage(1, 2, 3)


def test_choices_are_kept_apart() -> None:
    """Pieces of several answers come mixed, each with its index."""
    answer = accumulated(content("b", 1), content("a", 0), content("B", 1, "stop"), content("", 0))
    assert [(c.index, c.text) for c in answer.choices] == [(0, "a"), (1, "bB")]
    assert str(answer.content) == "a"


def test_tags_in_the_text_are_sorted_out() -> None:
    """Reasoning between tags is reasoning, also when the closing one alone comes late."""
    [choice] = accumulated(content("<thi"), content("nk>why</think>a")).choices
    assert (choice.text, choice.reasoning) == ("a", "why")
    [choice] = accumulated(content("why"), content("</think>"), content("\n\na")).choices
    assert (choice.text, choice.reasoning) == ("a", "why")


def test_whoever_passes_text_on_learns_that_it_was_reasoning() -> None:
    """A follower starts again with what is the answer."""
    answer, follower = Accumulator("m", 0.0), Follower()
    passed = []
    for piece in ("wh", "y", "</think>", "ans", "wer"):
        answer.add(content(piece), 1.0)
        passed.append(follower.new(answer))
    assert passed == ["wh", "y", "", "ans", "wer"]
    assert follower.rest("answer!") == "!"


def test_pieces_of_several_answers_are_kept_apart() -> None:
    """By an empty line; nothing is passed on early where an answer may give way to the next."""
    answers = [Accumulator("m", 0.0) for _ in range(3)]
    follower, at_end = Pieces(), Pieces(at_end=True)
    for answer, text in zip(answers, ("", "one", "two"), strict=True):
        answer.add(content(text), 1.0)
    assert [follower.new(answer) for answer in answers] == ["", "one", "\n\ntwo"]
    assert follower.rest("two!") == "!"
    assert [at_end.new(answer) for answer in answers] == ["", "", ""]
    assert at_end.rest("two!") == "two!"


def test_logprobs_add_up_as_the_server_gave_them() -> None:
    """Each chunk brings an entry a token; of a choice that has none there is none."""

    def piece(*tokens: str, index: int = 0) -> Chunk:
        entries = [{"token": token, "logprob": -0.1} for token in tokens]
        logprobs = {"content": entries, "refusal": None}
        return chunk(choices=[{"index": index, "delta": {"content": "x"}, "logprobs": logprobs}])

    first, second = accumulated(piece("a"), piece("b", "c"), content("y", index=1)).choices
    assert first.logprobs is not None
    assert [entry["token"] for entry in first.logprobs["content"]] == ["a", "b", "c"]
    assert first.logprobs["refusal"] is None
    assert second.logprobs is None


def test_a_call_of_the_older_form_is_a_call() -> None:
    """`function_call` comes in pieces, as the calls of tools do."""
    first, more = {"name": "f", "arguments": '{"a":'}, {"arguments": " 1}"}
    pieces = [chunk(choices=[{"delta": {"function_call": call}}]) for call in (first, more)]
    [choice] = accumulated(*pieces).choices
    assert choice.tool_calls == ({"function": {"name": "f", "arguments": '{"a": 1}'}},)


def test_arguments_that_are_an_object_are_kept() -> None:
    """Some servers send them so; they read as the text that others send."""
    call = {"index": 0, "function": {"name": "f", "arguments": {"a": 1}}}
    [choice] = accumulated(chunk(choices=[{"delta": {"tool_calls": [call]}}])).choices
    assert choice.tool_calls[0]["function"]["arguments"] == '{"a": 1}'


def thought(text: str) -> Chunk:
    return chunk(choices=[{"index": 0, "delta": {"reasoning_content": text}}])


def test_a_readers_times_are_apart_from_the_models() -> None:
    """White space is nothing to read; the last chunk, with the usage, is no token."""
    answer = accumulated(
        thought("a"), thought("b"), content("\n"), content("x"), content("y"), chunk(choices=[])
    )
    assert (answer.first_token_seconds, answer.first_text_seconds) == (1.0, 4.0)
    assert (answer.reasoning_seconds, answer.token_seconds, answer.seconds) == (1.0, 4.0, 6.0)
    nothing = accumulated(chunk(choices=[]))
    assert nothing.first_text_seconds is nothing.token_seconds is nothing.reasoning_seconds is None
    assert accumulated(thought("a")).first_text_seconds is None
