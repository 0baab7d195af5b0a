"""The account of a session: what a login, a refusal and a logout say and leave behind."""

from __future__ import annotations

import errno
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from alcf_magics.auth import globus, locking
from alcf_magics.auth.account import Account, LoginStatus
from alcf_magics.auth.credentials import Credentials
from alcf_magics.auth.hidden import Secret
from alcf_magics.auth.token_file import TokenFile
from alcf_magics.errors import GatewayUnreachable, LoginExpired, LoginFailed
from alcf_magics.sandbox import Identity, Sandbox
from alcf_magics.settings import GATEWAY_RESOURCE_SERVER, PRODUCTION_GLOBUS_AUTH, Settings
from alcf_magics.told import Told
from support.grants import grant
from support.logins import account_at, finish, log_in, settings_of

BOB = Identity("b0b00000-2f5b-4a55-9c3c-9d8e4f1c7a10", "bob@anl.gov", "Bob")
#: A port on which nothing listens.
DEAD = "http://127.0.0.1:9"


def namespaces() -> set[str]:
    return set(json.loads(TokenFile().path.read_text())["data"])


def store(*servers: str) -> None:
    """A login in the file for each of these servers."""
    for server in servers:
        token = Secret(f"token-of-{server.replace(' ', '')}")
        hour = int(time.time()) + 3600
        entry = grant(auth_server=server, access_token=token, expires_at_seconds=hour)
        assert TokenFile().save((entry,)).written


@pytest.fixture
def listening() -> Iterator[str]:
    """The address of a server that is there, and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_login_that_found_no_room_is_stored_once_there_is(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk was full; asked again, the same login is stored, whole, without another code."""
    account = account_at(sandbox)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        said = finish(account, sandbox)
        assert "Logged in as alice@anl.gov" in said
        assert "Not stored" in said
        assert "No space left" in said
        again = account.state()
        assert again is not None
        assert "Not stored" in again
        assert ("stored", "in this kernel only") in account.status().rows
    again = account.state()
    assert again is not None
    assert again.startswith("Already logged in as alice@anl.gov")
    assert again.endswith("It is stored now.")
    stored = TokenFile().load(sandbox.globus_auth_url)
    assert stored.keys() >= {GATEWAY_RESOURCE_SERVER, "auth.globus.org"}
    assert sandbox.active(stored[GATEWAY_RESOURCE_SERVER].access_token.reveal())
    assert "stored now" not in str(account.state())


def test_what_found_no_room_does_not_push_out_who_has_logged_in_since(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another person's newer login stays; this kernel goes on with its own, and says so."""
    account = account_at(sandbox)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        finish(account, sandbox)
    now = int(time.time())
    server = sandbox.globus_auth_url
    newer = grant(
        auth_server=server,
        identity_id="bob-id",
        username="bob@anl.gov",
        issued_at_seconds=now + 5,
        expires_at_seconds=now + 3600,
    )
    assert TokenFile().save((newer,)).written
    said = account.state()
    assert said is not None
    assert "Already logged in as alice" in said
    assert "Not stored: bob@anl.gov has logged in since." in said
    assert {g.identity_id for g in TokenFile().load(server).values()} == {"bob-id"}


@pytest.mark.parametrize("home_is", ["", "somewhere"])
def test_without_a_home_a_login_is_this_kernels(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, home_is: str
) -> None:
    """An empty or relative HOME is said, and the login serves all the same."""
    monkeypatch.setenv("HOME", home_is)
    account = account_at(sandbox)
    said = finish(account, sandbox)
    assert "Logged in as" in said
    assert "Not stored: there is no home directory" in said
    assert ("stored", "in this kernel only") in account.status().rows


def test_another_person_is_asked_about_within_one_server_only(sandbox: Sandbox) -> None:
    """Bob at a second sandbox does not ask for Alice's word; at her own he does."""
    account = account_at(sandbox)
    finish(account, sandbox)
    with Sandbox() as second:
        second.identity = sandbox.identity = BOB
        assert "as bob@anl.gov" in finish(account_at(second), second)
        assert namespaces() == {sandbox.globus_auth_url, second.globus_auth_url}
        with pytest.raises(LoginFailed, match=r"as alice@anl\.gov; this login is bob@anl\.gov"):
            finish(account, sandbox)
        assert account.question
        assert "as bob@anl.gov" in account.replace()
        assert namespaces() == {sandbox.globus_auth_url, second.globus_auth_url}
    people = {g.identity_id for g in TokenFile().load(sandbox.globus_auth_url).values()}
    assert people == {BOB.sub}


def test_a_login_drops_those_of_servers_on_this_machine_that_are_gone(
    sandbox: Sandbox, listening: str
) -> None:
    """What answers stays, and so do real servers, which are not asked, and other programs."""
    away = "https://auth.not-to-be-asked.example"
    store(DEAD, "http://localhost:9", "https://[::1]:9", listening, away, PRODUCTION_GLOBUS_AUTH)
    content = json.loads(TokenFile().path.read_text())
    content["data"]["a program"] = {}
    TokenFile().path.write_text(json.dumps(content))
    finish(account_at(sandbox), sandbox)
    assert namespaces() == {"DEFAULT", listening, away, "a program", sandbox.globus_auth_url}


def test_the_server_in_force_is_kept_even_when_it_is_gone(sandbox: Sandbox) -> None:
    """Whoever is set as the auth server may be started again on the same port."""
    store(DEAD)
    settings = [settings_of(sandbox)]
    account = Account(lambda: settings[-1], Credentials(lambda: settings[-1]), dict)
    code = sandbox.approve(account.begin().authorize_url)
    settings.append(Settings(gateway_url=DEAD, globus_auth_url=DEAD))
    assert "Logged in" in account.finish(code)
    assert namespaces() == {DEAD, sandbox.globus_auth_url}


def test_a_sandbox_of_this_kernel_touches_no_file(sandbox: Sandbox) -> None:
    """What it mints is for memory only, and what is stored stays to the byte."""
    store(DEAD)
    before = TokenFile().path.read_bytes()
    credentials = Credentials(lambda: settings_of(sandbox))
    credentials.only_in_memory(sandbox.globus_auth_url)
    account = account_at(sandbox, credentials)
    said = finish(account, sandbox)
    assert "Logged in" in said
    assert "ot stored" not in said
    assert account.state() is not None
    assert ("stored", "in this kernel only") in account.status().rows
    assert TokenFile().path.read_bytes() == before
    credentials.leave(sandbox.globus_auth_url)
    assert account.state() is None
    assert not credentials.in_memory_only


def test_logging_out_empties_the_namespace_in_force(sandbox: Sandbox) -> None:
    """Others stay, and the file with them; without any it goes."""
    store(PRODUCTION_GLOBUS_AUTH)
    account = account_at(sandbox)
    finish(account, sandbox)
    stored = TokenFile().load(sandbox.globus_auth_url).values()
    assert account.log_out() == "Logged out: the login is revoked and removed."
    assert not any(sandbox.active(g.access_token.reveal()) for g in stored)
    assert namespaces() == {"DEFAULT"}
    assert account.log_out() == "You were not logged in."
    finish(account, sandbox)
    TokenFile().remove([PRODUCTION_GLOBUS_AUTH])
    account.log_out()
    assert not TokenFile().path.exists()


@pytest.mark.clock
def test_logging_out_everywhere_is_bounded_and_names_who_is_gone(
    sandbox: Sandbox, listening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every login of ours goes; the one in force is revoked first, the deaf are waited for once."""
    monkeypatch.setattr(globus, "REVOKE_SECONDS", 1.5)
    account = account_at(sandbox)
    finish(account, sandbox)
    store(listening, DEAD)
    content = json.loads(TokenFile().path.read_text())
    content["data"]["a program"] = {GATEWAY_RESOURCE_SERVER: content["data"][DEAD]}
    TokenFile().path.write_text(json.dumps(content))
    stored = TokenFile().load(sandbox.globus_auth_url).values()
    begun = time.monotonic()
    said = account.log_out(everywhere=True)
    assert time.monotonic() - begun < globus.REVOKE_ALL_SECONDS / 2
    assert listening in said
    assert DEAD in said
    assert sandbox.globus_auth_url not in said
    assert not any(sandbox.active(g.access_token.reveal()) for g in stored)
    assert json.loads(TokenFile().path.read_text())["data"] == {
        "a program": content["data"]["a program"]
    }


def test_a_refusal_is_of_one_login_at_one_gateway(sandbox: Sandbox) -> None:
    """An answer clears it, and so does a login, here or in another kernel."""
    account = account_at(sandbox)
    finish(account, sandbox)
    refusal = LoginExpired("ALCF asks for a fresh login.")
    refusal.fresh_login = True
    account.note_refusal(refusal)
    assert account.refused is refusal
    assert account.state() is None
    assert account.why() == refusal.what
    assert "prompt=login" in account.begin().authorize_url
    account.note_answer()
    assert account.refused is None
    account.note_refusal(refusal)
    log_in(sandbox, Path())  # another kernel
    assert account.refused is None
    account.note_refusal(refusal)
    finish(account, sandbox)
    assert account.refused is None
    assert account.logins == 2


def test_names_from_outside_reach_the_reader_clean(sandbox: Sandbox) -> None:
    """Whatever the gateway calls somebody: no control sequence, direction or lone surrogate."""
    evil = "al\x1b]0;own\x07ice\u202e\ud800\x9b\n@anl.gov"
    account = account_at(sandbox, username=evil, name=evil, idp_name=evil)
    said = finish(account, sandbox)
    assert "as al]0;ownice\ufffd @anl.gov" in said
    assert said.isprintable()
    status = account.status()
    assert all(value.isprintable() for row in status.rows for value in row)
    assert "al]0;ownice\ufffd @anl.gov" in repr(status)
    assert all(line.isprintable() for line in repr(status).splitlines())
    nameless = account_at(sandbox, username=7, name=["x"], idp_name=None)
    assert dict(nameless.status().rows)["logged in"] == "yes"


def test_a_status_shows_itself(sandbox: Sandbox) -> None:
    """As a table whose cells are escaped, without the extension."""
    page = LoginStatus((("logged in", "<b>alice</b>"),))._repr_html_()
    assert page.startswith("<table")
    assert "&lt;b&gt;alice&lt;/b&gt;" in page


def test_a_gateway_that_is_away_does_not_undo_a_login(sandbox: Sandbox) -> None:
    """What it says is told, and the login stands."""
    settings = settings_of(sandbox)

    def away() -> dict[str, object]:
        raise GatewayUnreachable("Nothing answers.", "Try again.")

    account = Account(lambda: settings, Credentials(lambda: settings), away)
    said = finish(account, sandbox)
    assert "Logged in as alice@anl.gov" in said
    assert "But the gateway says: Nothing answers. Try again." in said
    assert ("the gateway says", "Nothing answers. Try again.") in account.status().rows
    assert account.state() is not None


HOLDER = """
import sys
from alcf_magics.auth.token_file import TokenFile
with TokenFile().locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_who_waits_for_another_kernel_is_told_and_nobody_else(
    sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line comes to the login that waits; the wait ends as promised, the login is stored."""
    monkeypatch.setattr(locking, "TELL_SECONDS", 0.1)
    monkeypatch.setattr(locking, "WAIT_SECONDS", 0.5)
    shown: list[str] = []
    told, other = Told(shown.append), Told()
    account = account_at(sandbox)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        said = finish(account, sandbox, told=told)
        assert holder.poll() is None
        holder.communicate()
    assert "Logged in" in said
    assert "ot stored" not in said
    assert "waiting for another kernel" in shown[0]
    assert shown[-1] == ""
    assert other.waiting_for == ""
