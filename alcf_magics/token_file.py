"""The token file: grants on disk, in format 2.0 of the Globus SDK, shared by all kernels.

Written under a lock: read again, merged, put in place with `os.replace`. The SDK's own writer
drops fields that it does not know, so the auth server of each grant stands a second time beside
the grants, under the hash of its refresh token.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .grants import Grant, Secret
from .settings import CLIENT_ID, PRODUCTION_GLOBUS_AUTH

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


@dataclass(frozen=True)
class Saved:
    """Whether grants were written, and if not, why (one line for the reader)."""

    written: bool
    reason: str = ""


def apps_directory() -> Path:
    """Where Globus SDK programs keep their token files; HOME decides."""
    return Path("~/.globus/app").expanduser()


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
        return _grants(self._read())

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

    def save(self, grants: tuple[Grant, ...]) -> Saved:
        """Merge grants into the file.

        Grants of another auth server stay as they are, except that a production login, which
        is what the file is for, replaces those of a sandbox.
        """
        with self.locked():
            if refusal := self._refusal():
                return Saved(False, refusal)
            content = self._read()
            stored = _grants(content)
            servers = {grant.auth_server for grant in grants}
            foreign = {grant.auth_server for grant in stored.values()} - servers
            # A leftover of a sandbox must not keep a real login out.
            if foreign and PRODUCTION_GLOBUS_AUTH not in servers:
                return Saved(
                    False,
                    f"a login of {', '.join(sorted(foreign))} is stored, and stays until "
                    "%alcf_logout --all",
                )
            identities = {grant.identity_id for grant in grants}
            kept = {
                # Two identities in one file break the SDK: a login replaces the other person's.
                name: entry
                for name, entry in _entries(content).items()
                if not isinstance(entry, dict) or entry.get("identity_id") in identities
            }
            entries = kept | {
                grant.resource_server: _entry(grant, kept.get(grant.resource_server))
                for grant in grants
            }
            return self._write(_with_entries(content, entries))

    def remove(self, auth_server: str | None) -> bool:
        """Take out every grant that `auth_server` minted (None: any); true if there was one."""
        with self.locked():
            content = self._read()
            gone = {
                name
                for name, grant in _grants(content).items()
                if auth_server in (None, grant.auth_server)
            }
            if not gone:
                return False
            entries = {name: entry for name, entry in _entries(content).items() if name not in gone}
            if not entries and len(content.get("data", {})) <= 1:
                with contextlib.suppress(FileNotFoundError):
                    self.path.unlink()
                return True
            return self._write(_with_entries(content, entries)).written

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
        if status.st_mode & 0o077:
            with contextlib.suppress(OSError):
                self.path.chmod(0o600)
                self._once(f"{self.path} was open to others; it is now readable by you alone.")
        return ""

    def _read(self) -> dict[str, Any]:
        if refusal := self._refusal():
            self._once(f"{refusal}: it is not used.")
            return {}
        for wait in (*RETRIES, None):
            try:
                content = json.loads(self.path.read_bytes())
            except OSError:
                return {}
            except (ValueError, RecursionError):
                if wait is not None:
                    time.sleep(wait)
                continue
            if isinstance(content, dict):
                return content
            break
        self._once(f"{self.path} cannot be understood; the next login keeps it under another name.")
        return {}

    def _write(self, content: Mapping[str, Any]) -> Saved:
        temporary = None
        try:
            folder = self.path.parent
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_mode & 0o077:
                folder.chmod(0o700)
            self._set_broken_aside()
            _sweep(folder)
            # Private from the first byte: mkstemp makes it 0600.
            handle, temporary = tempfile.mkstemp(dir=folder, prefix=".tokens-")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path)
        except OSError as error:
            if temporary:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()
            return Saved(False, f"{self.path} cannot be written ({error.strerror})")
        return Saved(True)

    def _set_broken_aside(self) -> None:
        """Keep a file that cannot be understood, under another name, instead of deleting it."""
        try:
            understood = isinstance(json.loads(self.path.read_bytes()), dict)
        except FileNotFoundError:
            return
        except ValueError:
            understood = False
        if not understood:
            aside = self.path.with_suffix(f".broken-{time.strftime('%Y%m%d-%H%M%S')}.json")
            self.path.replace(aside)
            self._once(f"{self.path} could not be read; it is kept as {aside.name}.")

    def _once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)


def _sweep(folder: Path) -> None:
    """Remove what processes left that were killed while they wrote."""
    for path in folder.glob(".tokens-*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
                path.unlink()


def parse(content: object) -> dict[str, Grant]:
    """The grants of a token file's content in format 2.0, by resource server."""
    return _grants(content) if isinstance(content, dict) else {}


def _entries(content: Mapping[str, Any]) -> dict[str, Any]:
    data = content.get("data")
    entries = data.get(NAMESPACE) if isinstance(data, dict) else None
    return dict(entries) if isinstance(entries, dict) else {}


def _grants(content: Mapping[str, Any]) -> dict[str, Grant]:
    minted_by = _minted_by(content)
    grants = {}
    for name, entry in _entries(content).items():
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError, OverflowError):
            grants[name] = _grant(entry, minted_by)
    return grants


def _minted_by(content: Mapping[str, Any]) -> dict[str, str]:
    servers = content.get(MINTED_BY)
    return dict(servers) if isinstance(servers, dict) else {}


def _grant(entry: Mapping[str, Any], minted_by: Mapping[str, str]) -> Grant:
    refresh = entry.get("refresh_token")
    if not isinstance(entry["access_token"], str) or not isinstance(refresh, str | None):
        raise TypeError("a token is a text")
    return Grant(
        resource_server=entry["resource_server"],
        identity_id=entry.get("identity_id") or "",
        scope=entry.get("scope") or "",
        access_token=Secret(entry["access_token"]),
        refresh_token=Secret(refresh) if refresh else None,
        expires_at_seconds=int(entry["expires_at_seconds"]),
        token_type=entry.get("token_type") or "Bearer",
        auth_server=entry.get("auth_server")
        or (minted_by.get(_key(refresh)) if refresh else None)
        or PRODUCTION_GLOBUS_AUTH,
        username=entry.get("username") or "",
        issued_at_seconds=int(entry.get("issued_at_seconds") or 0),
        extra={name: value for name, value in entry.items() if name not in _FIELDS},
    )


def _entry(grant: Grant, old: object) -> dict[str, Any]:
    known = {
        "resource_server": grant.resource_server,
        "identity_id": grant.identity_id,
        "scope": grant.scope,
        "access_token": grant.access_token.reveal(),
        "refresh_token": grant.refresh_token.reveal() if grant.refresh_token else None,
        "expires_at_seconds": grant.expires_at_seconds,
        "token_type": grant.token_type,
        "auth_server": grant.auth_server,
        "username": grant.username,
        "issued_at_seconds": grant.issued_at_seconds,
    }
    return (old if isinstance(old, dict) else {}) | dict(grant.extra) | known


def _with_entries(content: Mapping[str, Any], entries: dict[str, Any]) -> dict[str, Any]:
    data = content.get("data")
    before = _minted_by(content)
    return {
        "globus-sdk.version": SDK_VERSION,
        **content,
        "format_version": FORMAT_VERSION,
        "data": {**(data if isinstance(data, dict) else {}), NAMESPACE: entries},
        MINTED_BY: {
            key: entry.get("auth_server") or before.get(key) or PRODUCTION_GLOBUS_AUTH
            for entry in entries.values()
            if isinstance(entry, dict) and entry.get("refresh_token")
            for key in [_key(entry["refresh_token"])]
        },
    }


def _key(refresh_token: str) -> str:
    return hashlib.sha256(refresh_token.encode()).hexdigest()[:16]
