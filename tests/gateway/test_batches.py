"""Batches as the gateway has them: its recorded answers, and the lines of their files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alcf_magics.errors import GatewayError, RateLimited, RequestRefused
from alcf_magics.gateway.batches import (
    Listed,
    body_of,
    completion_of,
    error_of,
    lines_done,
    listed,
    outcome_of,
    read_line,
    request_line,
    status_of,
    submitted,
)
from alcf_magics.gateway.chat import ChatRequest
from alcf_magics.gateway.models import Model
from support.wire import load

PLACE = Model("org/m", "red", "fw", "http://g/red/fw/v1")
REQUEST = ChatRequest.of("org/m", "hi", temperature=0.5)
ID = "2ca8fac8-7793-455e-ae80-5be7f47a174e"


def said(name: str) -> Any:
    return json.loads(load(name).content)


def line(body: Any = None, status: Any = 200, error: Any = None) -> dict[str, Any]:
    return {"custom_id": "0", "response": {"status_code": status, "body": body}, "error": error}


def test_recorded_lists_are_read() -> None:
    """Each batch with its state, its input, and when it began and ended."""
    assert listed(said("batch_list_empty")) == []
    assert listed(said("batch_list")) == [
        Listed(ID, "pending", "sophia", "vllm", "/eagle/proj/in.jsonl", "2026-11-23T02:19:12.467Z")
    ]
    (done,) = listed(said("batch_list_completed_filter"))
    assert (done.status, done.ended, done.active) == (
        "completed",
        "2026-11-23T02:20:04.313Z",
        False,
    )
    (failed,) = listed(said("batch_list_fail"))
    assert (failed.status, failed.ended) == ("failed", "2026-11-23T02:20:12.155Z")


def test_recorded_states_and_submissions_are_read() -> None:
    """A bare word, and the id."""
    assert status_of(said("batch_status_pending")) == "pending"
    assert status_of(said("batch_status_completed")) == "completed"
    assert submitted(said("batch_submit")) == ID
    assert submitted(said("batch_submit_fail")).startswith("1db02c02")


def test_a_recorded_result_is_read() -> None:
    """The repr of a dict within a JSON string."""
    found = outcome_of(said("batch_result"))
    assert found.results_file.startswith("/lus/eagle/projects/argonne_tpc/")
    assert found.progress_file.endswith("/in_20261101_120000.progress.json")
    assert (found.lines, found.responses, found.tokens, found.seconds) == (10, 10, 1234, 12.3)


def test_a_result_may_be_json_and_have_its_numbers_apart() -> None:
    """As the service's documentation shows it."""
    counts = {"response_time": 2.5, "total_tokens": 7, "num_responses": 3, "lines_processed": 4}
    value = {"results_file": "/r", "progress_file": "/p", "metrics": counts}
    for answer in (value, json.dumps(value), repr(value)):
        found = outcome_of(answer)
        assert (found.results_file, found.tokens, found.lines) == ("/r", 7, 4)
        assert (found.responses, found.seconds) == (3, 2.5)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        7,
        [],
        {},
        "",
        "completed",
        "__import__('os').system('true')",
        "{'results_file': open('x')}",
        "(" * 5000,
        "-" * 16_000 + "1",
        "[" * 300 + "]" * 300,
        "{'results_file': 7}",
        "{'results_file': '" + "x" * 20_000 + "'}",
        "{'a': b'\\x00'",
    ],
)
def test_whatever_else_stands_there_is_an_error_and_is_never_run(answer: Any) -> None:
    """Bounded, and in one line."""
    with pytest.raises(GatewayError, match="could not be understood"):
        outcome_of(answer)


@pytest.mark.parametrize("answer", [None, {}, "x", 3])
def test_no_list_is_an_error(answer: Any) -> None:
    """So that nobody reads it as no batches."""
    with pytest.raises(GatewayError, match="list of batches"):
        listed(answer)
    assert listed([{}, 3, {"batch_id": "a"}]) == [Listed("a", "")]


@pytest.mark.parametrize("answer", [None, "", " ", {"status": "x"}])
def test_no_status_and_no_id_are_errors(answer: Any) -> None:
    """One line each."""
    with pytest.raises(GatewayError, match="status"):
        status_of(answer)
    with pytest.raises(GatewayError, match="answer to the batch"):
        submitted(answer)


def test_a_line_of_the_input_is_openais() -> None:
    """One line, with the body as it would be sent, not streamed."""
    written = request_line("7", ChatRequest("org/m", REQUEST.messages, {"n": 2}, False), PLACE)
    assert written.count("\n") == 1
    assert json.loads(written) == {
        "custom_id": "7",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "org/m", "messages": [{"role": "user", "content": "hi"}], "n": 2},
    }


def test_a_recorded_completion_in_a_line_is_a_completion() -> None:
    """With its text, usage and names; its times are the batch's."""
    body = body_of(line(said("chat_gc")))
    assert body is not None
    found = completion_of(body, REQUEST, PLACE, "m", 5.0)
    assert found.text.startswith("Hello, welcome")
    assert (found.asked, found.cluster, found.started, found.seconds) == ("m", "red", 5.0, 0.0)
    assert found.usage is not None
    assert found.usage.completion_tokens == 17
    assert found.finish_reason == "stop"


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (line(None, 400, {"object": "error", "message": "bad value", "code": 400}),
         RequestRefused, "bad value"),
        (line(None, 400, {"error": {"message": "bad value", "code": 400}}),
         RequestRefused, "bad value"),
        (line(None, 400, {"message": "bad value", "type": "x"}), RequestRefused, "bad value"),
        (line({"object": "error", "message": "bad value"}, 422), RequestRefused, "bad value"),
        (line(None, 400, "bad value"), RequestRefused, "bad value"),
        (line(None, 400, {"object": "error", "message": "maximum context length is 9"}),
         RequestRefused, "too long for org/m on red"),
        (line(None, 429, {"message": "slow down"}), RateLimited, "slow down"),
        (line(None, 500, {"message": "CUDA"}), GatewayError, "CUDA"),
        (line({"choices": []}), GatewayError, "status 500"),
        (line({"nope": 1}), GatewayError, "status 500"),
        (line("text"), GatewayError, "status 500"),
        (line(said("chat_gc"), 200, {"message": "late"}), GatewayError, "late"),
        ({"custom_id": "0"}, GatewayError, "status 500"),
        (line(None, "400", {"message": "odd"}), GatewayError, "odd"),
    ],
)  # fmt: skip
def test_a_line_without_an_answer_is_an_error(value: Any, error: type, words: str) -> None:
    """Of the class and with the words that the same refusal has elsewhere."""
    assert body_of(value) is None
    found = error_of(value, PLACE)
    assert isinstance(found, error)
    assert words in str(found)


def test_a_line_that_was_cut_is_none() -> None:
    """Cut anywhere, or no object, or with a number that has no end."""
    whole = json.dumps(line(said("chat_gc")))
    assert read_line(whole) == line(said("chat_gc"))
    for end in range(0, len(whole) - 1, 7):
        assert read_line(whole[:end]) is None
    assert read_line("[]") is None
    assert read_line("[" * 100_000) is None
    assert read_line(b'{"a": "\xff"}') is None
    assert read_line('{"a": ' + "9" * 5000 + "}") == {"a": None}


def test_progress_is_read_where_it_says_something() -> None:
    """As the service writes it."""
    assert lines_done({"lines_processed": 40, "chunk_history": []}) == 40
    others: list[Any] = [None, [], {}, {"lines_processed": "x"}, {"lines_processed": True}]
    for value in others:
        assert lines_done(value) is None
