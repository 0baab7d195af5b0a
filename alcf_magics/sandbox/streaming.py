"""Responses that take their time, and that notice at once when the client has gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .settings import Settings


class ConnectionCut(Exception):
    """Raised by a body to end the connection without the closing chunk."""


async def unless_client_leaves(
    work: Coroutine[Any, Any, None], receive: Receive, on_leave: Callable[[], None]
) -> bool:
    """Run `work` and stop it as soon as the client closes the connection; False if it did.

    `on_leave` is called at that moment, before `work` has been stopped."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_client_left(receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return True
        on_leave()
        return False
    finally:
        # Both must have ended before the server forgets this request, also when it is stopping.
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """Server-sent events. Headers go out at once, as from the gateway; `on_disconnect` is called
    when the client closes before the last event was written."""

    def __init__(self, bursts: AsyncIterator[str], on_disconnect: Callable[[], None]) -> None:
        super().__init__(headers={"content-type": "text/event-stream", "cache-control": "no-cache"})
        # A stream has no length; the server then answers in chunks.
        del self.headers["content-length"]
        self._bursts = bursts
        self._on_disconnect = on_disconnect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        try:
            await unless_client_leaves(self._write(send), receive, self._on_disconnect)
        except ConnectionCut:
            # Leaving without the last message makes the server close the connection.
            return

    async def _write(self, send: Send) -> None:
        try:
            async for burst in self._bursts:
                await send(
                    {"type": "http.response.body", "body": burst.encode(), "more_body": True}
                )
        finally:
            close = getattr(self._bursts, "aclose", None)
            if close is not None:
                await close()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class LateResponse(Response):
    """A response still to be made; making it stops when the client leaves."""

    def __init__(self, making: Callable[[], Awaitable[Response]]) -> None:
        super().__init__()
        self._making = making

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def make() -> None:
            made.append(await self._making())

        made: list[Response] = []
        if await unless_client_leaves(make(), receive, lambda: None):
            await made[0](scope, receive, send)


class CutResponse(Response):
    """A response that announces its whole length and breaks off half-way."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})


async def bursts(
    events: Sequence[str],
    settings: Settings,
    *,
    silence: float = 0.0,
    cut: bool = False,
    pause: float = 0.0,
) -> AsyncIterator[str]:
    """Events joined as they reach the network: some at a time, `pace` seconds apart, after
    `silence` seconds. With `cut` the connection dies after the last one; a `pause` in seconds
    comes before the end."""
    await asyncio.sleep(silence)
    position = 0
    while position < len(events):
        size = max(1, settings.burst)
        yield "".join(events[position : position + size])
        position += size
        if position < len(events) or cut:
            await asyncio.sleep(max(settings.pace, settings.behaviour.pace))
    await asyncio.sleep(pause)
    if cut:
        raise ConnectionCut
