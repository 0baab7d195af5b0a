"""All ways in which an answer can end, and all shapes that a piece of one can have."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alcf_magics.errors import (
    AlcfError,
    GatewayError,
    ModelNotReady,
    RateLimited,
    RequestRefused,
    StreamBroken,
)
from alcf_magics.gateway.accumulator import Accumulator
from alcf_magics.gateway.stream_reader import StreamReader

STREAM = "text/event-stream"
DONE = b"data: [DONE]\n\n"


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def piece(text: str = "", finish: str | None = None, **delta: object) -> bytes:
    content = {"content": text} if text else {}
    return event({"choices": [{"index": 0, "delta": content | delta, "finish_reason": finish}]})


def read(body: bytes, content_type: str = STREAM, size: int = 0) -> tuple[str, AlcfError | None]:
    """The text of a body that arrives whole, or in reads of a size, and what ended it."""
    reader, answer = StreamReader(content_type, "m on red"), Accumulator("m", 0.0)
    step = size or len(body) or 1
    for start in range(0, len(body), step):
        if reader.done or reader.failure is not None:
            break
        for chunk in reader.feed(body[start : start + step]):
            answer.add(chunk, 1.0)
    for chunk in reader.end():
        answer.add(chunk, 1.0)
    return str(answer.content), reader.failure


ERROR = {"error": {"message": "CUDA out of memory", "code": 500}}
SAFE, DRUG = piece("The dose is not "), piece("safe.")
WHOLE = {"choices": [{"message": {"content": "all"}, "finish_reason": "stop"}]}

ENDLESS = b"9" * 5000

ENDS: list[tuple[str, bytes, str, type[AlcfError] | None, str]] = [
    ("a finish reason and [DONE]", piece("a") + piece("b", "stop") + DONE, "ab", None, ""),
    ("a finish reason alone", piece("ab", "stop"), "ab", None, ""),
    ("a whole last event without its blank line", piece("ab", "stop")[:-2], "ab", None, ""),
    ("[DONE] without a finish reason", piece("ab") + DONE, "ab", StreamBroken, "cut off"),
    ("the end without either", piece("ab"), "ab", StreamBroken, "cut off"),
    ("the word null for a finish", piece("ab", "null") + DONE, "ab", StreamBroken, "cut off"),
    ("nothing but [DONE]", DONE, "", StreamBroken, "empty answer"),
    ("nothing at all", b"", "", StreamBroken, "no answer"),
    ("plain text", b"Internal Server Error\n", "", StreamBroken, "no answer: Internal Server"),
    ("a bare error line", b'error: {"message": "no memory left"}\n\n', "", AlcfError,
     "no memory left"),
    ("a bare error line after text", SAFE + b"error: gone\n\n", "The dose is not ",
     StreamBroken, "gone"),
    ("an error before text", event(ERROR) + DONE, "", AlcfError, "CUDA out of memory"),
    ("an error after text", SAFE + event(ERROR) + DONE, "The dose is not ", StreamBroken, "CUDA"),
    ("an error after the end", piece("ab", "stop") + event(ERROR), "ab", None, ""),
    ("noise after the end", piece("ab", "stop") + b"data: {\n\n", "ab", None, ""),
    ("text after [DONE]", piece("ab", "stop") + DONE + piece("c"), "ab", None, ""),
    ("a broken piece", SAFE + b'data: {"choi\n\n' + DRUG + DONE, "The dose is not ",
     StreamBroken, "could not be read"),
    ("two objects in one event", b'data: {"choices":[{"delta":{"content":"a"}}]} '
     b'{"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}]}\n\n', "ab", None, ""),
    ("a number for an event", SAFE + b"data: 7\n\n" + DONE, "The dose is not ",
     StreamBroken, "could not be read"),
    ("a stream that is called JSON", piece("ab", "stop"), "ab", None, ""),
    ("one whole answer", json.dumps(WHOLE).encode(), "all", None, ""),
    ("one whole answer, spaced", b"\n " + json.dumps(WHOLE, indent=1).encode(), "all", None, ""),
    ("an object that is no answer", b'{"a": 1}', "", GatewayError, "no answer of a model"),
    ("a JSON list", b"[1]", "", StreamBroken, "no answer"),
    ("an error by the event's name", b"event: error\n" + event({"message": "no memory left"}),
     "", AlcfError, "no memory left"),
    ("an error by name, in words", b"event: error\ndata: it is broken\n\n", "",
     AlcfError, "it is broken"),
    ("a detail", event({"detail": "Engine core died"}), "", AlcfError, "Engine core died"),
    ("an in-stream 429", event({"error": {"message": "Too many requests", "code": 429}}), "",
     RateLimited, "again"),
    ("a refused request", event({"object": "error", "message": "bad top_k", "code": 400}), "",
     RequestRefused, "bad top_k"),
    ("a cold model", event({"object": "error", "message": "t", "code": 504}), "",
     ModelNotReady, "cold"),
    ("a bare line of error", SAFE + b'error: {"message": "CUDA oom"}\n\n', "The dose is not ",
     StreamBroken, "CUDA oom"),
    ("a time to wait without end", b"retry: " + b"9" * 5000 + b"\n\n" + piece("ab", "stop"),
     "ab", None, ""),
    ("a count without end in a piece", b'data: {"usage":{"completion_tokens":' + ENDLESS
     + b'},"choices":[{"delta":{"content":"a"}}]}\n\n' + piece("b", "stop"), "ab", None, ""),
    ("a number without end in a whole answer", json.dumps(WHOLE).encode()[:-1]
     + b',"created":' + ENDLESS + b"}", "all", None, ""),
    ("a whole answer behind a byte order mark", b"\xef\xbb\xbf" + json.dumps(WHOLE).encode(),
     "all", None, ""),
]  # fmt: skip


@pytest.mark.parametrize(("body", "text", "error", "said"), [e[1:] for e in ENDS],
                         ids=[e[0] for e in ENDS])  # fmt: skip
def test_every_end_is_told(
    body: bytes, text: str, error: type[AlcfError] | None, said: str
) -> None:
    """What came is kept, what ended it is said; the same however the bytes are split."""
    for content_type in (STREAM, "application/json"):
        if content_type != STREAM and error in (StreamBroken, GatewayError):
            continue  # by its label it is no stream: judged below
        for size in (0, 1, 7):
            came, failure = read(body, content_type, size)
            assert came == text
            assert failure is None if error is None else isinstance(failure, error)
            assert said in str(failure)


@pytest.mark.parametrize("junk", [b"", b"<html>", b'{"a": 1}', b"[]", b"{" * 100_000])
def test_what_is_no_answer_is_one_of_the_gateways_errors(junk: bytes) -> None:
    """A body that is no stream and no answer, by its label, is told as such."""
    came, failure = read(junk, "application/json")
    assert came == ""
    assert isinstance(failure, GatewayError | StreamBroken)


def test_a_line_without_an_end_is_given_up() -> None:
    """A server that sends no line end fills no memory, nor one that sends nothing but data."""
    for flood in (b"data: " + b"x" * 5_000_000, b"data:\n" * 5_000_000):
        _, failure = read(flood, size=100_000)
        assert isinstance(failure, StreamBroken)


def test_what_follows_a_failure_in_the_same_read_is_not_shown() -> None:
    """Chunks before the failure come, those behind it do not."""
    reader = StreamReader()
    chunks = reader.feed(SAFE + event(ERROR) + DRUG)
    assert [delta.content for chunk in chunks for delta in chunk.deltas] == ["The dose is not "]
    assert reader.failure is not None


def test_choices_are_complete_when_all_are() -> None:
    """With several answers, one that has ended does not end the others."""

    def of(index: int, finish: str | None) -> dict[str, Any]:
        return {"choices": [{"index": index, "delta": {"content": "x"}, "finish_reason": finish}]}

    reader = StreamReader()
    reader.feed(event(of(0, "stop")) + event(of(1, None)))
    assert not reader.complete
    reader.feed(event(of(1, "stop")))
    assert reader.complete


def test_an_error_of_any_depth_is_one_of_ours() -> None:
    """What can be read just so, and not be written again, is a broken stream all the same."""
    for depth in range(900, 1000):
        nested = b'data: {"error":' + b"[" * depth + b"]" * depth + b"}\n\n"
        _, failure = read(nested)
        assert isinstance(failure, StreamBroken)


def test_the_token_is_in_no_part_of_an_answer() -> None:
    """Whatever repeats the token in an event, names and reasons included, shows none of it."""
    token = "Ag-secret-0123456789"
    reader, answer = StreamReader(secret=token), Accumulator("m", 0.0)
    echo = {"choices": [{"delta": {"content": f"You sent {token}."}, "finish_reason": token}]}
    for chunk in reader.feed(event({"model": f"m {token}", "id": token, **echo})):
        answer.add(chunk, 1.0)
    [choice] = answer.choices
    assert (answer.model, answer.id) == ("m (token)", "(token)")
    assert (choice.text, choice.finish_reason) == ("You sent (token).", "(token)")


def test_a_choice_that_has_yet_to_begin_is_waited_for() -> None:
    """Of several answers, some servers write one behind the other: an error between is told."""
    reader = StreamReader(choices=2)
    reader.feed(piece("first", "stop"))
    assert reader.complete
    assert not reader.owes_nothing
    reader.feed(event(ERROR))
    assert isinstance(reader.failure, StreamBroken)


def test_fewer_choices_than_were_asked_for_are_an_answer() -> None:
    """A server that takes no notice of `n` has ended well all the same."""
    reader = StreamReader(choices=2)
    reader.feed(piece("first", "stop") + DONE)
    reader.end()
    assert reader.failure is None
