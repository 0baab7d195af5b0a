"""What the gateway answers, told as errors: cases beside the recordings."""

from __future__ import annotations

import json

import pytest

from alcf_magics.errors import (
    AccessDenied,
    AlcfError,
    GatewayError,
    LoginExpired,
    NotLoggedIn,
    RequestRefused,
)
from alcf_magics.gateway.refusals import error_for

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
