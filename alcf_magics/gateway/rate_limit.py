"""The gateway counts requests of a person; the client lets only so many leave."""

from __future__ import annotations

import time
from collections import deque

import anyio

#: The gateway allows 10 requests a second to a user; other kernels of the same person need some.
REQUESTS_PER_SECOND = 8


class RateLimit:
    """Lets at most `count` requests start within any `seconds`; the rest wait their turn."""

    def __init__(self, count: int = REQUESTS_PER_SECOND, seconds: float = 1.0) -> None:
        self._starts: deque[float] = deque(maxlen=count)
        self._seconds = seconds
        # Made on the event loop: anyio's belongs to the one that it is made on.
        self._first_in_line: anyio.Lock | None = None

    async def turn(self) -> None:
        """Wait until one more request may start. One that is cancelled takes nobody's place."""
        self._first_in_line = self._first_in_line or anyio.Lock()
        async with self._first_in_line:
            if len(self._starts) == self._starts.maxlen:
                # A little more than the window: requests do not arrive as evenly as they leave.
                free = self._starts[0] + self._seconds * 1.1
                await anyio.sleep(max(0.0, free - time.monotonic()))
            self._starts.append(time.monotonic())
