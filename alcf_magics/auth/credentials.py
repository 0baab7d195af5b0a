"""The credentials of this kernel: its grants, and the bearer that goes with a request.

Order: a grant of one's own (refreshed when need be), then `ALCF_AI_TOKEN`, then a token that
another tool of ALCF's keeps. One lock, across threads and kernels, makes many that find a token
expired cause one refresh.
"""

from __future__ import annotations

import contextlib
import copy
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..errors import LOG_IN, AlcfError, NotLoggedIn
from ..settings import GATEWAY_RESOURCE_SERVER, Settings, is_loopback
from ..told import SILENT, Told
from .bearer import Bearer, from_environment, from_other_tools, own
from .globus import INVALID_GRANT, GlobusAuth, not_there
from .grants import Grant
from .hidden import Secret
from .token_file import Saved, Signature, Snapshot, TokenFile

#: Seconds for which a refresh that failed is not tried again, where the request can do without.
FAILURE_SECONDS = 10.0


@dataclass(frozen=True)
class Forgotten:
    """What a logout dropped (to be revoked), and what became of the file.

    A `saved.reason` says why the file could not be changed; empty when there is nothing to say.
    """

    grants: tuple[Grant, ...]
    saved: Saved


class _Failures:
    """Refreshes that failed, by refresh token: what Globus refused for good is not sent again."""

    def __init__(self) -> None:
        self._known: dict[Secret, tuple[float, AlcfError]] = {}

    def note(self, grant: Grant, error: AlcfError) -> None:
        if grant.refresh_token is not None:
            spent = error.detail == INVALID_GRANT
            at = math.inf if spent else time.monotonic()
            self._known[grant.refresh_token] = (at, copy.copy(error))

    def of(self, grant: Grant, since: float = math.inf) -> AlcfError | None:
        """Why a refresh of this grant failed, for good or after `since` on the monotonic clock.

        A new error for each who asks: those who waited for one refresh share its failure.
        """
        if grant.refresh_token not in self._known:
            return None
        at, error = self._known[grant.refresh_token]
        return copy.copy(error) if at >= since else None

    def for_good(self, grant: Grant) -> bool:
        error = self.of(grant)
        return error is not None and error.detail == INVALID_GRANT


class Credentials:
    """Grants in memory and on disk, and the bearer they give. Thread-safe.

    `settings` is asked at each use, so that a changed auth server counts at once: a grant is
    used only with the server that minted it. Whoever may wait, or learn something of the token
    file, takes `told`.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        file: TokenFile | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self.file = file or TokenFile()
        self._clock = clock
        #: Held while somebody refreshes, logs in or out: for as long as the network takes.
        self._lock = threading.RLock()
        #: Held for a moment, so that no thread puts what it read over what another one got.
        self._memory_lock = threading.Lock()
        self._grants: dict[str, tuple[Grant, ...]] = {}  # by auth server
        self._seen: dict[str, Signature] = {}  # the file, when its grants were looked at
        self._memory_only: set[str] = set()  # servers whose grants are not for the file
        self._unsaved: set[str] = set()  # servers whose grants are not yet in the file
        self._failures = _Failures()
        self._logouts = 0

    # What is held

    def grant(self, told: Told = SILENT) -> Grant | None:
        """The gateway's grant of the auth server in force, from memory or else from the file.

        What another kernel has stored meanwhile goes before what is in memory.
        """
        server = self._settings().globus_auth_url
        if server not in self._memory_only and self.file.signature() != self._seen.get(server):
            self._look(server, told)
        self.file.tell(told)
        return self._held(server)

    def spent(self, grant: Grant) -> bool:
        """Whether it is known that this grant can no longer be refreshed."""
        if grant.refresh_token is None:
            return not grant.fresh(self._clock(), margin=0)
        return self._failures.for_good(grant)

    @property
    def in_memory_only(self) -> bool:
        """Whether the grants of the auth server in force are in this kernel only."""
        return self._settings().globus_auth_url in self._memory_only | self._unsaved

    def _held(self, server: str) -> Grant | None:
        held = self._grants.get(server, ())
        return next((g for g in held if g.resource_server == GATEWAY_RESOURCE_SERVER), None)

    def _look(self, server: str, told: Told) -> Snapshot:
        """Take over from the file what is newer there than what this kernel holds."""
        before, logouts = self._grants.get(server), self._logouts
        snapshot = self.file.snapshot(server, told)
        with self._memory_lock:
            if self._grants.get(server) is before and self._logouts == logouts:
                if snapshot.signature is not None:
                    self._seen[server] = snapshot.signature
                if self._is_newer(snapshot.grants.get(GATEWAY_RESOURCE_SERVER), server):
                    self._grants[server] = tuple(snapshot.grants.values())
                    self._unsaved.discard(server)
        return snapshot

    def _is_newer(self, new: Grant | None, server: str) -> bool:
        held = self._held(server)
        if new is None or held is None:
            return new is not None
        # What could not be stored must not give way to the older login that is.
        if server in self._unsaved and (
            new.identity_id != held.identity_id or new.issued_at_seconds < held.issued_at_seconds
        ):
            return False
        now = self._clock()
        return new.access_token != held.access_token and (
            new.fresh(now, margin=0) or not held.fresh(now, margin=0)
        )

    # The bearer

    def ready(self, told: Told = SILENT) -> Bearer | None:
        """The bearer, if it needs neither network nor waiting."""
        grant = self.grant(told)
        if grant is None or self.spent(grant):
            return self.foreign()
        return own(grant) if grant.fresh(self._clock()) else None

    def foreign(self) -> Bearer | None:
        """A token that was not minted for this package: the environment's, or another tool's.

        Other tools' files are for the production gateway only.
        """
        bearer = from_environment()
        if bearer is not None or not self._settings().is_production:
            return bearer
        return from_other_tools(self._clock())

    def current(self, told: Told = SILENT) -> Bearer:
        """A bearer to send now, refreshed if need be. Raises NotLoggedIn, LoginExpired."""
        bearer = self.ready(told)
        if bearer is not None:
            return bearer
        grant = self.grant(told)
        if grant is None:
            raise NotLoggedIn("You are not logged in to ALCF.", LOG_IN)
        return self._refreshed(grant, told, refused=False)

    def newer(self, refused: Bearer, told: Told = SILENT) -> Bearer | None:
        """A bearer that this or another kernel has got since `refused` was taken, if there is one.

        Whatever a token was refused for, a later login may have cured it.
        """
        if refused.grant is None:
            return None
        server = refused.grant.auth_server
        if server not in self._memory_only:
            self._look(server, told)
        held = self._held(server)
        if held is None or held.access_token == refused.token:
            return None
        return own(held) if held.fresh(self._clock(), margin=0) else None

    def renew(self, refused: Bearer, told: Told = SILENT) -> Bearer | None:
        """Another bearer after one was refused as stale; None when there is no better one.

        A foreign token is never refreshed. A grant that another kernel has refreshed is taken
        over instead of being refreshed again.
        """
        return None if refused.grant is None else self._refreshed(refused.grant, told, refused=True)

    def _refreshed(self, grant: Grant, told: Told, *, refused: bool) -> Bearer:
        """A grant renewed; when it cannot be, itself as long as it serves, or a foreign token."""
        try:
            return self._refresh(grant, told, refused=refused)
        except AlcfError:
            # It is refreshed ahead of time, so that Globus may be away for a while.
            if not refused and not self.spent(grant) and grant.fresh(self._clock(), margin=0):
                return own(grant)
            other = self._instead()
            if other is None:
                raise
            return other

    def _instead(self) -> Bearer | None:
        """A foreign token, if there is one that can be sent."""
        with contextlib.suppress(NotLoggedIn):  # rubbish in the environment
            return self.foreign()
        return None

    def _refresh(self, old: Grant, told: Told, *, refused: bool) -> Bearer:
        """One refresh for all who hold `old`, whoever comes first; one failure for all, too."""
        asked = time.monotonic()
        server = old.auth_server
        with self._lock, self.file.locked(told):
            logged_out = False
            if server not in self._memory_only:
                snapshot = self._look(server, told)
                logged_out = snapshot.known and GATEWAY_RESOURCE_SERVER not in snapshot.grants
            grant = self._held(server)
            if grant is None or (logged_out and server not in self._unsaved):
                # Logged out meanwhile, here or in another kernel.
                raise NotLoggedIn("You are not logged in to ALCF.", LOG_IN)
            if grant.access_token != old.access_token and grant.fresh(self._clock(), margin=0):
                return own(grant)
            # Who comes later may try again at once, unless something else serves meanwhile.
            serves = (not refused and grant.fresh(self._clock(), margin=0)) or self._instead()
            failure = self._failures.of(grant, asked - (FAILURE_SECONDS if serves else 0))
            if failure is not None:
                raise failure
            try:
                new = GlobusAuth(server, self._clock).refresh(grant)
            except AlcfError as error:
                self._failures.note(grant, error)
                raise
            self._keep_renewed(new, told)
            return own(new)

    # What is kept

    def keep(self, grants: tuple[Grant, ...], told: Told = SILENT) -> Saved:
        """Use these grants of a login from now on; store them unless they are for memory only."""
        return self._keep(grants, told, login=True)

    def store_again(self, told: Told = SILENT) -> Saved:
        """Store the login in force that could not be stored; nothing is done without such a one."""
        server = self._settings().globus_auth_url
        if server not in self._unsaved:
            return Saved(False)
        with self._lock, self.file.locked(told):
            self._look(server, told)
            held = self._grants.get(server)
            if server not in self._unsaved or not held:
                return Saved(False)
            return self._keep(held, told, login=True)

    def only_in_memory(self, server: str) -> None:
        """What this auth server mints is not for the file: it is gone with this kernel."""
        self._memory_only.add(server)

    def leave(self, server: str) -> None:
        """An auth server of this kernel's own has ended, and with it what it minted."""
        with self._memory_lock:
            self._grants.pop(server, None)
            self._memory_only.discard(server)

    def drop_dead(self, told: Told = SILENT) -> None:
        """Drop the stored logins of servers on this machine that no longer answer.

        Each start of a sandbox has a port of its own. The server in force is not asked.
        """
        servers = set(self.file.servers(told)) - {self._settings().globus_auth_url}
        gone = not_there(filter(_is_here, servers))
        if not gone:
            return
        with self._lock:
            self.file.remove(gone, told)
            with self._memory_lock:
                for server in gone - self._memory_only:
                    self._grants.pop(server, None)

    def forget(self, *, everywhere: bool = False, told: Told = SILENT) -> Forgotten:
        """Drop the grants of the auth server in force, from memory and file.

        `everywhere` drops what other auth servers minted, too.
        """
        in_force = self._settings().globus_auth_url
        with self._lock, self.file.locked(told):
            stored = {in_force, *(self.file.servers(told) if everywhere else ())}
            # Takes only what these servers minted: a sandbox in memory leaves a real login alone.
            gone = [g for server in stored for g in self.file.load(server, told).values()]
            saved = self.file.remove(stored, told)
            with self._memory_lock:
                self._logouts += 1
                for server in stored | ({*self._grants} if everywhere else set()):
                    gone += self._grants.pop(server, ())
                    self._memory_only.discard(server)
                    self._unsaved.discard(server)
                    # If it stays in the file, it is not to come back from there.
                    self._seen[server] = self.file.signature()
            seen = {grant.access_token: grant for grant in gone}
            # Of the server in force first: whoever is not there may take the time of the others.
            order = sorted(seen.values(), key=lambda grant: grant.auth_server != in_force)
            return Forgotten(tuple(order), saved)

    def _keep_renewed(self, grant: Grant, told: Told) -> None:
        was_told = grant.auth_server in self._unsaved
        saved = self._keep((grant,), told, login=False)
        if saved.reason and not was_told:
            self.file.note(
                f"The renewed login could not be stored: {saved.reason}. This kernel uses it, and "
                "tries to store it again when it is renewed.",
                told,
            )

    def _keep(self, grants: tuple[Grant, ...], told: Told, *, login: bool) -> Saved:
        server = grants[0].auth_server
        for_file = server not in self._memory_only
        saved, signature = Saved(False), None
        with self._lock:
            held = (*grants, *self._others(*grants))
            try:
                if server in self._unsaved:
                    # What else the login brought goes into the file with it.
                    grants, login = held, True
                if for_file:
                    with self.file.locked(told):
                        saved = self._saved(grants, told, login=login)
                        signature = self.file.signature()
            finally:  # also when somebody interrupts: what was granted is not lost
                with self._memory_lock:
                    self._grants[server] = held
                    _set(self._unsaved, server, for_file and not saved.written)
                    # What could not be stored is newer than what is there.
                    if signature is not None and not saved.written:
                        self._seen[server] = signature
            return saved

    def _saved(self, grants: tuple[Grant, ...], told: Told, *, login: bool) -> Saved:
        """Put grants into the file, unless somebody else has logged in there since they came."""
        new = next((g for g in grants if g.resource_server == GATEWAY_RESOURCE_SERVER), None)
        if new is not None and new.auth_server in self._unsaved:
            there = self.file.load(new.auth_server, told).get(GATEWAY_RESOURCE_SERVER)
            if (
                there is not None
                and there.is_of_another_person(new)
                and there.issued_at_seconds > new.issued_at_seconds
            ):
                return Saved(False, f"{there.username or 'somebody else'} has logged in since")
        return self.file.save(grants, login=login, told=told)

    def _others(self, *grants: Grant) -> tuple[Grant, ...]:
        """What else the same person holds of the same auth server."""
        names = {grant.resource_server for grant in grants}
        return tuple(
            grant
            for grant in self._grants.get(grants[0].auth_server, ())
            if grant.resource_server not in names and not grant.is_of_another_person(grants[0])
        )


def _set(names: set[str], name: str, is_in: bool) -> None:
    (names.add if is_in else names.discard)(name)


def _is_here(server: str) -> bool:
    """Whether an auth server is on this machine, by an address that needs no look-up."""
    with contextlib.suppress(ValueError):
        host = urlsplit(server).hostname or ""
        return is_loopback(host) and not host.endswith(".localhost")
    return False
