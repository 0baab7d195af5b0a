"""One lock for all kernels of a home directory, on whatever file system that home is.

filelock does the locking. Around it stands what shared file systems need: where the kernel's own
lock is not supported (whatever error says so), a marker file; a marker that its node left behind
is broken after a stated age; no wait is without end; and without any lock the caller goes on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from ..told import SILENT, Told

#: Seconds to wait for another kernel. It holds the lock for one token request, which is given up
#: after 25 s, and for writing one small file.
WAIT_SECONDS = 30.0
#: A marker file of this age, in seconds by the file server's clock, belongs to nobody.
STALE_SECONDS = 60.0
#: Seconds between two looks at the age of a marker that is waited for: each writes a file.
LOOK_SECONDS = 5.0
#: Seconds of waiting after which the reader is told.
TELL_SECONDS = 1.0
POLL_SECONDS = 0.05

#: Nothing can be written here, so nothing needs to be locked either.
_NO_WRITING = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR}
)


@contextlib.contextmanager
def hold(path: Path, told: Told = SILENT, seconds: float | None = None) -> Iterator[bool]:
    """Hold the lock of `path` (a sidecar file is made beside it); yields whether it is held.

    `told` says what is waited for, at most for `seconds` (None: WAIT_SECONDS). Never raises for
    want of a lock.
    """
    with contextlib.ExitStack() as stack:
        yield _enter(stack, path, told, WAIT_SECONDS if seconds is None else seconds)


def _enter(stack: contextlib.ExitStack, path: Path, told: Told, seconds: float) -> bool:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _acquire(stack, _native(path.with_suffix(".lock")), told, seconds, lambda: None)
    except NotImplementedError:  # older filelock, for ENOSYS
        pass
    except OSError as error:
        if error.errno in _NO_WRITING:
            return False
    marker = path.with_suffix(".lock-marker")
    with contextlib.suppress(OSError):
        lock = filelock.SoftFileLock(marker, mode=0o600)
        return _acquire(stack, lock, told, seconds, lambda: _break_stale(marker))
    return False


def _native(path: Path) -> filelock.BaseFileLock:
    """The operating system's lock; without filelock's own turn to a marker, which warns."""
    try:
        return filelock.FileLock(path, mode=0o600, fallback_to_soft=False)
    except TypeError:  # older filelock has no such turn, or no such option
        return filelock.FileLock(path, mode=0o600)


def _acquire(
    stack: contextlib.ExitStack,
    lock: filelock.BaseFileLock,
    told: Told,
    seconds: float,
    break_stale: Callable[[], None],
) -> bool:
    """Wait for a lock, as long as a wait may be; `break_stale` is called now and then."""
    begun = time.monotonic()
    next_look = begun
    said = False
    try:
        while True:
            if time.monotonic() >= next_look:
                next_look += LOOK_SECONDS
                with contextlib.suppress(FileNotFoundError):  # another kernel was faster
                    break_stale()
            try:
                lock.acquire(blocking=False)
            except filelock.Timeout:
                waited = time.monotonic() - begun
                if waited >= seconds:
                    return False
                if not said and waited > TELL_SECONDS:
                    told.waiting(f"waiting for another kernel's login (at most {seconds:.0f} s)")
                    said = True
                time.sleep(POLL_SECONDS)
            else:
                stack.callback(_release, lock)
                return True
    finally:
        if said:
            told.waiting("")


def _release(lock: filelock.BaseFileLock) -> None:
    with contextlib.suppress(OSError):
        lock.release()


def _break_stale(marker: Path) -> None:
    """Take away a marker whose owner is gone, perhaps on another node.

    It is moved aside first: of several kernels that find it stale, one moves it, and what proves
    to be fresh is put back.
    """
    if not _is_stale(marker):
        return
    aside = marker.with_name(f"{marker.name}.{os.getpid()}-{time.monotonic_ns()}")
    marker.rename(aside)
    try:
        if not _is_stale(aside):
            with contextlib.suppress(FileExistsError):
                os.link(aside, marker)
    finally:
        aside.unlink()


def _is_stale(marker: Path) -> bool:
    """Too old, or of a future so far that a clock which is off does not explain it."""
    return abs(_age(marker)) >= STALE_SECONDS


def _age(marker: Path) -> float:
    """Seconds since a file was last written, by the file server's clock; 0 if it is not there."""
    try:
        written = marker.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    # This node's clock may differ from the server's: ask by writing something now.
    with tempfile.NamedTemporaryFile(dir=marker.parent, prefix=".clock-") as probe:
        return os.fstat(probe.fileno()).st_mtime - written
