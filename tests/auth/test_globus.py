"""The login flow on the wire: what is sent to Globus, and what is made of its answers."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import socket
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import respx

from alcf_magics.auth import globus
from alcf_magics.auth.authorization import begin_login, read_code
from alcf_magics.auth.globus import INVALID_GRANT, GlobusAuth, not_there, revoke
from alcf_magics.auth.grants import gateway_grant
from alcf_magics.auth.hidden import Secret
from alcf_magics.errors import GatewayUnreachable, LoginExpired, LoginFailed
from alcf_magics.settings import CLIENT_ID, GATEWAY_RESOURCE_SERVER, GATEWAY_SCOPE, Settings
from support.grants import answer, grant

AUTH = "https://auth.globus.org"


def test_the_authorize_url_asks_for_what_the_gateway_needs() -> None:
    """PKCE S256 over the kernel's own verifier, offline access, the scopes and the policy."""
    pending = begin_login(Settings(), 0.0)
    query = {k: v[0] for k, v in parse_qs(urlsplit(pending.authorize_url).query).items()}
    digest = hashlib.sha256(pending.verifier.reveal().encode()).digest()
    assert query.pop("code_challenge") == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert query.pop("state") == pending.state
    assert query == {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "redirect_uri": f"{AUTH}/v2/web/auth-code",
        "scope": f"openid {GATEWAY_SCOPE}",
        "code_challenge_method": "S256",
        "access_type": "offline",
        "session_required_policies": "83732ff2-9c42-4548-b5ce-17e498c84f6a",
    }
    assert 43 <= len(pending.verifier.reveal()) <= 128


def test_domains_replace_the_policy_and_a_fresh_login_is_asked_for() -> None:
    """The two session settings and prompt=login reach Globus only when they are set."""
    settings = Settings(session_policies="", session_domains="anl.gov,alcf.anl.gov")
    query = parse_qs(urlsplit(begin_login(settings, 0.0, fresh=True).authorize_url).query)
    assert query["session_required_single_domain"] == ["anl.gov,alcf.anl.gov"]
    assert query["prompt"] == ["login"]
    assert "session_required_policies" not in query


@pytest.mark.parametrize(
    "typed",
    [
        "AbC-123_x",
        "  'AbC-123_x' \n",
        "code=AbC-123_x",
        "?code=AbC-123_x&state=S",
        "https://auth.globus.org/v2/web/auth-code?code=AbC-123_x&state=S",
        "https://auth.globus.org/v2/web/auth-code?state=S&code=AbC-123_x#top",
        "https://auth.globus.org/v2/web/auth-code#code=AbC-123_x&state=S",
        "auth.globus.org/v2/web/auth-code?code=AbC-123_x&state=S",
        "code=AbC-123_x&state=S#top",
        "\u200bAbC-123_x\ufeff",
        "AbC\u200b-123\u2060_x",
        "“AbC-123_x”",
        "« AbC-123_x »",
        "‘code=AbC-123_x’",
        "code=“AbC-123_x”",
        "\xa0AbC-123_x\u202f",
        "<https://auth.globus.org/v2/web/auth-code?code=AbC-123_x&state=S>",
        "https://auth.globus.org/v2/web/auth-code?code=AbC-123_x",
    ],
)
def test_a_code_is_read_from_whatever_was_pasted(typed: str) -> None:
    """A bare code, `code=…` and the whole address all hold the code."""
    assert read_code(typed, "S").reveal() == "AbC-123_x"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "no code"),
        ("  ", "no code"),
        ("https://x/?code=A&state=other", "another login"),
        ("https://x/?code=A&state=", "another login"),
        ("https://x/?code=A&state=S&state=other", "another login"),
        ("https://x/#code=A&state=other", "another login"),
        ("code=A&state=", "another login"),
        ("https://[x/?code=A B&state=S", "not a code"),
        ("two words", "not a code"),
        ("https://auth.globus.org/?error=access_denied", "access_denied"),
        ("code=", "not a code"),
        ("https://x/?error=access_denied&error_description=Ask+your+PI&state=S", "Ask your PI"),
        ("https://x/#error=consent_required&state=S", "consent_required"),
        ("error=access_denied&error_description=%1B%5D0%3Bx%E2%80%AE%ED%A0%80+no", r"\]0;x\S* no"),
        ("https://x/?error=access_denied&state=other", "another login"),
    ],
)
def test_what_is_no_code_is_told(typed: str, said: str) -> None:
    """Empty, foreign and garbled input each get a line of their own."""
    with pytest.raises(LoginFailed, match=said):
        read_code(typed, "S")


@respx.mock
def test_exchange_sends_the_verifier_and_picks_the_gateways_grant() -> None:
    """The bearer is the grant of the gateway's resource server, wherever it stands."""
    route = respx.post(f"{AUTH}/v2/oauth2/token").respond(json=answer())
    pending = begin_login(Settings(), 0.0)
    grants = GlobusAuth(AUTH, clock=lambda: 1000.4).exchange(pending, Secret("c0de"))
    form = {k: v[0] for k, v in parse_qs(route.calls[0].request.content.decode()).items()}
    assert form == {
        "grant_type": "authorization_code",
        "client_id": CLIENT_ID,
        "code": "c0de",
        "code_verifier": pending.verifier.reveal(),
        "redirect_uri": pending.redirect_uri,
    }
    mine = gateway_grant(grants)
    assert mine.access_token.reveal() == "gateway-token"
    assert (mine.identity_id, mine.username) == ("alice-id", "alice@anl.gov")
    assert mine.expires_at_seconds == 173800
    assert isinstance(mine.expires_at_seconds, int)
    assert mine.auth_server == AUTH


@respx.mock
def test_a_login_without_a_gateway_grant_is_a_failure() -> None:
    """Another resource server's token is never taken instead."""
    respx.post(f"{AUTH}/v2/oauth2/token").respond(json=answer(other_tokens=[]))
    with pytest.raises(LoginFailed, match="nothing for the inference gateway"):
        GlobusAuth(AUTH).exchange(begin_login(Settings(), 0.0), Secret("c"))


@respx.mock
def test_a_wrong_code_says_what_to_do() -> None:
    """Globus' refusal of a code is one line with the next step."""
    respx.post(f"{AUTH}/v2/oauth2/token").respond(400, json={"error": "invalid_grant"})
    with pytest.raises(LoginFailed, match=r"did not take the code.*paste a new one"):
        GlobusAuth(AUTH).exchange(begin_login(Settings(), 0.0), Secret("c"))


PORTAL = "<html>Welcome to the guest network</html>"


@pytest.mark.parametrize(
    ("status", "text"), [(200, PORTAL), (200, "[1]"), (302, ""), (429, PORTAL), (503, PORTAL)]
)
@respx.mock
def test_what_globus_never_said_leaves_the_code_good(status: int, text: str) -> None:
    """A captive portal, a busy server: the same code may be tried again, and the line says so."""
    respx.post(f"{AUTH}/v2/oauth2/token").respond(status, text=text)
    with pytest.raises(GatewayUnreachable, match="same code"):
        GlobusAuth(AUTH).exchange(begin_login(Settings(), 0.0), Secret("c"))
    with pytest.raises(GatewayUnreachable):
        GlobusAuth(AUTH).refresh(grant())


@respx.mock
def test_an_answer_that_is_no_json_is_called_so() -> None:
    """A page in place of a token is told as what it probably is."""
    respx.post(f"{AUTH}/v2/oauth2/token").respond(200, text=PORTAL)
    with pytest.raises(GatewayUnreachable, match=r"no JSON \(a login page of the network"):
        GlobusAuth(AUTH).exchange(begin_login(Settings(), 0.0), Secret("c"))
    with pytest.raises(GatewayUnreachable, match=r"no JSON \(a login page of the network"):
        GlobusAuth(AUTH).refresh(grant())


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client", "invalid_scope"])
@respx.mock
def test_a_refresh_that_oauth_refuses_needs_a_login(status: int, error: str) -> None:
    """Trying again would be refused again: the next step is a login."""
    respx.post(f"{AUTH}/v2/oauth2/token").respond(status, json={"error": error})
    with pytest.raises(LoginExpired, match=rf"{error}.*%alcf_login") as caught:
        GlobusAuth(AUTH).refresh(grant())
    assert caught.value.detail != INVALID_GRANT


@respx.mock
def test_a_busy_globus_may_refresh_later() -> None:
    """A rate limit in OAuth's own form is no end of the login."""
    respx.post(f"{AUTH}/v2/oauth2/token").respond(429, json={"error": "too_many_requests"})
    with pytest.raises(GatewayUnreachable):
        GlobusAuth(AUTH).refresh(grant())


@respx.mock
def test_what_was_sent_is_not_echoed() -> None:
    """A description that repeats the code, the verifier or the token is shown without them."""
    pending = begin_login(Settings(), 0.0)
    verifier = pending.verifier.reveal()
    echo = {"error": "invalid_grant", "error_description": f"code a+b= ({verifier}) a%2Bb%3D bad"}
    respx.post(f"{AUTH}/v2/oauth2/token").respond(400, json=echo)
    with pytest.raises(LoginFailed, match="bad") as caught:
        GlobusAuth(AUTH).exchange(pending, Secret("a+b="))
    shown = str(caught.value) + caught.value.detail
    assert not any(text in shown for text in (verifier, verifier[:20], "a+b=", "a%2Bb%3D"))
    echo = {"error": "invalid_client", "error_description": "x" * 115 + "old-refresh"}
    respx.post(f"{AUTH}/v2/oauth2/token").respond(400, json=echo)
    with pytest.raises(LoginExpired) as expired:
        GlobusAuth(AUTH).refresh(grant())
    assert "old-" not in str(expired.value) + expired.value.detail


def test_a_login_that_was_begun_follows_the_settings() -> None:
    """Another session policy makes another address, for the same state and verifier."""
    pending = begin_login(Settings(), 5.0, fresh=True)
    new = pending.renewed(Settings(session_policies="", session_domains="anl.gov"))
    query = parse_qs(urlsplit(new.authorize_url).query)
    old = parse_qs(urlsplit(pending.authorize_url).query)
    assert query["session_required_single_domain"] == ["anl.gov"]
    assert "session_required_policies" not in query
    assert query["prompt"] == ["login"]
    for name in ("state", "code_challenge", "redirect_uri"):
        assert query[name] == old[name]
    assert (new.state, new.verifier, new.begun_at) == (pending.state, pending.verifier, 5.0)
    assert pending.renewed(Settings()) == pending


@respx.mock
def test_a_refresh_without_a_new_refresh_token_keeps_the_old_one() -> None:
    """Globus need not repeat refresh token and scope; who it is stays known, too."""
    respx.post(f"{AUTH}/v2/oauth2/token").respond(
        json={
            "access_token": "new-token",
            "resource_server": GATEWAY_RESOURCE_SERVER,
            "expires_in": 100,
            "other_tokens": [],
        }
    )
    new = GlobusAuth(AUTH, clock=lambda: 50.0).refresh(grant(username="alice@anl.gov"))
    assert new.access_token.reveal() == "new-token"
    assert new.refresh_token == Secret("old-refresh")
    assert new.scope == GATEWAY_SCOPE
    assert (new.identity_id, new.username, new.expires_at_seconds) == (
        "alice-id",
        "alice@anl.gov",
        150,
    )


@pytest.mark.parametrize("status", [400, 401])
@respx.mock
def test_a_spent_refresh_token_is_told_by_the_body(status: int) -> None:
    """invalid_grant means a new login, whatever the status; other refusals do not."""
    respx.post(f"{AUTH}/v2/oauth2/token").respond(status, json={"error": "invalid_grant"})
    with pytest.raises(LoginExpired, match="%alcf_login") as caught:
        GlobusAuth(AUTH).refresh(grant())
    assert caught.value.detail == INVALID_GRANT
    respx.post(f"{AUTH}/v2/oauth2/token").respond(status, text="<html>busy</html>")
    with pytest.raises(GatewayUnreachable):
        GlobusAuth(AUTH).refresh(grant())


def test_an_unreachable_globus_is_one_line() -> None:
    """A refused connection is told at once, without the form that was to be sent."""
    with pytest.raises(GatewayUnreachable, match="cannot be reached") as caught:
        GlobusAuth("http://127.0.0.1:9").refresh(grant())
    assert "old-refresh" not in repr(caught.value)


def test_a_dead_proxy_is_not_used_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a proxy in the environment, loopback is still reached directly."""
    from alcf_magics.sandbox import Sandbox

    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Sandbox() as sandbox, pytest.raises(LoginExpired):
        GlobusAuth(sandbox.globus_auth_url).refresh(grant())


def test_a_secret_shows_nowhere() -> None:
    """repr, str, format and the reprs of what holds it hide a secret."""
    secret = Secret("s3cret")
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>20}", "%s" % secret, repr(grant())]  # noqa: UP031
    assert not any("s3cret" in text or "old-" in text for text in shown)
    pending = begin_login(Settings(), 0.0)
    assert pending.verifier.reveal() not in repr(pending)


@respx.mock
def test_what_globus_says_reaches_the_reader_clean() -> None:
    """A description is text: no control sequence, no direction, no lone surrogate, one line."""
    said = "no\x1b]52;c;x\x07 \u202eway\ud800\x00\x9b\nat all"
    body = json.dumps({"error": "invalid_client", "error_description": said})
    respx.post(f"{AUTH}/v2/oauth2/token").respond(400, text=body)
    with pytest.raises(LoginFailed) as failed:
        GlobusAuth(AUTH).exchange(begin_login(Settings(), 0.0), Secret("the-code"))
    with pytest.raises(LoginExpired) as expired:
        GlobusAuth(AUTH).refresh(grant())
    for error in (failed.value, expired.value):
        assert "no]52;c;x way\ufffd at all" in error.what
        assert str(error).isprintable()
        assert "\x1b" not in error.detail


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_revoking_where_nobody_answers_ends(deaf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One wait a server, and a limit for all of them; what could not be told is named."""
    monkeypatch.setattr(globus, "REVOKE_SECONDS", 0.2)
    servers = [deaf, deaf.replace("127.0.0.1", "127.0.0.2"), "http://127.0.0.1:9"]
    grants = [
        grant(auth_server=server, resource_server=name) for server in servers for name in "ab"
    ]
    begun = time.monotonic()
    failed = revoke(grants)
    assert time.monotonic() - begun < globus.REVOKE_ALL_SECONDS / 2
    assert isinstance(failed, GatewayUnreachable)
    assert all(server in failed.what for server in servers)
    one = revoke(grants[:2])
    assert one is not None
    assert "no answer in time" in one.what
    monkeypatch.setattr(globus, "REVOKE_ALL_SECONDS", 0.0)
    assert revoke(grants) is not None


def test_servers_that_are_not_there_are_found(deaf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection says so; one that is taken is enough, whatever comes after it."""
    gone = {"http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9", "http://127.0.0.1:x"}
    assert not_there({deaf, *gone}) == gone
    monkeypatch.setattr(globus, "CONNECT_ALL_SECONDS", 0.0)
    assert not_there(gone) == set()


class Endless(httpx.SyncByteStream):
    """A body without an end, piece by piece."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.pieces = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.pieces += 1
            time.sleep(self.seconds)
            yield b" " * 65536


@respx.mock
def test_an_answer_without_an_end_is_read_up_to_a_limit() -> None:
    """Neither memory nor time goes into what cannot be a token answer."""
    body = Endless()
    respx.post(f"{AUTH}/v2/oauth2/token").mock(return_value=httpx.Response(200, stream=body))
    with pytest.raises(GatewayUnreachable, match="no JSON"):
        GlobusAuth(AUTH).refresh(grant())
    assert body.pieces * 65536 <= globus.LONGEST_ANSWER + 2 * 65536
    respx.post(f"{AUTH}/v2/oauth2/token").mock(
        return_value=httpx.Response(200, stream=Endless(seconds=0.2))
    )
    with pytest.raises(GatewayUnreachable, match="no answer in time"):
        GlobusAuth(AUTH, seconds=0.5).refresh(grant())


@respx.mock
def test_what_was_not_asked_for_is_not_unpacked() -> None:
    """A few compressed bytes may become gigabytes: Globus is asked for plain text."""
    packed = gzip.compress(b" " * 10_000_000 + b"{}")
    headers = {"Content-Encoding": "gzip"}
    route = respx.post(f"{AUTH}/v2/oauth2/token").mock(
        return_value=httpx.Response(200, headers=headers, stream=httpx.ByteStream(packed))
    )
    with pytest.raises(GatewayUnreachable, match="no JSON"):
        GlobusAuth(AUTH).refresh(grant())
    assert route.calls[0].request.headers["accept-encoding"] == "identity"
