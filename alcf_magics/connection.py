"""What a session keeps open: event loop, client, limit, account, catalog, history.

The plumbing behind the session and its exchanges. Each part is made when it is first needed.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import threading
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import CancelledError, wait
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import (
    AccessDenied,
    AlcfError,
    LoginExpired,
    Maintenance,
    ModelNotFound,
    ModelNotReady,
    RequestRefused,
)
from .settings import Settings, checked_number
from .told import SILENT, Told

if TYPE_CHECKING:
    from .auth.account import Account
    from .auth.credentials import Credentials
    from .auth.signing import GatewayAuth
    from .gateway.catalog import Catalog
    from .gateway.class_mode import PromptPace
    from .gateway.client import Gateway
    from .gateway.completions import Completion
    from .gateway.discovery import Discovery
    from .gateway.loading import Waiting
    from .gateway.models import Model
    from .gateway.rate_limit import RateLimit
    from .gateway.retries import Policy
    from .history import History
    from .runtime import Runtime

T = TypeVar("T")

#: Seconds that a catalog is used again: the gateway itself caches the jobs for as long.
CATALOG_SECONDS = 60.0
#: Seconds in which a refusal to load a model comes, if it comes at once.
START_SECONDS = 1.0

#: Those of this process, for a child that is forked off.
_ALL: weakref.WeakSet[Connection] = weakref.WeakSet()


class Connection:
    """Everything that requests of one session share. Thread-safe.

    `settings` is asked at each use, so that a changed address counts at once.
    """

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self.settings = settings
        self._lock = threading.RLock()
        self._runtime: Runtime | None = None
        self._account: Account | None = None
        self._credentials: Credentials | None = None
        self._gateway: Gateway | None = None
        #: The environment that it was made in: `%env HTTPS_PROXY=…` counts at once.
        self._way_out: tuple[str, ...] = ()
        self._discovery: Discovery | None = None
        self._discovered_by = -1
        self._limit: RateLimit | None = None
        #: When the catalog was last read in the background, on the monotonic clock.
        self._sought = -math.inf
        self._history: History | None = None
        self._prompt_pace: PromptPace | None = None
        #: Whether somebody with many prompts was told what a batch does.
        self.knows_of_batches = False
        self._closed = False
        #: What a parent process goes on using: nothing of it is to be closed here.
        self._parents: tuple[object, ...] = ()
        _ALL.add(self)

    def begin_anew(self) -> None:
        """In a forked child: threads, event loop and sockets are the parent's."""
        if self._runtime is not None:
            atexit.unregister(self.close)
        self._lock = threading.RLock()
        self._parents = self._runtime, self._gateway, self._discovery, self._limit
        self._runtime = self._gateway = self._discovery = self._limit = None

    @property
    def runtime(self) -> Runtime:
        """The background event loop, started at first use."""
        with self._lock:
            if self._closed:
                raise AlcfError("This session was closed.", "The one in use: alcf_magics.session()")
            if self._runtime is None:
                from .runtime import Runtime

                self._runtime = Runtime()
                # Its thread would keep a script from ending.
                atexit.register(self.close)
            return self._runtime

    @property
    def account(self) -> Account:
        """Who is logged in, and logging in."""
        with self._lock:
            if self._account is None:
                from .auth.account import Account
                from .auth.credentials import Credentials

                self._credentials = Credentials(self.settings)
                self._account = Account(self.settings, self._credentials, self._whoami)
            return self._account

    @property
    def credentials(self) -> Credentials:
        """The grants of this kernel."""
        with self._lock:
            assert self.account is not None  # makes both
            assert self._credentials is not None
            return self._credentials

    @property
    def auth(self) -> GatewayAuth:
        """Signs requests to the gateway in force."""
        from .auth.signing import GatewayAuth

        return GatewayAuth(self.credentials, self.settings().gateway_url)

    @property
    def gateway(self) -> Gateway:
        """The client of the gateway in force; its coroutines run on `runtime`.

        Not to be asked on the event loop itself: an older client is closed there, and waited for.
        """
        from .network.environment import fingerprint

        settings = self.settings()
        url = settings.gateway_url
        with self._lock:
            environment = fingerprint()
            if self._gateway is None or (self._gateway.url, self._way_out) != (url, environment):
                from .gateway.client import Gateway
                from .gateway.rate_limit import RateLimit

                self._close_gateway()
                self._limit = self._limit or RateLimit()
                self._gateway = Gateway(url, self.auth, self._limit, lambda: self.policy)
                self._way_out = environment
            assert self._limit is not None
            self._limit.set_rate(settings.requests_per_second)
            return self._gateway

    async def prompt_turn(self, told: Told) -> None:
        """Wait on the event loop until one more prompt may leave, as class mode has it."""
        per_minute = self.settings().prompts_per_minute
        if per_minute <= 0:
            return
        if self._prompt_pace is None:
            from .gateway.class_mode import PromptPace

            self._prompt_pace = PromptPace()
        await self._prompt_pace.turn(per_minute, told)

    @property
    def policy(self) -> Policy:
        """What is tried again, and for how long, as the settings in force have it."""
        from .gateway.retries import Policy

        return Policy.of(self.settings())

    def catalog(
        self,
        *,
        max_age: float = CATALOG_SECONDS,
        described: bool = True,
        noticed: bool = False,
        told: Told = SILENT,
    ) -> Catalog:
        """What runs where, at most `max_age` seconds old. Raises an AlcfError.

        `described` asks the clusters, too, what they say of their models' capabilities, `noticed`
        those under maintenance for the facility's notice.
        """
        discovery = self.discovery
        known = discovery.known(max_age=max_age, described=described, noticed=noticed)
        if known is not None:
            return known
        return self.ask(
            lambda: discovery.catalog(
                max_age=max_age, described=described, noticed=noticed, told=told
            ),
            told,
        )

    def known_catalog(self) -> Catalog | None:
        """The catalog that was read last, however old; asks nothing, and waits for nothing.

        None where there is none yet. Where it is old, it is read anew in the background, once a
        minute at most, however that goes.
        """
        known, now, url = self._discovery, time.monotonic(), self.settings().gateway_url
        here = known if known is not None and known.gateway.url == url else None
        fresh = here is not None and here.known(described=False) is not None
        if not fresh and now - self._sought > CATALOG_SECONDS and not self._closed:
            self._sought = now
            self.runtime.start(self.catalog)
        return here.last if here is not None else None

    @property
    def discovery(self) -> Discovery:
        """Reads the catalog of the gateway in force, for whoever is logged in."""
        gateway, logins = self.gateway, self.account.logins
        with self._lock:
            found = self._discovery
            if found is None or found.gateway is not gateway or self._discovered_by != logins:
                from .gateway.discovery import Discovery

                found = self._discovery = Discovery(gateway)
                self._discovered_by = logins
            return found

    def waiting(self, minutes: float | None = None) -> Waiting:
        """Waits for models that are not live, on the event loop; 0 minutes: not at all.

        Raises RequestRefused for what is no number of minutes.
        """
        from .gateway.loading import Waiting

        try:
            minutes = checked_number("wait", self.settings().wait if minutes is None else minutes)
        except ValueError as error:
            raise RequestRefused(f"{error}.", "Nothing was sent; it is in minutes.") from None
        return Waiting(self.gateway, self.discovery, 60 * minutes)

    def start(self, place: Model) -> None:
        """Have a model loaded: the request that does it waits in the background.

        Returns when it has gone out, or has been refused: then raises that.
        """
        from .gateway.loading import started

        gateway, discovery = self.gateway, self.discovery
        future = self.runtime.spawn(lambda: started(gateway, discovery, place))
        try:
            if wait([future], timeout=START_SECONDS).done:
                with self.noting():
                    future.result()
        except BaseException:
            future.cancel()
            raise
        discovery.forget()  # it is on its way now

    def ask(self, call: Callable[[], Awaitable[T]], told: Told = SILENT) -> T:
        """What the gateway answers to one call, which tries again itself as the policy has it.

        The call is made on the event loop, and waited for here. Raises an AlcfError.
        """
        try:
            with self.noting():
                return self.runtime.run(call, told.tick)
        except CancelledError:
            raise AlcfError("The session was closed while it waited.") from None
        finally:  # what the event loop takes away after an interrupt comes too late to be shown
            told.waiting("")

    async def aask(self, call: Callable[[], Awaitable[T]]) -> T:
        """The same for a caller with an event loop of its own; leaving it ends the request."""

        async def once() -> AsyncIterator[T]:
            yield await call()

        with self.noting():
            with contextlib.suppress(CancelledError):
                async with contextlib.aclosing(self.runtime.aiterate(once)) as arrivals:
                    async for answers in arrivals:
                        for _, answer in answers:
                            return answer
            raise AlcfError("The session was closed while it waited.")

    def post(
        self,
        path: str,
        body: Mapping[str, Any],
        told: Told = SILENT,
        *,
        asked: str = "",
        repeatable: bool = False,
    ) -> Any:
        """What the gateway answers to a request that is no chat. Raises an AlcfError.

        `path` is under the gateway's address (`sophia/vllm/v1/embeddings`), or whole; `asked`
        names what is asked, for errors. What is not `repeatable` is sent again only where it
        cannot have been carried out.
        """
        gateway = self.gateway
        return self.ask(
            lambda: gateway.post(path, body, told=told, asked=asked, repeatable=repeatable), told
        )

    def fetch(self, address: str, told: Told = SILENT) -> bytes:
        """What stands at an http(s) address that is not the gateway's. Raises RequestRefused."""
        from .images.addresses import shown
        from .images.fetching import fetched

        told.waiting(f"Fetching {shown(address)}")
        try:
            return self.runtime.run(lambda: fetched(address), told.tick)
        except CancelledError:
            raise AlcfError("The session was closed while it waited.") from None
        finally:
            told.waiting("")

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Take from what the gateway answers what it says of the login and of the catalog."""
        try:
            yield
        except AlcfError as error:
            self.note(error)
            raise
        self.account.note_answer()

    def note(self, error: AlcfError) -> None:
        """Learn from a refusal: the next login is a real one, and the catalog is read anew."""
        if isinstance(error, LoginExpired):
            self.account.note_refusal(error)
        wrong = ModelNotReady | ModelNotFound | Maintenance | AccessDenied
        said = isinstance(error, wrong) and error.status is not None  # by the gateway, not by us
        if said and self._discovery is not None:
            self._discovery.forget()  # it said otherwise: another place may be better now

    @property
    def history(self) -> History:
        """Every completion of this session, oldest first."""
        with self._lock:
            if self._history is None:
                from .history import History

                self._history = History(self._sent_again)
            return self._history

    def _sent_again(self, old: Completion) -> Completion:
        from .exchanges import Exchange

        if old.recorded:
            raise AlcfError(
                "This answer came from a file: there is no place to send its prompt to.",
                "Run its cell with --fresh.",
            )
        format = old.format if old.request.form is None else "json"
        return Exchange(
            self, old.place, old.request, asked=old.asked, format=format, key=old.key
        ).run()

    def _whoami(self) -> Mapping[str, Any]:
        gateway = self.gateway
        return self.runtime.run(gateway.whoami)

    def close(self) -> None:
        """Give everything back: connections, then the event loop."""
        with self._lock:
            self._close_gateway()
            if self._runtime is not None:
                self._runtime.close()
                self._runtime = None
            self._closed = True
            self._account = self._credentials = self._discovery = None
            atexit.unregister(self.close)

    def _close_gateway(self) -> None:
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            with contextlib.suppress(AlcfError, CancelledError):
                self.runtime.run(gateway.aclose)


def _begin_anew_after_fork() -> None:
    for connection in list(_ALL):
        connection.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_after_fork)
