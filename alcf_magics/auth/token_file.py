"""The token file: grants on disk, in the Globus SDK's format, shared by all kernels.

Written under a lock: read again, merged, put in place with `os.replace`. Each auth server's grants
are in a namespace of their own (see `token_format`), so that logins live side by side.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..settings import PRODUCTION_GLOBUS_AUTH
from ..told import SILENT, Silent, Told
from . import token_format
from .grants import Grant
from .hidden import Hidden, dumped
from .places import home, own_path
from .token_reading import Found, State, look, why

#: Waits before reading a file again that was half-written: the SDK writes in place.
RETRIES = (0.02, 0.1)
#: A temporary file of this age, in seconds, is nobody's any more.
LEFTOVER_SECONDS = 3600.0
#: Seconds for which a lock that was waited for in vain is waited for no longer than this.
GIVEN_UP_SECONDS = 120.0
IMPATIENT_SECONDS = 0.5

#: Tells whether a file has changed: when it was written, its length, its inode; `()` for no file.
Signature = tuple[int, ...]


@dataclass(frozen=True)
class Saved:
    """Whether the file was changed, and if not, why (one line for the reader).

    Not written and no reason: there was nothing to change.
    """

    written: bool
    reason: str = ""


@dataclass(frozen=True)
class Snapshot:
    """One server's grants in the file, and the file's signature then: None if it was not read.

    `known` says whether no grant means that there is none: of a broken file nobody knows.
    """

    grants: Mapping[str, Grant]
    signature: Signature | None
    known: bool


class _Notices:
    """What a reader should know of the file: each line once a file, kept until somebody listens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[tuple[Path, str]] = set()
        self._unheard: list[str] = []

    def note(self, path: Path, line: str) -> None:
        with self._lock:
            if (path, line) not in self._known:
                self._known.add((path, line))
                self._unheard.append(line)

    def tell(self, told: Told) -> None:
        if isinstance(told, Silent):
            return
        with self._lock:
            lines, self._unheard = self._unheard, []
        for line in lines:
            told.notice(line)


class TokenFile:
    """Grants of every auth server, in one file. Reads are cheap and never need the lock.

    Whoever calls hands down who is told: that a file was moved aside, that its mode was tightened,
    or why it is not used (a line each, once, to the first who listens); and what is waited for.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._notices = _Notices()
        self._thread_lock = threading.RLock()
        self._depth = 0
        self._given_up = -math.inf

    @property
    def path(self) -> Path:
        return self._path or own_path()

    @property
    def no_place(self) -> str:
        """Why there is no place for the file; empty if there is one."""
        if self._path or home():
            return ""
        return "there is no home directory (HOME is empty, or no absolute path)"

    def load(self, server: str = PRODUCTION_GLOBUS_AUTH, told: Told = SILENT) -> dict[str, Grant]:
        """An auth server's grants, by resource server.

        None where the file is missing, refused or cannot be understood.
        """
        return token_format.grants_in(self._read(told).content, server)

    def servers(self, told: Told = SILENT) -> tuple[str, ...]:
        """The auth servers of which there are grants."""
        return token_format.servers_in(self._read(told).content)

    def signature(self) -> Signature:
        """Cheap to ask, and another one once the file has changed."""
        try:
            status = self.path.lstat()
        except OSError:
            return ()
        return (status.st_mtime_ns, status.st_size, status.st_ino)

    def snapshot(self, server: str = PRODUCTION_GLOBUS_AUTH, told: Told = SILENT) -> Snapshot:
        """An auth server's grants, with the file's signature from before they were read."""
        signature = self.signature()
        found = self._read(told)
        return Snapshot(
            token_format.grants_in(found.content, server),
            None if found.state is State.UNREADABLE else signature,
            found.state in (State.MISSING, State.UNDERSTOOD),
        )

    def note(self, line: str, told: Told = SILENT) -> None:
        """Tell a reader something about the file, once; if this one does not listen, the next."""
        self._notices.note(self.path, line)
        self.tell(told)

    def tell(self, told: Told) -> None:
        """Tell what nobody has heard yet."""
        self._notices.tell(told)

    @contextlib.contextmanager
    def locked(self, told: Told = SILENT) -> Iterator[None]:
        """Hold the file against other threads and kernels; without a working lock, go on.

        An atomic replace keeps the file whole even then; only a merge may be lost. A lock that was
        waited for in vain is hardly waited for again soon: who is told of one wait has one.
        """
        with self._thread_lock, contextlib.ExitStack() as stack:
            # A lock file is held by its handle: taking it twice would wait for ourselves.
            if self._depth == 0:
                self._hold(stack, told)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    def _hold(self, stack: contextlib.ExitStack, told: Told) -> None:
        from . import locking

        begun = time.monotonic()
        patient = begun - self._given_up >= GIVEN_UP_SECONDS
        seconds = None if patient else IMPATIENT_SECONDS
        if stack.enter_context(locking.hold(self.path, told, seconds)):
            self._given_up = -math.inf
        elif time.monotonic() - begun >= IMPATIENT_SECONDS:
            self._given_up = time.monotonic()

    def save(self, grants: tuple[Grant, ...], *, login: bool = True, told: Told = SILENT) -> Saved:
        """Merge one auth server's grants into the file: of a login or, without `login`, a refresh.

        A login of another person takes the place of the stored person's, in the namespace of its
        auth server; other servers' logins stay as they are.
        """
        return self._change(
            lambda content: token_format.with_grants(content, grants, login=login), told
        )

    def remove(self, servers: Collection[str] | None, told: Told = SILENT) -> Saved:
        """Take out every grant that these auth servers minted (None: any). Never raises."""
        with self.locked(told):
            found = self._read(told)
            if found.reason:
                return Saved(False, found.reason)
            there = token_format.servers_in(found.content)
            gone = [server for server in there if servers is None or server in servers]
            if not gone:
                return Saved(False)
            content = token_format.without_servers(found.content, gone)
            if not token_format.is_empty(content):
                return self._write(content)
            try:
                self.path.unlink(missing_ok=True)
            except OSError as error:
                return Saved(False, f"{self.path} cannot be removed ({why(error)})")
            return Saved(True)

    def _change(self, change: Callable[[Hidden], Hidden], told: Told) -> Saved:
        if self.no_place:
            return Saved(False, self.no_place)
        with self.locked(told):
            found = self._read(told)
            if found.state is State.UNREADABLE:
                return Saved(False, found.reason)
            if reason := self._set_aside(found, told):
                return Saved(False, reason)
            return self._write(change(found.content))

    def _refusal(self, told: Told) -> str:
        """Why the file must be neither read nor written; empty if it may be.

        A link may lead out of the home, and another's file may be a trap: either would hand out
        or take in tokens where nobody looks.
        """
        try:
            status = self.path.lstat()
        except OSError:
            return ""
        if stat.S_ISLNK(status.st_mode):
            return f"{self.path} is a symbolic link, and links are not followed for tokens"
        if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
            return f"{self.path} belongs to another user"
        if not self._tightened(self.path, 0o600, "readable by you alone", told):
            return f"{self.path} is open to others, and its file system lets nobody change that"
        self._tightened(self.path.parent, 0o700, "yours alone", told)
        return ""

    def _tightened(self, path: Path, mode: int, now: str, told: Told) -> bool:
        """Whether a path is closed to others, now that it was closed if need be."""
        with contextlib.suppress(OSError):  # it is away: whoever reads it says so
            if not _is_open(path.stat()):
                return True
            with contextlib.suppress(OSError):
                path.chmod(mode)
            # Some mounted file systems change nothing, and say that they did.
            if _is_open(path.stat()):
                return False
            self.note(f"{path} was open to others; it is now {now}.", told)
        return True

    def _read(self, told: Told) -> Found:
        """What the file is now. One that is half-written, or away, may be whole in a moment."""
        if refusal := self._refusal(told):
            found = Found(State.UNREADABLE, reason=refusal)
        else:
            for wait in (*RETRIES, None):
                found = look(self.path)
                if not found.reason or wait is None:
                    break
                time.sleep(wait)
        if found.state is State.BROKEN:
            self.note(f"{found.reason}; the next login keeps it under another name.", told)
        elif found.state is State.UNREADABLE:
            self.note(f"{found.reason}: it is not used.", told)
        self.tell(told)
        return found

    def _write(self, content: Hidden) -> Saved:
        temporary = ""
        try:
            folder = self.path.parent
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_open(folder.stat()):
                folder.chmod(0o700)
            _sweep(folder)
            # Private from the first byte: mkstemp makes it 0600, where the file system does.
            handle, temporary = tempfile.mkstemp(dir=folder, prefix=".tokens-")
            with os.fdopen(handle, "wb") as file:
                if _is_open(os.fstat(file.fileno())):
                    return Saved(False, f"{folder} keeps no permissions: others could read it")
                file.write(dumped(content))
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path)
            temporary = ""
        except (OSError, ValueError) as error:
            return Saved(False, f"{self.path} cannot be written ({why(error)})")
        finally:
            if temporary:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()
        return Saved(True)

    def _set_aside(self, found: Found, told: Told) -> str:
        """Keep a file that is broken under a name of its own; why that could not be, if so.

        Another program may write the file at the same time, without our lock: what was moved
        is looked at once more, and put back if it is not what was judged.
        """
        if found.state is not State.BROKEN:
            return ""
        prefix = f"{self.path.stem}.broken-{time.strftime('%Y%m%d-%H%M%S')}-"
        try:
            # The name is taken before the file moves, so that it never replaces another one.
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=prefix, suffix=".json")
            os.close(handle)
            aside = Path(name)
            try:
                self.path.replace(aside)
            except OSError:
                aside.unlink()
                raise
            if look(aside).digest != found.digest:
                self._put_back(aside)
                return f"{self.path} is being written by another program"
        except OSError as error:
            return f"{self.path} cannot be set aside ({why(error)})"
        self.note(f"{self.path} could not be read; it is kept as {aside.name}.", told)
        return ""

    def _put_back(self, aside: Path) -> None:
        """Give a file its name again, unless another one has that name by now: then both stay."""
        try:
            os.link(aside, self.path)
        except FileExistsError:
            return
        except OSError:  # no links on this file system
            if not self.path.exists():
                aside.rename(self.path)
            return
        aside.unlink()


def _is_open(status: os.stat_result) -> bool:
    """Whether others than the owner have a right to a file, where there are such rights."""
    return os.name == "posix" and bool(status.st_mode & 0o077)


def _sweep(folder: Path) -> None:
    """Remove what processes left that were killed while they wrote."""
    for path in folder.glob(".tokens-*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
                path.unlink()
