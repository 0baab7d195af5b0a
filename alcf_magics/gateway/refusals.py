"""A reason, told as an error of ours with the next thing to type: a table read from the top. Pure.

The outside's words that decide anything stand in `SAYS`, and nowhere else; our own never do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import (
    ANOTHER_PLACE,
    CHECK_GATEWAY,
    CHECK_NETWORK,
    LOADING,
    LOG_IN,
    LOG_IN_ANEW,
    LOG_IN_AS_ARGONNE,
    LOG_IN_OR_SET,
    NOT_YOUR_LOGIN,
    RUN_AGAIN,
    SEE_HELP,
    SEE_MODELS,
    SHORTEN,
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
from ..text import words
from .envelopes import Reason, read_reason, reason_in_event

#: How a login of one's own is called where it is named.
OWN_LOGIN = "your login"

#: Seconds for which the gateway remembers that it could not ask Globus about a token.
OUTAGE_SECONDS = 60.0

#: What the gateway and the model servers say, as far as something depends on it.
SAYS = {
    "fresh login": re.compile("high-assurance"),
    "other account": re.compile("Must authenticate with"),
    "group": re.compile("Group restrictions"),
    "outage": re.compile("Could not"),
    "stale": re.compile("not active or invalid|token expired", re.I),
    "no token": re.compile(r"Missing \('Authorization'"),
    "too long": re.compile("maximum context length|available context size|exceed_context", re.I),
    "no chat": re.compile("not support|unsupported", re.I),
    "hidden": re.compile("during processing"),
    "unreached": re.compile("connection attempts failed|Timeout"),
}


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

    def says(self, what: str) -> bool:
        """Whether the outside's words mean this; see SAYS."""
        return SAYS[what].search(self.reason.text) is not None

    @property
    def own(self) -> int | None:
        """The model server's own status, or else the gateway's."""
        return self.status if self.reason.status is None else self.reason.status

    @property
    def is_clients(self) -> bool:
        """Whether the request itself was wrong."""
        return self.own is not None and 400 <= self.own < 500

    @property
    def words(self) -> dict[str, str]:
        """What a message may name."""
        said, reason = self.reason.shown, self.reason
        return {
            "said": said or "no reason given",
            "so": f": {said}" if said else "",
            "asked": self.asked or "The model",
            "place": self.asked or "that",
            "bearer": self.bearer,
            "named": "" if self.bearer == OWN_LOGIN else f"; {self.bearer} is refused",
            "status": str(self.status),
            "number": f" Error id {reason.error_id}." if reason.error_id else "",
            "wait": _wait(reason),
        }


@dataclass(frozen=True)
class Rule:
    """One row: when it applies, the error that it is, what that says, and what to do next.

    `fields` are set on the error.
    """

    applies: Callable[[Refusal], bool]
    error: type[AlcfError]
    what: str
    next_step: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def told(self, refusal: Refusal) -> AlcfError:
        words = refusal.words
        error = self.error(self.what.format_map(words), self.next_step.format_map(words))
        for name, value in self.fields.items():
            setattr(error, name, value)
        return error


#: A refusal of any status, wherever it stands.
REQUEST = (
    Rule(lambda r: r.says("too long"), RequestRefused,
         "The prompt is too long for {place}: {said}", SHORTEN),
    Rule(lambda r: r.says("no chat"), RequestRefused,
         "The request was refused: {said}", SEE_MODELS),
    Rule(lambda r: True, RequestRefused,
         "The request was refused: {said}", SEE_HELP),
)  # fmt: skip

LIMIT = Rule(lambda r: True, RateLimited, "Too much at once{so}.", "Run the cell again in {wait}.")

#: A 401: what the gateway says of the token.
TOKEN = (
    Rule(lambda r: r.says("fresh login"), LoginExpired,
         "ALCF asks for a fresh login: the last one is too long ago{named}.",
         LOG_IN_ANEW, {"fresh_login": True}),
    Rule(lambda r: r.says("other account"), LoginExpired,
         "ALCF asks for a login with an Argonne or ALCF account{named}.",
         LOG_IN_AS_ARGONNE, {"fresh_login": True}),
    Rule(lambda r: r.says("group"), AccessDenied, "The gateway refused: {said}", SEE_MODELS),
    Rule(lambda r: r.says("outage"), GatewayUnreachable,
         "The gateway cannot check tokens just now: {said}.", NOT_YOUR_LOGIN),
    Rule(lambda r: r.says("stale") and r.bearer == OWN_LOGIN, LoginExpired,
         "The gateway no longer accepts {bearer}.", LOG_IN),
    Rule(lambda r: r.says("stale"), LoginExpired,
         "The gateway does not accept {bearer}.", LOG_IN_OR_SET),
    Rule(lambda r: r.says("no token"), NotLoggedIn, "The gateway got no token.", LOG_IN),
    Rule(lambda r: True, AccessDenied, "The gateway refused {bearer}: {said}.", LOG_IN),
)  # fmt: skip

#: An answer whose status is not 200.
ANSWER: tuple[Rule | tuple[Callable[[Refusal], bool], tuple[Rule, ...]], ...] = (
    # The gateway itself speaks JSON: this is a proxy, or the network's own login.
    Rule(lambda r: r.reason.is_page and r.status in (401, 403, 407), GatewayError,
         "Something before the gateway said {status}{so}.", CHECK_NETWORK),
    (lambda r: r.status == 401, TOKEN),
    Rule(lambda r: r.status == 403, AccessDenied, "The gateway refused{so}.", SEE_MODELS),
    (lambda r: r.status == 429, (LIMIT,)),
    Rule(lambda r: r.status in (408, 504), GatewayUnreachable,
         "The model server of {place} did not answer in time.", RUN_AGAIN),
    Rule(lambda r: r.reason.code == "cluster_under_maintenance", Maintenance,
         "{said}", ANOTHER_PLACE),
    Rule(lambda r: r.reason.code == "failed_to_get_cluster_jobs", GatewayUnreachable,
         "The gateway cannot reach the cluster's status page.", RUN_AGAIN),
    Rule(lambda r: r.status == 503 and r.reason.is_json and r.reason.code != "proxy",
         ModelNotReady, "{asked} is not ready{so}", LOADING),
    Rule(lambda r: r.status == 404 and (
             r.reason.code in ("cluster_not_found", "endpoint_not_found")
             or r.reason.status == 404),
         ModelNotFound, "The gateway does not know {place}{so}", SEE_MODELS),
    (lambda r: r.is_clients and r.reason.is_json and r.status != 404, REQUEST),
    Rule(lambda r: r.status in (404, 405), GatewayError,
         "The gateway failed with status {status}{so}.{number}", CHECK_GATEWAY),
    Rule(lambda r: not r.reason.is_json and (r.status or 0) < 500, GatewayError,
         "The gateway failed with status {status}{so}.{number}", CHECK_GATEWAY),
    Rule(lambda r: True, GatewayError,
         "The gateway failed with status {status}{so}.{number}", RUN_AGAIN),
)  # fmt: skip

#: An error inside a stream of status 200.
EVENT: tuple[Rule | tuple[Callable[[Refusal], bool], tuple[Rule, ...]], ...] = (
    (lambda r: r.own == 429, (LIMIT,)),
    Rule(lambda r: r.began, StreamBroken, "The model server broke off: {said}.", RUN_AGAIN),
    Rule(lambda r: r.own == 504, ModelNotReady,
         "{asked} sent nothing within the gateway's time; it may be cold.", LOADING),
    (lambda r: r.says("too long") or (r.is_clients and r.own != 404), REQUEST),
    Rule(lambda r: r.says("hidden"), StreamBroken,
         "The model server gave no reason; most often the prompt is longer than its window.",
         SHORTEN, {"reason_hidden": True}),
    Rule(lambda r: r.says("unreached"), GatewayUnreachable,
         "The gateway cannot reach the model server: {said}", RUN_AGAIN),
    Rule(lambda r: True, StreamBroken, "The model server broke off: {said}.", RUN_AGAIN),
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
    error = _told(ANSWER, refusal)
    if isinstance(error, GatewayUnreachable) and status == 401:
        error.retry_after = OUTAGE_SECONDS
    return _with_source(error, refusal, status, body.decode("utf-8", "replace"))


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
    error = _told(EVENT, refusal)
    return _with_source(error, refusal, reason.status, json.dumps(dict(event), ensure_ascii=False))


def is_stale_token(status: int, body: bytes) -> bool:
    """Whether a refreshed token may help: a 401 that says that the token is no longer active."""
    return status == 401 and Refusal(read_reason(body, {})).says("stale")


def _told(
    table: tuple[Rule | tuple[Callable[[Refusal], bool], tuple[Rule, ...]], ...],
    refusal: Refusal,
) -> AlcfError:
    """What the first row that applies says; a row may lead to a table of its own."""
    for row in table:
        if isinstance(row, Rule):
            if row.applies(refusal):
                return row.told(refusal)
        elif row[0](refusal):
            return _told(row[1], refusal)
    raise AssertionError("the last row of a table always applies")


def _with_source(error: AlcfError, refusal: Refusal, status: int | None, said: str) -> AlcfError:
    """What the outside said, whole, beside what is told of it."""
    error.status = status
    error.detail = words(said)
    error.error_id = refusal.reason.error_id
    if isinstance(error, RateLimited):
        error.retry_after = refusal.reason.retry_after
    return error


def _wait(reason: Reason) -> str:
    """How long to wait after a limit, in words."""
    if reason.retry_after is not None:
        return f"{reason.retry_after:.0f} s"
    return "a minute" if reason.code == "too_many_requests" else "a few seconds"
