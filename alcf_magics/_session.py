"""The session: one a kernel, shared by every magic and by Python code.

import alcf_magics
session = alcf_magics.session()
session.catalog()                          # what runs where
session.ask("What is MPI?").text           # one completion
httpx.Client(auth=session.auth)            # your own client, with the same login
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .errors import (
    AccessDenied,
    AlcfError,
    GatewayUnreachable,
    LoginExpired,
    Maintenance,
    ModelNotFound,
    ModelNotReady,
    RequestRefused,
    StreamBroken,
    in_one_line,
)
from .gateway.completions import Accumulator, ChatRequest, Completion
from .settings import SETTING_NAMES, Settings
from .told import SILENT, Told

if TYPE_CHECKING:
    from .auth.account import Account
    from .auth.credentials import Credentials
    from .auth.signing import GatewayAuth
    from .gateway.catalog import Catalog, Model
    from .gateway.client import Gateway
    from .history import Entry, History
    from .runtime import Runtime

#: Seconds that a catalog is used again: the gateway itself caches the jobs for as long.
CATALOG_SECONDS = 60.0
#: Seconds between two steps of a countdown, and the most that an interrupt of one takes.
COUNT_SECONDS = 0.2


@dataclass(frozen=True)
class _Read:
    """A catalog, when, where and by whom it was read, and whether with descriptions."""

    catalog: Catalog
    at: float
    url: str
    described: bool
    logins: int


class Session:
    """Grants, gateway client and event loop. What a part needs is imported when it is used."""

    def __init__(self) -> None:
        self._chosen: dict[str, str] = {}
        self._before_sandbox: dict[str, str] = {}
        self._lock = threading.RLock()
        self._runtime: Runtime | None = None
        self._credentials: Credentials | None = None
        self._gateway: Gateway | None = None
        self._limit: Any = None
        self._catalog: _Read | None = None
        self._account: Account | None = None
        self._closed = False
        self._history: History | None = None
        #: The sandbox that this session started, if it did.
        self.sandbox: Any = None
        #: The login panel that is open, if one is; a newer one makes it go quiet.
        self.panel: Any = None
        #: Who is told what is waited for, and what happened to the token file.
        self.told: Told = SILENT

    def __repr__(self) -> str:
        return f"<alcf_magics session with {Settings.load(self._chosen).gateway_url}>"

    # Settings

    @property
    def chosen(self) -> dict[str, str]:
        """What was chosen for this session, by name; the rest is the environment's."""
        return dict(self._chosen)

    @property
    def settings(self) -> Settings:
        """The settings in force: what was chosen, over the environment, over the defaults."""
        return Settings.load(self._chosen).checked()

    def choose(self, **values: str | None) -> None:
        """Choose settings for this session; None gives one back to the environment."""
        unknown = set(values) - set(SETTING_NAMES)
        if unknown:
            raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
        for name, value in values.items():
            if value is None:
                self._chosen.pop(name, None)
            else:
                self._chosen[name] = value

    # Parts

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
    def credentials(self) -> Credentials:
        """The grants of this kernel."""
        with self._lock:
            if self._credentials is None:
                from .auth.credentials import Credentials

                self._credentials = Credentials(lambda: self.settings)
            return self._credentials

    @property
    def account(self) -> Account:
        """Logging in and out."""
        with self._lock:
            if self._account is None:
                from .auth.account import Account

                self._account = Account(
                    lambda: self.settings,
                    self.credentials,
                    lambda: self.runtime.run(self.gateway.whoami),
                )
            return self._account

    @property
    def auth(self) -> GatewayAuth:
        """An `httpx.Auth` that keeps requests to the gateway authorised, sync or async."""
        from .auth.signing import GatewayAuth

        return GatewayAuth(self.credentials, self.settings.gateway_url, lambda: self.told)

    @property
    def gateway(self) -> Gateway:
        """The client of the gateway in force; its coroutines run on `runtime`."""
        url = self.settings.gateway_url
        with self._lock:
            if self._gateway is None or self._gateway.url != url:
                from .gateway.client import Gateway, RateLimit

                self._close_gateway()
                self._limit = self._limit or RateLimit()
                self._gateway = Gateway(url, self.auth, self._limit)
            return self._gateway

    @contextlib.contextmanager
    def _noting_refusal(self) -> Iterator[None]:
        """Remember that the gateway refused the login, so that the next login is a real one."""
        try:
            yield
        except LoginExpired as error:
            self.account.note_refusal(error)
            raise
        self.account.note_answer()

    # What runs

    def catalog(self, *, max_age: float = CATALOG_SECONDS, described: bool = True) -> Catalog:
        """What runs where, at most `max_age` seconds old. Raises an AlcfError.

        `described` asks the clusters, too, what they say of their models' capabilities.
        """
        gateway, read = self.gateway, self._catalog
        if (
            read is not None
            and read.url == gateway.url
            and read.logins == self.account.logins
            and (read.described or not described)
            and time.monotonic() - read.at < max_age
        ):
            return read.catalog
        fetch = functools.partial(gateway.catalog, described=described)
        with self._noting_refusal():
            try:
                catalog = self.runtime.run(fetch, self.told.tick)
            except GatewayUnreachable as error:
                for _ in self._wait_out(error):
                    time.sleep(COUNT_SECONDS)
                catalog = self.runtime.run(fetch, self.told.tick)
            except CancelledError:
                raise AlcfError("The session was closed while it waited.") from None
        logins = self.account.logins
        self._catalog = _Read(catalog, time.monotonic(), gateway.url, described, logins)
        return catalog

    def resolve(self, name: str = "", cluster: str = "") -> Model:
        """The model that a name means now; no name means the configured model, or the default."""
        wanted = name or self.settings.model
        # A name says enough: fewer requests, and a first prompt that waits for no turn.
        catalog = self.catalog(described=not wanted)
        if not name:
            name = wanted
            if cluster:  # asked for now, and so before what was configured
                name = catalog.without_cluster(name)
        return catalog.resolve(name, cluster)

    # Prompts

    def stream(
        self, model: Model, request: ChatRequest, *, asked: str = ""
    ) -> Iterator[Accumulator]:
        """Send a request; yields the answer so far, again and again, at least 20 times a second.

        In the end `.kept` of what it yields is the completion with its record, which is also in
        `history`; `asked` is the model's name as it was asked for. Whatever ends it early
        carries the part that came as `.completion`: an AlcfError, or KeyboardInterrupt. Leaving
        the loop closes the connection.
        """
        answer = Accumulator(request.model, model.cluster, time.monotonic())
        try:
            with self._noting_refusal():
                try:
                    yield from self._stream(model, request, answer)
                except GatewayUnreachable as error:
                    for _ in self._wait_out(error):
                        yield answer
                        time.sleep(COUNT_SECONDS)
                    yield from self._stream(model, request, answer)
            self.keep(answer, model, request, asked)
        except CancelledError:
            raise AlcfError("The session was closed while it waited.") from None
        except (AlcfError, KeyboardInterrupt) as error:
            if isinstance(error, ModelNotReady | ModelNotFound | Maintenance | AccessDenied):
                self._catalog = None  # it said otherwise: another place may be better now
            if answer.began or isinstance(error, StreamBroken | KeyboardInterrupt):
                completion = self.keep(answer, model, request, asked)
                error.completion = completion  # type: ignore[union-attr]
            if isinstance(error, KeyboardInterrupt):
                in_one_line(error, kept=answer.began)
            raise

    def keep(
        self, answer: Accumulator, model: Model, request: ChatRequest, asked: str
    ) -> Completion:
        """The completion as far as it came, with its record, put into the history once."""
        if answer.kept is None:
            from . import __version__
            from .history import Entry, record_of

            completion = answer.completion()
            begun = time.time() - (time.monotonic() - answer.started)
            record = record_of(
                completion,
                request,
                model,
                asked=asked,
                started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begun)),
                version=__version__,
            )
            answer.kept = replace(completion, record=record)
            self.history.add(Entry(request, model, answer.kept, record))
        return answer.kept

    @property
    def history(self) -> History:
        """Every prompt of this session with its completion, in memory; see History."""
        with self._lock:
            if self._history is None:
                from .history import History

                self._history = History(self._replay)
            return self._history

    def _replay(self, entry: Entry) -> Completion:
        return self._whole(entry.place, entry.request, entry.record.asked)

    def _whole(self, place: Model, request: ChatRequest, asked: str) -> Completion:
        answer: Accumulator | None = None
        for answer in self.stream(place, request, asked=asked):  # noqa: B007
            pass  # the last one is the whole
        assert answer is not None  # the stream yields before it ends
        assert answer.kept is not None
        return answer.kept

    def _stream(
        self, model: Model, request: ChatRequest, answer: Accumulator
    ) -> Iterator[Accumulator]:
        gateway = self.gateway
        for batch in self.runtime.iterate(lambda: gateway.stream(model, request, answer.sent)):
            for at, chunk in batch:
                answer.add(chunk, at)
            self.told.tick()
            yield answer

    def _wait_out(self, error: GatewayUnreachable) -> Iterator[None]:
        """Count down until another try may succeed, a step at a time.

        Raises the error at once when no such time is known.
        """
        if error.retry_after is None:
            raise error
        end = time.monotonic() + error.retry_after
        try:
            while (left := end - time.monotonic()) > 0:
                self.told.waiting(f"{error.what} Trying once more in {left:.0f} s")
                yield
        finally:  # also when it is interrupted
            self.told.waiting("")

    def ask(
        self,
        prompt: str,
        model: str = "",
        *,
        cluster: str = "",
        system: str = "",
        temperature: float | None = None,
        max_tokens: int | None = None,
        effort: str | None = None,
    ) -> Completion:
        """Send a prompt and wait for the whole completion. Raises an AlcfError."""
        if not prompt.strip():
            raise RequestRefused("The prompt is empty.", "Say what to ask: ask('…').")
        place = self.resolve(model, cluster)
        request = ChatRequest.prompt(
            place.name,
            prompt,
            system,
            temperature=temperature,
            max_tokens=max_tokens,
            reasoning_effort=effort,
        )
        return self._whole(place, request, model)

    # The end

    def close(self) -> None:
        """Give everything back: connections, event loop, a sandbox that was started."""
        with self._lock:
            if self.panel is not None:
                self.panel.close("The login was given up: alcf_magics was unloaded.")
            self._close_gateway()
            if self._runtime is not None:
                self._runtime.close()
                self._runtime = None
            self._closed = True
            atexit.unregister(self.close)
            self.stop_sandbox()
            self._credentials = self._catalog = self._account = None

    def stop_sandbox(self) -> None:
        """Stop the sandbox that this session started; the settings are as they were before."""
        sandbox, self.sandbox = self.sandbox, None
        if sandbox is not None:
            for name in ("gateway_url", "globus_auth_url"):
                self.choose(**{name: self._before_sandbox.get(name)})
            self.credentials.leave(sandbox.globus_auth_url)
            sandbox.stop()

    def enter_sandbox(self, sandbox: Any) -> None:
        """Use a started sandbox as gateway and auth server, until it is stopped."""
        self.stop_sandbox()
        self._before_sandbox = dict(self._chosen)
        self.sandbox = sandbox
        self.credentials.only_in_memory(sandbox.globus_auth_url)
        self.choose(gateway_url=sandbox.gateway_url, globus_auth_url=sandbox.globus_auth_url)

    def _close_gateway(self) -> None:
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            with contextlib.suppress(AlcfError, CancelledError):
                self.runtime.run(gateway.aclose)


_session: Session | None = None


def session() -> Session:
    """This kernel's session, made at first use."""
    global _session
    if _session is None:
        _session = Session()
    return _session


def _forget_after_fork() -> None:
    """A child process begins anew: its parent's threads, loop and connections are not there."""
    global _session
    if _session is not None:
        atexit.unregister(_session.close)
        _session = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def close() -> None:
    """Close the session, as `%unload_ext` and the end of the kernel do."""
    global _session
    ended, _session = _session, None
    if ended is not None:
        ended.close()
