"""The sandbox itself: two servers on free ports of 127.0.0.1, in one background thread."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .clusters import DEFAULT_CLUSTERS, REAL_MODEL, build, with_real_model
from .door import Door
from .gateway import Gateway
from .globus import Globus
from .settings import Script, Settings
from .tokens import Tokens
from .upstream import Upstream, Upstreams
from .visitors import LocalVisitors

START_SECONDS = 10.0
STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Request:
    """One request that reached the sandbox, recorded when its answer began.

    `at` is its arrival in monotonic seconds, `service` is "globus" or "gateway", `body` the parsed
    JSON or form, else None. `headers` have lower-case names and never hold the authorization;
    `authorized` says whether the gateway accepts its bearer, `carried_token` whether there was
    one at all. `status` is 0 when the client left before any answer.
    """

    at: float
    service: str
    method: str
    path: str
    query: str
    body: Any
    headers: Mapping[str, str]
    authorized: bool
    carried_token: bool
    status: int


class Sandbox(Settings):
    """A local Globus Auth and a local gateway, for demonstrations, teaching and tests.

    `clusters` maps cluster names to frameworks; the first behaves as one behind Globus Compute,
    the others as direct endpoints. `upstream` is the URL of an OpenAI-compatible server to which
    chats are forwarded, and `model_server` that of one which serves the real model alone: its name
    is then in the catalog. Times are in seconds.
    """

    def __init__(
        self,
        scenario: str = "default",
        *,
        validation: str = "current",
        clusters: Mapping[str, str] | None = None,
        upstream: str | None = None,
        upstream_model: str | None = None,
        model_server: str | None = None,
        pace: float = 0.02,
        token_seconds: int = 172800,
        answer: Script | None = None,
    ) -> None:
        super().__init__(
            scenario,
            validation=validation,
            pace=pace,
            token_seconds=token_seconds,
            answer=answer,
        )
        #: Every request so far, oldest first, and when clients left in the middle of a stream.
        self.requests: list[Request] = []
        self.disconnects: list[float] = []
        self._tokens = Tokens()
        self._model_server = model_server
        known = build(DEFAULT_CLUSTERS if clusters is None else clusters)
        if model_server:
            self.real_model, known = REAL_MODEL.name, with_real_model(known)
        self._upstreams = Upstreams(
            Upstream(upstream, upstream_model) if upstream else None,
            Upstream(model_server, REAL_MODEL.name) if model_server else None,
        )
        self._globus = Globus(self, self._tokens)
        self._door = Door(self, self._tokens)
        self._gateway = Gateway(
            self,
            self._door,
            known,
            self._upstreams,
            lambda: self.disconnects.append(time.monotonic()),
        )
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._failure: BaseException | None = None
        self._ports: tuple[int, int] | None = None

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def gateway_url(self) -> str:
        """The base of the gateway. RuntimeError before the sandbox was started."""
        return f"http://127.0.0.1:{self._port(1)}/resource_server"

    @property
    def globus_auth_url(self) -> str:
        """The base of Globus Auth. RuntimeError before the sandbox was started."""
        return f"http://127.0.0.1:{self._port(0)}"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that lead here, and to the real model if there is one."""
        real = {"ALCF_MODEL": self.real_model, "ALCF_SANDBOX_MODEL": self._model_server}
        return {
            "ALCF_GATEWAY_URL": self.gateway_url,
            "ALCF_GLOBUS_AUTH_URL": self.globus_auth_url,
            **{name: value for name, value in real.items() if value},
        }

    def start(self) -> None:
        """Open both ports and serve until stop(). A started sandbox stays as it is."""
        if self._thread is not None:
            return
        sockets = [_listen() for _ in range(2)]
        self._ports = (sockets[0].getsockname()[1], sockets[1].getsockname()[1])
        self._globus.url = self.globus_auth_url
        self._failure = None
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(sockets, ready), name="alcf-sandbox", daemon=True
        )
        self._thread.start()
        ready.wait(START_SECONDS)
        if self._failure is not None or not ready.is_set():
            self.stop()
            raise RuntimeError("The sandbox did not start.") from self._failure

    def stop(self) -> None:
        """Close both ports and every connection, open streams too. May be called again."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        loop, stopping = self._loop, self._stopping
        if loop is not None and stopping is not None:
            with suppress(RuntimeError):  # the loop has already ended
                loop.call_soon_threadsafe(stopping.set)
        thread.join(STOP_SECONDS)

    def approve(self, authorize_url: str) -> str:
        """Play the person at the browser: open the authorize page, consent, and return the code.

        RuntimeError with the reason the page shows; ValueError for a URL of another server.
        """
        if not authorize_url.startswith(self.globus_auth_url + "/"):
            raise ValueError(f"This sandbox can only approve URLs of {self.globus_auth_url}.")
        text = _open_page(authorize_url)
        action = re.search(r'<form method="post" action="([^"]+)"', text)
        number = re.search(r'name="request" value="([^"]+)"', text)
        if action is None or number is None:
            raise RuntimeError("The authorize page has no consent to give.")
        form = urlencode({"request": number[1]}).encode()
        text = _open_page(urljoin(authorize_url, action[1]), form)
        code = re.search(r'<code id="auth-code">([^<]+)</code>', text)
        if code is None:
            raise RuntimeError("The page after the consent shows no code.")
        return code[1]

    def token_requests(self, grant_type: str | None = None) -> int:
        """How many requests the token endpoint got, of one grant type or of all."""
        return sum(
            request.service == "globus"
            and request.path == "/v2/oauth2/token"
            and (grant_type is None or (request.body or {}).get("grant_type") == grant_type)
            for request in list(self.requests)
        )

    def expire_access_tokens(self) -> None:
        """Refuse all access tokens minted so far; refresh tokens still work."""
        self._tokens.spend("access")

    def revoke_refresh_tokens(self) -> None:
        """Refuse all refresh tokens minted so far: a refresh answers invalid_grant."""
        self._tokens.spend("refresh")

    def active(self, access_token: str) -> bool:
        """Whether a token (of either kind) is known and neither expired nor revoked."""
        return self._tokens.active(access_token)

    def _port(self, index: int) -> int:
        if self._ports is None:
            raise RuntimeError("The sandbox has no address before start().")
        return self._ports[index]

    def _run(self, sockets: list[socket.socket], ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(sockets, ready))
        except BaseException as reason:
            self._failure = reason
        finally:
            for listening in sockets:
                listening.close()
            ready.set()

    async def _serve(self, sockets: list[socket.socket], ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        apps = (
            Recorder(self._globus.app, "globus", self.requests, lambda header: False),
            Recorder(self._gateway, "gateway", self.requests, self._accepted),
        )
        servers = [uvicorn.Server(_config(LocalVisitors(app))) for app in apps]
        serving = [
            asyncio.ensure_future(server.serve(sockets=[listening]))
            for server, listening in zip(servers, sockets, strict=True)
        ]
        while not all(server.started for server in servers):
            for task in serving:
                if task.done():
                    task.result()
            await asyncio.sleep(0.002)
        ready.set()
        await self._stopping.wait()
        # Streams may be open for long: end them now, and do not wait for their clients. Uvicorn's
        # own way out would wait a tenth of a second, twice.
        answering = [task for server in servers for task in server.server_state.tasks]
        for task in [*answering, *serving]:
            task.cancel()
        for server in servers:
            for listener in server.servers:
                listener.close()
        await _turns()  # what was accepted just now becomes a connection
        # The loop's own list: one that was accepted in this moment has no server that knows it.
        for transport in list(getattr(self._loop, "_transports", {}).values()):
            transport.abort()
        await asyncio.gather(*answering, *serving, return_exceptions=True)
        await _turns()  # what was aborted closes
        await self._upstreams.close()

    def _accepted(self, authorization: str | None) -> bool:
        return self._door.judge(authorization)[1] is None


class Recorder:
    """ASGI middleware that reads each request's body and appends a Request to `requests` when the
    answer begins, that is before the client can see it."""

    def __init__(
        self,
        app: ASGIApp,
        service: str,
        requests: list[Request],
        accepted: Callable[[str | None], bool],
    ) -> None:
        self._app = app
        self._service = service
        self._requests = requests
        self._accepted = accepted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        at = time.monotonic()
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        authorization = headers.pop("authorization", None)
        accepted = self._accepted(authorization)
        pending = [{"type": "http.request", "body": bytes(body), "more_body": False}]
        recorded = False

        async def receive_again() -> Message:
            return pending.pop() if pending else await receive()

        def record(status: int) -> None:
            nonlocal recorded
            recorded = True
            self._requests.append(
                Request(
                    at=at,
                    service=self._service,
                    method=scope["method"],
                    path=scope["path"],
                    query=scope["query_string"].decode("latin-1"),
                    body=_parsed(bytes(body), headers.get("content-type", "")),
                    headers=headers,
                    authorized=accepted,
                    carried_token=authorization is not None,
                    status=status,
                )
            )

        async def send_and_record(message: Message) -> None:
            if message["type"] == "http.response.start":
                record(message["status"])
            await send(message)

        try:
            await self._app(scope, receive_again, send_and_record)
        finally:
            if not recorded:
                record(0)


async def _turns() -> None:
    """Let the loop go round a few times: what was set going before has happened then."""
    for _ in range(5):
        await asyncio.sleep(0)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
    )


def _listen() -> socket.socket:
    # asyncio sets TCP_NODELAY only on sockets that name their protocol; without it every answer
    # after the first of a connection is 40 ms late.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    return listening


def _parsed(body: bytes, content_type: str) -> Any:
    if "x-www-form-urlencoded" in content_type:
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


def _open_page(url: str, form: bytes | None = None) -> str:
    """The text of a page of this sandbox, redirects followed, never through a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, form, timeout=STOP_SECONDS) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as problem:
        with problem:
            text = problem.read().decode("utf-8", "replace")
        reason = re.search(r'<p id="reason">([^<]+)</p>', text)
        shown = reason[1] if reason else f"status {problem.code}"
        where = urlsplit(url).path
        raise RuntimeError(f"The sandbox refused {where}: {shown}") from None
