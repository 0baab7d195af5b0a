"""The ways in which the gateway says no: bytes, or an event of a stream, to a reason. Pure.

The gateway has six envelopes (A to F below), and two kinds of model server behind it whose own
refusals arrive wrapped: in a bytes repr, in a remote traceback, or as assistant text inside a
stream of status 200. The shape is recognised, never the cluster.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any

from ..text import line, words

#: The id of the chunk in which the gateway hides a direct endpoint's failure as assistant text.
API_ERROR_ID = "chatcmpl-api-error"

#: The reason of a remote traceback that holds no better one.
WORKER_FAILED = "the model server's worker failed"

#: What a wrapped refusal begins with. Behind a status stands a body, cut at 256 bytes: the repr
#: of a bytes object, or plain; in a traceback, the response's headers follow it.
_UPSTREAM = re.compile(r"Upstream endpoint returned (\d{3}): (b['\"])?")
_IN_TRACEBACK = re.compile(r"status code: (\d{3})\s+Response text: ")
_IN_STREAM_CALL = re.compile(r"Could not send stream API call to \S+: (?=\{)")
_AFTER_BODY = "Response headers:"

#: What JSON begins with. A body that begins so and does not parse was cut on its way.
_JSON = re.compile(r'\s*(?:\{\s*["}]|\[\s*[{\]])')
#: The parts of a model server's JSON that may be cut anywhere, in the middle of an escape, too.
_MESSAGE = re.compile(
    r'"(?:message|detail|msg|error)"\s*:\s*"((?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u])*)'
)
_CODE = re.compile(r'"code"\s*:\s*"?(\d{3})\b')
_BYTES_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|(.))", re.S)
_BYTES_NAMES = {"n": "\n", "r": "\r", "t": "\t"}
_TITLE = re.compile(r"<title[^<>]*>([^<]*)", re.I)
_TAG = re.compile(r"<[a-z!?/]", re.I)
_ADDRESS = re.compile(r"\s*(?:at |for url )?'?https?://[^\s'\"),]*[^\s'\"),:.]'?")
#: Texts that send people to another tool are cut before the sentence that does.
_OTHER_TOOLS = re.compile(r"inference_auth_token|app\.globus\.org/logout|alcf[-_](?:tokens|ai)\b")
_SENTENCE_END = re.compile(r"[.!?](?=\s)")
#: Characters that are looked at for a wrapped refusal, of a reason, and of what is shown of it.
_LONGEST_WRAPPED = 65536
_LONGEST_REASON = 4000
_LONGEST_SHOWN = 400
_MOST_FIELDS = 20


@dataclass(frozen=True)
class Reason:
    """Why, in the words of whoever refused. `status` is the model server's own where known.

    `is_page` is true of an HTML page, `by_proxy` of the words of the proxy before the gateway.
    """

    text: str
    code: str = ""
    status: int | None = None
    error_id: str = ""
    retry_after: float | None = None
    is_json: bool = True
    is_page: bool = False
    by_proxy: bool = False

    @property
    def shown(self) -> str:
        """What a reader may see of the text: one line, no inner address, no other tool."""
        text = words(self.text[:_LONGEST_REASON])
        other = _OTHER_TOOLS.search(text)
        if other:
            ends = [end.end() for end in _SENTENCE_END.finditer(text, 0, other.start())]
            text = text[: ends[-1]] if ends else ""
        text = _ADDRESS.sub("", text)
        text = re.sub(r"^(?:Error:\s*)+", "", " ".join(text.split()))
        if len(text) <= _LONGEST_SHOWN:
            return text.rstrip(" .,")
        return text[:_LONGEST_SHOWN].rstrip(" .,") + "…"


def read_reason(body: bytes, headers: Mapping[str, str]) -> Reason:
    """Read any of the envelopes:

    A {"error": {code, message, info}} · B {"detail": text} · C {"detail": [{type, loc, msg}]}
    · D {"error": {code, message, error_id}} · E HTML or plain text
    · F {"error": text, message, retry_after}
    """
    text = body.decode("utf-8", "replace")
    try:
        reason = _of_value(json.loads(text))
    except (ValueError, RecursionError):
        reason = _of_cut(text) if _JSON.match(text) else _of_text(text, headers)
    if reason.retry_after is not None:
        return reason
    return replace(reason, retry_after=_retry_after(headers))


def reason_in_event(event: Mapping[str, Any], name: str = "message") -> Reason | None:
    """The reason that an event of a 200 stream is, or None for a chunk of an answer.

    `name` is the event's own; a server may say by it alone that its data is an error.
    """
    if event.get("id") == API_ERROR_ID:
        return _inner(_chunk_text(event).strip().removeprefix("[ERROR]").strip())
    if name == "error" or event.get("error") or event.get("object") == "error":
        return _of_value(event)
    is_bare = event.get("detail") or (event.get("message") and "code" in event)
    return _of_value(event) if is_bare and "choices" not in event else None


def _of_value(value: object) -> Reason:
    """A JSON value: an object that tells of an error, perhaps inside another."""
    if not isinstance(value, Mapping):
        return Reason("")
    while (inner := _object_inside(value)) is not None:
        value = inner
    told = _inner(_message(value))
    return Reason(
        _with_fields(told.text, value.get("info")),
        code=line(value.get("code")),
        status=_status(value.get("code")) or _status(value.get("status")) or told.status,
        error_id=line(value.get("error_id"), 80),
        retry_after=_seconds(value.get("retry_after")),
        by_proxy=isinstance(value.get("error"), str),
    )


def _object_inside(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the envelopes A and D hold; model servers put one object into another as well."""
    for name in ("error", "detail", "message"):
        inner = value.get(name)
        if isinstance(inner, Mapping):
            return inner
    return None


def _message(error: Mapping[str, Any]) -> str:
    """What an object says: a short `error` first, then its message, under any of its names."""
    short = error.get("error")
    long = next((said for name in ("message", "detail", "msg") if (said := error.get(name))), "")
    if isinstance(long, list):
        long = "; ".join(filter(None, map(_of_field, long[:_MOST_FIELDS])))
    return " ".join(part for part in (short, long) if isinstance(part, str) and part)


def _inner(text: str) -> Reason:
    """Take the model server's own words out of what the gateway wrapped them in."""
    text = text[:_LONGEST_WRAPPED]
    if found := _UPSTREAM.search(text):
        body = text[found.end() :]
        return _of_body(_of_bytes_repr(body) if found[2] else body, int(found[1]))
    if found := _IN_TRACEBACK.search(text):
        return _of_body(text[found.end() :].partition(_AFTER_BODY)[0], int(found[1]))
    if found := _IN_STREAM_CALL.search(text):
        return _of_body(text[found.end() :])
    if "Traceback (most recent call last)" in text:
        return Reason(WORKER_FAILED)
    return Reason(text)


def _of_body(body: str, status: int | None = None) -> Reason:
    """What a model server answered, whole or cut."""
    reason = _of_cut(body) if _JSON.match(body) else _of_text(body, {})
    return Reason(reason.text, status=reason.status if status is None else status)


def _of_cut(text: str) -> Reason:
    """JSON of which only the beginning need be there."""
    message, code = _MESSAGE.search(text), _CODE.search(text)
    return Reason(
        _unquoted(message[1]) if message else "", status=_status(code[1]) if code else None
    )


def _of_text(text: str, headers: Mapping[str, str]) -> Reason:
    """An HTML page by its title, plain text as a line."""
    if title := _TITLE.search(text):
        said, is_page = f"a web page “{line(title[1], 80)}” instead of an answer", True
    elif _TAG.search(text) or "html" in headers.get("content-type", ""):
        said, is_page = "a web page instead of an answer", True
    else:
        said, is_page = line(text), False
    return Reason(said, is_json=False, is_page=is_page)


def _of_bytes_repr(written: str) -> str:
    """The text of a bytes repr behind its opening quote; the closing one may have been cut."""

    def of(escape: re.Match[str]) -> str:
        if escape[1]:
            return chr(int(escape[1], 16))
        return _BYTES_NAMES.get(escape[2], escape[2])

    plain = _BYTES_ESCAPE.sub(of, re.sub(r"['\"]\.?$", "", written))
    return plain.encode("latin-1", "replace").decode("utf-8", "replace")


def _unquoted(written: str) -> str:
    """The text of a JSON string without its quotes."""
    try:
        return str(json.loads(f'"{written}"', strict=False))
    except ValueError:
        return written


def _of_field(problem: object) -> str:
    """One entry of a pydantic error list: which field, and what is wrong with it."""
    if not isinstance(problem, Mapping):
        return problem if isinstance(problem, str) else ""
    where, said = problem.get("loc"), problem.get("msg")
    steps = where[2:] if isinstance(where, list) else []
    path = ".".join(str(step) for step in steps if step not in ("str", "list[str]"))
    return ": ".join(part for part in (path, said) if isinstance(part, str) and part)


def _with_fields(text: str, info: object) -> str:
    """A message, with the fields that the gateway names beside it."""
    if not isinstance(info, Mapping):
        return text
    errors, fields = info.get("errors"), info.get("fields")
    named = [
        f"{error.get('field')}: {error.get('message')}"
        for error in (errors[:_MOST_FIELDS] if isinstance(errors, list) else [])
        if isinstance(error, Mapping)
    ] or [str(field) for field in (fields[:_MOST_FIELDS] if isinstance(fields, list) else [])]
    return f"{text} ({'; '.join(named)})" if named else text


def _chunk_text(event: Mapping[str, Any]) -> str:
    try:
        return str(event["choices"][0]["delta"]["content"])
    except (KeyError, IndexError, TypeError):
        return ""


def _status(value: object) -> int | None:
    """An HTTP status, as a number or as its three digits."""
    if isinstance(value, str) and re.fullmatch("[1-5][0-9]{2}", value):
        return int(value)
    return value if type(value) is int and 100 <= value < 600 else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The header's seconds, or those until its date, by the clock of whoever sent it."""
    said = headers.get("retry-after", "")
    seconds = _seconds(said)
    if seconds is not None:
        return seconds
    try:
        until, now = parsedate_to_datetime(said), parsedate_to_datetime(headers.get("date", ""))
        return _seconds((until - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def _seconds(value: object) -> float | None:
    try:
        seconds = float(value)  # type: ignore[arg-type]  # anything else is a TypeError
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < 1e6 else None
