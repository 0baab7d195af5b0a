"""The policy: what is tried again, for how long, and how long an answer may keep silent.

The one place for all of it. An error says what may clear by itself (`error.fault`); each kind has
a budget in time. What is counted is time under way and time between two tries, not the time that
a request waits for its turn in our own line (rate_limit.py).

Of the libraries for this, stamina and tenacity know neither budgets that leave a wait in a line
out, nor several budgets at once, nor a countdown that can be shown: what would be left of them is
the loop in `Policy.run`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, TypeVar

import anyio

from ..errors import AlcfError, Fault
from ..told import SILENT, Told

if TYPE_CHECKING:
    from ..settings import Settings

T = TypeVar("T")

#: Seconds between two steps of a countdown, and below which a wait is too short to be told.
COUNT_SECONDS = 0.2
UNSEEN_SECONDS = 0.5
#: What a server asks for below this is no wait.
SOONEST_SECONDS = 0.05
#: Seconds by which a wait may go beyond its budget.
SLACK_SECONDS = 1.0


@dataclass(frozen=True)
class Rhythm:
    """How one kind of fault is tried again.

    `budget` names the field of the policy with its seconds. The first pause is `first` seconds
    long, each later one twice the one before, up to `most`. `once`: one more try, and no other.
    """

    budget: str
    first: float
    most: float
    once: bool = False

    def pause(self, tried: int) -> float:
        """Seconds before the next try, after so many; no two kernels wait alike."""
        return min(self.most, self.first * 2.0 ** min(tried, 20)) * random.uniform(0.8, 1.2)


RHYTHMS = {
    Fault.ADDRESS: Rhythm("address_seconds", 0.25, 1),
    Fault.PASSING: Rhythm("fault_seconds", 0.25, 5),
    Fault.RATE: Rhythm("fault_seconds", 0.1, 1.2),
    Fault.TOKENS: Rhythm("tokens_seconds", 5, 15),
    Fault.OUTAGE: Rhythm("outage_seconds", 60, 60, once=True),
}


@dataclass(frozen=True)
class Policy:
    """Budgets and time-outs in seconds, under the names of their settings.

    A request is tried again for `address_seconds` where the address refuses or is not known, for
    `tokens_seconds` when a minute's tokens are spent, for `outage_seconds` while the gateway
    cannot ask Globus, and for `fault_seconds` after whatever else may clear; 0: never.

    A connection is waited for `connect_seconds`, the first token of a model that is live
    `first_token_seconds`, and whatever follows `silence_seconds`. `faults` are those that are
    tried again at all.
    """

    address_seconds: float = 3.0
    fault_seconds: float = 20.0
    tokens_seconds: float = 60.0
    outage_seconds: float = 60.0
    connect_seconds: float = 10.0
    # Behind Globus Compute the gateway itself gives up after about 300.
    first_token_seconds: float = 330.0
    silence_seconds: float = 120.0
    faults: frozenset[Fault] = frozenset(Fault)

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """The policy that the settings make."""
        names = (field.name for field in fields(cls) if field.name != "faults")
        return cls(**{name: getattr(settings, name) for name in names})

    def only(self, *faults: Fault) -> Policy:
        """The same for no other fault than these."""
        return replace(self, faults=self.faults.intersection(faults))

    def budget(self, fault: Fault) -> float:
        """Seconds for which a fault is tried again."""
        return float(getattr(self, RHYTHMS[fault].budget)) if fault in self.faults else 0.0

    async def run(
        self, call: Callable[[Callable[[float], None]], Awaitable[T]], told: Told = SILENT
    ) -> T:
        """The result of a call that is made again as this policy has it.

        `call` gets a function to tell when its request leaves, on the monotonic clock.
        """
        tries = Tries(self, told)
        while True:
            try:
                return await call(tries.sent)
            except AlcfError as error:
                failure = error
            await tries.again(failure)


class Tries:
    """The tries of one request at one place: how much of each budget is spent."""

    def __init__(self, policy: Policy, told: Told = SILENT) -> None:
        self._policy = policy
        self._told = told
        self._sent: float | None = None
        self._spent = dict.fromkeys(Fault, 0.0)
        self._tried = dict.fromkeys(Fault, 0)

    @property
    def refused(self) -> bool:
        """Whether it was refused for a rate: then it goes before those that were not."""
        return self._tried[Fault.RATE] > 0

    def sent(self, at: float) -> None:
        """A try leaves now, on the monotonic clock: what it waited for before is not counted."""
        self._sent = at

    async def again(self, error: AlcfError) -> None:
        """Wait until another try may succeed. Raises the error where none is worth it."""
        pause = self._pause(error, self._under_way())
        if pause is None:
            raise error
        await count_down(error, pause, self._told)

    def _under_way(self) -> float:
        """Seconds that the last try was under way."""
        sent, self._sent = self._sent, None
        return time.monotonic() - sent if sent is not None else 0.0

    def _pause(self, error: AlcfError, under_way: float) -> float | None:
        """Seconds before the next try, taken from the budget; None for no other."""
        fault = error.fault
        if fault is None:
            return None
        rhythm, tried = RHYTHMS[fault], self._tried[fault]
        left = self._policy.budget(fault) - self._spent[fault] - under_way
        # Whoever says "at once" is asked in our own time: a try a millisecond helps nobody.
        asked = error.retry_after if (error.retry_after or 0) >= SOONEST_SECONDS else None
        # A wait that goes beyond the budget would be for nothing; a second more is no harm.
        if left <= 0 or (tried and rhythm.once) or (asked or 0) > left + SLACK_SECONDS:
            return None
        pause = error.pause if asked is None else asked
        if pause is None:
            pause = min(rhythm.pause(tried), left)  # the last try is at the budget's end
        self._tried[fault] += 1
        self._spent[fault] += under_way + pause
        return pause


async def count_down(error: AlcfError, seconds: float, told: Told) -> None:
    """Wait, and say what for."""
    if seconds < UNSEEN_SECONDS:
        await anyio.sleep(seconds)
        return
    end = time.monotonic() + seconds
    try:
        while (left := end - time.monotonic()) > 0:
            told.waiting(f"{error.what} Trying once more in {left:.0f} s")
            await anyio.sleep(min(left, COUNT_SECONDS))
    finally:  # also when it is interrupted
        told.waiting("")
