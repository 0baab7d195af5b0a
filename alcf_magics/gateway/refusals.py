"""What the gateway answered, told as an error of ours. Pure: status, headers and body go in.

The gateway has six ways of saying no (A to F below), and two kinds of model server behind it
whose own refusals arrive wrapped: in a bytes repr, in a remote traceback, or as assistant text
inside a stream of status 200. The shape is recognised, never the cluster.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import (
    AccessDenied,
    AlcfError,
    GatewayError,
    GatewayUnreachable,
    LoginExpired,
    Maintenance,
    ModelNotFound,
    ModelNotReady,
    NotLoggedIn,
    RateLimited,
    RequestRefused,
    StreamBroken,
)

#: The id of the chunk in which the gateway hides a direct endpoint's failure as assistant text.
API_ERROR_ID = "chatcmpl-api-error"

#: Seconds for which the gateway remembers that it could not ask Globus about a token.
OUTAGE_SECONDS = 60.0

#: How a login of one's own is called where it is named.
OWN_LOGIN = "your login"
LOG_IN = "Log in: %alcf_login"
SEE_MODELS = "See what runs: %alcf_models"
LOADING = "Loading takes 10 to 15 minutes; run the cell again then. " + SEE_MODELS
RUN_AGAIN = "Run the cell again."
CHECK_NETWORK = (
    "Check the network (on a compute node: the proxy) and %config AlcfMagics.gateway_url"
)
CHECK_GATEWAY = "Check the gateway's address: %config AlcfMagics.gateway_url"
SHORTEN = "Shorten the prompt, ask for less with --max-tokens, or take another model: %alcf_models"

_OVERFLOW = re.compile(r"maximum context length|available context size|exceed_context", re.I)
_NO_CHAT = re.compile(r"not support|unsupported", re.I)
_INSIDE_BYTES = re.compile(r"Upstream endpoint returned (\d{3}): b(['\"])(.*)", re.S)
_INSIDE_TRACEBACK = re.compile(
    r"status code: (\d{3})\s+Response text: (.*?)\s+Response headers:", re.S
)
_INSIDE_STREAM_CALL = re.compile(r"Could not send stream API call to \S+: (\{.*)", re.S)
_MESSAGE = re.compile(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)')
_CODE = re.compile(r'"code"\s*:\s*(\d{3})')
_ADDRESS = re.compile(r"\s*(?:at |for url )?'?https?://[^\s'\"),]*[^\s'\"),:.]'?")
#: Texts that send people to another tool are cut before the sentence that does.
_OTHER_TOOLS = re.compile(r"inference_auth_token|app\.globus\.org/logout|alcf[-_](?:tokens|ai)\b")
_SENTENCE_END = re.compile(r"[.!?](?=\s)")
#: Bytes of an answer that are read for its reason, and characters of a reason.
LONGEST = 65536
LONGEST_REASON = 4000


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


def error_for(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    asked: str = "",
    bearer: str = OWN_LOGIN,
) -> AlcfError:
    """The error for an answer whose status is not 2xx.

    `asked` names what was asked for (a model and its cluster); `bearer` names where the token
    came from, so that a refused one can be told.
    """
    reason = read_reason(body, headers)
    error = _error(status, reason, asked, bearer)
    error.status = status
    error.detail = body.decode("utf-8", "replace")
    error.error_id = reason.error_id
    return error


def error_in_event(
    event: Mapping[str, Any],
    *,
    name: str = "message",
    began: bool,
    asked: str = "the model",
) -> AlcfError | None:
    """The error that an event of a 200 stream is, or None for a chunk of an answer.

    `began` says whether real text came before: then whatever happens is a broken stream.
    """
    if event.get("id") == API_ERROR_ID:
        reason = _inner(_chunk_text(event).strip().removeprefix("[ERROR]").strip())
    elif event.get("object") == "error":
        reason = _of_object(event)
    elif event.get("error"):
        inner = event["error"]
        reason = _of_object(inner if isinstance(inner, Mapping) else {"message": str(inner)})
    else:
        return None
    error = _broken(reason) if began else _before_text(reason, asked)
    error.status = reason.status
    error.detail = json.dumps(dict(event))
    return error


def is_stale_token(status: int, body: bytes) -> bool:
    """Whether a refreshed token may help: a 401 that says that the token is no longer active."""
    return status == 401 and _is_stale(read_reason(body, {}).text)


def read_reason(body: bytes, headers: Mapping[str, str]) -> Reason:
    """Read any of the envelopes:

    A {"error": {code, message, info}} · B {"detail": text} · C {"detail": [{type, loc, msg}]}
    · D {"error": {code, message, error_id}} · E HTML or plain text
    · F {"error": text, message, retry_after}
    """
    retry_after = _seconds(headers.get("retry-after"))
    text = body[:LONGEST].decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        said, is_page = _of_page(text, headers)
        return Reason(said, retry_after=retry_after, is_json=False, is_page=is_page)
    if not isinstance(value, Mapping):
        return Reason("", retry_after=retry_after)
    error, detail = value.get("error"), value.get("detail")
    if isinstance(error, Mapping):
        inner = _inner(str(error.get("message") or ""))
        return Reason(
            _with_fields(inner.text, error.get("info")),
            code=str(error.get("code") or ""),
            status=inner.status,
            error_id=str(error.get("error_id") or ""),
            retry_after=retry_after,
        )
    if isinstance(error, str):
        said = " ".join(str(part) for part in (error, value.get("message")) if part)
        wait = _seconds(value.get("retry_after"))
        return Reason(said, code="proxy", retry_after=wait if wait is not None else retry_after)
    if isinstance(detail, list):
        return Reason("; ".join(filter(None, map(_of_field, detail))), retry_after=retry_after)
    inner = _of_object(value) if value.get("object") == "error" else _inner(str(detail or ""))
    return Reason(inner.text, status=inner.status, retry_after=retry_after)


def _error(status: int, reason: Reason, asked: str, bearer: str) -> AlcfError:
    said = _shown(reason.text)
    place = asked or "that"
    if reason.is_page and status in (401, 403, 407):
        # The gateway itself speaks JSON: this is a proxy, or the network's own login.
        return GatewayError(f"Something before the gateway said {status}: {said}.", CHECK_NETWORK)
    if status == 401:
        return _unauthorized(reason, bearer)
    if status == 403:
        return AccessDenied(f"The gateway refused: {said or 'not allowed'}.", SEE_MODELS)
    if status == 429:
        return _rate_limited(reason)
    if status in (408, 504):
        return GatewayUnreachable(f"The model server of {place} did not answer in time.", RUN_AGAIN)
    if reason.code == "cluster_under_maintenance":
        return Maintenance(said, "Another cluster may have the model: %alcf_models")
    if reason.code == "failed_to_get_cluster_jobs":
        return GatewayUnreachable("The gateway cannot reach the cluster's status page.", RUN_AGAIN)
    if status == 503 and reason.is_json and reason.code != "proxy":
        return ModelNotReady(f"{asked or 'The model'} is not ready: {said}", LOADING)
    if status == 404 and (
        reason.code in ("cluster_not_found", "endpoint_not_found") or reason.status == 404
    ):
        return ModelNotFound(f"The gateway does not know {place}: {said}", SEE_MODELS)
    own = reason.status if reason.status is not None else status
    if 400 <= own < 500 and reason.is_json and status != 404:
        return _refused(said, place)
    number = f" Error id {reason.error_id}." if reason.error_id else ""
    return GatewayError(
        f"The gateway failed with status {status}{': ' + said if said else ''}.{number}",
        CHECK_GATEWAY
        if status in (404, 405) or not (reason.is_json or status >= 500)
        else RUN_AGAIN,
    )


def _unauthorized(reason: Reason, bearer: str) -> AlcfError:
    said = reason.text
    if "high-assurance" in said or "Must authenticate with" in said:
        why, cure = (
            ("ALCF asks for a fresh login: the last one is too long ago", "Again: %alcf_login")
            if "high-assurance" in said
            else (
                "ALCF asks for a login with an Argonne or ALCF account",
                "Log in with that account (if Globus does not ask which, sign out of Globus "
                "first): %alcf_login",
            )
        )
        named = "" if bearer == OWN_LOGIN else f"; {bearer} is refused"
        expired = LoginExpired(f"{why}{named}.", cure)
        expired.fresh_login = True
        return expired
    if "Group restrictions" in said:
        return AccessDenied(f"The gateway refused: {_shown(said)}", SEE_MODELS)
    if "Could not" in said:
        outage = GatewayUnreachable(
            f"The gateway cannot check tokens just now: {_shown(said)}.",
            "It is not your login; run the cell again in a minute.",
        )
        outage.retry_after = OUTAGE_SECONDS
        return outage
    if _is_stale(said):
        if bearer == OWN_LOGIN:
            return LoginExpired(f"The gateway no longer accepts {bearer}.", LOG_IN)
        return LoginExpired(
            f"The gateway does not accept {bearer}.", "Set another, or log in: %alcf_login"
        )
    if "Missing ('Authorization'" in said:
        return NotLoggedIn("The gateway got no token.", LOG_IN)
    return AccessDenied(
        f"The gateway refused {bearer}: {_shown(said) or 'no reason given'}.", LOG_IN
    )


def _rate_limited(reason: Reason) -> RateLimited:
    wait = reason.retry_after
    tokens = reason.code == "too_many_requests"
    error = RateLimited(
        f"Too much at once: {_shown(reason.text) or 'rate limit'}.".replace("..", "."),
        f"Run the cell again in {wait:.0f} s."
        if wait is not None
        else f"Run the cell again in {'a minute' if tokens else 'a few seconds'}.",
    )
    error.retry_after = wait
    return error


def _refused(said: str, place: str) -> RequestRefused:
    if _OVERFLOW.search(said):
        return RequestRefused(f"The prompt is too long for {place}: {said}", SHORTEN)
    return RequestRefused(
        f"The request was refused: {said or 'no reason given'}",
        SEE_MODELS if _NO_CHAT.search(said) else "See %alcf --help",
    )


def _before_text(reason: Reason, asked: str) -> AlcfError:
    said = _shown(reason.text)
    status = reason.status
    if status == 504:
        return ModelNotReady(
            f"{asked} sent nothing within the gateway's time; it may be cold.", LOADING
        )
    if _OVERFLOW.search(said) or (status is not None and 400 <= status < 500 and status != 404):
        return _refused(said, asked)
    if "during processing" in said:
        hidden = StreamBroken(
            "The model server gave no reason; most often the prompt is longer than its window.",
            SHORTEN,
        )
        hidden.reason_hidden = True
        return hidden
    if "connection attempts failed" in said or "Timeout" in said:
        return GatewayUnreachable(f"The gateway cannot reach the model server: {said}", RUN_AGAIN)
    return _broken(reason)


def _broken(reason: Reason) -> StreamBroken:
    said = _shown(reason.text)
    return StreamBroken(f"The model server broke off: {said or 'no reason given'}.", RUN_AGAIN)


def _is_stale(said: str) -> bool:
    return "not active or invalid" in said or "token expired" in said.lower()


def _inner(text: str) -> Reason:
    """Take the model server's own words out of what the gateway wrapped them in."""
    wrapped = _INSIDE_BYTES.search(text)
    if wrapped:
        # The repr of a bytes object, cut at 256 bytes: it need not parse.
        return _of_body(wrapped[3].replace("\\'", "'"), int(wrapped[1]))
    wrapped = _INSIDE_TRACEBACK.search(text)
    if wrapped:
        return _of_body(wrapped[2], int(wrapped[1]))
    wrapped = _INSIDE_STREAM_CALL.search(text)
    if wrapped:
        return _of_body(wrapped[1], None)
    if "Traceback (most recent call last)" in text:
        return Reason("the model server's worker failed")
    return Reason(text)


def _of_body(body: str, status: int | None) -> Reason:
    """A model server's JSON error, whole or cut."""
    message, code = _MESSAGE.search(body), _CODE.search(body)
    said = (
        re.sub(r"\\(.)", lambda escape: " " if escape[1] == "n" else escape[1], message[1])
        if message
        else ""
    )
    return Reason(said, status=status if status is not None else int(code[1]) if code else None)


def _of_object(error: Mapping[str, Any]) -> Reason:
    code = error.get("code")
    inner = _inner(str(error.get("message") or ""))
    return Reason(inner.text, status=code if isinstance(code, int) else inner.status)


def _of_field(problem: object) -> str:
    """One entry of a pydantic error list: which field, and what is wrong with it."""
    if not isinstance(problem, Mapping):
        return ""
    where = problem.get("loc")
    path = (
        ".".join(str(part) for part in where[2:] if part not in ("str", "list[str]"))
        if isinstance(where, list)
        else ""
    )
    return f"{path}: {problem.get('msg', '')}" if path else str(problem.get("msg", ""))


def _with_fields(text: str, info: object) -> str:
    if not isinstance(info, Mapping):
        return text
    errors, fields = info.get("errors"), info.get("fields")
    named = [
        f"{error.get('field')}: {error.get('message')}"
        for error in (errors if isinstance(errors, list) else [])
        if isinstance(error, Mapping)
    ] or [str(field) for field in (fields if isinstance(fields, list) else [])]
    return f"{text} ({'; '.join(named)})" if named else text


def _of_page(text: str, headers: Mapping[str, str]) -> tuple[str, bool]:
    """An HTML page by its title, plain text by its first line; and whether it is a page."""
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.S | re.I)
    if title:
        return f"a web page “{' '.join(title[1].split())[:80]}” instead of an answer", True
    if "<" in text or "html" in headers.get("content-type", ""):
        return "a web page instead of an answer", True
    return " ".join(text.split())[:120], False


def _chunk_text(event: Mapping[str, Any]) -> str:
    try:
        return str(event["choices"][0]["delta"]["content"])
    except (KeyError, IndexError, TypeError):
        return ""


def _shown(text: str) -> str:
    """What a reader may see of a server's text: one line, no inner address, no other tool."""
    text = text[:LONGEST_REASON]
    other = _OTHER_TOOLS.search(text)
    if other:
        ends = [end.end() for end in _SENTENCE_END.finditer(text, 0, other.start())]
        text = text[: ends[-1]] if ends else ""
    text = _ADDRESS.sub("", text)
    text = re.sub(r"^(?:Error:\s*)+", "", " ".join(text.split()))
    return text.rstrip(" .,") if len(text) <= 400 else text[:400].rstrip(" .,") + "…"


def _seconds(value: object) -> float | None:
    try:
        seconds = float(value)  # type: ignore[arg-type]  # anything else is a TypeError
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < 1e6 else None
