"""The bearer of this kernel: which token goes with a request, and what to do when it is refused.

Order: a grant of one's own (refreshed when need be), then `ALCF_AI_TOKEN`, then a token that
another tool of ALCF's keeps. One lock, across threads and kernels, makes many that find a token
expired cause one refresh.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass

import anyio.to_thread
import httpx

from . import foreign
from .answers import OWN_LOGIN, is_stale_token
from .errors import AlcfError, GatewayUnreachable, NotLoggedIn
from .globus import GlobusAuth
from .grants import Grant, Secret, gateway_grant
from .settings import GATEWAY_RESOURCE_SERVER, TOKEN_VARIABLE, Settings, is_loopback
from .token_file import Saved, TokenFile

LOG_IN = "Log in: %alcf_login"


@dataclass(frozen=True)
class Bearer:
    """A token to send, and where it comes from, in words. `grant` is None for a foreign one."""

    token: Secret
    source: str
    grant: Grant | None = None


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
        self._lock = threading.RLock()
        self._grants: dict[str, tuple[Grant, ...]] = {}  # by auth server
        self._memory_only: set[str] = set()

    def grant(self) -> Grant | None:
        """The gateway's grant of the auth server in force, from memory or else from the file."""
        server = self._settings().globus_auth_url
        for held in self._grants.get(server, ()):
            if held.resource_server == GATEWAY_RESOURCE_SERVER:
                return held
        if server in self._memory_only:
            return None
        grant = self.file.load().get(GATEWAY_RESOURCE_SERVER)
        if grant is None or grant.auth_server != server:
            return None
        self._grants[server] = (grant,)
        return grant

    @property
    def in_memory_only(self) -> bool:
        """Whether the grants of the auth server in force are in this kernel only."""
        return self._settings().globus_auth_url in self._memory_only

    def ready(self) -> Bearer | None:
        """The bearer, if it needs neither network nor waiting."""
        grant = self.grant()
        if grant is not None:
            return _own(grant) if grant.fresh(self._clock()) else None
        return self.foreign()

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
        return self._refreshed(grant)

    def renew(self, refused: Bearer) -> Bearer | None:
        """Another bearer after one was refused as stale; None when there is no better one.

        A foreign token is never refreshed. A grant that another kernel has refreshed is taken
        over instead of being refreshed again.
        """
        return None if refused.grant is None else self._refreshed(refused.grant)

    def _refreshed(self, grant: Grant) -> Bearer:
        """A grant renewed; a foreign token when it cannot be, if there is one."""
        try:
            return self._refresh(grant)
        except AlcfError:
            other = self.foreign()
            if other is None:
                raise
            return other

    def _refresh(self, old: Grant) -> Bearer:
        """One refresh for all who hold `old`, whoever comes first."""
        with self._lock, self.file.locked():
            grant = self._newest(old)
            if grant.access_token != old.access_token and grant.fresh(self._clock()):
                return _own(grant)
            new = GlobusAuth(grant.auth_server, self._clock).refresh(grant)
            self.keep((new,), memory_only=grant.auth_server in self._memory_only)
            return _own(new)

    def _newest(self, old: Grant) -> Grant:
        """What the file or another thread of this kernel has made of `old` since."""
        held = self._grants.get(old.auth_server, ())
        grant = next((g for g in held if g.resource_server == old.resource_server), None)
        if grant is not None and grant.access_token != old.access_token:
            return grant
        if old.auth_server not in self._memory_only:
            stored = self.file.load().get(old.resource_server)
            if stored is not None and stored.auth_server == old.auth_server:
                return stored
        return old

    def keep(self, grants: tuple[Grant, ...], *, memory_only: bool = False) -> Saved:
        """Use these grants from now on, and store them unless they are for memory only."""
        server = grants[0].auth_server
        with self._lock:
            names = {grant.resource_server for grant in grants}
            held = tuple(
                grant
                for grant in self._grants.get(server, ())
                if grant.resource_server not in names
            )
            self._grants[server] = (*grants, *held)
            if memory_only:
                self._memory_only.add(server)
                return Saved(False, "it lives in this kernel only")
            saved = self.file.save(grants)
            if not saved.written:
                self._memory_only.add(server)
            else:
                self._memory_only.discard(server)
            return saved

    def forget(self, *, everywhere: bool = False) -> tuple[Grant, ...]:
        """Drop the grants of the auth server in force, from memory and file; returns them.

        `everywhere` drops what other auth servers minted, too.
        """
        server = self._settings().globus_auth_url
        with self._lock:
            stored = tuple(
                grant
                for grant in self.file.load().values()
                if everywhere or grant.auth_server == server
            )
            held = self._grants.pop(server, ())
            if everywhere:
                self.file.remove(None)
            elif server not in self._memory_only:
                self.file.remove(server)
            self._memory_only.discard(server)
            seen: dict[str, Grant] = {g.access_token.reveal(): g for g in (*stored, *held)}
            return tuple(seen.values())


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
        if not is_stale_token(response.status_code, body):
            return None
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
    for grant in grants:
        for token in filter(None, (grant.access_token, grant.refresh_token)):
            try:
                GlobusAuth(grant.auth_server).revoke(token)
            except AlcfError as error:
                failed = failed or error
    return failed


def _own(grant: Grant) -> Bearer:
    return Bearer(grant.access_token, OWN_LOGIN, grant)


def _from_environment() -> Bearer | None:
    token = os.environ.get(TOKEN_VARIABLE, "").strip().removeprefix("Bearer ").strip()
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise NotLoggedIn(f"{TOKEN_VARIABLE} holds something that is no token.", LOG_IN)
    return Bearer(Secret(token), f"the token in {TOKEN_VARIABLE}") if token else None
