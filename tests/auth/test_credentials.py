"""The bearer: which token goes with a request, one refresh for all, one retry on a 401."""

from __future__ import annotations

import asyncio
import errno
import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl

import anyio
import httpx
import pytest
import respx

from alcf_magics.auth import credentials as credentials_module
from alcf_magics.auth import globus
from alcf_magics.auth.bearer import Bearer
from alcf_magics.auth.credentials import Credentials
from alcf_magics.auth.grants import Grant, gateway_grant
from alcf_magics.auth.hidden import Secret
from alcf_magics.auth.signing import GatewayAuth
from alcf_magics.auth.token_file import Saved, TokenFile
from alcf_magics.errors import AlcfError, GatewayUnreachable, LoginExpired, NotLoggedIn
from alcf_magics.sandbox import Sandbox
from alcf_magics.settings import GATEWAY_RESOURCE_SERVER, Settings
from alcf_magics.told import Told
from support.grants import grant
from support.logins import ask_async, ask_sync, log_in, refreshes, settings_of


def test_one_auth_serves_sync_and_async_clients(sandbox: Sandbox, home: Path) -> None:
    """The same login authorises both kinds of httpx client."""
    credentials = log_in(sandbox, home)
    assert ask_sync(credentials, sandbox) == 200
    assert asyncio.run(ask_async(credentials, sandbox)) == [200]
    assert refreshes(sandbox) == 0


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_stale_token_is_refreshed_once_and_the_request_retried_once(
    sandbox: Sandbox, home: Path, kind: str
) -> None:
    """A 401 for a stale token is not seen by the caller: one refresh, one retry, and stored."""
    credentials = log_in(sandbox, home)
    sandbox.expire_access_tokens()
    if kind == "sync":
        assert ask_sync(credentials, sandbox) == 200
    else:
        assert asyncio.run(ask_async(credentials, sandbox)) == [200]
    assert refreshes(sandbox) == 1
    asked = [r.status for r in sandbox.requests if r.path.endswith("/whoami")]
    assert asked == [401, 200]
    stored = gateway_grant(tuple(TokenFile().load(sandbox.globus_auth_url).values()))
    assert sandbox.active(stored.access_token.reveal())


def test_many_tasks_and_threads_cause_one_refresh(sandbox: Sandbox, home: Path) -> None:
    """Six tasks and four threads that find the token refused refresh it once."""
    credentials = log_in(sandbox, home)
    sandbox.expire_access_tokens()
    threads = [threading.Thread(target=ask_sync, args=(credentials, sandbox)) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert set(asyncio.run(ask_async(credentials, sandbox, 3))) <= {200, 429}
    for thread in threads:
        thread.join()
    assert refreshes(sandbox) == 1


def test_another_kernels_refresh_is_taken_over(sandbox: Sandbox, home: Path) -> None:
    """A token that another kernel has refreshed in the file is used, not refreshed again."""
    ours, theirs = log_in(sandbox, home), Credentials(lambda: settings_of(sandbox))
    sandbox.expire_access_tokens()
    assert ask_sync(theirs, sandbox) == 200
    assert ask_sync(ours, sandbox) == 200
    assert refreshes(sandbox) == 1


def test_a_token_is_refreshed_before_it_expires(sandbox: Sandbox, home: Path) -> None:
    """Some minutes before its end a token is replaced without any refused request."""
    log_in(sandbox, home)
    later = Credentials(lambda: settings_of(sandbox), clock=lambda: time.time() + 172800 - 200)
    assert ask_sync(later, sandbox) == 200
    assert refreshes(sandbox) == 1
    assert 401 not in [r.status for r in sandbox.requests]


def test_a_spent_refresh_token_means_login_expired(sandbox: Sandbox, home: Path) -> None:
    """When Globus no longer refreshes, the next step is a login, said in one line."""
    credentials = log_in(sandbox, home)
    sandbox.expire_access_tokens()
    sandbox.revoke_refresh_tokens()
    with pytest.raises(LoginExpired, match="%alcf_login"):
        ask_sync(credentials, sandbox)


def test_no_login_is_said_without_a_request(sandbox: Sandbox, home: Path) -> None:
    """Without grant and token, nothing is sent."""
    with pytest.raises(NotLoggedIn, match="%alcf_login"):
        ask_sync(Credentials(lambda: settings_of(sandbox)), sandbox)
    assert sandbox.requests == []


def test_the_environments_token_is_used_as_it_is(
    sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ALCF_AI_TOKEN authorises without login; a refused one is neither refreshed nor retried."""
    token = log_in(sandbox, home).current().token.reveal()
    TokenFile().path.unlink()
    monkeypatch.setenv("ALCF_AI_TOKEN", f" {token}\n")
    credentials = Credentials(lambda: settings_of(sandbox))
    assert ask_sync(credentials, sandbox) == 200
    assert credentials.current().source == "the token in ALCF_AI_TOKEN"
    sandbox.expire_access_tokens()
    assert ask_sync(credentials, sandbox) == 401
    assert refreshes(sandbox) == 0


def test_a_grant_of_ones_own_goes_before_the_environments_token(
    sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A valid login is used although ALCF_AI_TOKEN is set."""
    credentials = log_in(sandbox, home)
    monkeypatch.setenv("ALCF_AI_TOKEN", "nonsense")
    assert credentials.current().source == "your login"
    assert ask_sync(credentials, sandbox) == 200


def test_a_grant_is_used_only_with_the_server_that_minted_it(sandbox: Sandbox, home: Path) -> None:
    """A login of one auth server is no login for a gateway that trusts another."""
    log_in(sandbox, home)
    with pytest.raises(NotLoggedIn):
        Credentials(lambda: Settings(gateway_url=sandbox.gateway_url)).current()


def test_a_production_login_and_a_sandbox_live_side_by_side(sandbox: Sandbox, home: Path) -> None:
    """Each is stored, refreshed and forgotten in its own namespace; the other never changes."""
    file = TokenFile()
    real = grant(expires_at_seconds=int(time.time()) + 9000)
    assert file.save((real,)).written
    before = file.path.read_bytes()
    credentials = log_in(sandbox, home)
    for _ in range(2):
        assert ask_sync(credentials, sandbox) == 200
        assert ask_sync(Credentials(lambda: settings_of(sandbox)), sandbox) == 200
        assert Credentials(Settings).current().token == Secret("old-token")
        sandbox.expire_access_tokens()  # refreshed the second time
    assert refreshes(sandbox) == 1
    credentials.forget()
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
    credentials = log_in(sandbox, home)
    auth = GatewayAuth(credentials, sandbox.gateway_url)
    with httpx.Client(auth=auth) as client, pytest.raises(GatewayUnreachable, match="No token"):
        client.get(url)


def test_a_bearer_never_goes_over_plain_http_to_another_machine(home: Path) -> None:
    """Plain http is for loopback alone."""
    TokenFile().save((grant(expires_at_seconds=int(time.time()) + 9000),))
    auth = GatewayAuth(Credentials(Settings), "http://gateway.example/resource_server")
    with httpx.Client(auth=auth) as client, pytest.raises(GatewayUnreachable, match="plain http"):
        client.get("http://gateway.example/resource_server/whoami")


def test_a_cancelled_request_does_not_lose_a_refreshed_grant(sandbox: Sandbox, home: Path) -> None:
    """The refresh goes on when its request is cancelled, and what it brings is stored."""
    credentials = log_in(sandbox, home)
    old = credentials.current().token
    sandbox.expire_access_tokens()

    async def cancelled() -> None:
        started = credentials.file.locked
        entered = threading.Event()

        def noting(told: Told) -> object:
            entered.set()
            return started(told)

        credentials.file.locked = noting  # type: ignore[assignment,method-assign]
        async with anyio.create_task_group() as group:
            group.start_soon(ask_async, credentials, sandbox)
            await anyio.to_thread.run_sync(entered.wait, 5)
            group.cancel_scope.cancel()

    asyncio.run(cancelled())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        stored = gateway_grant(tuple(TokenFile().load(sandbox.globus_auth_url).values()))
        if stored.access_token != old:
            break
        time.sleep(0.01)
    assert sandbox.active(stored.access_token.reveal())


def test_logging_out_forgets_every_grant_of_that_server(sandbox: Sandbox, home: Path) -> None:
    """Forgotten grants are handed back for revoking, and the file is gone."""
    credentials = log_in(sandbox, home)
    forgotten = credentials.forget()
    gone = forgotten.grants
    assert {g.resource_server for g in gone} >= {"auth.globus.org"}
    assert len(gone) == 3
    assert forgotten.saved == Saved(True)
    assert not TokenFile().path.exists()
    assert isinstance(gone[0], Grant)
    with pytest.raises(NotLoggedIn):
        credentials.current()


TOKEN_URL = "https://auth.globus.org/v2/oauth2/token"


def refreshed(**changes: object) -> dict[str, object]:
    """What Globus answers to a refresh."""
    return {
        "access_token": "new-token",
        "resource_server": GATEWAY_RESOURCE_SERVER,
        "expires_in": 172800,
    } | changes


def at_once(count: int, call: Callable[[], object]) -> list[object]:
    """What many threads get that begin at the same moment; an error is its own result."""
    barrier = threading.Barrier(count)
    results: list[object] = []

    def run() -> None:
        barrier.wait(5)
        try:
            results.append(call())
        except AlcfError as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@respx.mock
def test_those_who_wait_share_a_failure(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads behind one slow failure cause one request; who comes later tries again."""
    TokenFile().save((grant(),))
    credentials = Credentials(Settings)

    def slow(request: httpx.Request) -> httpx.Response:
        time.sleep(0.3)
        return httpx.Response(503)

    route = respx.post(TOKEN_URL).mock(side_effect=slow)
    errors = at_once(8, credentials.current)
    assert {type(error) for error in errors} == {GatewayUnreachable}
    assert len({id(error) for error in errors}) == 8
    assert route.call_count == 1
    assert not credentials.spent(grant())
    # Who comes later tries again at once: the network may be back.
    with pytest.raises(GatewayUnreachable):
        credentials.current()
    assert route.call_count == 2
    # Where another token serves meanwhile, Globus is left alone for a while.
    monkeypatch.setenv("ALCF_AI_TOKEN", "environment")
    assert [credentials.current().token.reveal() for _ in range(3)] == ["environment"] * 3
    assert route.call_count == 2
    monkeypatch.setattr(credentials_module, "FAILURE_SECONDS", 0.0)
    assert credentials.current().token.reveal() == "environment"
    assert route.call_count == 3


@respx.mock
def test_a_spent_refresh_token_is_sent_once(home: Path) -> None:
    """What Globus refused for good is not asked again, until another login is stored."""
    TokenFile().save((grant(),))
    credentials = Credentials(Settings)
    route = respx.post(TOKEN_URL).respond(400, json={"error": "invalid_grant"})
    assert not credentials.spent(grant())
    for _ in range(3):
        with pytest.raises(LoginExpired, match="six months"):
            credentials.current()
    assert route.call_count == 1
    assert credentials.spent(grant())
    TokenFile().save((grant(access_token=Secret("x"), refresh_token=Secret("other-refresh")),))
    route.respond(json=refreshed())
    assert credentials.current().token == Secret("new-token")


@respx.mock
def test_a_spent_login_gives_way_without_asking(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ALCF_AI_TOKEN set, a login that has run out costs one request, not one a prompt."""
    TokenFile().save((grant(),))
    credentials = Credentials(Settings)
    monkeypatch.setenv("ALCF_AI_TOKEN", "environment")
    route = respx.post(TOKEN_URL).respond(400, json={"error": "invalid_grant"})
    assert [credentials.current().token.reveal() for _ in range(3)] == ["environment"] * 3
    assert credentials.ready() == credentials.current()
    assert route.call_count == 1


@respx.mock
def test_a_globus_that_is_away_does_not_end_a_token_early(home: Path) -> None:
    """Within the margin the old token still serves when it cannot be refreshed."""
    TokenFile().save((grant(expires_at_seconds=int(time.time()) + 100),))
    respx.post(TOKEN_URL).respond(503)
    credentials = Credentials(Settings)
    assert credentials.current().token == Secret("old-token")
    with pytest.raises(GatewayUnreachable):
        credentials.renew(credentials.current())


@pytest.mark.parametrize("seconds", [60, 8])
@respx.mock
def test_tokens_that_live_for_seconds_are_refreshed_once(home: Path, seconds: int) -> None:
    """Ten threads with an expired short-lived token make one request between them."""
    TokenFile().save((grant(),))
    credentials = Credentials(Settings)
    route = respx.post(TOKEN_URL).respond(json=refreshed(expires_in=seconds))
    assert {b.token for b in at_once(10, credentials.current)} == {Secret("new-token")}  # type: ignore[attr-defined]
    assert credentials.current().token == Secret("new-token")
    assert route.call_count == 1


def test_a_changed_token_is_taken_over_until_it_expires(home: Path) -> None:
    """Who waited for another kernel's refresh asks for none, however short the new token lives."""
    TokenFile().save((grant(),))
    credentials = Credentials(Settings)
    old = Bearer(Secret("old-token"), "your login", credentials.grant())
    soon = int(time.time()) + 100
    TokenFile().save((grant(expires_at_seconds=soon, access_token=Secret("short")),))
    with respx.mock:  # no request is expected
        renewed = credentials.renew(old)
    assert renewed is not None
    assert renewed.token == Secret("short")


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("text", ["is either not active", "Must authenticate with", "whatever"])
@respx.mock
def test_a_login_of_another_kernel_is_tried_on_any_refusal(
    home: Path, monkeypatch: pytest.MonkeyPatch, kind: str, text: str
) -> None:
    """Whatever the old token is refused for: the stored one is tried, once, before all else."""
    hour = int(time.time()) + 3600
    TokenFile().save((grant(expires_at_seconds=hour),))
    credentials = Credentials(Settings)
    credentials.current()
    url = f"{Settings().gateway_url}/whoami"

    def judge(request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] == "Bearer old-token":
            # Another kernel logs in while this request is on its way.
            TokenFile().save((grant(expires_at_seconds=hour, access_token=Secret("fresh")),))
            return httpx.Response(401, json={"detail": text})
        return httpx.Response(answers.pop())

    route = respx.get(url).mock(side_effect=judge)
    for last in (200, 401):
        answers = [last]
        TokenFile().save((grant(expires_at_seconds=hour),))
        credentials.current()
        auth = GatewayAuth(credentials, Settings().gateway_url)
        if kind == "sync":
            with httpx.Client(auth=auth) as client:
                assert client.get(url).status_code == last
        else:
            assert asyncio.run(get_async(auth, url)) == last
    assert route.call_count == 4


async def get_async(auth: GatewayAuth, url: str) -> int:
    async with httpx.AsyncClient(auth=auth) as client:
        return (await client.get(url)).status_code


def test_what_another_kernel_stored_is_noticed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer token in the file is used at once; a file that did not change is not read again."""
    hour = int(time.time()) + 3600
    TokenFile().save((grant(expires_at_seconds=hour),))
    credentials = Credentials(Settings)
    assert credentials.current().token == Secret("old-token")
    read: list[Path] = []
    real = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: (read.append(self), real(self))[1])  # type: ignore[func-returns-value]
    assert credentials.current().token == Secret("old-token")
    assert read == []
    TokenFile().save((grant(expires_at_seconds=hour, access_token=Secret("fresh")),))
    assert credentials.current().token == Secret("fresh")
    # An older copy that a program wrote back without a lock is no better.
    TokenFile().save((grant(expires_at_seconds=5),))
    assert credentials.current().token == Secret("fresh")
    TokenFile().path.unlink()
    assert credentials.current().token == Secret("fresh")


def test_grants_for_memory_only_never_look_at_the_file(home: Path) -> None:
    """A sandbox in this kernel stays with its own login, whatever is stored for that server."""
    hour = int(time.time()) + 3600
    credentials = Credentials(Settings)
    credentials.only_in_memory(Settings().globus_auth_url)
    credentials.keep((grant(expires_at_seconds=hour),))
    stored = grant(expires_at_seconds=hour, access_token=Secret("stored"))
    TokenFile().save((stored,))
    held = credentials.current()
    assert held.token == Secret("old-token")
    assert credentials.newer(held) is None
    assert credentials.in_memory_only
    assert {g.access_token for g in credentials.forget().grants} == {
        Secret("old-token"),
        Secret("stored"),
    }
    assert not TokenFile().path.exists()


def test_a_file_that_cannot_be_read_for_a_moment_is_looked_at_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed read is not taken for a file without a login."""
    TokenFile().save((grant(expires_at_seconds=int(time.time()) + 3600),))
    credentials = Credentials(Settings)

    def fail(self: Path) -> bytes:
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fail)
        assert credentials.grant() is None
    assert credentials.current().token == Secret("old-token")


def test_a_broken_file_is_read_again_only_when_it_changes(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for a file to get whole does not hold every request."""
    file = TokenFile()
    file.save((grant(expires_at_seconds=int(time.time()) + 3600),))
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:80])
    credentials = Credentials(Settings)
    assert credentials.grant() is None
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda self: pytest.fail("read again"))
        assert credentials.grant() is None
    file.path.write_bytes(whole)
    assert credentials.current().token == Secret("old-token")


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@respx.mock
def test_a_refresh_that_cannot_be_stored_is_said_once_and_tried_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk makes the login this kernel's own, until the next refresh finds room."""
    told = Told()
    TokenFile().save((grant(),))
    credentials = Credentials(Settings)
    route = respx.post(TOKEN_URL).respond(json=refreshed())
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full_disk)
        assert credentials.current(told).token == Secret("new-token")
        route.respond(json=refreshed(access_token="second"))
        assert credentials.renew(credentials.current(told), told) == credentials.current(told)
    said = told.notices()
    assert [line for line in said if "No space left" in line] == said
    assert len(said) == 1
    assert credentials.in_memory_only
    assert TokenFile().load()[GATEWAY_RESOURCE_SERVER].access_token == Secret("old-token")
    route.respond(json=refreshed(access_token="third"))
    credentials.renew(credentials.current())
    assert not credentials.in_memory_only
    assert TokenFile().load()[GATEWAY_RESOURCE_SERVER].access_token == Secret("third")


@respx.mock
def test_a_login_that_could_not_be_stored_does_not_give_way_to_the_older_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in a file that cannot be written is older than what this kernel got."""
    told = Told()
    now = int(time.time())
    TokenFile().save((grant(expires_at_seconds=now + 9000, issued_at_seconds=now - 9000),))
    credentials = Credentials(Settings)
    credentials.current(told)
    new = grant(
        access_token=Secret("mine"),
        refresh_token=Secret("my-refresh"),
        expires_at_seconds=now + 9000,
        issued_at_seconds=now,
    )
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full_disk)
        openid = replace(new, resource_server="auth.globus.org")
        assert not credentials.keep((new, openid), told).written
        # The login has said so itself.
        route = respx.post(TOKEN_URL).respond(json=refreshed(expires_in=9000))
        credentials.renew(credentials.current(told), told)
    assert told.notices() == []
    assert credentials.current().token == Secret("new-token")
    assert credentials.newer(credentials.current()) is None
    route.respond(json=refreshed(access_token="second"))
    assert credentials.renew(credentials.current()) == credentials.current()
    assert b"my-refresh" in route.calls[1].request.content
    stored = TokenFile().load()[GATEWAY_RESOURCE_SERVER]
    assert stored.refresh_token == Secret("my-refresh")
    assert "auth.globus.org" in TokenFile().load()


def test_an_interrupt_while_a_login_is_stored_does_not_lose_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code is spent: the kernel at least goes on with what it got."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    credentials = Credentials(Settings)
    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        credentials.keep((grant(expires_at_seconds=int(time.time()) + 9000),))
    assert credentials.current().token == Secret("old-token")


def test_logging_out_takes_what_could_not_be_stored_and_what_is_stored(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the older login in the file and the newer one in memory are handed back."""
    hour = int(time.time()) + 3600
    TokenFile().save((grant(expires_at_seconds=hour),))
    credentials = Credentials(Settings)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full_disk)
        credentials.keep((grant(expires_at_seconds=hour, access_token=Secret("mine")),))
    gone = credentials.forget()
    assert {g.access_token for g in gone.grants} == {Secret("mine"), Secret("old-token")}
    assert not TokenFile().path.exists()
    assert not credentials.in_memory_only


def test_logging_out_everywhere_empties_memory_and_file(home: Path) -> None:
    """Every server's grants go, those for memory only included, and all are handed back."""
    hour = int(time.time()) + 3600
    production = grant(expires_at_seconds=hour)
    sandboxed = replace(production, auth_server="http://127.0.0.1:1", access_token=Secret("s"))
    chosen = [Settings(globus_auth_url="http://127.0.0.1:1", gateway_url="http://127.0.0.1:1")]
    credentials = Credentials(lambda: chosen[-1])
    credentials.keep((production,))
    credentials.only_in_memory(sandboxed.auth_server)
    credentials.keep((sandboxed,))
    chosen.append(Settings())
    assert credentials.current().token == Secret("old-token")
    assert {g.access_token for g in credentials.forget(everywhere=True).grants} == {
        Secret("old-token"),
        Secret("s"),
    }
    for settings in tuple(chosen):
        chosen.append(settings)
        assert credentials.grant() is None
        assert not credentials.in_memory_only
    assert not TokenFile().path.exists()


def test_logging_out_of_a_file_that_cannot_be_written_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason comes with the grants, and this kernel is logged out all the same."""
    TokenFile().save((grant(expires_at_seconds=int(time.time()) + 3600),))
    credentials = Credentials(Settings)

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", fail)
    gone = credentials.forget()
    assert len(gone.grants) == 1
    assert "Read-only file system" in gone.saved.reason
    with pytest.raises(NotLoggedIn):
        credentials.current()


def test_a_refresh_keeps_entries_of_other_people(sandbox: Sandbox, home: Path) -> None:
    """Only a login may take another person's entries away."""
    credentials = log_in(sandbox, home)
    path = TokenFile().path
    content = json.loads(path.read_text())
    odd = {"identity_id": "somebody", "access_token": "t"}
    entries = content["data"][sandbox.globus_auth_url]
    entries["other"] = odd
    entries[GATEWAY_RESOURCE_SERVER]["identity_id"] = "once"
    path.write_text(json.dumps(content))
    sandbox.expire_access_tokens()
    assert ask_sync(credentials, sandbox) == 200
    assert json.loads(path.read_text())["data"][sandbox.globus_auth_url]["other"] == odd


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_logout_is_not_undone_by_who_is_using_the_login(home: Path, elsewhere: bool) -> None:
    """A request that meets a token revoked meanwhile does not bring the login back."""
    TokenFile().save((grant(expires_at_seconds=int(time.time()) + 9000),))
    user, leaver = Credentials(Settings), Credentials(Settings)
    if not elsewhere:
        leaver = user
    used = user.current()
    leaver.forget()
    with respx.mock:
        route = respx.post(TOKEN_URL).respond(json=refreshed())
        with pytest.raises(NotLoggedIn):
            user.renew(used)
        assert not route.called
    assert not TokenFile().path.exists()


@respx.mock
def test_the_refresh_token_is_revoked_first_and_silence_waited_for_once(home: Path) -> None:
    """Nobody can renew what is being revoked; a Globus that is away costs one time-out."""
    route = respx.post(f"{TOKEN_URL}/revoke").respond(json={"active": False})
    assert globus.revoke((grant(),)) is None
    sent = [dict(parse_qsl(call.request.content.decode()))["token"] for call in route.calls]
    assert sent == ["old-refresh", "old-token"]
    route.mock(side_effect=httpx.ConnectTimeout("away"))
    failed = globus.revoke((grant(), grant(resource_server="other")))
    assert isinstance(failed, GatewayUnreachable)
    assert route.call_count == 3
