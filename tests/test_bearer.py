"""The bearer: which token goes with a request, one refresh for all, one retry on a 401."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import anyio
import httpx
import pytest
from test_globus import grant

from alcf_magics.bearer import Bearers, GatewayAuth
from alcf_magics.errors import GatewayUnreachable, LoginExpired, NotLoggedIn
from alcf_magics.globus import GlobusAuth, begin_login, read_code
from alcf_magics.grants import Grant, Secret, gateway_grant
from alcf_magics.sandbox import Sandbox
from alcf_magics.settings import Settings
from alcf_magics.token_file import TokenFile


def settings_of(sandbox: Sandbox) -> Settings:
    return Settings(gateway_url=sandbox.gateway_url, globus_auth_url=sandbox.globus_auth_url)


def log_in(sandbox: Sandbox, home: Path) -> Bearers:
    """Bearers with a real login at the sandbox, stored in the file under HOME."""
    settings = settings_of(sandbox)
    bearers = Bearers(lambda: settings)
    pending = begin_login(settings, time.time())
    code = read_code(sandbox.approve(pending.authorize_url), pending.state)
    assert bearers.keep(GlobusAuth(sandbox.globus_auth_url).exchange(pending, code)).written
    return bearers


def ask_sync(bearers: Bearers, sandbox: Sandbox) -> int:
    with httpx.Client(auth=GatewayAuth(bearers, sandbox.gateway_url)) as client:
        return client.get(f"{sandbox.gateway_url}/whoami").status_code


async def ask_async(bearers: Bearers, sandbox: Sandbox, times: int = 1) -> list[int]:
    auth = GatewayAuth(bearers, sandbox.gateway_url)
    async with httpx.AsyncClient(auth=auth) as client:
        answers = await asyncio.gather(
            *(client.get(f"{sandbox.gateway_url}/whoami") for _ in range(times))
        )
        return [answer.status_code for answer in answers]


def refreshes(sandbox: Sandbox) -> int:
    return sandbox.token_requests("refresh_token")


def test_one_auth_serves_sync_and_async_clients(sandbox: Sandbox, home: Path) -> None:
    """The same login authorises both kinds of httpx client."""
    bearers = log_in(sandbox, home)
    assert ask_sync(bearers, sandbox) == 200
    assert asyncio.run(ask_async(bearers, sandbox)) == [200]
    assert refreshes(sandbox) == 0


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_stale_token_is_refreshed_once_and_the_request_retried_once(
    sandbox: Sandbox, home: Path, kind: str
) -> None:
    """A 401 for a stale token is not seen by the caller: one refresh, one retry, and stored."""
    bearers = log_in(sandbox, home)
    sandbox.expire_access_tokens()
    if kind == "sync":
        assert ask_sync(bearers, sandbox) == 200
    else:
        assert asyncio.run(ask_async(bearers, sandbox)) == [200]
    assert refreshes(sandbox) == 1
    asked = [r.status for r in sandbox.requests if r.path.endswith("/whoami")]
    assert asked == [401, 200]
    stored = gateway_grant(tuple(TokenFile().load().values()))
    assert sandbox.active(stored.access_token.reveal())


def test_many_tasks_and_threads_cause_one_refresh(sandbox: Sandbox, home: Path) -> None:
    """Six tasks and four threads that find the token refused refresh it once."""
    bearers = log_in(sandbox, home)
    sandbox.expire_access_tokens()
    threads = [threading.Thread(target=ask_sync, args=(bearers, sandbox)) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert set(asyncio.run(ask_async(bearers, sandbox, 3))) <= {200, 429}
    for thread in threads:
        thread.join()
    assert refreshes(sandbox) == 1


def test_another_kernels_refresh_is_taken_over(sandbox: Sandbox, home: Path) -> None:
    """A token that another kernel has refreshed in the file is used, not refreshed again."""
    ours, theirs = log_in(sandbox, home), Bearers(lambda: settings_of(sandbox))
    sandbox.expire_access_tokens()
    assert ask_sync(theirs, sandbox) == 200
    assert ask_sync(ours, sandbox) == 200
    assert refreshes(sandbox) == 1


def test_a_token_is_refreshed_before_it_expires(sandbox: Sandbox, home: Path) -> None:
    """Some minutes before its end a token is replaced without any refused request."""
    log_in(sandbox, home)
    later = Bearers(lambda: settings_of(sandbox), clock=lambda: time.time() + 172800 - 200)
    assert ask_sync(later, sandbox) == 200
    assert refreshes(sandbox) == 1
    assert 401 not in [r.status for r in sandbox.requests]


def test_a_spent_refresh_token_means_login_expired(sandbox: Sandbox, home: Path) -> None:
    """When Globus no longer refreshes, the next step is a login, said in one line."""
    bearers = log_in(sandbox, home)
    sandbox.expire_access_tokens()
    sandbox.revoke_refresh_tokens()
    with pytest.raises(LoginExpired, match="%alcf_login"):
        ask_sync(bearers, sandbox)


def test_no_login_is_said_without_a_request(sandbox: Sandbox, home: Path) -> None:
    """Without grant and token, nothing is sent."""
    with pytest.raises(NotLoggedIn, match="%alcf_login"):
        ask_sync(Bearers(lambda: settings_of(sandbox)), sandbox)
    assert sandbox.requests == []


def test_the_environments_token_is_used_as_it_is(
    sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ALCF_AI_TOKEN authorises without login; a refused one is neither refreshed nor retried."""
    token = log_in(sandbox, home).current().token.reveal()
    TokenFile().path.unlink()
    monkeypatch.setenv("ALCF_AI_TOKEN", f" {token}\n")
    bearers = Bearers(lambda: settings_of(sandbox))
    assert ask_sync(bearers, sandbox) == 200
    assert bearers.current().source == "the token in ALCF_AI_TOKEN"
    sandbox.expire_access_tokens()
    assert ask_sync(bearers, sandbox) == 401
    assert refreshes(sandbox) == 0


def test_a_grant_of_ones_own_goes_before_the_environments_token(
    sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A valid login is used although ALCF_AI_TOKEN is set."""
    bearers = log_in(sandbox, home)
    monkeypatch.setenv("ALCF_AI_TOKEN", "nonsense")
    assert bearers.current().source == "your login"
    assert ask_sync(bearers, sandbox) == 200


def test_a_grant_is_used_only_with_the_server_that_minted_it(sandbox: Sandbox, home: Path) -> None:
    """A login of one auth server is no login for a gateway that trusts another."""
    log_in(sandbox, home)
    with pytest.raises(NotLoggedIn):
        Bearers(lambda: Settings(gateway_url=sandbox.gateway_url)).current()


def test_a_real_login_survives_a_sandbox_byte_for_byte(sandbox: Sandbox, home: Path) -> None:
    """With a production grant stored, another server's login stays in memory, and says so."""
    file = TokenFile()
    real = grant(expires_at_seconds=int(time.time()) + 9000)
    assert file.save((real,)).written
    before = file.path.read_bytes()
    settings = settings_of(sandbox)
    bearers = Bearers(lambda: settings)
    pending = begin_login(settings, time.time())
    code = Secret(sandbox.approve(pending.authorize_url))
    saved = bearers.keep(GlobusAuth(sandbox.globus_auth_url).exchange(pending, code))
    assert not saved.written
    assert "https://auth.globus.org" in saved.reason
    assert ask_sync(bearers, sandbox) == 200
    sandbox.expire_access_tokens()
    assert ask_sync(bearers, sandbox) == 200  # refreshed in memory
    bearers.forget()
    assert file.path.read_bytes() == before


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/resource_server/whoami",
        "http://127.0.0.1:1/resource_server/whoami",
        "https://127.0.0.1/resource_server/whoami",
    ],
)
def test_a_bearer_goes_only_to_the_gateways_host(sandbox: Sandbox, home: Path, url: str) -> None:
    """A request to any other host, port or scheme is refused before it is sent."""
    bearers = log_in(sandbox, home)
    auth = GatewayAuth(bearers, sandbox.gateway_url)
    with httpx.Client(auth=auth) as client, pytest.raises(GatewayUnreachable, match="No token"):
        client.get(url)


def test_a_bearer_never_goes_over_plain_http_to_another_machine(home: Path) -> None:
    """Plain http is for loopback alone."""
    TokenFile().save((grant(expires_at_seconds=int(time.time()) + 9000),))
    auth = GatewayAuth(Bearers(Settings), "http://gateway.example/resource_server")
    with httpx.Client(auth=auth) as client, pytest.raises(GatewayUnreachable, match="plain http"):
        client.get("http://gateway.example/resource_server/whoami")


def test_a_cancelled_request_does_not_lose_a_refreshed_grant(sandbox: Sandbox, home: Path) -> None:
    """The refresh goes on when its request is cancelled, and what it brings is stored."""
    bearers = log_in(sandbox, home)
    old = bearers.current().token
    sandbox.expire_access_tokens()

    async def cancelled() -> None:
        started = bearers.file.locked
        entered = threading.Event()

        def noting() -> object:
            entered.set()
            return started()

        bearers.file.locked = noting  # type: ignore[assignment,method-assign]
        async with anyio.create_task_group() as group:
            group.start_soon(ask_async, bearers, sandbox)
            await anyio.to_thread.run_sync(entered.wait, 5)
            group.cancel_scope.cancel()

    asyncio.run(cancelled())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        stored = gateway_grant(tuple(TokenFile().load().values()))
        if stored.access_token != old:
            break
        time.sleep(0.01)
    assert sandbox.active(stored.access_token.reveal())


def test_logging_out_forgets_every_grant_of_that_server(sandbox: Sandbox, home: Path) -> None:
    """Forgotten grants are handed back for revoking, and the file is gone."""
    bearers = log_in(sandbox, home)
    gone = bearers.forget()
    assert {g.resource_server for g in gone} >= {"auth.globus.org"}
    assert len(gone) == 3
    assert not TokenFile().path.exists()
    assert isinstance(gone[0], Grant)
    with pytest.raises(NotLoggedIn):
        bearers.current()
