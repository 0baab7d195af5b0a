"""Bodies as they come: how far they are read, and how long they may keep silent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

import anyio
import httpx

from .chunks import Chunk
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

    def begin(self) -> None:
        self._scope.deadline = anyio.current_time() + self._seconds

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._scope.deadline - anyio.current_time()

    async def holds(self, call: Callable[[], Awaitable[T]]) -> T:
        """What comes of a call, if it comes in time. Raises NoFirstToken."""
        with self._scope:
            return await call()
        raise NoFirstToken("nothing came")


async def reads_of(
    response: httpx.Response, reader: StreamReader, first_token: FirstToken, silence: float
) -> AsyncGenerator[list[Chunk]]:
    """The chunks of each read of a body, up to its end, its `[DONE]` or its failure.

    An answer that is complete waits a moment for its usage, and never for a server that forgets
    to close. What came before a break is given out, its last event, too, and then the break raised.
    """
    body = response.aiter_raw()
    broken: httpx.HTTPError | None = None
    while not reader.done and reader.failure is None:
        data: bytes | None = None
        seconds = MORE_SECONDS if reader.owes_nothing else silence
        if not reader.came and not reader.owes_nothing:
            seconds = first_token.left
        try:
            with anyio.move_on_after(seconds) as scope:
                data = await anext(body, None)
            if scope.cancelled_caught and not reader.owes_nothing:
                broken = Silence("stopped") if reader.came else NoFirstToken("no token")
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


async def body_of(response: httpx.Response, limit: int) -> bytes:
    """A body as it was sent, up to a little more than `limit` bytes of it."""
    pieces, size = [], 0
    async for piece in response.aiter_raw():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            break
    return b"".join(pieces)
