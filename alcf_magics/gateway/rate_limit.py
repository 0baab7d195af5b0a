"""The gateway counts requests of a person; the client lets only so many leave.

One limit for all requests of a connection. What one kernel cannot see are the person's others:
when the gateway refuses for their sake, all wait a moment, no two kernels alike, and then one
request asks for all whether there is room again.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import time
from collections import deque
from dataclasses import dataclass, field

import anyio

#: The gateway allows 10 requests a second to a user, over all kernels and tools.
REQUESTS_PER_SECOND = 10.0
#: A little more than the window: requests do not arrive as evenly as they leave.
MARGIN = 1.03
#: Seconds of the first pause after a refusal, by how much each later one is longer, and the most.
FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 0.08, 1.3, 1.2
#: Seconds that the others wait for what becomes of a request that asks for all.
PROBE_SECONDS = 1.0


@dataclass(slots=True)
class Start:
    """One request that may leave, or has left, on the monotonic clock."""

    at: float

    def left(self) -> None:
        """It leaves now."""
        self.at = time.monotonic()


@dataclass(order=True, slots=True)
class _Place:
    """A place in the line; `called` is set when it may have become the first."""

    newcomer: bool
    number: int
    called: anyio.Event = field(default_factory=anyio.Event, compare=False)


class RateLimit:
    """Lets at most `count` requests start within any `seconds`; the rest wait their turn.

    A turn is a start, which counts from when the request has `left`: a connection may have to be
    made first. Of its answer the limit is told with `accepted` or `refused`; a start of which it
    hears nothing holds nobody up for long.
    """

    def __init__(self, count: int = int(REQUESTS_PER_SECOND), seconds: float = 1.0) -> None:
        self._count, self._seconds = count, seconds
        self._starts: deque[Start] = deque(maxlen=max(count, 1))
        self._line: list[_Place] = []
        self._numbers = itertools.count()
        #: When the next request may start, and refusals in a row, since the gateway refused.
        self._not_before = 0.0
        self._refusals = 0
        self._refused_at = 0.0

    def set_rate(self, per_second: float) -> None:
        """Change how many requests a second may leave; 0: as many as there are."""
        count = max(1, int(per_second)) if per_second > 0 else 0
        self._count, self._seconds = count, count / per_second if count else 0.0
        if self._starts.maxlen != max(count, 1):
            self._starts = deque(self._starts, maxlen=max(count, 1))

    @property
    def counts(self) -> bool:
        """Whether any request may have to wait for its turn."""
        return bool(self._count or self._line or self._refusals)

    async def turn(self, again: bool = False) -> Start:
        """Wait until one more request may start.

        One that was refused goes `again` before those that were not. One that is cancelled takes
        nobody's place.
        """
        if not self.counts and self._not_before <= (now := time.monotonic()):
            return Start(now)
        place = _Place(not again, next(self._numbers))
        heapq.heappush(self._line, place)
        try:
            while (wait := self._wait(place)) > 0:
                place.called = anyio.Event()
                with anyio.move_on_after(wait):
                    await place.called.wait()
        finally:
            self._leave(place)
        start = Start(time.monotonic())
        self._starts.append(start)
        if self._refusals:  # this one asks for all
            self._not_before = start.at + PROBE_SECONDS
        return start

    def accepted(self, start: Start) -> None:
        """The gateway took a request in: there is room."""
        if self._refusals and start.at > self._refused_at:
            self._refusals, self._not_before = 0, 0.0
            self._call_first()

    def refused(self, start: Start, retry_after: float | None = None) -> float:
        """The gateway had no room for a request; seconds until one may be sent again.

        Of those that started together, the first one speaks for all.
        """
        now = time.monotonic()
        if start.at > self._refused_at:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * GROWTH**self._refusals)
            pause *= random.uniform(0.5, 1)
            self._not_before = now + (retry_after or pause)
            self._refusals, self._refused_at = self._refusals + 1, now
        return max(0.0, self._not_before - now)

    def _wait(self, place: _Place) -> float:
        """Seconds for which a place has to wait; without end where another one is first."""
        if self._line[0] is not place:
            return math.inf
        full = self._count and len(self._starts) == self._count
        free = self._starts[0].at + self._seconds * MARGIN if full else 0.0
        return max(free, self._not_before) - time.monotonic()

    def _leave(self, place: _Place) -> None:
        if self._line[0] is place:
            heapq.heappop(self._line)
        else:
            self._line.remove(place)
            heapq.heapify(self._line)
        self._call_first()

    def _call_first(self) -> None:
        if self._line:
            self._line[0].called.set()
