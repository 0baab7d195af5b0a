"""The sandbox's Globus Auth, asked by httpx and globus_sdk."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs, urlsplit

import globus_sdk
import httpx
import pytest

from alcf_magics.sandbox import Sandbox
from support.sandbox_client import (
    CLIENT,
    GATEWAY,
    GATEWAY_SCOPE,
    authorize_url,
    bearer,
    exchange,
    login,
    refresh,
)


def test_a_login_gives_one_grant_for_each_resource_server(running: Sandbox) -> None:
    """The top-level grant is not the gateway's, and only the gateway's opens the gateway."""
    grants = login(running)
    assert list(grants) == ["auth.globus.org", "groups.api.globus.org", GATEWAY]
    claims = grants["auth.globus.org"]["id_token"].split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["sub"] == running.identity.sub
    statuses = {
        server: httpx.get(f"{running.gateway_url}/whoami", headers=bearer(grant["access_token"]))
        for server, grant in grants.items()
    }
    assert [answer.status_code for answer in statuses.values()] == [401, 401, 200]
    assert all(running.active(grant["access_token"]) for grant in grants.values())


@pytest.mark.parametrize(
    "changed",
    [{"code_verifier": "x" * 50}, {"client_id": "another"}, {"redirect_uri": "http://127.0.0.1/"}],
)
def test_a_code_needs_its_verifier_client_and_redirect(
    running: Sandbox, changed: dict[str, str]
) -> None:
    """An exchange that differs in one of the three is an invalid_grant in Globus' shape."""
    answer = exchange(running, running.approve(authorize_url(running)), **changed)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert answer.json()["errors"][0]["detail"] == answer.json()["error_description"]


def test_a_code_works_once(running: Sandbox) -> None:
    """The second exchange of the same code is refused."""
    code = running.approve(authorize_url(running))
    assert [exchange(running, code).status_code for _ in range(2)] == [200, 400]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"client_id": ""}, "client_id"),
        ({"response_type": "token"}, "response_type"),
        ({"code_challenge": ""}, "PKCE"),
        ({"code_challenge_method": "plain"}, "S256"),
        ({"redirect_uri": "https://evil.example/"}, "redirect_uri"),
        ({"redirect_uri": "http://127.0.0.1:1/v2/web/auth-code"}, "redirect_uri"),
    ],
)
def test_a_wrong_authorize_request_is_explained(
    running: Sandbox, changed: dict[str, str], reason: str
) -> None:
    """The page says what is wrong, and the person is sent nowhere."""
    answer = httpx.get(authorize_url(running, **changed))
    assert answer.status_code == 400
    assert reason in answer.text
    assert "<form" not in answer.text
    with pytest.raises(RuntimeError, match=reason):
        running.approve(authorize_url(running, **changed))


def test_consent_leads_to_the_code_page_with_state(running: Sandbox) -> None:
    """The form redirects with code and state; the page names itself a sandbox and is escaped."""
    page = httpx.get(authorize_url(running, client_id="<script>x</script>"))
    assert "SANDBOX: not Globus" in page.text
    assert "alice@anl.gov" in page.text
    assert "<script>x" not in page.text
    number = page.text.split('name="request" value="')[1].split('"')[0]
    consent = f"{running.globus_auth_url}/v2/web/consent"
    answer = httpx.post(consent, data={"request": number})
    assert answer.status_code == 302
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["state"] == ["s t&a<te"]
    shown = httpx.get(answer.headers["location"]).text
    assert f'<code id="auth-code">{query["code"][0]}</code>' in shown
    assert httpx.post(consent, data={"request": number}).status_code == 400


def test_a_refresh_returns_the_same_refresh_token(running: Sandbox) -> None:
    """Globus does not rotate; only the client that minted the token may use it."""
    token = login(running)[GATEWAY]["refresh_token"]
    answer = refresh(running, token)
    assert answer.json()["refresh_token"] == token
    assert answer.json()["resource_server"] == GATEWAY
    assert answer.json()["other_tokens"] == []
    assert running.active(answer.json()["access_token"])
    assert refresh(running, token, client_id="another").json()["error"] == "invalid_grant"
    running.omit_refresh_token = True
    assert "refresh_token" not in refresh(running, token).json()
    assert running.token_requests("refresh_token") == 3
    assert running.token_requests() == 4


def test_without_offline_access_there_is_no_refresh_token(running: Sandbox) -> None:
    """A login that did not ask for access_type=offline gets access tokens only."""
    assert all("refresh_token" not in grant for grant in login(running, access_type="").values())


def test_only_requested_scopes_are_granted(running: Sandbox) -> None:
    """A client that forgets the gateway's scope does not get its grant."""
    assert GATEWAY not in login(running, scope="openid")


def test_tokens_can_be_expired_and_revoked_while_running(running: Sandbox) -> None:
    """Old tokens stop counting, tokens minted afterwards work."""
    grant = login(running)[GATEWAY]
    running.expire_access_tokens()
    assert not running.active(grant["access_token"])
    renewed = refresh(running, grant["refresh_token"]).json()["access_token"]
    url = f"{running.globus_auth_url}/v2/oauth2/token/revoke"
    assert running.active(renewed)
    answer = httpx.post(url, data={"client_id": CLIENT, "token": renewed})
    assert (answer.status_code, answer.json()) == (200, {"active": False})
    assert not running.active(renewed)
    running.revoke_refresh_tokens()
    answer = refresh(running, grant["refresh_token"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert refresh(running, login(running)[GATEWAY]["refresh_token"]).status_code == 200


def test_the_globus_sdk_can_log_in_and_refresh(
    running: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's native app exchanges a code, refreshes and revokes against the sandbox."""
    monkeypatch.setenv("GLOBUS_SDK_SERVICE_URL_AUTH", running.globus_auth_url)
    app = globus_sdk.NativeAppAuthClient(CLIENT)
    app.oauth2_start_flow(requested_scopes=["openid", GATEWAY_SCOPE], refresh_tokens=True)
    tokens = app.oauth2_exchange_code_for_tokens(running.approve(app.oauth2_get_authorize_url()))
    grant = tokens.by_resource_server[GATEWAY]
    assert grant["scope"] == GATEWAY_SCOPE
    renewed = app.oauth2_refresh_token(grant["refresh_token"]).by_resource_server[GATEWAY]
    assert renewed["access_token"] != grant["access_token"]
    app.oauth2_revoke_token(renewed["access_token"])
    assert not running.active(renewed["access_token"])
    app.close()
