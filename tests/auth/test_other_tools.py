"""Tokens of ALCF's other tools: used while good, never harmed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import pytest
import respx

from alcf_magics._session import Session
from alcf_magics.auth.credentials import Credentials
from alcf_magics.auth.other_tools import TOOLS, Tool
from alcf_magics.auth.signing import GatewayAuth
from alcf_magics.auth.token_file import TokenFile
from alcf_magics.errors import NotLoggedIn
from alcf_magics.settings import GATEWAY_RESOURCE_SERVER, PRODUCTION_GATEWAY, Settings
from support.grants import grant


def write(home: Path, tool: Tool, seconds: float, token: str = "foreign-token") -> Path:
    """A token file as another tool leaves it."""
    path = home / ".globus/app" / tool.client_id / tool.app / "tokens.json"
    path.parent.mkdir(parents=True)
    entry = {
        "resource_server": GATEWAY_RESOURCE_SERVER,
        "identity_id": "alice-id",
        "scope": "x",
        "access_token": token,
        "refresh_token": "foreign-refresh",
        "expires_at_seconds": int(time.time() + seconds),
        "token_type": "Bearer",
    }
    data = {"DEFAULT": {GATEWAY_RESOURCE_SERVER: entry}}
    path.write_text(
        json.dumps({"data": data, "format_version": "2.0", "globus-sdk.version": "4.9.1"})
    )
    return path


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.app)
@respx.mock
def test_a_valid_token_of_another_tool_is_used_and_named(home: Path, tool: Tool) -> None:
    """Without a login of one's own, another tool's valid token is sent; its file stays as it is."""
    path = write(home, tool, 3600)
    before = path.read_bytes()
    route = respx.get(f"{PRODUCTION_GATEWAY}/whoami").respond(
        401, json={"error": {"message": "Token is either not active or invalid"}}
    )
    credentials = Credentials(Settings)
    assert tool.name in credentials.current().source
    with httpx.Client(auth=GatewayAuth(credentials, PRODUCTION_GATEWAY)) as client:
        assert client.get(f"{PRODUCTION_GATEWAY}/whoami").status_code == 401
    # Refused: neither refreshed (the only route would be an error) nor sent again.
    assert [c.request.headers["authorization"] for c in route.calls] == ["Bearer foreign-token"]
    assert path.read_bytes() == before
    assert not (path.parent.parent / "alcf_magics").exists()


def test_it_is_not_used_once_it_has_expired(home: Path) -> None:
    """An expired one is as good as none: its refresh token is never used."""
    write(home, TOOLS[0], -1)
    with pytest.raises(NotLoggedIn):
        Credentials(Settings).current()


@pytest.mark.parametrize("token", ["", "tök", "two words"])
def test_it_is_not_used_when_it_cannot_be_sent(home: Path, token: str) -> None:
    """An empty token, or one that no header can hold, is none."""
    write(home, TOOLS[0], 3600, token)
    with pytest.raises(NotLoggedIn):
        Credentials(Settings).current()


@pytest.mark.parametrize(
    "settings",
    [
        Settings(gateway_url="https://elsewhere.example/resource_server"),
        Settings(globus_auth_url="https://auth.example"),
        Settings(gateway_url="http://127.0.0.1:9", globus_auth_url="http://127.0.0.1:9"),
    ],
)
def test_it_goes_to_the_production_gateway_only(home: Path, settings: Settings) -> None:
    """A sandbox, or any other gateway, never sees it."""
    write(home, TOOLS[0], 3600)
    with pytest.raises(NotLoggedIn):
        Credentials(lambda: settings).current()


def test_ones_own_grant_and_the_environment_go_first(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Own valid grant, then ALCF_AI_TOKEN, then the files in their order."""
    write(home, TOOLS[1], 3600, "second")
    write(home, TOOLS[0], 3600, "first")
    assert Credentials(Settings).current().token.reveal() == "first"
    monkeypatch.setenv("ALCF_AI_TOKEN", "environment")
    assert Credentials(Settings).current().token.reveal() == "environment"
    TokenFile().save((grant(expires_at_seconds=int(time.time()) + 9000),))
    assert Credentials(Settings).current().token.reveal() == "old-token"


@respx.mock
def test_it_serves_when_ones_own_login_can_no_longer_be_refreshed(home: Path) -> None:
    """A login that has run out gives way to another tool's valid token."""
    TokenFile().save((grant(),))
    write(home, TOOLS[0], 3600, "foreign")
    respx.post("https://auth.globus.org/v2/oauth2/token").respond(
        400, json={"error": "invalid_grant"}
    )
    assert Credentials(Settings).current().token.reveal() == "foreign"


def test_the_panel_says_where_it_comes_from(home: Path) -> None:
    """Somebody who has one is offered a login of their own, and told what is used until then."""
    write(home, TOOLS[0], 3600)
    session = Session()
    assert session.account.state() is None
    why = session.account.why()
    assert "inference_auth_token.py" in why
    assert "good until" in why


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"data": {"DEFAULT": {"x": 1}}}', "null", "[" * 200_000],
    ids=lambda text: text[:20],
)
def test_a_broken_file_of_another_tool_is_left_alone(home: Path, text: str) -> None:
    """What cannot be read is no token, and stays what it is."""
    path = write(home, TOOLS[0], 3600)
    path.write_text(text)
    with pytest.raises(NotLoggedIn):
        Credentials(Settings).current()
    assert path.read_text() == text
