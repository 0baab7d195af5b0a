"""The lock of the token file, on file systems of every kind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import filelock
import pytest

from alcf_magics.auth import locking
from alcf_magics.auth.locking import hold
from alcf_magics.told import Told

HOLDER = """
import sys, time
from pathlib import Path
from alcf_magics.auth.locking import hold
with hold(Path(sys.argv[1])) as held:
    print(held, flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(path: Path, seconds: float) -> subprocess.Popen[str]:
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline().strip() == "True"
    return process


def broken_flock(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Make the operating system's lock fail as some file systems let it."""

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock.FileLock, "_acquire", fail)


def test_two_processes_exclude_each_other(tmp_path: Path) -> None:
    """The second waits for the first, and says that it waits."""
    path = tmp_path / "tokens.json"
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locking, "TELL_SECONDS", 0.1)
        with holder(path, 0.6):
            begun = time.monotonic()
            with hold(path, Told(said.append)) as held:
                assert held
                assert time.monotonic() - begun > 0.3
    assert "waiting for another kernel" in said[0]
    assert said[-1] == ""


def test_a_wait_ends_and_the_caller_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that is never given back is waited for as long as is said, not for ever."""
    monkeypatch.setattr(locking, "WAIT_SECONDS", 0.3)
    with holder(tmp_path / "t.json", 30) as other:
        with hold(tmp_path / "t.json") as held:
            assert not held
        other.kill()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EIO])
def test_without_a_working_lock_a_marker_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Whatever error says that there is no lock: a marker excludes, and nothing is warned of."""
    broken_flock(monkeypatch, number)
    path = tmp_path / "t.json"
    order: list[str] = []

    def other() -> None:
        with hold(path) as held:
            order.append(f"other {held}")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with hold(path) as held:
            assert held
            thread = threading.Thread(target=other)
            thread.start()
            time.sleep(0.2)
            order.append("first")
        thread.join(5)
    assert order == ["first", "other True"]
    assert not path.with_suffix(".lock-marker").exists()


def test_a_marker_of_another_node_goes_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A marker that another node left is broken after its age, and not before."""
    broken_flock(monkeypatch, errno.ENOSYS)
    monkeypatch.setattr(locking, "WAIT_SECONDS", 0.3)
    path = tmp_path / "t.json"
    marker = path.with_suffix(".lock-marker")
    marker.write_text("4242\nanother-node\n")
    with hold(path) as held:
        assert not held
    assert marker.exists()
    old = time.time() - locking.STALE_SECONDS - 5
    os.utime(marker, (old, old))
    with hold(path) as held:
        assert held
    assert [p.name for p in tmp_path.iterdir() if "marker" in p.name] == []


def test_a_marker_that_goes_stale_while_it_is_waited_for_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its age is looked at again and again, not only when the wait begins."""
    broken_flock(monkeypatch, errno.ENOSYS)
    monkeypatch.setattr(locking, "WAIT_SECONDS", 5.0)
    monkeypatch.setattr(locking, "LOOK_SECONDS", 0.1)
    marker = (tmp_path / "t.json").with_suffix(".lock-marker")
    marker.write_text("4242\nanother-node\n")
    nearly = time.time() - locking.STALE_SECONDS + 0.5
    os.utime(marker, (nearly, nearly))
    with hold(tmp_path / "t.json") as held:
        assert held
        assert time.time() >= nearly + locking.STALE_SECONDS


@pytest.mark.parametrize(("ahead", "broken"), [(7200, True), (20, False)])
def test_a_marker_of_the_far_future_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int, broken: bool
) -> None:
    """A clock that is off by seconds is believed; a marker of in two hours would never age."""
    broken_flock(monkeypatch, errno.ENOSYS)
    monkeypatch.setattr(locking, "WAIT_SECONDS", 0.2)
    marker = (tmp_path / "t.json").with_suffix(".lock-marker")
    marker.write_text("4242\nanother-node\n")
    os.utime(marker, (time.time() + ahead,) * 2)
    with hold(tmp_path / "t.json") as held:
        assert held == broken


def test_a_fresh_marker_that_was_moved_aside_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When another kernel was faster, its new marker stays."""
    marker = tmp_path / "t.lock-marker"
    marker.write_text("fresh")
    ages = iter([locking.STALE_SECONDS + 1, 0.0])
    monkeypatch.setattr(locking, "_age", lambda path: next(ages))
    locking._break_stale(marker)
    assert marker.read_text() == "fresh"
    assert list(tmp_path.iterdir()) == [marker]


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_where_nothing_can_be_written_nothing_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A read-only home or a full disk needs no lock, and no time."""
    broken_flock(monkeypatch, number)
    begun = time.monotonic()
    with hold(tmp_path / "t.json") as held:
        assert not held
    assert time.monotonic() - begun < locking.WAIT_SECONDS / 10


def test_an_exception_gives_the_lock_back(tmp_path: Path) -> None:
    """The lock does not outlive what it was for."""
    with pytest.raises(KeyError), hold(tmp_path / "t.json"):
        raise KeyError
    with hold(tmp_path / "t.json") as held:
        assert held
