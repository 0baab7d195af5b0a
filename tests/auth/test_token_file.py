"""The token file: the SDK's format, merged, atomic, private."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from globus_sdk.token_storage import JSONTokenStorage

from alcf_magics.auth import locking
from alcf_magics.auth.hidden import Secret
from alcf_magics.auth.token_file import IMPATIENT_SECONDS, Saved, TokenFile
from alcf_magics.auth.token_format import DEFAULT
from alcf_magics.settings import GATEWAY_RESOURCE_SERVER, PRODUCTION_GLOBUS_AUTH
from alcf_magics.told import SILENT, Told
from support.grants import grant
from support.tracebacks import locals_of

SANDBOX_AUTH = "http://127.0.0.1:5000"


def content(file: TokenFile) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(file.path.read_text())
    return whole


def test_it_stands_under_home_and_is_private(home: Path) -> None:
    """The path is the SDK's for our app name; only the owner may read it."""
    file = TokenFile()
    assert file.save((grant(),)).written
    client = "58fdd3bc-e1c3-4ce5-80ea-8d6b87cfb944"
    assert file.path == home / ".globus/app" / client / "alcf_magics/tokens.json"
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_the_globus_sdk_reads_it(home: Path) -> None:
    """The SDK's own storage loads what we write, our extra fields included."""
    TokenFile().save((grant(expires_at_seconds=123),))
    storage = JSONTokenStorage(str(TokenFile().path))
    data = storage.get_token_data_by_resource_server()[GATEWAY_RESOURCE_SERVER]
    assert (data.access_token, data.refresh_token) == ("old-token", "old-refresh")
    assert (data.expires_at_seconds, data.identity_id) == (123, "alice-id")
    assert data.extra["username"] == ""


def test_the_globus_sdk_reads_another_servers_login_by_its_address(home: Path) -> None:
    """Each server's grants are in a namespace of the SDK's, and it leaves the others whole."""
    file = TokenFile()
    file.save((grant(),))
    file.save((grant(auth_server=SANDBOX_AUTH, access_token=Secret("sand")),))
    before = content(file)["data"]
    storage = JSONTokenStorage(str(file.path), namespace=SANDBOX_AUTH)
    data = storage.get_token_data_by_resource_server()
    assert data[GATEWAY_RESOURCE_SERVER].access_token == "sand"
    storage.store_token_data_by_resource_server(data)
    assert content(file)["data"]["DEFAULT"] == before["DEFAULT"]
    assert set(before) == set(content(file)["data"]) == {"DEFAULT", SANDBOX_AUTH}
    assert file.load(SANDBOX_AUTH)[GATEWAY_RESOURCE_SERVER].auth_server == SANDBOX_AUTH


def test_what_another_sdk_program_stored_is_productions(home: Path) -> None:
    """DEFAULT is the namespace of the SDK, and of the server that it talks to."""
    file = TokenFile()
    file.save((grant(),))
    assert file.load()[GATEWAY_RESOURCE_SERVER].auth_server == PRODUCTION_GLOBUS_AUTH
    assert file.load(SANDBOX_AUTH) == {}


def test_foreign_grants_and_unknown_fields_survive(home: Path) -> None:
    """A rewrite keeps other resource servers of the same person, and what we do not know."""
    file = TokenFile()
    file.save((grant(), grant(resource_server="transfer", access_token=Secret("t"))))
    raw = content(file)
    raw["data"]["DEFAULT"]["transfer"]["note"] = "keep me"
    raw["data"]["DEFAULT"][GATEWAY_RESOURCE_SERVER]["note"] = "me too"
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


def test_a_login_changes_its_own_namespace_alone(home: Path) -> None:
    """Another server's login of another person neither replaces nor is replaced."""
    file = TokenFile()
    file.save((grant(auth_server=SANDBOX_AUTH, identity_id="sand"),))
    file.save((grant(), grant(resource_server="transfer")))
    before = content(file)["data"]
    assert file.save((grant(auth_server=SANDBOX_AUTH, identity_id="other-sand"),)).written
    assert content(file)["data"]["DEFAULT"] == before["DEFAULT"]
    assert file.save((grant(identity_id="bob-id"),)).written
    assert set(file.load()) == {GATEWAY_RESOURCE_SERVER}
    assert file.load(SANDBOX_AUTH)[GATEWAY_RESOURCE_SERVER].identity_id == "other-sand"
    assert set(file.servers()) == {PRODUCTION_GLOBUS_AUTH, SANDBOX_AUTH}


def test_removing_takes_the_namespaces_that_are_meant(home: Path) -> None:
    """An emptied namespace disappears, other servers' and other programs' stay."""
    file = TokenFile()
    file.save((grant(),))
    file.save((grant(auth_server=SANDBOX_AUTH),))
    raw = content(file)
    raw["data"]["a program"] = {GATEWAY_RESOURCE_SERVER: raw["data"]["DEFAULT"]}
    file.path.write_text(json.dumps(raw))
    assert file.remove([SANDBOX_AUTH]) == Saved(True)
    assert file.remove([SANDBOX_AUTH]) == Saved(False)
    assert set(content(file)["data"]) == {"DEFAULT", "a program"}
    assert file.remove(None).written
    assert content(file)["data"] == {"a program": raw["data"]["a program"]}


@pytest.mark.parametrize(
    "text",
    [
        '{"data": {"DEFAULT": {"68',
        "",
        "[]",
        "\x00\x01",
        '{"data": 3}',
        '{"data": [1, 2]}',
        '{"data": {"DEFAULT": [1]}}',
        '{"data": null}',
        "[" * 200_000,
    ],
    ids=lambda text: text[:30],
)
def test_half_a_file_is_no_login_and_is_not_lost(home: Path, text: str) -> None:
    """A broken file reads as no login; the next login keeps it under another name."""
    file = TokenFile()
    file.path.parent.mkdir(parents=True)
    file.path.write_text(text)
    assert file.load() == {}
    assert file.save((grant(),)).written
    assert file.load()[GATEWAY_RESOURCE_SERVER].access_token == Secret("old-token")
    (kept,) = file.path.parent.glob("tokens.broken-*.json")
    assert kept.read_text() == text
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


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
    """Whoever opened it or its folder, from now on only the owner reads it; said once."""
    told = Told()
    file = TokenFile()
    file.save((grant(),))
    file.path.chmod(0o644)
    file.path.parent.chmod(0o755)
    assert GATEWAY_RESOURCE_SERVER in file.load(told=told)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    file.path.parent.chmod(0o755)
    assert GATEWAY_RESOURCE_SERVER in file.load(told=told)
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    said = told.notices()
    assert len(said) == 2
    assert "readable by you alone" in said[0]
    assert "alcf_magics was open to others; it is now yours alone" in said[1]


def test_a_symbolic_link_is_refused_and_said(home: Path, tmp_path: Path) -> None:
    """A link is neither read nor written: it may lead anywhere."""
    told = Told()
    file = TokenFile()
    file.save((grant(),))
    elsewhere = home / "elsewhere.json"
    file.path.rename(elsewhere)
    file.path.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    assert file.load(told=told) == {}
    assert "symbolic link" in told.notices()[0]
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
    told = Told()
    file = TokenFile()
    file.path.parent.mkdir(parents=True)
    file.path.write_text('{"half')
    assert file.save((grant(),), told=told).written
    (kept,) = file.path.parent.glob("tokens.broken-*.json")
    assert any(kept.name in line for line in told.notices())


@pytest.mark.parametrize("where", ["os.fsync", "tempfile.mkstemp"])
def test_a_full_disk_leaves_the_old_file_whole(
    home: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """When the new file cannot be finished, the old one stays, and nothing half-written does."""
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


def stored_with(file: TokenFile, **entries: object) -> None:
    """A stored login of Alice's, with other entries beside it."""
    file.save((grant(),))
    raw = content(file)
    raw["data"][DEFAULT].update(entries)
    file.path.write_text(json.dumps(raw))


ODD: dict[str, object] = {
    "nobody": {"resource_server": "nobody", "access_token": "t", "expires_at_seconds": 9},
    "carol": {
        "resource_server": "carol",
        "identity_id": "carol-id",
        "access_token": "t",
        "expires_at_seconds": 9,
    },
    "text": "not an entry",
    "number token": {"resource_server": "number token", "refresh_token": 5, "access_token": 5},
    "list identity": {
        "resource_server": "list identity",
        "identity_id": ["a"],
        "access_token": "t",
        "expires_at_seconds": 9,
    },
    "list server": {
        "resource_server": "list server",
        "auth_server": ["x"],
        "access_token": "t",
        "refresh_token": "r",
        "expires_at_seconds": 9,
    },
    "elsewhere": {
        "resource_server": GATEWAY_RESOURCE_SERVER,
        "access_token": "t",
        "expires_at_seconds": 9,
    },
    "surrogate": {"refresh_token": "\udcff", "access_token": "t"},
    "far": {"resource_server": "far", "access_token": "t", "expires_at_seconds": 10**400},
}


@pytest.mark.parametrize("login", [True, False])
def test_a_save_of_the_same_person_keeps_every_other_entry(home: Path, login: bool) -> None:
    """Entries of nobody, of others, and such that cannot be understood are not ours to drop."""
    file = TokenFile()
    stored_with(file, **ODD)
    assert file.save((grant(access_token=Secret("new")),), login=login).written
    entries = content(file)["data"][DEFAULT]
    assert {name: entries[name] for name in ODD} == ODD
    assert set(file.load()) == {GATEWAY_RESOURCE_SERVER, "nobody", "carol"}


def test_a_refresh_drops_nothing(home: Path) -> None:
    """Whoever is in the file: only a login may take entries away."""
    file = TokenFile()
    stored_with(file, **ODD)
    assert file.save((grant(identity_id="dave-id"),), login=False).written
    assert ODD.items() <= content(file)["data"][DEFAULT].items()


@pytest.mark.parametrize("replaced", [True, False])
def test_a_login_of_another_person_keeps_what_is_nobodys(home: Path, replaced: bool) -> None:
    """Bob's login takes Alice's and Carol's entries away, and leaves those without identity."""
    file = TokenFile()
    stored_with(file, **ODD)
    if not replaced:
        raw = content(file)
        del raw["data"][DEFAULT][GATEWAY_RESOURCE_SERVER]
        file.path.write_text(json.dumps(raw))
    assert file.save((grant(identity_id="bob-id"),)).written
    entries = content(file)["data"][DEFAULT]
    assert set(entries) == {GATEWAY_RESOURCE_SERVER, *ODD} - {"carol"}
    assert {e["identity_id"] for e in file_entries(entries)} == {"bob-id"}


def file_entries(entries: dict[str, dict[str, object]]) -> list[dict[str, object]]:
    """The entries in which the SDK would find an identity."""
    return [
        e for e in entries.values() if isinstance(e, dict) and isinstance(e.get("identity_id"), str)
    ]


@pytest.mark.parametrize("token", ["", "tök", "two words", "a\nb", 7])
def test_an_entry_whose_token_cannot_be_sent_is_no_grant(home: Path, token: object) -> None:
    """An empty or unprintable token is as good as none."""
    file = TokenFile()
    entry = {"resource_server": "odd", "access_token": token, "expires_at_seconds": 9}
    stored_with(file, odd=entry)
    assert set(file.load()) == {GATEWAY_RESOURCE_SERVER}


@pytest.mark.parametrize("number", ["ESTALE", "EIO", "EACCES"])
def test_a_file_that_cannot_be_read_just_now_stays_as_it_is(
    home: Path, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    """A read that fails is no empty file: nothing is written over what it may hold."""
    told = Told()
    file = TokenFile()
    stored_with(file, **ODD)
    before = file.path.read_bytes()

    def fail(self: Path) -> bytes:
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fail)
        saved = file.save((grant(access_token=Secret("new")),), told=told)
        assert file.remove(None, told) == saved
        assert file.load(told=told) == {}
        assert file.snapshot().signature is None
    assert not saved.written
    assert "cannot be read" in saved.reason
    assert len(told.notices()) == 1
    assert file.path.read_bytes() == before


def test_a_read_that_fails_once_is_tried_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file server that has just moved the file finds it the second time."""
    file = TokenFile()
    file.save((grant(),))
    real, failures = Path.read_bytes, [OSError(errno.ESTALE, "Stale file handle")]

    def flaky(self: Path) -> bytes:
        if failures:
            raise failures.pop()
        return real(self)

    monkeypatch.setattr(Path, "read_bytes", flaky)
    assert GATEWAY_RESOURCE_SERVER in file.load()


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_gets_whole_after_it_was_judged_is_put_back(
    home: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Only the bytes that were judged are moved aside: what the SDK finished meanwhile stays."""

    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr("os.link", no_links)
    file = TokenFile()
    stored_with(file, **ODD)
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:80])
    real = tempfile.mkstemp

    def late(*arguments: Any, **options: Any) -> object:
        file.path.write_bytes(whole)
        return real(*arguments, **options)

    monkeypatch.setattr("tempfile.mkstemp", late)
    saved = file.save((grant(access_token=Secret("new")),))
    assert not saved.written
    assert "another program" in saved.reason
    assert file.path.read_bytes() == whole
    assert not list(file.path.parent.glob("*broken*"))


def test_broken_files_are_kept_side_by_side(home: Path) -> None:
    """Two that are moved aside within one second both stay."""
    file = TokenFile()
    file.path.parent.mkdir(parents=True)
    for text in ("{1", "{2", "{3"):
        file.path.write_text(text)
        assert file.save((grant(),)).written
    kept = file.path.parent.glob("tokens.broken-*.json")
    assert sorted(path.read_text() for path in kept) == ["{1", "{2", "{3"]


def test_removing_takes_the_file_only_when_nothing_else_is_in_it(home: Path) -> None:
    """Unknown fields and other namespaces outlive a logout; an empty file of ours does not."""
    file = TokenFile()
    changes: tuple[Mapping[str, Any], ...] = ({"theirs": 1}, {"data": {"OTHER": {"x": {}}}})
    for change in changes:
        file.save((grant(),))
        raw: dict[str, object] = json.loads(file.path.read_text())
        entries = content(file)["data"][DEFAULT]
        raw.update(json.loads(json.dumps(change)))
        raw["data"] = {DEFAULT: entries, **change.get("data", {})}
        file.path.write_text(json.dumps(raw))
        assert file.remove(None).written
        assert file.load() == {}
        left = json.loads(file.path.read_text())
        assert all(change[name] == left[name] for name in change)
        file.path.unlink()
    file.save((grant(),))
    assert file.remove(None).written
    assert not file.path.exists()


def test_a_removal_that_cannot_be_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a read-only home nothing is raised: the reason is one line."""
    file = TokenFile()
    file.save((grant(),))

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", fail)
    saved = file.remove(None)
    assert not saved.written
    assert saved.reason.endswith("cannot be removed (Read-only file system)")
    file.path.write_text("{")
    assert "cannot be understood" in file.remove(None).reason


@pytest.mark.parametrize("call", ["save", "remove", "load"])
@pytest.mark.parametrize(
    "where", ["os.fsync", "pathlib.Path.replace", "json.decoder.JSONDecoder.raw_decode"]
)
def test_an_interrupt_shows_no_token_in_a_verbose_traceback(
    home: Path, monkeypatch: pytest.MonkeyPatch, call: str, where: str
) -> None:
    """Whatever is interrupted: no local of any frame shows a token, nor stays a file behind."""
    file = TokenFile()
    other = {"resource_server": "other", "access_token": "other-token", "refresh_token": "other-r"}
    stored_with(file, other=other, text="loose-token")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    calls: dict[str, Callable[[], object]] = {
        "save": lambda: file.save((grant(access_token=Secret("new-token")),)),
        "remove": lambda: file.remove(None),
        "load": file.load,
    }
    raised = call != "load" or "json" in where
    with monkeypatch.context() as patch:
        patch.setattr(where, interrupted)
        with pytest.raises(KeyboardInterrupt) if raised else contextlib.nullcontext() as caught:
            calls[call]()
    assert not list(file.path.parent.glob(".tokens-*"))
    if caught is not None:
        shown = locals_of(caught.value)
        assert "token_file.py" in shown
        tokens = ("new-token", "old-token", "old-refresh", "other-token", "other-r", "loose-token")
        assert not [token for token in tokens if token in shown]


def test_a_signature_changes_with_the_file(home: Path) -> None:
    """It is cheap to ask, the same while nothing happens, and another one after a save."""
    file = TokenFile()
    assert file.signature() == ()
    file.save((grant(),))
    first = file.signature()
    assert first == file.snapshot().signature
    file.save((grant(),))
    assert file.signature() != first


OLD_FORM = {
    "globus-sdk.version": "4.9.1",
    "format_version": "2.0",
    "data": {
        "DEFAULT": {
            GATEWAY_RESOURCE_SERVER: {
                "resource_server": GATEWAY_RESOURCE_SERVER,
                "identity_id": "sand-id",
                "scope": "x",
                "access_token": "sand",
                "refresh_token": "sand-refresh",
                "expires_at_seconds": 99,
                "token_type": "Bearer",
                "auth_server": SANDBOX_AUTH,
                "username": "sand@box",
                "issued_at_seconds": 7,
            },
            "transfer": {"resource_server": "transfer", "access_token": "t", "note": 1},
        },
        "a program": {"x": {"y": 1}},
    },
    "alcf_magics.auth_servers": {"8ab4ba9b69b5fc5b": SANDBOX_AUTH},
    "theirs": [1],
}


def test_a_file_of_the_older_form_reads_right_and_is_taken_over_with_the_next_write(
    home: Path,
) -> None:
    """Reading changes nothing; a write moves each grant to the namespace of its server."""
    file = TokenFile()
    file.path.parent.mkdir(parents=True, mode=0o700)
    file.path.write_text(json.dumps(OLD_FORM))
    file.path.chmod(0o600)
    assert file.load() == {}
    found = file.load(SANDBOX_AUTH)[GATEWAY_RESOURCE_SERVER]
    assert (found.access_token, found.username) == (Secret("sand"), "sand@box")
    assert json.loads(file.path.read_text()) == OLD_FORM
    assert file.save((grant(),)).written
    new = json.loads(file.path.read_text())
    assert new.keys() == OLD_FORM.keys() - {"alcf_magics.auth_servers"}
    assert new["theirs"] == [1]
    data = OLD_FORM["data"]
    assert isinstance(data, dict)
    assert new["data"]["a program"] == data["a program"]
    assert new["data"]["DEFAULT"]["transfer"] == data["DEFAULT"]["transfer"]
    moved = data["DEFAULT"][GATEWAY_RESOURCE_SERVER]
    del moved["auth_server"]
    assert new["data"][SANDBOX_AUTH] == {GATEWAY_RESOURCE_SERVER: moved}
    assert file.load(SANDBOX_AUTH)[GATEWAY_RESOURCE_SERVER] == found


def test_a_notice_waits_for_somebody_who_listens(home: Path) -> None:
    """A reader to whom nothing can be told does not use it up; then it is told once."""
    file = TokenFile()
    file.save((grant(),))
    file.path.chmod(0o644)
    one, other = Told(), Told()
    file.load()
    file.load(told=SILENT)
    file.tell(one)
    file.load(told=other)
    assert "readable by you alone" in one.notices()[0]
    assert other.notices() == []
    file.path.write_text("{")
    file.load(told=one)
    file.load(told=other)
    assert len(one.notices()) == 1
    assert other.notices() == []


def test_a_chmod_without_effect_leaves_the_login_in_memory(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that others can read, and that cannot be closed, is neither read nor written."""
    file, told = TokenFile(), Told()
    file.save((grant(),))
    file.path.chmod(0o644)
    before = file.path.read_bytes()
    monkeypatch.setattr(Path, "chmod", lambda *_, **__: None)
    assert file.load(told=told) == {}
    saved = file.save((grant(),), told=told)
    assert not saved.written
    assert "open to others" in saved.reason
    (said,) = told.notices()
    assert "open to others" in said
    assert "now readable by you alone" not in said
    assert file.path.read_bytes() == before


def test_a_file_system_without_permissions_gets_no_tokens(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where even a new file is open to others, no byte of a token is written."""
    real = tempfile.mkstemp

    def opened(*arguments: object, **options: object) -> tuple[int, str]:
        handle, name = real(*arguments, **options)  # type: ignore[call-overload]
        os.fchmod(handle, 0o777)
        return handle, name

    monkeypatch.setattr(tempfile, "mkstemp", opened)
    saved = TokenFile().save((grant(),))
    assert not saved.written
    assert "others could read it" in saved.reason
    assert [path.name for path in TokenFile().path.parent.iterdir()] == ["tokens.lock"]


@pytest.mark.parametrize("kind", ["fifo", "directory", "3 GB"])
def test_what_is_no_token_file_is_neither_read_nor_waited_for(home: Path, kind: str) -> None:
    """A pipe has no end, gigabytes have no tokens: said, left alone, and at once."""
    file, told = TokenFile(), Told()
    file.path.parent.mkdir(parents=True)
    if kind == "fifo":
        os.mkfifo(file.path, 0o600)
    elif kind == "directory":
        file.path.mkdir(mode=0o700)
    else:
        with file.path.open("wb") as handle:
            handle.truncate(3_000_000_000)
        file.path.chmod(0o600)
    before = file.path.stat()
    assert file.load(told=told) == {}
    assert not file.save((grant(),)).written
    assert not file.remove(None).written
    (said,) = [line for line in told.notices() if "not used" in line]
    assert str(file.path) in said
    assert file.path.stat().st_ino == before.st_ino


@pytest.mark.parametrize("value", ["", "relative/home", "."])
def test_a_home_that_is_no_place_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """Neither the root of all files nor the working folder is anybody's home."""
    monkeypatch.setenv("HOME", value)
    monkeypatch.chdir(home)
    file = TokenFile()
    saved = file.save((grant(),))
    assert not saved.written
    assert "HOME" in saved.reason
    assert file.load() == {}
    assert file.remove(None) == Saved(False)
    assert list(home.iterdir()) == []
    assert not Path("/.globus").exists()


def test_a_lock_that_is_held_for_ever_is_waited_for_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was told of one wait has one, however often the file is locked after that."""
    waits: list[float | None] = []

    @contextlib.contextmanager
    def held(path: Path, told: Told, seconds: float | None) -> Iterator[bool]:
        waits.append(seconds)
        later = time.monotonic() + 30
        monkeypatch.setattr("time.monotonic", lambda: later)
        yield False

    monkeypatch.setattr(locking, "hold", held)
    file = TokenFile()
    assert all(file.save((grant(),)).written for _ in range(3))
    assert waits == [None, IMPATIENT_SECONDS, IMPATIENT_SECONDS]
