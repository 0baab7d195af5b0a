"""The ways in which the gateway says no: bytes, or an event of a stream, to a reason. Pure.

The gateway has six envelopes (A to F below), and two kinds of model server behind it whose own
refusals arrive wrapped: in a bytes repr, in a remote traceback, or as assistant text inside a
stream of status 200. The shape is recognised, never the cluster.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..text import line, words

#: The id of the chunk in which the gateway hides a direct endpoint's failure as assistant text.
API_ERROR_ID = "chatcmpl-api-error"

#: The reason of a remote traceback that holds no better one.
WORKER_FAILED = "the model server's worker failed"

_INSIDE_BYTES = re.compile(r"Upstream endpoint returned (\d{3}): (?:b(?=['\"]))?(.*)", re.S)
_INSIDE_TRACEBACK = re.compile(
    r"status code: (\d{3})\s+Response text: (.*?)\s+Response headers:", re.S
)
_INSIDE_STREAM_CALL = re.compile(r"Could not send stream API call to \S+: (\{.*)", re.S)
#: The parts of a model server's JSON that may be cut anywhere.
_MESSAGE = re.compile(r'"(?:message|detail)"\s*:\s*"((?:[^"\\]|\\.)*)')
_CODE = re.compile(r'"code"\s*:\s*(\d{3})')
_ESCAPE = re.compile(r"\\(.)", re.S)
_ADDRESS = re.compile(r"\s*(?:at |for url )?'?https?://[^\s'\"),]*[^\s'\"),:.]'?")
#: Texts that send people to another tool are cut before the sentence that does.
_OTHER_TOOLS = re.compile(r"inference_auth_token|app\.globus\.org/logout|alcf[-_](?:tokens|ai)\b")
_SENTENCE_END = re.compile(r"[.!?](?=\s)")
#: Characters of a reason that are looked at, and shown.
_LONGEST_REASON = 4000
_LONGEST_SHOWN = 400
_MOST_FIELDS = 20


@dataclass(frozen=True)
class Reason:
    """Why, in the words of whoever refused. `status` is the model server's own where known."""

    text: str
    code: str = ""
    status: int | None = None
    error_id: str = ""
    retry_after: float | None = None
    is_json: bool = True
    is_page: bool = False

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
    retry_after = _seconds(headers.get("retry-after"))
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if text.lstrip().startswith(("{", "[")):  # cut at the limit of what is read
            return Reason(_of_body(text, None).text or line(text, 120), retry_after=retry_after)
        said, is_page = _of_page(text, headers)
        return Reason(said, retry_after=retry_after, is_json=False, is_page=is_page)
    if not isinstance(value, Mapping):
        return Reason("", retry_after=retry_after)
    return _of_envelope(value, retry_after)


def _of_envelope(value: Mapping[str, Any], retry_after: float | None) -> Reason:
    error, detail = value.get("error"), value.get("detail")
    if isinstance(error, Mapping):
        inner = _inner(_text(error.get("message")))
        return Reason(
            _with_fields(inner.text, error.get("info")),
            code=line(error.get("code")),
            status=inner.status,
            error_id=line(error.get("error_id"), 80),
            retry_after=retry_after,
        )
    if isinstance(error, str):
        said = " ".join(part for part in (error, _text(value.get("message"))) if part)
        wait = _seconds(value.get("retry_after"))
        return Reason(said, code="proxy", retry_after=wait if wait is not None else retry_after)
    if isinstance(detail, list):
        told = filter(None, map(_of_field, detail[:_MOST_FIELDS]))
        return Reason("; ".join(told), retry_after=retry_after)
    inner = _of_object(value) if value.get("object") == "error" else _inner(_text(detail))
    return Reason(inner.text, status=inner.status, retry_after=retry_after)


def reason_in_event(event: Mapping[str, Any], name: str = "message") -> Reason | None:
    """The reason that an event of a 200 stream is, or None for a chunk of an answer.

    `name` is the event's own; a server may say by it alone that its data is an error.
    """
    if event.get("id") == API_ERROR_ID:
        return _inner(_chunk_text(event).strip().removeprefix("[ERROR]").strip())
    if event.get("object") == "error":
        return _of_object(event)
    if event.get("error"):
        inner = event["error"]
        return _of_object(inner if isinstance(inner, Mapping) else {"message": _text(inner)})
    if name == "error":
        said = event.get("message") or event.get("detail")
        return _of_object({**event, "message": said})
    if "choices" not in event and event.get("detail"):
        detail = event["detail"]
        told = detail if isinstance(detail, list) else []
        return _inner(_text(detail) or "; ".join(filter(None, map(_of_field, told[:_MOST_FIELDS]))))
    return None


def _inner(text: str) -> Reason:
    """Take the model server's own words out of what the gateway wrapped them in."""
    wrapped = _INSIDE_BYTES.search(text)
    if wrapped:
        # The repr of a bytes object, or plain, cut at 256 bytes: it need not parse.
        return _of_body(wrapped[2].replace("\\'", "'"), int(wrapped[1]))
    wrapped = _INSIDE_TRACEBACK.search(text)
    if wrapped:
        return _of_body(wrapped[2], int(wrapped[1]))
    wrapped = _INSIDE_STREAM_CALL.search(text)
    if wrapped:
        return _of_body(wrapped[1], None)
    if "Traceback (most recent call last)" in text:
        return Reason(WORKER_FAILED)
    return Reason(text)


def _of_body(body: str, status: int | None) -> Reason:
    """A model server's JSON error, whole or cut."""
    message, code = _MESSAGE.search(body), _CODE.search(body)
    said = _ESCAPE.sub(lambda e: " " if e[1] in "nrt" else e[1], message[1]) if message else ""
    return Reason(said, status=status if status is not None else int(code[1]) if code else None)


def _of_object(error: Mapping[str, Any]) -> Reason:
    code = error.get("code")
    inner = _inner(_text(error.get("message")))
    if isinstance(code, str) and code.isdecimal() and len(code) == 3:
        code = int(code)
    own = code if isinstance(code, int) and not isinstance(code, bool) else inner.status
    wait = _seconds(error.get("retry_after"))
    return Reason(inner.text, status=own, retry_after=wait)


def _of_field(problem: object) -> str:
    """One entry of a pydantic error list: which field, and what is wrong with it."""
    if not isinstance(problem, Mapping):
        return ""
    where, said = problem.get("loc"), _text(problem.get("msg"))
    steps = where[2:] if isinstance(where, list) else []
    path = ".".join(str(step) for step in steps if step not in ("str", "list[str]"))
    return f"{path}: {said}" if path else said


def _with_fields(text: str, info: object) -> str:
    if not isinstance(info, Mapping):
        return text
    errors, fields = info.get("errors"), info.get("fields")
    named = [
        f"{error.get('field')}: {error.get('message')}"
        for error in (errors[:_MOST_FIELDS] if isinstance(errors, list) else [])
        if isinstance(error, Mapping)
    ] or [str(field) for field in (fields[:_MOST_FIELDS] if isinstance(fields, list) else [])]
    return f"{text} ({'; '.join(named)})" if named else text


def _of_page(text: str, headers: Mapping[str, str]) -> tuple[str, bool]:
    """An HTML page by its title, plain text by its first line; and whether it is a page."""
    title = re.search(r"<title[^>]*>(.*?)</title>", text[:65536], re.S | re.I)
    if title:
        return f"a web page “{line(title[1], 80)}” instead of an answer", True
    if "<" in text or "html" in headers.get("content-type", ""):
        return "a web page instead of an answer", True
    return line(text, 120), False


def _chunk_text(event: Mapping[str, Any]) -> str:
    try:
        return str(event["choices"][0]["delta"]["content"])
    except (KeyError, IndexError, TypeError):
        return ""


def _text(value: object) -> str:
    """A text, a number or a list of such as a text."""
    if isinstance(value, str):
        return value
    return "" if value is None else str(value)[:_LONGEST_REASON]


def _seconds(value: object) -> float | None:
    try:
        seconds = float(value)  # type: ignore[arg-type]  # anything else is a TypeError
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < 1e6 else None
