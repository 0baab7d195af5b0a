"""The HTTP client of one gateway: read something, send something, stream an answer.

The only module of this room that speaks HTTP. Bodies are read as they come, never decompressed,
and never further than a limit.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx

from ..errors import (
    CHECK_NETWORK,
    LOADING,
    RUN_AGAIN,
    AlcfError,
    GatewayError,
    GatewayUnreachable,
    StreamBroken,
)
from ..settings import is_loopback
from ..text import integer, line, words
from ..told import SILENT, Told
from .chat import ChatRequest, estimate, new_session_id
from .chunks import Chunk
from .models import Model
from .rate_limit import RateLimit
from .refusals import error_for
from .stream_reader import StreamReader

#: Seconds without a byte. Behind Globus Compute the gateway itself gives up after about 300.
READ_TIMEOUT = 330.0
CATALOG_TIMEOUT = 30.0
#: Seconds for a body to end after `[DONE]`, and for more to come once an answer is complete.
DRAIN_SECONDS = 0.5
MORE_SECONDS = 2.0
#: Bytes of an answer that is no stream, and of an error, that are read.
MAX_BODY = 64 * 1024 * 1024
MAX_ERROR = 1024 * 1024
#: What requests that belong together share, so that one replica keeps their prefix in its cache:
#: at most 128 visible characters of ASCII.
SESSION_HEADER = "X-ALCF-Session-ID"


class Gateway:
    """One gateway, one connection pool. Lives on one event loop; close it with `aclose`.

    Every method raises an AlcfError for whatever the gateway says or fails to say.
    """

    def __init__(
        self,
        url: str,
        auth: httpx.Auth,
        limit: RateLimit | None = None,
        certificates: ssl.SSLContext | None = None,
    ) -> None:
        self.url = url
        self._auth = auth
        self._limit = limit or RateLimit()
        # Loopback is never reached through a proxy, whatever the environment says.
        trust_env = not is_loopback(httpx.URL(url).host)
        trouble = ""
        try:
            # Reading them takes a while: further clients use the same.
            self._certificates = certificates or httpx.create_ssl_context(trust_env=trust_env)
            self._client = httpx.AsyncClient(
                auth=auth,
                verify=self._certificates,
                timeout=httpx.Timeout(READ_TIMEOUT, connect=10.0),
                trust_env=trust_env,
                headers={"User-Agent": "alcf-magics", "Accept-Encoding": "identity"},
                # As a hook, so that the repeated request after a refresh waits its turn, too.
                event_hooks={"request": [self._turn]},
            )
        except Exception as error:  # whatever proxies, certificates and addresses come up with
            trouble = f"{type(error).__name__}: {line(str(error))}"
        if trouble:
            raise GatewayUnreachable(f"No connection can be made: {trouble}.", CHECK_NETWORK)

    def another(self) -> Gateway:
        """A further client of the same gateway, login and limit, with connections of its own."""
        return Gateway(self.url, self._auth, self._limit, self._certificates)

    async def _turn(self, request: httpx.Request) -> None:
        await self._limit.turn()
        if (sent := request.extensions.get("alcf_sent")) is not None:
            sent(time.monotonic())

    async def aclose(self) -> None:
        await self._client.aclose()

    async def whoami(self, told: Told = SILENT) -> Mapping[str, Any]:
        """`id, name, username, idp_name, …` of the person the bearer stands for."""
        answer = await self.get("whoami", told=told)
        return answer if isinstance(answer, Mapping) else {}

    async def get(self, path: str, timeout: float = CATALOG_TIMEOUT, *, told: Told = SILENT) -> Any:
        """The JSON value at a path of the gateway. `timeout` is in seconds without a byte."""
        return await self._json("GET", path, timeout=timeout, told=told)

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        timeout: float = READ_TIMEOUT,
        *,
        told: Told = SILENT,
        asked: str = "",
    ) -> Any:
        """What the gateway answers to a JSON body that is no chat: embeddings, batches.

        `asked` names what is asked, for errors; without it the path is named.
        """
        return await self._json("POST", path, timeout=timeout, told=told, body=body, asked=asked)

    async def _json(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        told: Told,
        body: Mapping[str, Any] | None = None,
        asked: str = "",
    ) -> Any:
        url = path if "://" in path else f"{self.url}/{path}"
        extensions = {"alcf_told": told}
        failure: AlcfError
        try:
            async with self._client.stream(
                method,
                url,
                json=body,
                timeout=timeout,
                extensions=extensions,
                headers={SESSION_HEADER: new_session_id()},
            ) as response:
                content = await self._content(response, asked or path)
                return _parsed(content, response, path)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            failure = self._unreachable(error)
        # Raised out here, because the other error holds the request, and so the bearer.
        raise failure

    async def stream(
        self,
        model: Model,
        request: ChatRequest,
        sent: Callable[[float], None] = lambda at: None,
        told: Told = SILENT,
        session_id: str = "",
    ) -> AsyncGenerator[list[Chunk]]:
        """The chunks of one completion, those of one read of the network at a time.

        `sent` gets the monotonic time at which the request leaves, after waiting for its turn.
        `session_id` is what requests of one chat have in common; without it, a random one.
        Returns when the answer is complete. Raises the error of a refused request, and
        StreamBroken for an answer that broke off.
        """
        asked = f"{model.name} on {model.cluster}"
        reader: StreamReader | None = None
        failure: AlcfError
        try:
            async with self._client.stream(
                "POST",
                f"{model.base_url}/chat/completions",
                json=request.to_json(model.refuses),
                headers={SESSION_HEADER: session_id or new_session_id()},
                extensions={"alcf_sent": sent, "alcf_told": told},
            ) as response:
                if response.status_code != 200:
                    raise await self._refusal(response, asked)
                kind = response.headers.get("content-type", "")
                wanted = request.fields.get("n")
                choices = wanted if isinstance(wanted, int) else 1
                reader = StreamReader(kind, asked, _bearer(response), choices)
                _check_encoding(response)
                # Held until the response is closed: an async generator that is dropped before
                # cannot be finished off in a kernel where nest_asyncio was applied.
                async with aclosing(_reads(response, reader)) as reads:
                    async for chunks in reads:
                        yield chunks
                if reader.failure is not None:
                    raise _explained(reader.failure, model, request)
                return
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            if reader is not None and reader.owes_nothing:
                return  # what breaks after the end of an answer takes nothing from it
            failure = self._stream_failure(error, asked, reader)
        raise failure

    def _stream_failure(
        self, error: Exception, asked: str, reader: StreamReader | None
    ) -> AlcfError:
        if isinstance(error, httpx.TimeoutException) and not isinstance(
            error, httpx.ConnectTimeout
        ):
            if reader is not None and reader.began:
                return StreamBroken("The answer stopped coming.", RUN_AGAIN)
            return GatewayUnreachable(
                f"{asked} did not answer within {READ_TIMEOUT:.0f} s.", LOADING
            )
        if reader is not None:
            return StreamBroken("The connection broke off.", RUN_AGAIN)
        return self._unreachable(error)

    async def _content(self, response: httpx.Response, asked: str) -> bytes:
        """The whole body of a good answer. Raises the error of one that is none."""
        if response.status_code != 200:
            raise await self._refusal(response, asked)
        _check_encoding(response)
        body = await _body(response, MAX_BODY)
        if len(body) > MAX_BODY:
            raise GatewayError(f"The gateway's answer to {asked} has no end.", CHECK_NETWORK)
        return body

    async def _refusal(self, response: httpx.Response, asked: str) -> AlcfError:
        body = b"" if _is_encoded(response) else (await _body(response, MAX_ERROR))[:MAX_ERROR]
        return error_for(
            response.status_code,
            response.headers,
            _without_bearer(body, response),
            asked=asked,
            bearer=response.request.extensions.get("alcf_bearer", "your login"),
        )

    def _unreachable(self, error: Exception) -> GatewayUnreachable:
        why = "timed out" if isinstance(error, httpx.TimeoutException) else type(error).__name__
        return GatewayUnreachable(
            f"The gateway at {urlsplit(self.url).netloc} cannot be reached ({why}).",
            CHECK_NETWORK,
        )


async def _reads(response: httpx.Response, reader: StreamReader) -> AsyncGenerator[list[Chunk]]:
    """The chunks of each read of a body, up to its end, its `[DONE]` or its failure.

    An answer that is complete waits a moment for its usage, and never for a server that forgets
    to close. What came before a break is given out, its last event, too, and then the break raised.
    """
    body, broken = response.aiter_raw(), None
    while not reader.done and reader.failure is None:
        data: bytes | None = None
        try:
            if reader.owes_nothing:
                with anyio.move_on_after(MORE_SECONDS):
                    data = await anext(body, None)
            else:
                data = await anext(body, None)
        except httpx.HTTPError as error:
            broken = error
        if data is None:
            break
        if chunks := reader.feed(data):
            yield chunks
    if chunks := reader.end():
        yield chunks
    if broken is not None:
        raise broken
    if reader.done:
        # A body read to its end leaves the connection ready for the next prompt.
        with anyio.move_on_after(DRAIN_SECONDS):
            while await anext(body, None) is not None:
                pass


async def _body(response: httpx.Response, limit: int) -> bytes:
    """A body as it was sent, up to a little more than `limit` bytes of it."""
    pieces, size = [], 0
    async for piece in response.aiter_raw():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            break
    return b"".join(pieces)


def _is_encoded(response: httpx.Response) -> bool:
    return str(response.headers.get("content-encoding", "identity")).casefold() != "identity"


def _check_encoding(response: httpx.Response) -> None:
    """What was not asked for is not decompressed: a small body may become a large one."""
    if _is_encoded(response):
        encoding = line(response.headers["content-encoding"], 40)
        raise GatewayError(
            f"The gateway answered in an encoding of its own ({encoding}).",
            CHECK_NETWORK,
            status=response.status_code,
        )


def _parsed(content: bytes, response: httpx.Response, path: str) -> Any:
    try:
        return json.loads(_without_bearer(content, response), parse_int=integer)
    except (ValueError, RecursionError):
        pass
    raise GatewayError(
        f"The gateway answered {path} with something that is not JSON"
        " (a login page of the network, perhaps).",
        CHECK_NETWORK,
        status=response.status_code,
        detail=words(_without_bearer(content, response).decode("utf-8", "replace")),
    )


def _bearer(response: httpx.Response) -> str:
    """The token that the request carried."""
    return str(response.request.headers.get("authorization", "")).removeprefix("Bearer ")


def _without_bearer(body: bytes, response: httpx.Response) -> bytes:
    """Whatever stands in front of the gateway, or behind it, may repeat what it was sent."""
    token = _bearer(response).encode()
    return body.replace(token, b"(token)") if token else body


def _explained(error: AlcfError, model: Model, request: ChatRequest) -> AlcfError:
    """Some model servers hide the reason: then say what the prompt's length makes likely."""
    window = model.capabilities.context_window
    if not (isinstance(error, StreamBroken) and error.reason_hidden and window):
        return error
    tokens = estimate(request.messages) + int(request.fields.get("max_tokens") or 0)
    if tokens >= window // 2:
        return error
    explained = StreamBroken(
        f"The model server failed without a reason (not for length: about {tokens} "
        f"tokens were asked of its {window}).",
        RUN_AGAIN,
        status=error.status,
        detail=error.detail,
    )
    explained.reason_hidden = True
    return explained
