"""Class mode: many kernels behind one limit, each of which lets only so many prompts leave.

The limit of requests a second is another one, see rate_limit.py: this one is for people.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque

import anyio

from ..told import Told

#: Seconds between two steps of a countdown.
COUNT_SECONDS = 0.2


class PromptPace:
    """Lets so many prompts of a kernel leave a minute; the rest wait, and say why.

    Used on one event loop. A prompt that is cancelled takes nobody's place.
    """

    def __init__(self) -> None:
        self._starts: deque[float] = deque()

    async def turn(self, per_minute: float, told: Told) -> None:
        """Wait until one more prompt may leave; 0 a minute: at once."""
        if per_minute <= 0:
            return
        at = self._next(per_minute)
        self._starts.append(at)
        try:
            while (left := at - time.monotonic()) > 0:
                told.waiting(
                    f"This class asks {per_minute:g} prompt{'' if per_minute == 1 else 's'} a "
                    f"minute (AlcfMagics.prompts_per_minute): yours leaves in {left:.0f} s"
                )
                await anyio.sleep(min(left, COUNT_SECONDS))
        except BaseException:
            with contextlib.suppress(ValueError):  # nobody counts from it any more
                self._starts.remove(at)
            raise
        finally:
            told.waiting("")

    def _next(self, per_minute: float) -> float:
        """When the next prompt may leave, on the monotonic clock."""
        count = max(1, int(per_minute))
        while len(self._starts) > count:
            self._starts.popleft()
        now = time.monotonic()
        if len(self._starts) < count:
            return now
        return max(now, self._starts[-count] + 60 * count / per_minute)
