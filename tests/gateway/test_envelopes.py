"""The shapes in which the outside says no, each read as the same reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alcf_magics.gateway.envelopes import WORKER_FAILED, Reason, read_reason, reason_in_event

SAID = 'the “batch” isn\'t\n"small": 5 < 7'
FIELD = {"type": "missing", "loc": ["body", "payload", "messages", 0, "content"], "msg": "required"}


def reason_of(body: object, **headers: str) -> Reason:
    """The reason in a body, which is sent as it is or as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_reason(content, {name.replace("_", "-"): v for name, v in headers.items()})


def server(code: int = 400, **more: object) -> str:
    """What a model server says, as JSON without spaces."""
    error = {"message": SAID, "type": "BadRequestError", "param": None, "code": code, **more}
    return json.dumps({"error": error}, separators=(",", ":"))


def upstream(body: str, status: int = 400, cut: int = 256) -> dict[str, Any]:
    """The gateway's words for it, where it shows the repr of a bytes object cut at 256 bytes."""
    return {"error": {"message": f"Upstream endpoint returned {status}: {body.encode()[:cut]!r}."}}


def traceback(body: str, status: int = 400) -> dict[str, Any]:
    """The same from behind Globus Compute."""
    told = f"status code: {status}\n Response text: {body}\n Response headers: {{'date': 'x'}}"
    text = (
        f"Traceback (most recent call last):\n  File x\nException: API request failed with {told}"
    )
    return {"error": {"code": "internal_endpoint_error", "message": text, "info": {}}}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": {"code": "unauthorized", "message": SAID, "info": {}}}, SAID),  # A
        ({"detail": SAID}, SAID),  # B
        ({"detail": [FIELD, FIELD]}, "messages.0.content: required; messages.0.content: required"),
        ({"detail": [{"loc": 3, "msg": "odd"}, None, "plain"]}, "odd; plain"),  # C
        ({"error": {"code": "internal_error", "message": SAID, "error_id": "e1"}}, SAID),  # D
        (b"<html><head><TITLE>\n Sign   in</TITLE>", "a web page “Sign in” instead of an answer"),
        (b"<!doctype html><p>hello", "a web page instead of an answer"),
        (b"Bad\n  Gateway", "Bad Gateway"),  # E
        ({"error": "Slow down.", "message": "Too many."}, "Slow down. Too many."),  # F
        # What the model servers themselves answer.
        ({"object": "error", "message": SAID, "code": 400}, SAID),
        ({"error": {"error": {"message": SAID}}}, SAID),
        ({"detail": {"message": SAID}}, SAID),
        ({"type": "error", "error": {"type": "overloaded_error", "message": SAID}}, SAID),
        ({"error": True, "message": SAID}, SAID),
        ({"message": SAID}, SAID),
        # What holds no words.
        ({}, ""),
        ([], ""),
        (7, ""),
        ({"error": {"message": {"a": 1}}}, ""),
        (b"", ""),
    ],
)
def test_every_envelope_is_read(body: object, text: str) -> None:
    """The words of whoever refused, and nothing of what they came in."""
    assert reason_of(body).text == text


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ({"errors": [{"field": "model", "message": "Field required"}, 5]}, "no (model: Field req"),
        ({"fields": ["api_port", "cache_salt"]}, "no (api_port; cache_salt)"),
        ({"errors": 3, "fields": None}, "no"),
        ([], "no"),
    ],
)
def test_the_fields_that_are_wrong_are_named(info: object, text: str) -> None:
    """What the gateway says beside its message stands behind it."""
    assert reason_of({"error": {"message": "no", "info": info}}).text.startswith(text)


@pytest.mark.parametrize(
    "body",
    [
        upstream(server()),
        {"error": {"message": f"Upstream endpoint returned 400: {server()}"}},  # FirstV2
        {"error": {"message": f"Upstream endpoint returned 400: {server()[:-30]}"}},
        {"detail": f"Upstream endpoint returned 400: {server()}."},
        traceback(server()),
        {"object": "error", "message": SAID, "code": 400},
        {"object": "error", "message": SAID, "code": "400"},
        upstream(json.dumps({"object": "error", "message": SAID, "code": 400})),
        upstream(json.dumps({"detail": SAID})),
        upstream(json.dumps({"error": SAID})),
        upstream(json.dumps({"detail": [{"loc": ["body"], "msg": SAID}]})),
    ],
)
def test_a_model_servers_words_are_unwrapped(body: dict[str, Any]) -> None:
    """Its message and its own status, with quotes, line ends and other letters as it wrote them."""
    reason = reason_of(body)
    assert (reason.text, reason.status) == (SAID, 400)


@pytest.mark.parametrize("start", range(20, 30))
def test_a_message_may_be_cut_anywhere(start: int) -> None:
    """In the middle of an escape, too, what came of the message is shown, and no JSON."""
    message = 'a "b" \\ é \U0001f600 ' * 6
    body = json.dumps({"error": {"message": message}})
    for cut in range(start, 140, 10):
        for told in (
            upstream(body, cut=cut),
            {"error": {"message": f"Upstream endpoint returned 400: {body[:cut]}"}},
        ):
            said = reason_of(told).text
            whole = said.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
            assert message.startswith(whole.removesuffix("\ufffd"))
            assert len(whole) > (cut - 23) / 12 - 2


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("Bad Gateway", "Bad Gateway"),
        ("<html><title>502 Bad Gateway</title>", "a web page “502 Bad Gateway” instead of an ans"),
        ('{"object":"list"}', ""),
        ("", ""),
    ],
)
def test_a_model_server_need_not_speak_json(body: str, text: str) -> None:
    """A text is shown, a page by its title, and JSON that says nothing not at all."""
    for told in (upstream(body, 502), traceback(body, 502)):
        reason = reason_of(told)
        assert reason.text.startswith(text)
        assert bool(reason.text) == bool(text)
        assert reason.status == 502
        assert reason.is_json


def test_a_traceback_without_an_answer_is_not_shown() -> None:
    """What happened inside the facility's worker helps no reader."""
    body = {"error": {"message": "Traceback (most recent call last):\n File x\nKeyError: 1"}}
    assert reason_of(body).text == WORKER_FAILED


@pytest.mark.parametrize("filler", ["x", " ", '"', "\\", "[", "<title", "\u2028"])
def test_a_body_that_was_cut_is_still_json(filler: str) -> None:
    """However long a refusal is, and wherever it ends, its words are found."""
    long = json.dumps({"detail": [FIELD | {"input": filler * 100_000}]}).encode()
    for end in (len(long), 72_000, 65_536, 200):
        reason = reason_of(long[:end])
        assert reason.is_json
        assert "required" in reason.text


@pytest.mark.parametrize(
    "piece",
    [
        "status code: 400 Response text: ",
        "Upstream endpoint returned 400: b'",
        "Could not send stream API call to a: ",
        "<title",
        "<title>",
        '"message": "',
        '"code": ',
        "Error: ",
        " " * 1000,
        "'http://a",
    ],
)
def test_reading_takes_linear_time(piece: str) -> None:
    """A megabyte of anything is read at once: a quadratic pattern would take hours."""
    flood = piece * (1_000_000 // len(piece))
    for start in ("", "status code: 400 Response text: ", "Traceback (most recent call last)"):
        assert len(reason_of({"error": {"message": start + flood}}).shown) < 500
        assert len(reason_of((start + flood).encode()).shown) < 500


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({}, {"detail": "x"}, None),
        ({"retry_after": "7"}, {"detail": "x"}, 7),
        ({"retry_after": "7"}, {"error": "x", "retry_after": 3}, 3),
        ({"retry_after": "7"}, b"plain", 7),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, {"detail": "x"}, None),
        ({"retry_after": "-1"}, {"detail": "x"}, None),
        ({"retry_after": "nan"}, {"detail": "x"}, None),
        ({}, {"error": "x", "retry_after": 10**400}, None),
    ],
)
def test_how_long_to_wait_is_read_where_it_is_said(
    headers: dict[str, str], body: object, seconds: float | None
) -> None:
    """In seconds, from the body before the header; what is no such number is none."""
    assert reason_of(body, **headers).retry_after == seconds


HIDDEN = f"\n\n[ERROR] Error: Could not send stream API call to http://x/v1: {server()}"
CHUNK = {"choices": [{"delta": {"content": "x"}}]}


@pytest.mark.parametrize(
    ("event", "name", "text", "status"),
    [
        ({"object": "error", "message": SAID, "code": 400}, "message", SAID, 400),
        ({"error": {"message": SAID, "code": 500}}, "message", SAID, 500),
        ({"error": SAID}, "message", SAID, None),
        ({"error": {"message": SAID}, **CHUNK}, "message", SAID, None),
        ({"detail": "Engine core died"}, "message", "Engine core died", None),
        ({"detail": [FIELD]}, "message", "messages.0.content: required", None),
        ({"message": SAID, "type": "InternalServerError", "code": 500}, "message", SAID, 500),
        ({"message": SAID}, "error", SAID, None),
        ({"detail": SAID}, "error", SAID, None),
        ({"detail": [FIELD]}, "error", "messages.0.content: required", None),
        ({"error": {"message": SAID}}, "error", SAID, None),
        ({}, "error", "", None),
        (
            {"id": "chatcmpl-api-error", "choices": [{"delta": {"content": HIDDEN}}]},
            "message",
            SAID,
            400,
        ),
        ({"id": "chatcmpl-api-error"}, "message", "", None),
    ],
)
def test_an_error_in_a_stream_is_read(
    event: dict[str, Any], name: str, text: str, status: int | None
) -> None:
    """By its shape, by the name of its event, or by the id under which the gateway hides it."""
    reason = reason_in_event(event, name)
    assert reason is not None
    assert (reason.text, reason.status) == (text, status)


@pytest.mark.parametrize(
    "event",
    [
        CHUNK,
        {**CHUNK, "error": None},
        {**CHUNK, "detail": "x", "message": "y", "code": 1},
        {"choices": [], "usage": {"prompt_tokens": 1}},
        {"type": "ping"},
        {"message": "still loading"},
        {"message": {"role": "assistant", "content": []}, "type": "message_start"},
        {},
    ],
)
def test_what_is_no_error_is_left_to_be_a_chunk(event: dict[str, Any]) -> None:
    """A chunk of an answer, and what a server sends to keep a line open."""
    assert reason_in_event(event) is None


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("3", 3.0),
        (" 2.5 ", 2.5),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2026 07:27:00 GMT", None),
        ("Wed, 21 Oct 2099 07:28:00 GMT", None),
        ("Fri, 31 Feb 2026 00:00:00 GMT", None),
        ("-4", None),
        ("1e400", None),
        ("nan", None),
        ("9" * 5000, None),
        ("soon", None),
        ("", None),
    ],
)
def test_a_server_says_when_to_come_again(said: str, seconds: float | None) -> None:
    """In seconds, or as a date by its own clock; what is absurd says nothing."""
    headers = {"retry-after": said, "date": "Wed, 21 Oct 2026 07:28:00 GMT"}
    assert read_reason(b'{"detail": "Too many requests."}', headers).retry_after == seconds


def test_a_proxys_own_wait_goes_before_the_header() -> None:
    """Of two the one in the body, where it is a number of seconds."""
    headers = {"retry-after": "7"}
    for given, seconds in [("3", 3.0), ("-1", 7.0), ('"soon"', 7.0), ("[3]", 7.0), ("null", 7.0)]:
        body = f'{{"error": "busy", "message": "x", "retry_after": {given}}}'.encode()
        assert read_reason(body, headers).retry_after == seconds
