"""The HTTP client of the gateway: who am I, the catalog, and a streamed chat completion."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import anyio
import httpx

from ..errors import AlcfError, GatewayError, GatewayUnreachable, StreamBroken
from ..settings import is_loopback
from .catalog import Catalog, Model, build_catalog, cluster_names
from .completions import ChatRequest, Chunk, parse_event
from .refusals import CHECK_NETWORK, LOADING, RUN_AGAIN, error_for, error_in_event
from .sse import Decoder, LineTooLong

#: The gateway allows 10 requests a second to a user; other kernels of the same person need some.
REQUESTS_PER_SECOND = 8
#: Seconds without a byte. Behind Globus Compute the gateway itself gives up after about 300.
READ_TIMEOUT = 330.0
CATALOG_TIMEOUT = 30.0
#: For what the catalog can do without: one cluster's trouble is not to hold up the others.
PART_TIMEOUT = 10.0
#: Seconds given to a body to end after `[DONE]`.
DRAIN_SECONDS = 0.5


class RateLimit:
    """Lets at most `count` requests start within any `seconds`; the rest wait their turn."""

    def __init__(self, count: int = REQUESTS_PER_SECOND, seconds: float = 1.0) -> None:
        self._starts: deque[float] = deque(maxlen=count)
        self._seconds = seconds
        self._first_in_line = anyio.Lock()

    async def turn(self) -> None:
        """Wait until one more request may start. One that is cancelled takes nobody's place."""
        async with self._first_in_line:
            if len(self._starts) == self._starts.maxlen:
                # A little more than the window: requests do not arrive as evenly as they leave.
                free = self._starts[0] + self._seconds * 1.1
                await anyio.sleep(max(0.0, free - time.monotonic()))
            self._starts.append(time.monotonic())


class Gateway:
    """One gateway, one connection pool. Lives on one event loop; close it with `aclose`.

    Every method raises an AlcfError for whatever the gateway says or fails to say.
    """

    def __init__(self, url: str, auth: httpx.Auth, limit: RateLimit | None = None) -> None:
        self.url = url
        self._limit = limit or RateLimit()
        self._descriptions: dict[str, list[Any] | None] = {}
        trouble = ""
        try:
            self._client = httpx.AsyncClient(
                auth=auth,
                timeout=httpx.Timeout(READ_TIMEOUT, connect=10.0),
                # Loopback is never reached through a proxy, whatever the environment says.
                trust_env=not is_loopback(httpx.URL(url).host),
                headers={"User-Agent": "alcf-magics", "Accept-Encoding": "identity"},
                # As a hook, so that the repeated request after a refresh waits its turn, too.
                event_hooks={"request": [self._turn]},
            )
        except Exception as error:  # whatever proxies, certificates and addresses come up with
            trouble = f"{type(error).__name__}: {error}"
        if trouble:
            raise GatewayUnreachable(f"No connection can be made: {trouble}.", CHECK_NETWORK)

    async def _turn(self, request: httpx.Request) -> None:
        await self._limit.turn()
        if (sent := request.extensions.get("alcf_sent")) is not None:
            sent(time.monotonic())

    async def aclose(self) -> None:
        await self._client.aclose()

    async def whoami(self) -> Mapping[str, Any]:
        """`id, name, username, idp_name, …` of the person the bearer stands for."""
        answer = await self._get("whoami")
        return answer if isinstance(answer, Mapping) else {}

    async def catalog(self, *, described: bool = True) -> Catalog:
        """What runs where. One cluster's trouble becomes a note, and hides nothing of the others.

        `described` asks each cluster once what it says of its models; else only what is known.
        Raises an AlcfError only when the list of endpoints itself cannot be had.
        """
        answers: dict[str, Any] = {}
        troubles: dict[str, AlcfError] = {}

        async def read(path: str, timeout: float = PART_TIMEOUT) -> None:
            # Nothing is raised inside the group: it would come out wrapped in another error.
            try:
                answers[path] = await self._get(path, timeout)
            except AlcfError as error:
                troubles[path] = error

        async with anyio.create_task_group() as group:
            group.start_soon(read, "status")
            await read("list-endpoints", CATALOG_TIMEOUT)
            clusters = _clusters(answers.get("list-endpoints"))
            for cluster in clusters:
                group.start_soon(read, _path(cluster, "jobs"))
            for cluster in clusters:
                if described and cluster not in self._descriptions:
                    group.start_soon(read, _path(cluster, "models"))
        if "list-endpoints" in troubles:
            raise troubles["list-endpoints"]
        for cluster in clusters:
            self._learn(cluster, answers, troubles)
        return build_catalog(
            self.url,
            answers["list-endpoints"],
            _mapping(answers.get("status")),
            {name: _mapping(answers.get(_path(name, "jobs"))) for name in clusters},
            self._descriptions,
            notes=[
                f"{name}: states not known: {troubles[_path(name, 'jobs')].what}"
                for name in clusters
                if _path(name, "jobs") in troubles
            ],
        )

    def _learn(
        self, cluster: str, answers: Mapping[str, Any], troubles: Mapping[str, AlcfError]
    ) -> None:
        """Keep what a cluster says of its models; it does not change while a notebook runs.

        An older gateway has no such route, and need not be asked again.
        """
        path = _path(cluster, "models")
        if path in answers:
            said = answers[path]
            self._descriptions[cluster] = said if isinstance(said, list) else None
        elif path in troubles and troubles[path].status == 404:
            self._descriptions[cluster] = None

    async def stream(
        self,
        model: Model,
        request: ChatRequest,
        sent: Callable[[float], None] = lambda at: None,
    ) -> AsyncIterator[Chunk]:
        """The chunks of one completion, as they arrive.

        `sent` gets the monotonic time at which the request leaves, after waiting for its turn.
        Returns after `[DONE]`, or after the end of a stream whose choices have all finished.
        Raises the error of a refused request, and StreamBroken for an answer that broke off.
        """
        url = f"{model.base_url}/chat/completions"
        body = request.to_json(accepts_chat_template_kwargs=model.accepts_chat_template_kwargs)
        asked = f"{model.name} on {model.cluster}"
        answered = began = False
        ending = _Ending()
        try:
            async with self._client.stream(
                "POST", url, json=body, extensions={"alcf_sent": sent}
            ) as response:
                answered = True
                if response.status_code != 200:
                    raise self._error(response, await response.aread(), asked)
                # Held until the response is closed: an async generator that is dropped before
                # cannot be finished off in a kernel where nest_asyncio was applied.
                events = _events(response)
                async for data in events:
                    if data == "[DONE]":
                        ending.done = True
                        # A body read to its end leaves the connection ready for the next prompt.
                        with anyio.move_on_after(DRAIN_SECONDS):
                            async for _ in events:
                                pass
                        break
                    event = parse_event(data)
                    if event is None:
                        continue
                    error = error_in_event(event, began=began, asked=asked)
                    if error is not None:
                        raise _explained(error, model, request)
                    chunk = Chunk.from_json(event)
                    began = began or any(d.content or d.reasoning for d in chunk.deltas)
                    ending.see(chunk)
                    yield chunk
                ending.check(response.headers.get("content-type", ""))
                return
        except LineTooLong:
            failure: AlcfError = StreamBroken(
                "The gateway sent something that is no stream of chunks.", RUN_AGAIN
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            if ending.complete:
                return  # what breaks after the end of an answer takes nothing from it
            failure = self._stream_failure(error, asked, answered, began)
        # Raised out here, because the other error holds the request, and so the bearer.
        raise failure

    def _stream_failure(
        self, error: Exception, asked: str, answered: bool, began: bool
    ) -> AlcfError:
        if isinstance(error, httpx.TimeoutException) and not isinstance(
            error, httpx.ConnectTimeout
        ):
            if began:
                return StreamBroken("The answer stopped coming.", RUN_AGAIN)
            return GatewayUnreachable(
                f"{asked} did not answer within {READ_TIMEOUT:.0f} s.", LOADING
            )
        if answered:
            return StreamBroken("The connection broke off.", RUN_AGAIN)
        return self._unreachable(error)

    async def _get(self, path: str, timeout: float = CATALOG_TIMEOUT) -> Any:
        response, failure = None, None
        try:
            response = await self._client.get(f"{self.url}/{path}", timeout=timeout)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            failure = self._unreachable(error)
        if response is None:
            assert failure is not None
            raise failure
        if response.status_code != 200:
            raise self._error(response, response.content, path)
        try:
            return response.json()
        except (ValueError, RecursionError):
            raise GatewayError(
                f"The gateway answered {path} with something that is not JSON"
                " (a login page of the network, perhaps).",
                CHECK_NETWORK,
                status=response.status_code,
                detail=response.text,
            ) from None

    def _error(self, response: httpx.Response, body: bytes, asked: str) -> AlcfError:
        bearer = response.request.extensions.get("alcf_bearer", "your login")
        # Whatever stands in front of the gateway may repeat what it was sent.
        token = response.request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        if token:
            body = body.replace(token, b"(token)")
        return error_for(response.status_code, response.headers, body, asked=asked, bearer=bearer)

    def _unreachable(self, error: Exception) -> GatewayUnreachable:
        why = "timed out" if isinstance(error, httpx.TimeoutException) else type(error).__name__
        return GatewayUnreachable(
            f"The gateway at {urlsplit(self.url).netloc} cannot be reached ({why}).",
            CHECK_NETWORK,
        )


class _Ending:
    """Whether a stream ended well: `[DONE]`, or a finish reason for every choice that began."""

    def __init__(self) -> None:
        self.done = False
        self._finished: dict[int, bool] = {}

    def see(self, chunk: Chunk) -> None:
        for delta in chunk.deltas:
            done = delta.finish_reason is not None
            self._finished[delta.index] = self._finished.get(delta.index, False) or done

    @property
    def complete(self) -> bool:
        return bool(self._finished) and all(self._finished.values())

    def check(self, content_type: str) -> None:
        if self.complete:
            return
        if not content_type.startswith("text/event-stream"):
            # A whole answer in one piece has all there is; its finish reason may be missing.
            if self._finished:
                return
            raise GatewayError(
                "The gateway answered with something that is no answer of a model.", CHECK_NETWORK
            )
        if self._finished:
            raise StreamBroken("The answer was cut off before its end.", RUN_AGAIN)
        raise StreamBroken(
            "The gateway sent an empty answer." if self.done else "The gateway sent no answer.",
            RUN_AGAIN,
        )


async def _events(response: httpx.Response) -> AsyncIterator[str]:
    """The data of each event; a whole JSON answer, from a server that does not stream, is one."""
    if "application/json" in response.headers.get("content-type", ""):
        yield (await response.aread()).decode("utf-8", "replace")
        return
    decoder = Decoder()
    async for data in response.aiter_bytes():
        for event in decoder.feed(data):
            yield event.data
    for event in decoder.end():
        yield event.data


def _explained(error: AlcfError, model: Model, request: ChatRequest) -> AlcfError:
    """Some model servers hide the reason: then say what the prompt's length makes likely."""
    window = model.capabilities.context_window
    if isinstance(error, StreamBroken) and "gave no reason" in error.what and window:
        letters = sum(len(message.content) for message in request.messages)
        tokens = letters // 4 + (request.max_tokens or 0)
        if tokens < window // 2:
            return StreamBroken(
                f"The model server failed without a reason (not for length: about {tokens} "
                f"tokens were asked of its {window}).",
                RUN_AGAIN,
                status=error.status,
                detail=error.detail,
            )
    return error


def _mapping(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None


def _clusters(endpoints: object) -> tuple[str, ...]:
    """The clusters listed; none where the list could not be had, which is told later."""
    try:
        return cluster_names(endpoints)
    except GatewayError:
        return ()


def _path(cluster: str, what: str) -> str:
    return f"{quote(cluster, safe='')}/{what}"
