"""The token file: the SDK's format, merged, atomic, private."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path

import pytest
from globus_sdk.token_storage import JSONTokenStorage
from test_globus import grant

from alcf_magics.grants import Secret
from alcf_magics.settings import GATEWAY_RESOURCE_SERVER, PRODUCTION_GLOBUS_AUTH
from alcf_magics.token_file import TokenFile

SANDBOX_AUTH = "http://127.0.0.1:5000"


def content(file: TokenFile) -> dict[str, dict[str, dict[str, dict[str, object]]]]:
    return json.loads(file.path.read_text())


def test_it_stands_under_home_and_is_private(home: Path) -> None:
    """The path is the SDK's for our app name; only the owner may read it."""
    file = TokenFile()
    assert file.save((grant(),)).written
    client = "58fdd3bc-e1c3-4ce5-80ea-8d6b87cfb944"
    assert file.path == home / ".globus/app" / client / "alcf_magics/tokens.json"
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_the_globus_sdk_reads_it(home: Path) -> None:
    """The SDK's own storage loads what we write, our extra field included."""
    TokenFile().save((grant(expires_at_seconds=123),))
    storage = JSONTokenStorage(str(TokenFile().path))
    data = storage.get_token_data_by_resource_server()[GATEWAY_RESOURCE_SERVER]
    assert (data.access_token, data.refresh_token) == ("old-token", "old-refresh")
    assert (data.expires_at_seconds, data.identity_id) == (123, "alice-id")
    assert data.extra["auth_server"] == PRODUCTION_GLOBUS_AUTH


def test_what_the_sdk_writes_back_keeps_its_server(home: Path) -> None:
    """The SDK drops our field; the server is still known by the refresh token."""
    file = TokenFile()
    file.save((grant(auth_server=SANDBOX_AUTH),))
    storage = JSONTokenStorage(str(file.path))
    storage.store_token_data_by_resource_server(storage.get_token_data_by_resource_server())
    assert "auth_server" not in content(file)["data"]["DEFAULT"][GATEWAY_RESOURCE_SERVER]
    assert file.load()[GATEWAY_RESOURCE_SERVER].auth_server == SANDBOX_AUTH


def test_a_grant_without_a_server_is_productions(home: Path) -> None:
    """What another SDK program logged in for is a production grant."""
    file = TokenFile()
    file.save((grant(),))
    raw = content(file)
    del raw["data"]["DEFAULT"][GATEWAY_RESOURCE_SERVER]["auth_server"]
    raw.pop("alcf_magics.auth_servers")
    file.path.write_text(json.dumps(raw))
    assert file.load()[GATEWAY_RESOURCE_SERVER].auth_server == PRODUCTION_GLOBUS_AUTH


def test_foreign_grants_and_unknown_fields_survive(home: Path) -> None:
    """A rewrite keeps other resource servers of the same person, and what we do not know."""
    file = TokenFile()
    file.save((grant(), grant(resource_server="transfer", access_token=Secret("t"))))
    raw = content(file)
    raw["data"]["DEFAULT"]["transfer"]["note"] = "keep me"  # type: ignore[assignment]
    raw["data"]["DEFAULT"][GATEWAY_RESOURCE_SERVER]["note"] = "me too"  # type: ignore[assignment]
    raw["data"]["OTHER"] = {"x": {"y": 1}}
    raw["unknown"] = {}
    file.path.write_text(json.dumps(raw))
    file.save((file.load()[GATEWAY_RESOURCE_SERVER],))
    after = content(file)
    assert after["data"]["DEFAULT"]["transfer"] == raw["data"]["DEFAULT"]["transfer"]
    assert after["data"]["DEFAULT"][GATEWAY_RESOURCE_SERVER]["note"] == "me too"
    assert after["data"]["OTHER"] == {"x": {"y": 1}}
    assert after["unknown"] == {}


def test_another_persons_login_replaces_all_grants(home: Path) -> None:
    """Two identities in one file would break the SDK."""
    file = TokenFile()
    file.save((grant(), grant(resource_server="transfer")))
    file.save((grant(identity_id="bob-id"),))
    assert set(file.load()) == {GATEWAY_RESOURCE_SERVER}


def test_a_sandbox_never_replaces_a_real_login_and_a_real_one_does(home: Path) -> None:
    """Another server's login leaves the file as it is; production takes a leftover's place."""
    file = TokenFile()
    file.save((grant(auth_server=SANDBOX_AUTH, identity_id="sand"),))
    assert file.save((grant(),)).written
    before = file.path.read_bytes()
    saved = file.save((grant(auth_server=SANDBOX_AUTH, identity_id="sand"),))
    assert not saved.written
    assert file.path.read_bytes() == before
    assert not file.remove(SANDBOX_AUTH)
    assert file.path.read_bytes() == before


@pytest.mark.parametrize("text", ['{"data": {"DEFAULT": {"68', "", "[]", "\x00\x01", '{"data": 3}'])
def test_half_a_file_is_no_login_and_is_not_lost(home: Path, text: str) -> None:
    """A broken file reads as no login; the next login keeps it under another name."""
    file = TokenFile()
    file.path.parent.mkdir(parents=True)
    file.path.write_text(text)
    assert file.load() == {}
    assert file.save((grant(),)).written
    assert file.load()[GATEWAY_RESOURCE_SERVER].access_token == Secret("old-token")
    if not text.startswith(("[", '{"data": 3')):
        (kept,) = file.path.parent.glob("tokens.broken-*.json")
        assert kept.read_text() == text


def test_a_reader_waits_out_a_writer_that_writes_in_place(home: Path) -> None:
    """A file that is half-written for a moment is read when it is whole."""
    import threading

    file = TokenFile()
    file.save((grant(),))
    whole = file.path.read_text()
    file.path.write_text(whole[:50])
    timer = threading.Timer(0.05, lambda: file.path.write_text(whole))
    timer.start()
    assert GATEWAY_RESOURCE_SERVER in file.load()
    timer.join()


def test_a_home_that_cannot_be_written_is_said(home: Path) -> None:
    """The grant then lives in the kernel; the reason is one line."""
    (home / ".globus").write_text("a file where the folder should be")
    saved = TokenFile().save((grant(),))
    assert not saved.written
    assert "cannot be written" in saved.reason


def test_no_temporary_file_stays_behind(home: Path) -> None:
    """After a save there are the file and its lock, nothing else."""
    file = TokenFile()
    file.save((grant(expires_at_seconds=int(time.time())),))
    assert {path.name for path in file.path.parent.iterdir()} <= {"tokens.json", "tokens.lock"}


def test_a_file_that_is_open_to_others_is_tightened_and_said(home: Path) -> None:
    """Whoever opened it, from now on only the owner reads it."""
    said: list[str] = []
    file = TokenFile(tell=said.append)
    file.save((grant(),))
    file.path.chmod(0o644)
    file.path.parent.chmod(0o755)
    assert GATEWAY_RESOURCE_SERVER in file.load()
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert len(said) == 1
    assert "readable by you alone" in said[0]
    file.save((grant(),))
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_a_symbolic_link_is_refused_and_said(home: Path, tmp_path: Path) -> None:
    """A link is neither read nor written: it may lead anywhere."""
    said: list[str] = []
    file = TokenFile(tell=said.append)
    file.save((grant(),))
    elsewhere = home / "elsewhere.json"
    file.path.rename(elsewhere)
    file.path.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    assert file.load() == {}
    assert "symbolic link" in said[0]
    saved = file.save((grant(expires_at_seconds=5),))
    assert not saved.written
    assert "symbolic link" in saved.reason
    assert elsewhere.read_bytes() == before


def test_a_file_of_another_owner_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's file may be a trap."""
    file = TokenFile()
    file.save((grant(),))
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    assert file.load() == {}
    assert "another user" in file.save((grant(),)).reason


def test_a_broken_file_is_said_to_be_kept(home: Path) -> None:
    """The line names the file under which the broken one is kept."""
    said: list[str] = []
    file = TokenFile(tell=said.append)
    file.path.parent.mkdir(parents=True)
    file.path.write_text('{"half')
    assert file.save((grant(),)).written
    (kept,) = file.path.parent.glob("tokens.broken-*.json")
    assert any(kept.name in line for line in said)


@pytest.mark.parametrize("where", ["os.fsync", "tempfile.mkstemp"])
def test_a_full_disk_leaves_the_old_file_whole(
    home: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """When the new file cannot be finished, the old one stays, and nothing half-written does."""
    import errno

    file = TokenFile()
    file.save((grant(),))
    before = file.path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(where, full)
    saved = file.save((grant(expires_at_seconds=99),))
    assert not saved.written
    assert "No space left" in saved.reason
    assert file.path.read_bytes() == before
    assert not list(file.path.parent.glob(".tokens-*"))


def test_the_new_file_is_private_from_its_first_byte(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the moment of fsync, with everything written, the mode is 0600 whatever the umask."""
    import os

    modes: list[int] = []
    real = os.fsync

    def noting(handle: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(handle).st_mode))
        real(handle)

    monkeypatch.setattr("os.fsync", noting)
    old = os.umask(0)
    try:
        TokenFile().save((grant(),))
    finally:
        os.umask(old)
    assert modes == [0o600]
    assert stat.S_IMODE(TokenFile().path.stat().st_mode) == 0o600
