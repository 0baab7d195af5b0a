"""What the gateway answers, told as errors: cases beside the recordings."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcf_magics.errors import (
    ANOTHER_PLACE,
    CHECK_GATEWAY,
    LOADING,
    LOG_IN,
    LOG_IN_ANEW,
    LOG_IN_AS_ARGONNE,
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
from alcf_magics.gateway.refusals import (
    OUTAGE_SECONDS,
    error_for,
    error_in_event,
    is_stale_token,
)

PAGE = b"<html><head><title>Sign in</title></head></html>"


def refused(message: str) -> AlcfError:
    """The error for a 401 with this text."""
    body = json.dumps({"error": {"code": "unauthorized", "message": message}}).encode()
    return error_for(401, {}, body)


@pytest.mark.parametrize("status", [401, 403, 404, 502])
def test_a_page_comes_from_something_before_the_gateway(status: int) -> None:
    """HTML is neither a refused login nor a refused person, whatever its status says."""
    error = error_for(status, {"content-type": "text/html"}, PAGE)
    assert type(error) is GatewayError
    assert "Sign in" in str(error)
    assert "%config AlcfMagics.gateway_url" in str(error) or status == 502


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Please run `alcf-tokens login`", "no reason given"),
        ("Permission denied.\nPlease run 'python inference_auth_token.py'.", "Permission denied"),
        ("You are not in the list! Use alcf-ai auth login, then.", "You are not in the list!"),
        ("Your account is suspended until Monday.", "suspended until Monday"),
    ],
)
def test_another_tool_is_never_the_next_step(said: str, shown: str) -> None:
    """What the gateway says is shown up to the sentence that sends people elsewhere."""
    error = refused(said)
    assert isinstance(error, AccessDenied)
    assert shown in str(error)
    for tool in ("alcf-tokens", "alcf-ai", "inference_auth_token"):
        assert tool not in str(error)


def test_only_the_missing_header_means_that_nobody_is_logged_in() -> None:
    """Another thing that is missing is told in the gateway's words."""
    error = refused("Error: Missing ('Authorization': 'Bearer <token>') in request headers.")
    assert isinstance(error, NotLoggedIn)
    assert isinstance(refused("Missing scopes: openid"), AccessDenied)
    assert "Missing scopes" in str(refused("Missing scopes: openid"))
    assert isinstance(refused("Access token expired."), LoginExpired)


def test_a_model_that_does_not_chat_leads_to_the_table() -> None:
    """The next step after a model of another kind is to look for one that chats."""
    body = b'{"error": {"code": "unsupported_endpoint", "message": "Endpoint not supported."}}'
    error = error_for(400, {}, body, asked="embedder on red")
    assert isinstance(error, RequestRefused)
    assert "%alcf_models" in error.next_step


def answer(status: int, error: object = None, **headers: str) -> AlcfError:
    """The error for an answer with this in its `error`, asked of a model on a cluster."""
    body = json.dumps({"error": error if error is not None else {"message": SAID}}).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return error_for(status, names, body, asked="m on red")


def said(code: str = "", message: str = "") -> dict[str, object]:
    return {"code": code, "message": message or SAID, "info": {}}


SAID = "these are its words"
WRAPPED = 'Upstream endpoint returned {0}: b\'{{"error":{{"message":"its words","code":{0}'
FAR = (
    "Traceback (most recent call last):\n status code: {0}\n"
    ' Response text: {{"message":"its words"}}\n Response headers: {{}}'
)

ROWS: list[tuple[int, object, type[AlcfError], str, str]] = [
    # What the gateway says of the token.
    (401, said(message="Token is either not active or invalid"), LoginExpired, "no longer", LOG_IN),
    (401, said(message="…high-assurance timeout…"), LoginExpired, "fresh login", LOG_IN_ANEW),
    (401, said(message="Must authenticate with anl.gov."), LoginExpired, "Argonne",
     LOG_IN_AS_ARGONNE),
    (401, said(message="Globus Group restrictions."), AccessDenied, "Group", SEE_MODELS),
    (401, said(message="Could not ask Globus."), GatewayUnreachable, "check tokens",
     NOT_YOUR_LOGIN),
    (401, said(), AccessDenied, "your login: these are its words.", LOG_IN),
    (403, said(), AccessDenied, "these are its words", SEE_MODELS),
    # Limits: the gateway's of tokens and of requests, and a model server's, wherever it stands.
    (429, said("too_many_requests"), RateLimited, "at once", "Run the cell again in a minute."),
    (429, said(), RateLimited, "at once", "Run the cell again in a few seconds."),
    (429, said(message=WRAPPED.format(429)), RateLimited, "its words", "in a few seconds."),
    (500, said(message=FAR.format(429)), RateLimited, "its words", "in a few seconds."),
    # The model is not there, or not yet.
    (404, said("endpoint_not_found"), ModelNotFound, "m on red", SEE_MODELS),
    (404, said("cluster_not_found"), ModelNotFound, "m on red", SEE_MODELS),
    (404, said(message=WRAPPED.format(404)), ModelNotFound, "its words", SEE_MODELS),
    (404, said(), GatewayError, "404", CHECK_GATEWAY),
    (405, said(), GatewayError, "405", CHECK_GATEWAY),
    (503, said("cluster_under_maintenance"), Maintenance, "its words", ANOTHER_PLACE),
    (503, said(), ModelNotReady, "m on red is not ready", LOADING),
    (503, "Service down", GatewayError, "Service down", RUN_AGAIN),  # the proxy's words
    (504, said(), GatewayUnreachable, "in time", RUN_AGAIN),
    (408, said(), GatewayUnreachable, "in time", RUN_AGAIN),
    (500, said("failed_to_get_cluster_jobs"), GatewayUnreachable, "status page", RUN_AGAIN),
    # The request is wrong: as the gateway says, or as a model server says behind either.
    (422, said("invalid_request"), RequestRefused, "refused: these are its words.", SEE_HELP),
    (400, said("unsupported_endpoint", "not supported"), RequestRefused, "refused", SEE_MODELS),
    (400, said(message=WRAPPED.format(400)), RequestRefused, "refused: its words.", SEE_HELP),
    (400, said(message=WRAPPED.format(400).replace("b'", "")), RequestRefused,
     "refused: its words.", SEE_HELP),
    (500, said(message=FAR.format(422)), RequestRefused, "refused: its words.", SEE_HELP),
    (400, said(message="the maximum context length is 9"), RequestRefused, "too long", SHORTEN),
    # The gateway, or what stands behind it, failed.
    (500, said(message=FAR.format(500)), GatewayError, "500: its words.", RUN_AGAIN),
    (500, {"message": "x", "error_id": "e1"}, GatewayError, "500: x. Error id e1.", RUN_AGAIN),
    (418, {"message": ""}, RequestRefused, "no reason given", SEE_HELP),
]  # fmt: skip


@pytest.mark.parametrize(("status", "error", "kind", "what", "next_step"), ROWS)
def test_an_answer_is_the_first_row_that_applies(
    status: int, error: object, kind: type[AlcfError], what: str, next_step: str
) -> None:
    """Class, words and next step; beside them the status and, in full, what was sent."""
    told = answer(status, error)
    assert type(told) is kind
    assert what in told.what
    assert told.next_step.endswith(next_step)
    assert told.status == status
    assert json.loads(told.detail) == {"error": error}
    for wrapping in ("Traceback", "b'", '{"'):
        assert wrapping not in str(told)


@pytest.mark.parametrize("status", [401, 403, 407, 502])
def test_plain_text_is_told_as_it_is(status: int) -> None:
    """What is no JSON and no page is shown, whoever said it."""
    assert "Bad tunnel" in str(error_for(status, {}, b"Bad tunnel\n"))


def test_an_error_says_in_fields_what_others_decide_by() -> None:
    """A fresh login, a wait in seconds, an outage that clears: nobody reads them from words."""
    fresh, outage = refused("high-assurance timeout"), refused("Could not ask Globus")
    stale, limit = refused("Token is either not active or invalid"), answer(429, retry_after="7")
    assert isinstance(fresh, LoginExpired)
    assert isinstance(stale, LoginExpired)
    assert (fresh.fresh_login, stale.fresh_login) == (True, False)
    assert isinstance(outage, GatewayUnreachable)
    assert outage.retry_after == OUTAGE_SECONDS
    assert isinstance(limit, RateLimited)
    assert limit.retry_after == 7
    assert limit.next_step == "Run the cell again in 7 s."


def test_a_token_that_is_not_a_login_is_named() -> None:
    """Who set a token of their own is told that this one is refused, and by which name."""
    for message in ("high-assurance", "Must authenticate with", "not active or invalid", "no"):
        body = json.dumps({"error": {"message": message}}).encode()
        assert "$ALCF_TOKEN" in error_for(401, {}, body, bearer="$ALCF_TOKEN").what


def test_only_a_401_that_says_so_is_a_stale_token() -> None:
    """Then a refreshed one may help; with any other refusal it would be sent in vain."""
    stale = b'{"error": {"message": "Token is either not active or invalid"}}'
    assert is_stale_token(401, stale)
    assert not is_stale_token(403, stale)
    assert not is_stale_token(401, b'{"error": {"message": "high-assurance timeout"}}')
    assert not is_stale_token(401, b"<html>not active or invalid</html>")


EVENTS: list[tuple[dict[str, Any], type[AlcfError], str, str]] = [
    ({"object": "error", "message": SAID, "code": 400}, RequestRefused, SAID, SEE_HELP),
    ({"object": "error", "message": SAID, "code": 500}, StreamBroken, SAID, RUN_AGAIN),
    ({"error": {"message": SAID, "code": 500}}, StreamBroken, SAID, RUN_AGAIN),
    ({"error": {"message": SAID}}, StreamBroken, SAID, RUN_AGAIN),
    ({"detail": "Engine core died"}, StreamBroken, "Engine core died", RUN_AGAIN),
    ({"error": {"message": SAID, "code": 429}}, RateLimited, SAID, "in a few seconds."),
    ({"error": {"message": SAID, "status": 429}}, RateLimited, SAID, "in a few seconds."),
    ({"error": {"message": SAID, "code": "rate_limit_exceeded"}}, RateLimited, SAID,
     "in a few seconds."),
    ({"error": {"message": SAID, "code": "too_many_requests"}}, RateLimited, SAID, "a minute."),
    ({"object": "error", "message": "x", "code": 504}, ModelNotReady, "m on red", LOADING),
    ({"object": "error", "message": "maximum context length", "code": 500}, RequestRefused,
     "too long for m on red", SHORTEN),
    ({"id": "chatcmpl-api-error", "choices": [{"delta": {"content":
      "\n\n[ERROR] Error: Timeout calling stream API at http://x/v1"}}]},
     GatewayUnreachable, "cannot reach the model server", RUN_AGAIN),
]  # fmt: skip


@pytest.mark.parametrize(("event", "kind", "what", "next_step"), EVENTS)
def test_an_event_is_the_first_row_that_applies(
    event: dict[str, Any], kind: type[AlcfError], what: str, next_step: str
) -> None:
    """Before any text it is told for what it is; after some, the answer broke off, or a limit."""
    told = error_in_event(event, began=False, asked="m on red")
    assert type(told) is kind
    assert what in told.what
    assert told.next_step.endswith(next_step)
    assert json.loads(told.detail) == event
    later = error_in_event(event, began=True, asked="m on red")
    assert type(later) is (RateLimited if kind is RateLimited else StreamBroken)
    assert "http:" not in str(told) + str(later)


def test_an_event_named_error_is_one() -> None:
    """Its data is no chunk, whatever it holds."""
    told = error_in_event({"message": "CUDA out of memory"}, name="error", began=False)
    assert isinstance(told, StreamBroken)
    assert "CUDA out of memory" in told.what
    assert error_in_event({"choices": []}, began=False) is None


def test_a_reason_that_was_kept_back_is_a_field() -> None:
    """So that whoever knows the prompt can say whether its length is likely to blame."""
    hidden = {"object": "error", "message": "An error occurred during processing", "code": 500}
    plain = {"object": "error", "message": "gave no reason", "code": 500}
    for event, expected in ((hidden, True), (plain, False)):
        told = error_in_event(event, began=False)
        assert isinstance(told, StreamBroken)
        assert told.reason_hidden is expected


#: The names that the tables look for, and anything at all beneath them.
NAMES = ["error", "detail", "message", "code", "status", "info", "errors", "fields", "loc", "msg"]
NAMES += ["object", "id", "choices", "error_id", "retry_after", "delta", "content"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)


def is_a_line(text: str) -> bool:
    """Whether a text can be sent, and holds no control character, nor a line end."""
    return not any(unicodedata.category(sign) in ("Cc", "Cs") for sign in text)


@given(VALUES, st.integers(201, 599), st.integers(0, 40), st.binary(max_size=20))
def test_whatever_is_answered_is_an_error_with_a_next_step(
    value: object, status: int, cut: int, noise: bytes
) -> None:
    """Any JSON, whole or cut, and any bytes become one line that says what to type next."""
    body = json.dumps(value).encode()
    for content in (body, body[:cut], noise):
        told = error_for(status, {"retry-after": str(cut)}, content)
        assert told.next_step
        assert is_a_line(str(told))
        told.detail.encode()


@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5), st.booleans())
def test_whatever_comes_in_an_event_is_an_error_or_none(event: dict[str, Any], began: bool) -> None:
    """An object of any shape is told in one line, or left to be a chunk."""
    for name in ("message", "error"):
        told = error_in_event(event, name=name, began=began)
        assert told is None or (told.next_step and is_a_line(str(told)))
