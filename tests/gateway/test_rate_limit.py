"""How many requests leave, and what happens when the gateway sees more of them than we do."""

from __future__ import annotations

import asyncio
import time

import anyio
import pytest
from trio.testing import MockClock

from alcf_magics.gateway.rate_limit import LONGEST_PAUSE, RateLimit, Start


async def through(limit: RateLimit, count: int) -> list[Start]:
    """So many turns, asked for at once."""
    return list(await asyncio.gather(*(limit.turn() for _ in range(count))))


def longest(starts: list[Start], count: int) -> float:
    """The shortest time that `count + 1` starts took."""
    times = sorted(start.at for start in starts)
    return min(late - early for early, late in zip(times, times[count:], strict=False))


@pytest.mark.clock
def test_a_rate_of_zero_is_no_limit() -> None:
    """As many as there are, at once; and hundreds in a line cost little."""

    async def all_at_once() -> float:
        limit, begin = RateLimit(), time.monotonic()
        limit.set_rate(0)
        await through(limit, 500)
        return time.monotonic() - begin

    assert asyncio.run(all_at_once()) < 1


@pytest.mark.clock
@pytest.mark.parametrize(("rate", "count", "seconds"), [(50, 50, 1.0), (4, 4, 1.0), (2.5, 2, 0.8)])
def test_a_rate_may_be_anything(rate: float, count: int, seconds: float) -> None:
    """Whole numbers and others, small and large, changed while it runs."""

    async def starts() -> list[Start]:
        limit = RateLimit()
        limit.set_rate(rate)
        return await through(limit, count + 2)

    assert longest(asyncio.run(starts()), count) >= seconds


def test_a_start_counts_from_when_the_request_has_left() -> None:
    """A connection that took half of the window to be made holds the next one up."""

    async def wait_for_second() -> float:
        limit = RateLimit(1, 0.2)
        first = await limit.turn()
        await asyncio.sleep(0.15)
        first.left()
        second = await limit.turn()
        return second.at - first.at

    assert asyncio.run(wait_for_second()) >= 0.2


def test_after_a_refusal_one_asks_for_all() -> None:
    """All wait, one goes, and the others follow when it was taken in."""

    async def in_turn() -> list[int]:
        limit = RateLimit(10)
        started: list[int] = []

        async def one(number: int) -> None:
            await limit.turn()
            started.append(number)

        refused = await limit.turn()
        assert 0 < limit.refused(refused) <= LONGEST_PAUSE
        tasks = [asyncio.create_task(one(number)) for number in range(3)]
        await asyncio.sleep(0.3)
        before = list(started)
        limit.accepted(Start(time.monotonic()))
        await asyncio.wait_for(asyncio.gather(*tasks), 0.5)
        return before

    assert asyncio.run(in_turn()) == [0]


def test_the_refused_goes_before_newcomers() -> None:
    """Whoever had its turn and lost it is first when there is room again."""

    async def order() -> list[str]:
        limit = RateLimit(10)
        started: list[str] = []

        async def one(name: str, again: bool = False) -> None:
            await limit.turn(again)
            started.append(name)

        limit.refused(await limit.turn())
        tasks = [asyncio.create_task(one("newcomer"))]
        await asyncio.sleep(0.01)
        tasks.append(asyncio.create_task(one("refused", again=True)))
        await asyncio.sleep(0.3)
        limit.accepted(Start(time.monotonic()))
        await asyncio.wait_for(asyncio.gather(*tasks), 2)
        return started

    assert asyncio.run(order()) == ["refused", "newcomer"]


def test_those_that_started_together_are_one_refusal() -> None:
    """Ten refusals of one burst do not make the pause ten times longer."""

    async def pauses() -> list[float]:
        limit = RateLimit(10)
        starts = await through(limit, 10)
        return [limit.refused(start) for start in starts]

    waits = asyncio.run(pauses())
    assert max(waits) <= 0.1


def test_pauses_grow_to_an_end_and_a_server_may_ask_for_its_own() -> None:
    """A refused request after the next waits longer each time, within bounds."""

    async def pauses() -> tuple[list[float], float]:
        limit, waits = RateLimit(0), []
        for _ in range(30):
            await asyncio.sleep(0.001)  # each is refused after the one before
            waits.append(limit.refused(Start(time.monotonic())))
            await asyncio.sleep(0.001)
        return waits, limit.refused(Start(time.monotonic()), 9.0)

    waits, asked = asyncio.run(pauses())
    assert max(waits) <= LONGEST_PAUSE
    assert max(waits[:3]) < max(waits[-10:])
    assert 8.9 < asked <= 9.0


def test_a_start_that_is_never_heard_of_holds_nobody_up_for_long() -> None:
    """The one that asks for all was interrupted: another one asks."""

    async def second() -> bool:
        limit = RateLimit(10)
        limit.refused(await limit.turn())
        await limit.turn()  # and nothing more is heard of it
        await asyncio.wait_for(limit.turn(), 3)
        return True

    assert asyncio.run(second())


def test_who_leaves_the_line_lets_the_others_pass() -> None:
    """Cancelled at its head or in its middle, nobody behind waits for ever."""

    async def all_others() -> int:
        limit = RateLimit(2, 0.1)
        await through(limit, 2)
        tasks = [asyncio.create_task(limit.turn()) for _ in range(6)]
        await asyncio.sleep(0.01)
        for leaving in (tasks[0], tasks[3]):
            leaving.cancel()
        done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 3)
        return sum(isinstance(one, Start) for one in done)

    assert asyncio.run(all_others()) == 4


class Counting:
    """A gateway that takes in ten requests in any second, whoever sends them."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.refused = 0

    def takes(self) -> bool:
        now = anyio.current_time()
        room = sum(now - at < 1.0 for at in self.taken) < 10
        if room:
            self.taken.append(now)
        else:
            self.refused += 1
        return room


async def _prompt(limit: RateLimit, gateway: Counting) -> None:
    """One prompt, sent again until it is taken in, as `sending` does it."""
    again = False
    while True:
        start = await limit.turn(again)
        await anyio.sleep(0.003)
        if gateway.takes():
            await anyio.sleep(0.003)
            limit.accepted(start)
            return
        await anyio.sleep(0.003 + limit.refused(start))
        again = True


@pytest.mark.parametrize("kernels", [1, 2, 3])
def test_of_the_gateways_limit_nine_tenths_are_used(
    kernels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted on a clock that only waits move; none is lost, however many kernels there are."""
    gateway = Counting()

    async def all_of_them() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(kernels):
                limit = RateLimit()
                for _ in range(240 // kernels):
                    group.start_soon(_prompt, limit, gateway)

    monkeypatch.setattr(
        "alcf_magics.gateway.rate_limit.time.monotonic", lambda: anyio.current_time()
    )
    clock = MockClock(autojump_threshold=0)
    anyio.run(all_of_them, backend="trio", backend_options={"clock": clock})
    assert len(gateway.taken) == 240
    # The first ten leave at once, and so are no part of the rate.
    assert 230 / (gateway.taken[-1] - gateway.taken[0]) >= 9.0, gateway.refused
    assert kernels > 1 or gateway.refused == 0
