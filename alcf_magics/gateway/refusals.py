"""A reason, told as an error of ours with the next thing to type: a table read from the top. Pure.

The outside's words that decide anything stand above the table; our own never decide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import (
    ANOTHER_PLACE,
    CHECK_BATCH,
    CHECK_GATEWAY,
    CHECK_NETWORK,
    LOADING,
    LOG_IN,
    LOG_IN_ANEW,
    LOG_IN_AS_ARGONNE,
    LOG_IN_OR_SET,
    NO_BATCHES,
    NOT_YOUR_LOGIN,
    RUN_AGAIN,
    RUN_AGAIN_IN,
    SEE_BATCHES,
    SEE_HELP,
    SEE_MODELS,
    SHORTEN,
    AccessDenied,
    AlcfError,
    Fault,
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
from ..text import words
from .chat import ChatRequest, estimate
from .envelopes import Reason, read_reason, reason_in_event
from .models import Model

#: How a login of one's own is called where it is named.
OWN_LOGIN = "your login"

#: Seconds for which the gateway remembers that it could not ask Globus about a token.
OUTAGE_SECONDS = 60.0

# What the gateway and the model servers say, as far as something depends on it.

_FRESH_LOGIN = re.compile("high-assurance")
_OTHER_ACCOUNT = re.compile("Must authenticate with")
_GROUP = re.compile("Group restrictions")
_OUTAGE = re.compile("Could not")
_STALE = re.compile("not active or invalid|token expired", re.I)
_NO_TOKEN = re.compile(r"Missing \('Authorization'")
_TOO_LONG = re.compile("maximum context length|available context size|exceed_context", re.I)
_NO_CHAT = re.compile("not support|unsupported", re.I)
_BATCH = re.compile("Batch")
_HIDDEN = re.compile("during processing")
_UNREACHED = re.compile("connection attempts failed|Timeout")
_LOADING = re.compile("not ready|try again later|loading", re.I)

_NOT_FOUND = ("cluster_not_found", "endpoint_not_found")
_MAINTENANCE = "cluster_under_maintenance"
_NO_JOBS = "failed_to_get_cluster_jobs"
_ENDPOINT_FAILED = "internal_endpoint_error"
_TOKENS_A_MINUTE = "too_many_requests"
_LIMITS = (_TOKENS_A_MINUTE, "rate_limit_exceeded")


@dataclass(frozen=True)
class Refusal:
    """A refused request: the HTTP status (None inside a stream), the reason, and who asked what.

    `asked` names what was asked for, `bearer` where the token came from; `began` says whether text
    of the answer had come.
    """

    reason: Reason
    status: int | None = None
    asked: str = ""
    bearer: str = OWN_LOGIN
    began: bool = False

    def says(self, what: re.Pattern[str]) -> bool:
        """Whether the outside's words hold this."""
        return what.search(self.reason.text) is not None

    @property
    def own(self) -> int | None:
        """The model server's own status, or else the gateway's."""
        return self.status if self.reason.status is None else self.reason.status

    @property
    def is_clients(self) -> bool:
        """Whether the request itself was wrong."""
        return self.own is not None and 400 <= self.own < 500

    @property
    def is_gateways(self) -> bool:
        """Whether it is the gateway that speaks, and not what stands before it."""
        return self.reason.is_json and not self.reason.by_proxy

    @property
    def wait(self) -> str:
        """How long to wait after a limit, in words."""
        if self.reason.retry_after is not None:
            return f"{self.reason.retry_after:.0f} s"
        return "a minute" if self.reason.code == _TOKENS_A_MINUTE else "a few seconds"

    @property
    def words(self) -> dict[str, str]:
        """What a message may name."""
        said, error_id = self.reason.shown, self.reason.error_id
        return {
            "said": said or "no reason given",
            "so": f": {said}" if said else "",
            "asked": self.asked or "The model",
            "place": self.asked or "that",
            "bearer": self.bearer,
            "named": "" if self.bearer == OWN_LOGIN else f"; {self.bearer} is refused",
            "status": str(self.status),
            "number": f" Error id {error_id}." if error_id else "",
            "wait": self.wait,
        }


Test = Callable[[Refusal], bool]


def _nothing(refusal: Refusal) -> dict[str, Any]:
    return {}


def _limit(refusal: Refusal) -> dict[str, Any]:
    """Which limit it is: the tokens of a minute, the gateway's requests, a model server's own."""
    if refusal.reason.code == _TOKENS_A_MINUTE:
        return {"fault": Fault.TOKENS}
    is_own = refusal.status == 429 and refusal.reason.status is None
    return {"fault": Fault.RATE if is_own else Fault.PASSING}


def _elsewhere(refusal: Refusal) -> dict[str, Any]:
    """This place fails; another one need not."""
    return {"elsewhere": True}


def _passing(refusal: Refusal) -> dict[str, Any]:
    """It may clear; where it is the gateway that says so, another place may answer meanwhile."""
    return {"fault": Fault.PASSING, "elsewhere": refusal.is_gateways}


def _not_ready(refusal: Refusal) -> dict[str, Any]:
    """A model that loads may be ready soon; one that is offline will not be."""
    return {"fault": Fault.PASSING if refusal.says(_LOADING) else None, "elsewhere": True}


def _failed(refusal: Refusal) -> dict[str, Any]:
    """A failure of the gateway, of what stands before it, or of a model server behind it."""
    if refusal.status in (502, 503, 504) or refusal.reason.retry_after is not None:
        return _passing(refusal)
    return {"elsewhere": refusal.reason.code == _ENDPOINT_FAILED}


@dataclass(frozen=True)
class Rule:
    """One row: when it applies, the error that it is, what that says, and what to do next.

    `fields` are set on the error.
    """

    applies: Test
    error: type[AlcfError]
    what: str
    next_step: str
    fields: Callable[[Refusal], dict[str, Any]] = _nothing

    def told(self, refusal: Refusal) -> AlcfError:
        words = refusal.words
        error = self.error(self.what.format_map(words), self.next_step.format_map(words))
        for name, value in self.fields(refusal).items():
            setattr(error, name, value)
        return error


def _where(applies: Test, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Rows that apply only where this does, too."""

    def both(rule: Rule) -> Test:
        return lambda refusal: applies(refusal) and rule.applies(refusal)

    return tuple(replace(rule, applies=both(rule)) for rule in rules)


#: A request that is refused for what it asks.
REQUEST = (
    Rule(lambda r: r.says(_TOO_LONG), RequestRefused,
         "The prompt is too long for {place}: {said}", SHORTEN),
    Rule(lambda r: r.says(_NO_CHAT), RequestRefused,
         "The request was refused: {said}", SEE_MODELS),
    Rule(lambda r: True, RequestRefused,
         "The request was refused: {said}", SEE_HELP),
)  # fmt: skip

#: A limit, of the gateway's or of a model server's.
LIMIT = (
    Rule(lambda r: 429 in (r.own, r.status) or r.reason.code in _LIMITS, RateLimited,
         "Too much at once{so}.", RUN_AGAIN_IN, _limit),
)  # fmt: skip

#: A 401: what the gateway says of the token.
TOKEN = (
    Rule(lambda r: r.says(_FRESH_LOGIN), LoginExpired,
         "ALCF asks for a fresh login: the last one is too long ago{named}.",
         LOG_IN_ANEW, lambda r: {"fresh_login": True}),
    Rule(lambda r: r.says(_OTHER_ACCOUNT), LoginExpired,
         "ALCF asks for a login with an Argonne or ALCF account{named}.",
         LOG_IN_AS_ARGONNE, lambda r: {"fresh_login": True}),
    Rule(lambda r: r.says(_GROUP), AccessDenied, "The gateway refused: {said}", SEE_MODELS),
    Rule(lambda r: r.says(_OUTAGE), GatewayUnreachable,
         "The gateway cannot check tokens just now: {said}.",
         NOT_YOUR_LOGIN, lambda r: {"fault": Fault.OUTAGE, "retry_after": OUTAGE_SECONDS}),
    Rule(lambda r: r.says(_STALE) and r.bearer == OWN_LOGIN, LoginExpired,
         "The gateway no longer accepts {bearer}.", LOG_IN),
    Rule(lambda r: r.says(_STALE), LoginExpired,
         "The gateway does not accept {bearer}.", LOG_IN_OR_SET),
    Rule(lambda r: r.says(_NO_TOKEN), NotLoggedIn, "The gateway got no token.", LOG_IN),
    Rule(lambda r: True, AccessDenied, "The gateway refused {bearer}: {said}.", LOG_IN),
)  # fmt: skip

#: What the gateway says of batches.
BATCH = (
    Rule(lambda r: r.reason.code == "quota_exceeded", RequestRefused,
         "You have a batch under way, and one at a time is allowed.", SEE_BATCHES),
    Rule(lambda r: r.reason.code == "batch_unavailable", RequestRefused,
         "{asked} takes no batches.", NO_BATCHES, lambda r: {"no_batches": True}),
    Rule(lambda r: r.reason.code == "batch_ongoing", RequestRefused,
         "The batch is not done yet.", "Wait for it: .wait()"),
    Rule(lambda r: r.reason.code == "batch_failed", GatewayError,
         "The batch failed{so}.", CHECK_BATCH),
    Rule(lambda r: r.reason.code == "batch_not_found", RequestRefused, "{said}.", SEE_BATCHES),
    Rule(lambda r: r.status == 403 and r.says(_BATCH), AccessDenied,
         "The batch is another person's: {said}.", SEE_BATCHES),
)  # fmt: skip

#: An answer whose status is not 200.
ANSWER = (
    # The gateway itself speaks JSON: this is a proxy, or the network's own login.
    Rule(lambda r: r.reason.is_page and r.status in (401, 403, 407), GatewayError,
         "Something before the gateway said {status}{so}.", CHECK_NETWORK),
    *_where(lambda r: r.status == 401, TOKEN),
    *_where(lambda r: r.reason.is_json, BATCH),
    Rule(lambda r: r.status == 403, AccessDenied, "The gateway refused{so}.", SEE_MODELS),
    *LIMIT,
    # After so long a model may still be at it: nobody asks again unasked.
    Rule(lambda r: r.status == 408, GatewayUnreachable,
         "The model server of {place} did not answer in time.", RUN_AGAIN),
    Rule(lambda r: r.status == 504, GatewayUnreachable,
         "The model server of {place} did not answer in time.", RUN_AGAIN, _passing),
    Rule(lambda r: r.reason.code == _MAINTENANCE, Maintenance, "{said}", ANOTHER_PLACE,
         _elsewhere),
    Rule(lambda r: r.reason.code == _NO_JOBS, GatewayUnreachable,
         "The gateway cannot reach the cluster's status page.", RUN_AGAIN, _elsewhere),
    Rule(lambda r: r.status == 503 and r.is_gateways, ModelNotReady,
         "{asked} is not ready{so}", LOADING, _not_ready),
    Rule(lambda r: r.status == 404 and (r.reason.code in _NOT_FOUND or r.reason.status == 404),
         ModelNotFound, "The gateway does not know {place}{so}", SEE_MODELS),
    *_where(lambda r: r.is_clients and r.reason.is_json and r.status not in (404, 405), REQUEST),
    Rule(lambda r: r.status in (404, 405) or not (r.reason.is_json or r.status in range(500, 600)),
         GatewayError, "The gateway failed with status {status}{so}.{number}", CHECK_GATEWAY),
    Rule(lambda r: True, GatewayError,
         "The gateway failed with status {status}{so}.{number}", RUN_AGAIN, _failed),
)  # fmt: skip

#: An error inside a stream of status 200.
EVENT = (
    *LIMIT,
    Rule(lambda r: r.began, StreamBroken, "The model server broke off: {said}.", RUN_AGAIN),
    Rule(lambda r: r.own == 504, ModelNotReady,
         "{asked} sent nothing within the gateway's time; it may be cold.", LOADING, _elsewhere),
    *_where(lambda r: r.says(_TOO_LONG) or (r.is_clients and r.own != 404), REQUEST),
    Rule(lambda r: r.says(_HIDDEN), StreamBroken,
         "The model server gave no reason; most often the prompt is longer than its window.",
         SHORTEN, lambda r: {"reason_hidden": True}),
    Rule(lambda r: r.says(_UNREACHED), GatewayUnreachable,
         "The gateway cannot reach the model server: {said}", RUN_AGAIN, _passing),
    Rule(lambda r: True, StreamBroken, "The model server broke off: {said}.", RUN_AGAIN,
         _elsewhere),
)  # fmt: skip


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
    refusal = Refusal(read_reason(body, headers), status, asked, bearer)
    return _told(ANSWER, refusal, status, body.decode("utf-8", "replace"))


def error_in_event(
    event: Mapping[str, Any],
    *,
    name: str = "message",
    began: bool,
    asked: str = "the model",
) -> AlcfError | None:
    """The error that an event of a 200 stream is, or None for a chunk of an answer.

    `name` is the name of the event; `began` says whether real text came before: then whatever
    happens is a broken stream, but for a limit, which has a cure of its own.
    """
    reason = reason_in_event(event, name)
    if reason is None:
        return None
    refusal = Refusal(reason, asked=asked, began=began)
    return _told(EVENT, refusal, reason.status, json.dumps(dict(event), ensure_ascii=False))


def is_stale_token(status: int, body: bytes) -> bool:
    """Whether a refreshed token may help: a 401 that says that the token is no longer active."""
    return status == 401 and Refusal(read_reason(body, {})).says(_STALE)


def _told(table: tuple[Rule, ...], refusal: Refusal, status: int | None, said: str) -> AlcfError:
    """The first row that applies, told; beside it, whole, what the outside said."""
    error = next(rule for rule in table if rule.applies(refusal)).told(refusal)
    if error.retry_after is None:
        error.retry_after = refusal.reason.retry_after
    error.status = status
    error.detail = words(said)
    error.error_id = refusal.reason.error_id
    return error


def explained(error: AlcfError, model: Model, request: ChatRequest) -> AlcfError:
    """Some model servers hide the reason: then say what the prompt's length makes likely."""
    window = model.capabilities.context_window
    if not (isinstance(error, StreamBroken) and error.reason_hidden and window):
        return error
    tokens = estimate(request.messages) + int(request.fields.get("max_tokens") or 0)
    if tokens >= window // 2:
        return error
    told = StreamBroken(
        f"The model server failed without a reason (not for length: about {tokens} "
        f"tokens were asked of its {window}).",
        RUN_AGAIN,
        status=error.status,
        detail=error.detail,
    )
    told.reason_hidden = True
    return told
