"""Bodies as they come: how far they are read, how long they may keep silent, what is not shown."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

import anyio
import httpx

from ..errors import (
    CHECK_NETWORK,
    AlcfError,
    Fault,
    GatewayError,
    GatewayUnreachable,
    StreamBroken,
)
from ..network.trouble import is_trust
from ..text import integer, line, words
from .chunks import Chunk
from .retries import Policy
from .stream_reader import StreamReader

T = TypeVar("T")

#: Seconds for a body to end after `[DONE]`, and for more to come once an answer is complete.
DRAIN_SECONDS = 0.5
MORE_SECONDS = 2.0


class NoFirstToken(httpx.TimeoutException):
    """No token came in the time for the first one."""


class Silence(httpx.TimeoutException):
    """Nothing came for too long after the first token."""


class FirstToken:
    """The time for the first token. It runs from when the request leaves."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._scope = anyio.CancelScope()

    def before(self, sent: Callable[[float], None]) -> Callable[[float], None]:
        """What is told when the request leaves: then the time begins, and `sent` is told."""

        def leaves(at: float) -> None:
            self._scope.deadline = anyio.current_time() + self._seconds
            sent(at)

        return leaves

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._scope.deadline - anyio.current_time()

    async def holds(self, call: Callable[[], Awaitable[T]]) -> T:
        """What comes of a call, if it comes in time. Raises NoFirstToken."""
        with self._scope:
            return await call()
        raise NoFirstToken("nothing came")


class Watch:
    """Ends a read that waits for too long.

    A cancel scope around each read would cost as much as all the reading does; this compares two
    numbers. For one task of an asyncio event loop, as that of runtime.py is.
    """

    def __enter__(self) -> Watch:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._deadline = self._seconds = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._waits = self._ended = False
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def begin(self, seconds: float) -> None:
        """A read begins, which may take so long."""
        self._deadline = self._loop.time() + seconds
        if self._timer is None or seconds < self._seconds:
            self._look_at_the_deadline()
        self._seconds = seconds
        self._waits = True

    def end(self) -> None:
        """It has ended."""
        self._waits = False

    def is_over(self) -> bool:
        """Whether a read was cancelled from here, and by nobody else."""
        return self._ended and self._task is not None and not self._task.uncancel()

    def _look_at_the_deadline(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        """The deadline may have moved on since the timer was set; then so does the timer."""
        self._timer = None
        if self._loop.time() < self._deadline:
            self._look_at_the_deadline()
        elif self._waits and self._task is not None:
            self._ended = True
            self._task.cancel()


async def reads_of(
    response: httpx.Response, reader: StreamReader, first_token: FirstToken, silence: float
) -> AsyncGenerator[list[Chunk]]:
    """The chunks of each read of a body, up to its end, its `[DONE]` or its failure.

    An answer that is complete waits a moment for its usage, and never for a server that forgets
    to close. What came before a break is given out, its last event, too, and then the break raised.
    """
    body = response.aiter_raw()
    broken: httpx.HTTPError | None = None
    with Watch() as watch:
        while not reader.done and reader.failure is None:
            data: bytes | None = None
            seconds = MORE_SECONDS if reader.owes_nothing else silence
            if not reader.came and not reader.owes_nothing:
                seconds = first_token.left
            watch.begin(seconds)
            try:
                data = await anext(body, None)
            except asyncio.CancelledError:
                if not watch.is_over():
                    raise  # somebody else gives it up
                if not reader.owes_nothing:
                    broken = Silence("stopped") if reader.came else NoFirstToken("no token")
            except httpx.HTTPError as error:
                broken = error
            watch.end()
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


async def body_of(response: httpx.Response, limit: int) -> bytes:
    """A body as it was sent, up to a little more than `limit` bytes of it."""
    pieces, size = [], 0
    async for piece in response.aiter_raw():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            break
    return b"".join(pieces)


def is_encoded(response: httpx.Response) -> bool:
    return str(response.headers.get("content-encoding", "identity")).casefold() != "identity"


def check_encoding(response: httpx.Response) -> None:
    """What was not asked for is not decompressed: a small body may become a large one."""
    if is_encoded(response):
        encoding = line(response.headers["content-encoding"], 40)
        raise GatewayError(
            f"The gateway answered in an encoding of its own ({encoding}).",
            CHECK_NETWORK,
            status=response.status_code,
        )


def parsed(content: bytes, response: httpx.Response, path: str) -> Any:
    try:
        return json.loads(without_bearer(content, response), parse_int=integer)
    except (ValueError, RecursionError):
        pass
    raise GatewayError(
        f"The gateway answered {path} with something that is not JSON"
        " (a login page of the network, perhaps).",
        CHECK_NETWORK,
        status=response.status_code,
        detail=words(without_bearer(content, response).decode("utf-8", "replace")),
    )


def bearer_of(response: httpx.Response) -> str:
    """The token that the request carried."""
    return str(response.request.headers.get("authorization", "")).removeprefix("Bearer ")


def without_bearer(body: bytes, response: httpx.Response) -> bytes:
    """Whatever stands in front of the gateway, or behind it, may repeat what it was sent."""
    token = bearer_of(response).encode()
    return body.replace(token, b"(token)") if token else body


def late_of(error: Exception, asked: str, policy: Policy) -> AlcfError | None:
    """What is said of an answer that took too long; None for anything else."""
    if isinstance(error, NoFirstToken):
        seconds = policy.first_token_seconds
        late = GatewayUnreachable(
            f"{asked} sent no first token within {seconds:g} s (first_token_seconds).",
            _longer("first_token_seconds", seconds),
        )
        late.elsewhere = True
        return late
    if isinstance(error, Silence):
        seconds = policy.silence_seconds
        return StreamBroken(
            f"The answer stopped coming: nothing for {seconds:g} s (silence_seconds).",
            _longer("silence_seconds", seconds),
        )
    return None


def _longer(setting: str, seconds: float) -> str:
    """The next step after a time-out: which setting it was."""
    return f"Run the cell again, or wait longer: %config AlcfMagics.{setting} = {2 * seconds:g}"


def fault_of(error: Exception) -> Fault | None:
    """What may clear by itself of what kept a request from being answered."""
    if isinstance(error, httpx.ConnectError):
        return None if is_trust(error) else Fault.ADDRESS
    if isinstance(error, httpx.ConnectTimeout):
        return Fault.ADDRESS
    # An idle connection that has died, and whatever else ends one before an answer.
    dead = httpx.NetworkError | httpx.RemoteProtocolError
    return Fault.PASSING if isinstance(error, dead) else None
