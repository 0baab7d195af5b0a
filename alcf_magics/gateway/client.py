"""The HTTP client of one gateway: read something, send something, stream an answer.

The only module of this room that speaks HTTP. Bodies are read as they come, never decompressed,
and never further than a limit.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from ..errors import (
    CHECK_NETWORK,
    RUN_AGAIN,
    AlcfError,
    Fault,
    GatewayError,
    GatewayUnreachable,
    StreamBroken,
)
from ..network.environment import client_options, trusted_by, unread_entries, way_to
from ..network.quiet import keep_quiet
from ..network.trouble import detail_of, trouble_of
from ..text import line
from ..told import SILENT, Told
from .bodies import (
    FirstToken,
    bearer_of,
    body_of,
    check_encoding,
    fault_of,
    is_encoded,
    late_of,
    parsed,
    reads_of,
    without_bearer,
)
from .chat import ChatRequest, new_session_id
from .chunks import Chunk
from .models import Model
from .rate_limit import RateLimit, Start
from .refusals import error_for, explained
from .retries import Policy
from .stream_reader import StreamReader

#: Seconds without a byte of an answer that is read as a whole.
READ_TIMEOUT = 330.0
CATALOG_TIMEOUT = 30.0
#: Bytes of an answer that is no stream, and of an error, that are read.
MAX_BODY = 64 * 1024 * 1024
MAX_ERROR = 1024 * 1024
#: What requests that belong together share, so that one replica keeps their prefix in its cache:
#: at most 128 visible characters of ASCII.
SESSION_HEADER = "X-ALCF-Session-ID"


class Gateway:
    """One gateway, one connection pool. Lives on one event loop; close it with `aclose`.

    Every method raises an AlcfError for whatever the gateway says or fails to say. What is read
    and written as a whole is tried again as the policy in force has it; a stream is not, as
    whoever reads it knows where to go on.
    """

    def __init__(
        self,
        url: str,
        auth: httpx.Auth,
        limit: RateLimit | None = None,
        policy: Callable[[], Policy] = Policy,
        certificates: ssl.SSLContext | None = None,
    ) -> None:
        self.url = url
        self._auth = auth
        self._limit = limit or RateLimit()
        self._policy = policy
        keep_quiet()
        trouble = ""
        try:
            self._way = way_to(url)
            # Reading them takes a while: further clients use the same.
            self._certificates = certificates or trusted_by(url)
            self._client = httpx.AsyncClient(
                auth=auth,
                **client_options(self._way, self._certificates),
                timeout=httpx.Timeout(READ_TIMEOUT, connect=Policy().connect_seconds),
                headers={"User-Agent": "alcf-magics", "Accept-Encoding": "identity"},
                # As a hook, so that the repeated request after a refresh waits its turn, too.
                event_hooks={"request": [self._turn], "response": [self._taken_in]},
            )
        except (httpx.InvalidURL, ValueError, OSError) as error:
            trouble = type(error).__name__  # what it says may hold a proxy's password
        if trouble:
            raise GatewayUnreachable(f"No connection can be made: {trouble}.", CHECK_NETWORK)
        #: What is still to be said of NO_PROXY.
        self._unread = unread_entries(url)

    def another(self) -> Gateway:
        """A further client of the same gateway, login and limit, with connections of its own."""
        other = Gateway(self.url, self._auth, self._limit, self._policy, self._certificates)
        other._unread = self._unread  # said once by all of them
        return other

    async def _turn(self, request: httpx.Request) -> None:
        start = await self._limit.turn(request.extensions.get("alcf_again", False))
        request.extensions["alcf_start"] = start
        while self._unread:
            entry = line(self._unread.pop(), 60)
            notice = f"{entry} in NO_PROXY is no host and no network, and means nothing here."
            request.extensions.get("alcf_told", SILENT).notice(notice)
        if self._limit.counts:

            async def trace(event: str, info: object) -> None:
                if event == "http11.send_request_headers.complete":
                    request.extensions.pop("trace", None)  # each read of the answer would tell it
                    start.left()

            request.extensions["trace"] = trace
        if (sent := request.extensions.get("alcf_sent")) is not None:
            sent(time.monotonic())

    async def _taken_in(self, response: httpx.Response) -> None:
        if response.status_code != 429:
            self._limit.accepted(response.request.extensions["alcf_start"])

    async def aclose(self) -> None:
        await self._client.aclose()

    async def whoami(self, told: Told = SILENT) -> Mapping[str, Any]:
        """`id, name, username, idp_name, …` of the person the bearer stands for."""
        answer = await self.get("whoami", told=told, only=(Fault.RATE,))
        return answer if isinstance(answer, Mapping) else {}

    async def get(
        self,
        path: str,
        timeout: float = CATALOG_TIMEOUT,
        *,
        told: Told = SILENT,
        only: Collection[Fault] = tuple(Fault),
        seen: Callable[[Mapping[str, str]], None] = lambda headers: None,
    ) -> Any:
        """The JSON value at a path of the gateway, tried again after `only` these faults.

        `timeout` is in seconds without a byte. `seen` gets the headers of the answer.
        """
        return await self._json("GET", path, timeout=timeout, told=told, only=only, seen=seen)

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        timeout: float = READ_TIMEOUT,
        *,
        told: Told = SILENT,
        asked: str = "",
        repeatable: bool = False,
    ) -> Any:
        """What the gateway answers to a JSON body that is no chat: embeddings, batches.

        `asked` names what is asked, for errors; without it the path is named. What is not
        `repeatable` is sent again only where it cannot have been carried out.
        """
        only = set(Fault) if repeatable else set(Fault) - {Fault.PASSING}
        return await self._json(
            "POST", path, timeout=timeout, told=told, only=only, body=body, asked=asked
        )

    async def _json(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        told: Told,
        only: Collection[Fault],
        body: Mapping[str, Any] | None = None,
        seen: Callable[[Mapping[str, str]], None] = lambda headers: None,
        asked: str = "",
    ) -> Any:
        policy = self._policy()
        url = path if "://" in path else f"{self.url}/{path}"

        async def once(sent: Callable[[float], None]) -> Any:
            failure: AlcfError
            try:
                async with self._client.stream(
                    method,
                    url,
                    json=body,
                    timeout=httpx.Timeout(timeout, connect=policy.connect_seconds),
                    extensions={"alcf_told": told, "alcf_sent": sent},
                    headers={SESSION_HEADER: new_session_id()},
                ) as response:
                    content = await self._content(response, asked or path)
                    seen(response.headers)
                    return parsed(content, response, path)
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                failure = self._unreachable(error, policy, timeout)
            # Raised out here, because the other error holds the request, and so the bearer.
            raise failure

        return await policy.only(*only).run(once, told)

    async def stream(
        self,
        model: Model,
        request: ChatRequest,
        sent: Callable[[float], None] = lambda at: None,
        told: Told = SILENT,
        session_id: str = "",
        policy: Policy | None = None,
        *,
        again: bool = False,
    ) -> AsyncGenerator[list[Chunk]]:
        """The chunks of one completion, those of one read of the network at a time.

        `sent` gets the monotonic time at which the request leaves, after waiting for its turn;
        one that was refused takes its turn `again` before others. `session_id` is what requests
        of one chat have in common; without it, a random one. `policy` has the time-outs.
        Returns when the answer is complete. Raises the error of a refused request, and
        StreamBroken for an answer that broke off. Nothing is tried again.
        """
        asked = f"{model.name} on {model.cluster}"
        policy = policy or self._policy()
        reader: StreamReader | None = None
        failure: AlcfError
        first_token = FirstToken(policy.first_token_seconds)
        leaves = first_token.before(sent)

        try:
            response = await first_token.holds(
                lambda: self._send(model, request, leaves, told, session_id, policy, again)
            )
            async with aclosing(response):
                reader = await self._reader(response, request, asked)
                # Held until the response is closed: an async generator that is dropped before
                # cannot be finished off in a kernel where nest_asyncio was applied.
                reads = reads_of(response, reader, first_token, policy.silence_seconds)
                async with aclosing(reads):
                    async for chunks in reads:
                        yield chunks
                if reader.failure is not None:
                    raise explained(reader.failure, model, request)
                return
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            if reader is not None and reader.owes_nothing:
                return  # what breaks after the end of an answer takes nothing from it
            failure = self._stream_failure(error, asked, reader, policy)
        raise failure

    async def whole(
        self,
        model: Model,
        request: ChatRequest,
        sent: Callable[[float], None] = lambda at: None,
        told: Told = SILENT,
        session_id: str = "",
        policy: Policy | None = None,
        *,
        again: bool = False,
    ) -> list[Chunk]:
        """All chunks of a completion at once, of a request that asks for no stream; cheaper.

        The same as `stream` otherwise. The whole answer has the time of a first token.
        """
        asked = f"{model.name} on {model.cluster}"
        policy = policy or self._policy()
        reader: StreamReader | None = None
        chunks: list[Chunk] = []
        first_token = FirstToken(policy.first_token_seconds)
        leaves = first_token.before(sent)

        async def read() -> None:
            nonlocal reader
            response = await self._send(model, request, leaves, told, session_id, policy, again)
            async with aclosing(response):
                reader = await self._reader(response, request, asked)
                async for data in response.aiter_raw():
                    chunks.extend(reader.feed(data))
                    if reader.done or reader.failure is not None:
                        break

        broken: Exception | None = None
        try:
            await first_token.holds(read)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            broken = error
        if reader is not None:
            chunks.extend(reader.end())
            if broken is None and reader.failure is not None:
                raise explained(reader.failure, model, request)
        if broken is None or (reader is not None and reader.owes_nothing):
            return chunks
        failure = self._stream_failure(broken, asked, reader, policy)
        del broken  # it holds the request, and so the bearer
        raise failure

    async def _send(
        self,
        model: Model,
        request: ChatRequest,
        leaves: Callable[[float], None],
        told: Told,
        session_id: str,
        policy: Policy,
        again: bool,
    ) -> httpx.Response:
        """The response to a prompt, its body not yet read."""
        built = self._client.build_request(
            "POST",
            _chat_url(model.base_url),
            json=request.to_json(model.refuses),
            headers={SESSION_HEADER: session_id or new_session_id()},
            timeout=httpx.Timeout(None, connect=policy.connect_seconds),
            extensions={"alcf_sent": leaves, "alcf_told": told, "alcf_again": again},
        )
        return await self._client.send(built, stream=True)

    async def _reader(
        self, response: httpx.Response, request: ChatRequest, asked: str
    ) -> StreamReader:
        """What reads the answer. Raises the error of a refused request."""
        if response.status_code != 200:
            raise await self._refusal(response, asked)
        wanted = request.fields.get("n")
        choices = wanted if isinstance(wanted, int) else 1
        kind = response.headers.get("content-type", "")
        reader = StreamReader(kind, asked, bearer_of(response), choices)
        check_encoding(response)
        return reader

    def _stream_failure(
        self, error: Exception, asked: str, reader: StreamReader | None, policy: Policy
    ) -> AlcfError:
        if (late := late_of(error, asked, policy)) is not None:
            return late
        if reader is not None:
            broken = StreamBroken("The connection broke off.", RUN_AGAIN)
            broken.fault = Fault.PASSING  # where no token has come, nothing is lost
            return broken
        return self._unreachable(error, policy)

    async def _content(self, response: httpx.Response, asked: str) -> bytes:
        """The whole body of a good answer. Raises the error of one that is none."""
        if response.status_code != 200:
            raise await self._refusal(response, asked)
        check_encoding(response)
        body = await body_of(response, MAX_BODY)
        if len(body) > MAX_BODY:
            raise GatewayError(f"The gateway's answer to {asked} has no end.", CHECK_NETWORK)
        return body

    async def _refusal(self, response: httpx.Response, asked: str) -> AlcfError:
        body = b"" if is_encoded(response) else (await body_of(response, MAX_ERROR))[:MAX_ERROR]
        extensions = response.request.extensions
        error = error_for(
            response.status_code,
            response.headers,
            without_bearer(body, response),
            asked=asked,
            bearer=extensions.get("alcf_bearer", "your login"),
        )
        start = extensions.get("alcf_start", Start(0.0))
        if error.fault is Fault.RATE:
            error.pause = self._limit.refused(start, error.retry_after)
        elif response.status_code == 429:
            self._limit.accepted(start)
        return error

    def _unreachable(
        self, error: Exception, policy: Policy, timeout: float = READ_TIMEOUT
    ) -> GatewayUnreachable:
        what = "cannot be reached ({why})"
        why, next_step = trouble_of(error, self._way, CHECK_NETWORK)
        if isinstance(error, httpx.ConnectTimeout):
            seconds = policy.connect_seconds
            why = f"timed out: no connection within {seconds:g} s, connect_seconds"
            next_step = f"{CHECK_NETWORK}, or wait longer: %config AlcfMagics.connect_seconds"
        elif isinstance(error, httpx.TimeoutException):
            what, why = "did not answer ({why})", f"timed out: nothing within {timeout:g} s"
        failure = GatewayUnreachable(
            f"The gateway at {urlsplit(self.url).netloc} {what.format(why=why)}.",
            next_step,
            detail=detail_of(error, self._way),
        )
        failure.fault = fault_of(error)
        return failure


@lru_cache(maxsize=64)
def _chat_url(base_url: str) -> httpx.URL:
    return httpx.URL(f"{base_url}/chat/completions")
