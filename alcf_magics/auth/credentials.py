"""The bearer of this kernel: which token goes with a request, and what to do when it is refused.

Order: a grant of one's own (refreshed when need be), then `ALCF_AI_TOKEN`, then a token that
another tool of ALCF's keeps. One lock, across threads and kernels, makes many that find a token
expired cause one refresh.
"""

from __future__ import annotations

import contextlib
import copy
import math
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass

import anyio.to_thread
import httpx

from ..errors import AlcfError, GatewayUnreachable, NotLoggedIn
from ..gateway.refusals import OWN_LOGIN, is_stale_token
from ..settings import GATEWAY_RESOURCE_SERVER, TOKEN_VARIABLE, Settings, is_loopback
from . import other_tools as foreign
from .globus import INVALID_GRANT, GlobusAuth
from .grants import Grant, Hidden, Secret, gateway_grant, token_in
from .token_file import Saved, Signature, TokenFile

LOG_IN = "Log in: %alcf_login"
#: Seconds for which a refresh that failed is not tried again, where the request can do without.
FAILURE_SECONDS = 10.0


@dataclass(frozen=True)
class Bearer:
    """A token to send, and where it comes from, in words. `grant` is None for a foreign one."""

    token: Secret
    source: str
    grant: Grant | None = None


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


class Bearers:
    """Grants in memory and on disk, and the bearer they give. Thread-safe.

    `settings` is asked at each use, so that a changed auth server counts at once: a grant is
    used only with the server that minted it.
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

    def grant(self) -> Grant | None:
        """The gateway's grant of the auth server in force, from memory or else from the file.

        What another kernel has stored meanwhile goes before what is in memory.
        """
        server = self._settings().globus_auth_url
        if server not in self._memory_only and self.file.signature() != self._seen.get(server):
            self._look(server)
        return self._held(server)

    def spent(self, grant: Grant) -> bool:
        """Whether it is known that this grant can no longer be refreshed."""
        if grant.refresh_token is None:
            return not grant.fresh(self._clock(), margin=0)
        return self._failures.for_good(grant)

    def _held(self, server: str) -> Grant | None:
        held = self._grants.get(server, ())
        return next((g for g in held if g.resource_server == GATEWAY_RESOURCE_SERVER), None)

    def _look(self, server: str) -> None:
        """Take over from the file what is newer there than what this kernel holds."""
        before, logouts = self._grants.get(server), self._logouts
        snapshot = self.file.snapshot()
        stored = tuple(g for g in snapshot.grants.values() if g.auth_server == server)
        with self._memory_lock:
            if self._grants.get(server) is not before or self._logouts != logouts:
                return
            if snapshot.signature is not None:
                self._seen[server] = snapshot.signature
            if self._is_newer(stored, server):
                self._grants[server] = stored
                self._unsaved.discard(server)

    def _is_newer(self, stored: tuple[Grant, ...], server: str) -> bool:
        held = self._held(server)
        new = next((g for g in stored if g.resource_server == GATEWAY_RESOURCE_SERVER), None)
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

    @property
    def in_memory_only(self) -> bool:
        """Whether the grants of the auth server in force are in this kernel only."""
        return self._settings().globus_auth_url in self._memory_only | self._unsaved

    def ready(self) -> Bearer | None:
        """The bearer, if it needs neither network nor waiting."""
        grant = self.grant()
        if grant is None or self.spent(grant):
            return self.foreign()
        return _own(grant) if grant.fresh(self._clock()) else None

    def foreign(self) -> Bearer | None:
        """A token that was not minted for this package: the environment's, or another tool's.

        Other tools' files are for the production gateway only.
        """
        bearer = _from_environment()
        if bearer is not None or not self._settings().is_production:
            return bearer
        for tool, grant in foreign.valid_grants(self._clock()).items():
            until = time.strftime("%a %d %b %H:%M", time.localtime(grant.expires_at_seconds))
            return Bearer(grant.access_token, f"the token of {tool}, good until {until}")
        return None

    def current(self) -> Bearer:
        """A bearer to send now, refreshed if need be. Raises NotLoggedIn, LoginExpired."""
        bearer = self.ready()
        if bearer is not None:
            return bearer
        grant = self.grant()
        if grant is None:
            raise NotLoggedIn("You are not logged in to ALCF.", LOG_IN)
        return self._refreshed(grant, refused=False)

    def newer(self, refused: Bearer) -> Bearer | None:
        """A bearer that this or another kernel has got since `refused` was taken, if there is one.

        Whatever a token was refused for, a later login may have cured it.
        """
        if refused.grant is None:
            return None
        server = refused.grant.auth_server
        if server not in self._memory_only:
            self._look(server)
        held = self._held(server)
        if held is None or held.access_token == refused.token:
            return None
        return _own(held) if held.fresh(self._clock(), margin=0) else None

    def renew(self, refused: Bearer) -> Bearer | None:
        """Another bearer after one was refused as stale; None when there is no better one.

        A foreign token is never refreshed. A grant that another kernel has refreshed is taken
        over instead of being refreshed again.
        """
        return None if refused.grant is None else self._refreshed(refused.grant, refused=True)

    def _refreshed(self, grant: Grant, *, refused: bool) -> Bearer:
        """A grant renewed; when it cannot be, itself as long as it serves, or a foreign token."""
        try:
            return self._refresh(grant, refused=refused)
        except AlcfError:
            # It is refreshed ahead of time, so that Globus may be away for a while.
            if not refused and not self.spent(grant) and grant.fresh(self._clock(), margin=0):
                return _own(grant)
            other = self._instead()
            if other is None:
                raise
            return other

    def _instead(self) -> Bearer | None:
        """A foreign token, if there is one that can be sent."""
        with contextlib.suppress(NotLoggedIn):  # rubbish in the environment
            return self.foreign()
        return None

    def _refresh(self, old: Grant, *, refused: bool) -> Bearer:
        """One refresh for all who hold `old`, whoever comes first; one failure for all, too."""
        asked = time.monotonic()
        with self._lock, self.file.locked():
            if old.auth_server not in self._memory_only:
                self._look(old.auth_server)
            grant = self._held(old.auth_server)
            in_file = old.auth_server not in self._memory_only | self._unsaved
            if grant is None or (in_file and not self.file.path.exists()):
                # Logged out meanwhile, here or in another kernel.
                raise NotLoggedIn("You are not logged in to ALCF.", LOG_IN)
            if grant.access_token != old.access_token and grant.fresh(self._clock(), margin=0):
                return _own(grant)
            # Who comes later may try again at once, unless something else serves meanwhile.
            serves = (not refused and grant.fresh(self._clock(), margin=0)) or self._instead()
            failure = self._failures.of(grant, asked - (FAILURE_SECONDS if serves else 0))
            if failure is not None:
                raise failure
            try:
                new = GlobusAuth(grant.auth_server, self._clock).refresh(grant)
            except AlcfError as error:
                self._failures.note(grant, error)
                raise
            self._keep_renewed(new)
            return _own(new)

    def _keep_renewed(self, grant: Grant) -> None:
        server = grant.auth_server
        unsaved = server in self._unsaved  # and the reader was told, then
        # What else the login brought goes into the file with it.
        grants = (grant, *self._others(grant)) if unsaved else (grant,)
        saved = self._keep(grants, memory_only=server in self._memory_only, login=False)
        if saved.reason and not unsaved and server not in self._memory_only:
            self.file.notice(
                f"The renewed login could not be stored: {saved.reason}. This kernel uses it, and "
                "tries to store it again when it is renewed."
            )

    def keep(self, grants: tuple[Grant, ...], *, memory_only: bool = False) -> Saved:
        """Use these grants of a login from now on; store them unless they are for memory only."""
        return self._keep(grants, memory_only=memory_only, login=True)

    def _keep(self, grants: tuple[Grant, ...], *, memory_only: bool, login: bool) -> Saved:
        server = grants[0].auth_server
        saved, signature = Saved(False, "it lives in this kernel only"), None
        with self._lock:
            try:
                if not memory_only:
                    with self.file.locked():
                        saved = self.file.save(grants, login=login)
                        signature = self.file.signature()
            finally:  # also when somebody interrupts: what was granted is not lost
                with self._memory_lock:
                    self._grants[server] = (*grants, *self._others(*grants))
                    _set(self._memory_only, server, memory_only)
                    _set(self._unsaved, server, not memory_only and not saved.written)
                    # What could not be stored is newer than what is there.
                    if signature is not None and not saved.written:
                        self._seen[server] = signature
            return saved

    def _others(self, *grants: Grant) -> tuple[Grant, ...]:
        """What is held of the same auth server for other resource servers."""
        names = {grant.resource_server for grant in grants}
        held = self._grants.get(grants[0].auth_server, ())
        return tuple(grant for grant in held if grant.resource_server not in names)

    def forget(self, *, everywhere: bool = False) -> Forgotten:
        """Drop the grants of the auth server in force, from memory and file.

        `everywhere` drops what other auth servers minted, too.
        """
        server = self._settings().globus_auth_url
        with self._lock, self.file.locked():
            stored = tuple(
                grant
                for grant in self.file.load().values()
                if everywhere or grant.auth_server == server
            )
            # Takes only what this server minted: a sandbox in memory leaves a real login alone.
            saved = self.file.remove(None if everywhere else server)
            held: list[Grant] = []
            with self._memory_lock:
                self._logouts += 1
                for name in {server, *(self._grants if everywhere else ())}:
                    held += self._grants.pop(name, ())
                    self._memory_only.discard(name)
                    self._unsaved.discard(name)
                    # If it stays in the file, it is not to come back from there.
                    self._seen[name] = self.file.signature()
            seen = {grant.access_token: grant for grant in (*stored, *held)}
            return Forgotten(tuple(seen.values()), saved)


class GatewayAuth(httpx.Auth):
    """Signs requests to the gateway, and once retries one whose token had gone stale.

    For sync and async httpx clients alike. A bearer goes only to the gateway's own host, and
    over plain http only to loopback; anything else raises GatewayUnreachable.
    """

    def __init__(self, bearers: Bearers, gateway_url: str) -> None:
        self._bearers = bearers
        self._gateway = httpx.URL(gateway_url)

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        bearer = self._bearers.current()
        response = yield self._signed(request, bearer)
        if response.status_code == 401:
            renewed = self._renewed(response, response.read(), bearer)
            if renewed is not None:
                yield self._signed(request, renewed)

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        # Waiting for a lock or for Globus happens in a thread. When the request is cancelled
        # meanwhile, that thread goes on: a refreshed grant is stored, not lost.
        bearer = self._bearers.ready()
        if bearer is None:
            bearer = await anyio.to_thread.run_sync(self._bearers.current, abandon_on_cancel=True)
        response = yield self._signed(request, bearer)
        if response.status_code == 401:
            body = await response.aread()
            renewed = await anyio.to_thread.run_sync(
                self._renewed, response, body, bearer, abandon_on_cancel=True
            )
            if renewed is not None:
                yield self._signed(request, renewed)

    def _renewed(self, response: httpx.Response, body: bytes, bearer: Bearer) -> Bearer | None:
        newer = self._bearers.newer(bearer)
        if newer is not None or not is_stale_token(response.status_code, body):
            return newer
        return self._bearers.renew(bearer)

    def _signed(self, request: httpx.Request, bearer: Bearer) -> httpx.Request:
        here, there = request.url, self._gateway
        if (here.scheme, here.host, here.port) != (there.scheme, there.host, there.port):
            raise GatewayUnreachable(
                f"No token is sent to {here.host}: the gateway is {there.host}.",
                "See %config AlcfMagics.gateway_url",
            )
        if here.scheme != "https" and not is_loopback(here.host):
            raise GatewayUnreachable(f"No token is sent to {here.host} over plain http.")
        request.headers["Authorization"] = f"Bearer {bearer.token.reveal()}"
        request.extensions["alcf_bearer"] = bearer.source
        return request


def finish_login(
    bearers: Bearers, grants: tuple[Grant, ...], *, memory_only: bool = False
) -> tuple[Grant, Saved]:
    """Keep what a login brought; the gateway's grant, and whether it was stored."""
    return gateway_grant(grants), bearers.keep(grants, memory_only=memory_only)


def revoke(grants: tuple[Grant, ...]) -> AlcfError | None:
    """Revoke every token of these grants; the first thing that went wrong, if anything did."""
    failed: AlcfError | None = None
    silent: set[str] = set()
    for grant in grants:
        # The refresh token first: whoever meets a revoked access token must not renew it.
        for token in filter(None, (grant.refresh_token, grant.access_token)):
            if grant.auth_server in silent:
                break
            try:
                GlobusAuth(grant.auth_server).revoke(token)
            except AlcfError as error:
                failed = failed or error
                if error.status is None:  # nobody answers: one wait is enough
                    silent.add(grant.auth_server)
    return failed


def _set(names: set[str], name: str, is_in: bool) -> None:
    (names.add if is_in else names.discard)(name)


def _own(grant: Grant) -> Bearer:
    return Bearer(grant.access_token, OWN_LOGIN, grant)


def _from_environment() -> Bearer | None:
    typed = Hidden(token=os.environ.get(TOKEN_VARIABLE, "").strip().removeprefix("Bearer ").strip())
    try:
        token = token_in(typed, "token")
    except ValueError:
        raise NotLoggedIn(f"{TOKEN_VARIABLE} holds something that is no token.", LOG_IN) from None
    return Bearer(token, f"the token in {TOKEN_VARIABLE}") if token else None


Credentials = Bearers
