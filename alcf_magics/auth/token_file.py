"""The token file: grants on disk, in format 2.0 of the Globus SDK, shared by all kernels.

Written under a lock: read again, merged, put in place with `os.replace`. The SDK's own writer
drops fields that it does not know, so the auth server of each grant stands a second time beside
the grants, under the hash of its refresh token.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..settings import CLIENT_ID, PRODUCTION_GLOBUS_AUTH
from .grants import Grant, Hidden, HiddenBytes, Secret, dumped, moment, parsed, token_in

FORMAT_VERSION = "2.0"
#: The SDK refuses a file without this key; any version will do.
SDK_VERSION = "4.9.1"
NAMESPACE = "DEFAULT"
#: Our own key at the top of the file; the SDK keeps keys that it does not know there.
MINTED_BY = "alcf_magics.auth_servers"
#: Waits before reading a file again that was half-written: the SDK writes in place.
RETRIES = (0.02, 0.1)
#: A temporary file of this age, in seconds, is nobody's any more.
LEFTOVER_SECONDS = 3600.0

_FIELDS = frozenset(field.name for field in fields(Grant)) - {"extra"}
#: Fields of a grant that are a text, or are not there.
_TEXTS = ("identity_id", "scope", "token_type", "auth_server", "username")
#: What a file that holds nothing but our grants has at its top.
_OUR_KEYS = frozenset({"globus-sdk.version", "format_version", "data", MINTED_BY})

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
    """The grants that a file held, and its signature then: None if it could not be read."""

    grants: Mapping[str, Grant]
    signature: Signature | None


class State(enum.Enum):
    """What reading a token file found."""

    MISSING = enum.auto()
    UNDERSTOOD = enum.auto()
    #: It was read, and is no token file: it may be kept under another name.
    BROKEN = enum.auto()
    #: Nobody knows what it holds: it must stay as it is.
    UNREADABLE = enum.auto()


@dataclass(frozen=True)
class _Found:
    """One reading of a token file. `digest` is of the bytes that were judged."""

    state: State
    content: Hidden = field(default_factory=Hidden)
    reason: str = ""
    digest: str = ""


def apps_directory() -> Path:
    """Where Globus SDK programs keep their token files; HOME decides."""
    home = os.path.expanduser("~")  # noqa: PTH111  (pathlib raises where there is no home)
    # Without a home nothing is read or stored: a place in which no file can be.
    return Path(os.devnull if home.startswith("~") else home, ".globus", "app")


def default_path() -> Path:
    """`~/.globus/app/<client id>/alcf_magics/tokens.json`."""
    return apps_directory() / CLIENT_ID / "alcf_magics" / "tokens.json"


class TokenFile:
    """Grants by resource server, in one file. Reads are cheap and never need the lock.

    `tell` gets what a reader should know once, a line each: that a file was moved aside, that
    its mode was tightened, or why it is not used; and what is being waited for.
    """

    def __init__(
        self,
        path: Path | None = None,
        tell: Callable[[str], None] = lambda line: None,
        tell_wait: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._path = path
        self._tell = tell
        self._tell_wait = tell_wait
        self._told: set[str] = set()
        self._thread_lock = threading.RLock()
        self._depth = 0

    @property
    def path(self) -> Path:
        return self._path or default_path()

    def load(self) -> dict[str, Grant]:
        """The grants in the file; none where it is missing, refused or cannot be understood."""
        return _grants(self._read().content)

    def signature(self) -> Signature:
        """Cheap to ask, and another one once the file has changed."""
        try:
            status = self.path.lstat()
        except OSError:
            return ()
        return (status.st_mtime_ns, status.st_size, status.st_ino)

    def snapshot(self) -> Snapshot:
        """The grants in the file, with its signature from before they were read."""
        signature = self.signature()
        found = self._read()
        unknown = found.state is State.UNREADABLE
        return Snapshot(_grants(found.content), None if unknown else signature)

    def notice(self, line: str) -> None:
        """Tell the reader something about the file, once."""
        if line not in self._told:
            self._told.add(line)
            self._tell(line)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the file against other threads and kernels; without a working lock, go on.

        An atomic replace keeps the file whole even then; only a merge may be lost.
        """
        from . import locking

        with self._thread_lock, contextlib.ExitStack() as stack:
            # A lock file is held by its handle: taking it twice would wait for ourselves.
            if self._depth == 0:
                stack.enter_context(locking.hold(self.path, self._tell_wait))
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    def save(self, grants: tuple[Grant, ...], *, login: bool = True) -> Saved:
        """Merge grants into the file: what a login brought or, without `login`, a refresh.

        Grants of another auth server stay as they are, except that a production login, which
        is what the file is for, replaces those of a sandbox. A login of another person takes
        the place of the stored person's; what is not known to be anybody's stays.
        """
        with self.locked():
            found = self._read()
            if found.state is State.UNREADABLE:
                return Saved(False, found.reason)
            stored = _grants(found.content)
            servers = {grant.auth_server for grant in grants}
            foreign = {name: g for name, g in stored.items() if g.auth_server not in servers}
            # A leftover of a sandbox must not keep a real login out.
            if foreign and PRODUCTION_GLOBUS_AUTH not in servers:
                named = ", ".join(sorted({grant.auth_server for grant in foreign.values()}))
                return Saved(
                    False, f"a login of {named} is stored, and stays until %alcf_logout --all"
                )
            entries = _entries(found.content)
            if login:
                entries = _without(entries, foreign.keys() | _others_entries(entries, grants))
            for grant in grants:
                entries[grant.resource_server] = _entry(grant, entries.get(grant.resource_server))
            if reason := self._set_aside(found):
                return Saved(False, reason)
            return self._write(_with_entries(found.content, entries))

    def remove(self, auth_server: str | None) -> Saved:
        """Take out every grant that `auth_server` minted (None: any). Never raises."""
        with self.locked():
            found = self._read()
            if found.reason:
                return Saved(False, found.reason)
            gone = {
                name
                for name, grant in _grants(found.content).items()
                if auth_server in (None, grant.auth_server)
            }
            if not gone:
                return Saved(False)
            entries = _without(_entries(found.content), gone)
            if entries or not _is_ours_alone(found.content):
                return self._write(_with_entries(found.content, entries))
            try:
                self.path.unlink(missing_ok=True)
            except OSError as error:
                return Saved(False, f"{self.path} cannot be removed ({_why(error)})")
            return Saved(True)

    def _refusal(self) -> str:
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
        self._tighten(self.path, 0o600, "readable by you alone")
        self._tighten(self.path.parent, 0o700, "yours alone")
        return ""

    def _tighten(self, path: Path, mode: int, now: str) -> None:
        with contextlib.suppress(OSError):
            if path.stat().st_mode & 0o077:
                path.chmod(mode)
                self.notice(f"{path} was open to others; it is now {now}.")

    def _read(self) -> _Found:
        """What the file is now. One that is half-written, or away, may be whole in a moment."""
        if refusal := self._refusal():
            found = _Found(State.UNREADABLE, reason=refusal)
        else:
            for wait in (*RETRIES, None):
                found = _look(self.path)
                if not found.reason or wait is None:
                    break
                time.sleep(wait)
        if found.state is State.BROKEN:
            self.notice(f"{found.reason}; the next login keeps it under another name.")
        elif found.state is State.UNREADABLE:
            self.notice(f"{found.reason}: it is not used.")
        return found

    def _write(self, content: Hidden) -> Saved:
        temporary = ""
        try:
            folder = self.path.parent
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_mode & 0o077:
                folder.chmod(0o700)
            _sweep(folder)
            # Private from the first byte: mkstemp makes it 0600.
            handle, temporary = tempfile.mkstemp(dir=folder, prefix=".tokens-")
            with os.fdopen(handle, "wb") as file:
                file.write(dumped(content))
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path)
            temporary = ""
        except (OSError, ValueError) as error:
            return Saved(False, f"{self.path} cannot be written ({_why(error)})")
        finally:
            if temporary:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()
        return Saved(True)

    def _set_aside(self, found: _Found) -> str:
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
            if _look(aside).digest != found.digest:
                self._put_back(aside)
                return f"{self.path} is being written by another program"
        except OSError as error:
            return f"{self.path} cannot be set aside ({_why(error)})"
        self.notice(f"{self.path} could not be read; it is kept as {aside.name}.")
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


def _sweep(folder: Path) -> None:
    """Remove what processes left that were killed while they wrote."""
    for path in folder.glob(".tokens-*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
                path.unlink()


def grants_in(path: Path) -> dict[str, Grant]:
    """The grants in a token file in format 2.0, of whatever program; none without such a file."""
    return _grants(_look(path).content)


def _look(path: Path) -> _Found:
    """Read a file once, and judge what was read."""
    try:
        raw = HiddenBytes(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return _Found(State.MISSING)
    except OSError as error:
        return _Found(State.UNREADABLE, reason=f"{path} cannot be read ({_why(error)})")
    digest = hashlib.sha256(raw).hexdigest()
    try:
        content = parsed(raw)
    except ValueError:
        content = None
    if not _has_shape(content):
        return _Found(State.BROKEN, reason=f"{path} cannot be understood", digest=digest)
    return _Found(State.UNDERSTOOD, content, digest=digest)


def _has_shape(content: Any) -> bool:
    """Whether there are objects where the format has them; single entries may be anything."""
    return (
        isinstance(content, dict)
        and isinstance(content.get("data", {}), dict)
        and isinstance(content.get("data", {}).get(NAMESPACE, {}), dict)
    )


def _why(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _is_ours_alone(content: Hidden) -> bool:
    """Whether without our grants nothing would be left that somebody may miss."""
    return content.keys() <= _OUR_KEYS and content.get("data", {}).keys() <= {NAMESPACE}


def _entries(content: Hidden) -> Hidden:
    return Hidden(content.get("data", {}).get(NAMESPACE, {}))


def _without(entries: Hidden, names: Set[str]) -> Hidden:
    return Hidden((name, entry) for name, entry in entries.items() if name not in names)


def _others_entries(entries: Hidden, grants: tuple[Grant, ...]) -> set[str]:
    """The entries that a login takes away: another person's, for two of them break the SDK.

    None as long as it is the same person who logs in.
    """
    people = {
        name: entry["identity_id"]
        for name, entry in entries.items()
        if isinstance(entry, dict)
        and isinstance(entry.get("identity_id"), str)
        and entry["identity_id"]
    }
    new = {grant.identity_id for grant in grants if grant.identity_id}
    replaced = {people[g.resource_server] for g in grants if g.resource_server in people}
    changed = replaced - new if replaced else not set(people.values()) & new
    return {name for name, who in people.items() if who not in new} if new and changed else set()


def _grants(content: Hidden) -> dict[str, Grant]:
    minted_by = _minted_by(content)
    grants = {}
    for name, entry in _entries(content).items():
        with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError):
            grants[name] = _grant(name, entry, minted_by)
    return grants


def _minted_by(content: Hidden) -> dict[str, str]:
    servers = content.get(MINTED_BY)
    if not isinstance(servers, dict):
        return {}
    return {key: server for key, server in servers.items() if isinstance(server, str)}


def _grant(name: str, entry: Any, minted_by: Mapping[str, str]) -> Grant:
    """The grant in an entry; KeyError, TypeError, ValueError or OverflowError if it is none."""
    if not isinstance(entry, dict) or entry["resource_server"] != name:
        raise ValueError("no grant for this resource server")
    if not all(isinstance(entry.get(text), str | None) for text in _TEXTS):
        raise TypeError("a text was expected")
    access, refresh = token_in(entry, "access_token"), token_in(entry, "refresh_token")
    if access is None:
        raise ValueError("no access token")
    return Grant(
        resource_server=name,
        identity_id=entry.get("identity_id") or "",
        scope=entry.get("scope") or "",
        access_token=access,
        refresh_token=refresh,
        expires_at_seconds=moment(entry["expires_at_seconds"]),
        token_type=entry.get("token_type") or "Bearer",
        auth_server=entry.get("auth_server")
        or (minted_by.get(_key(refresh)) if refresh else None)
        or PRODUCTION_GLOBUS_AUTH,
        username=entry.get("username") or "",
        issued_at_seconds=moment(entry.get("issued_at_seconds") or 0),
        extra=Hidden((key, value) for key, value in entry.items() if key not in _FIELDS),
    )


def _entry(grant: Grant, old: Any) -> Hidden:
    """A grant as the file has it, over what stood there before."""
    entry = Hidden(old if isinstance(old, dict) else {})
    entry.update(grant.extra)
    entry.update(
        resource_server=grant.resource_server,
        identity_id=grant.identity_id,
        scope=grant.scope,
        access_token=grant.access_token.reveal(),
        refresh_token=grant.refresh_token.reveal() if grant.refresh_token else None,
        expires_at_seconds=grant.expires_at_seconds,
        token_type=grant.token_type,
        auth_server=grant.auth_server,
        username=grant.username,
        issued_at_seconds=grant.issued_at_seconds,
    )
    return entry


def _with_entries(content: Hidden, entries: Hidden) -> Hidden:
    before = _minted_by(content)
    whole = Hidden({"globus-sdk.version": SDK_VERSION})
    whole.update(content)
    whole["format_version"] = FORMAT_VERSION
    whole["data"] = Hidden(content.get("data", {}))
    whole["data"][NAMESPACE] = entries
    whole[MINTED_BY] = {
        key: entry["auth_server"]
        if isinstance(entry.get("auth_server"), str)
        else before.get(key) or PRODUCTION_GLOBUS_AUTH
        for entry in entries.values()
        if isinstance(entry, dict) and isinstance(entry.get("refresh_token"), str)
        for key in [_key(Secret(entry["refresh_token"]))]
    }
    return whole


def _key(refresh_token: Secret) -> str:
    return hashlib.sha256(refresh_token.reveal().encode("utf-8", "replace")).hexdigest()[:16]
