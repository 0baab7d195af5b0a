"""What is tried again, for how long, and what is not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from alcf_magics.errors import AlcfError, Fault, GatewayUnreachable
from alcf_magics.gateway import retries
from alcf_magics.gateway.retries import RHYTHMS, Policy, Tries
from alcf_magics.settings import Settings
from alcf_magics.told import Told


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock of one number, which pauses move on; each pause is told to `clock[1:]`."""
    times = [100.0]

    async def pause(error: AlcfError, seconds: float, told: Told) -> None:
        times[0] += seconds
        times.append(seconds)

    monkeypatch.setattr(retries, "count_down", pause)
    monkeypatch.setattr("alcf_magics.gateway.retries.time.monotonic", lambda: times[0])
    return times


def failing(fault: Fault | None, **fields: Any) -> AlcfError:
    error = AlcfError("It failed.", "Look.")
    error.fault = fault
    for name, value in fields.items():
        setattr(error, name, value)
    return error


def tried(policy: Policy, error: AlcfError, clock: list[float], under_way: float = 0.0) -> int:
    """How often a call that always fails so is made."""
    calls = []

    async def call(sent: Callable[[float], None]) -> None:
        sent(clock[0])
        calls.append(clock[0])
        clock[0] += under_way
        raise error

    with pytest.raises(AlcfError) as caught:
        anyio.run(policy.run, call)
    assert caught.value is error
    return len(calls)


@pytest.mark.parametrize("fault", [Fault.ADDRESS, Fault.PASSING, Fault.TOKENS])
def test_a_fault_is_tried_again_until_its_budget_is_spent(fault: Fault, clock: list[float]) -> None:
    """The pauses grow, add up to the budget, and the last try is at its end."""
    policy = Policy()
    assert tried(policy, failing(fault), clock) > 3
    assert math.isclose(sum(clock[1:]), policy.budget(fault))
    assert clock[1] < max(clock[1:])


@pytest.mark.parametrize("fault", list(Fault))
def test_a_budget_of_nothing_tries_nothing_again(fault: Fault, clock: list[float]) -> None:
    """0 seconds: one request, whatever it meets."""
    policy = Policy(address_seconds=0, fault_seconds=0, tokens_seconds=0, outage_seconds=0)
    assert tried(policy, failing(fault), clock) == 1


def test_what_does_not_clear_is_not_tried_again(clock: list[float]) -> None:
    """An error that says nothing of a fault ends at once."""
    assert tried(Policy(), failing(None), clock) == 1


def test_the_budgets_are_those_of_the_issue() -> None:
    """3 s for an address, 20 s for other faults, 60 s for tokens and for Globus."""
    budgets = {fault: Policy().budget(fault) for fault in Fault}
    assert budgets == {
        Fault.ADDRESS: 3,
        Fault.PASSING: 20,
        Fault.RATE: 20,
        Fault.TOKENS: 60,
        Fault.OUTAGE: 60,
    }
    assert set(RHYTHMS) == set(Fault)


def test_every_budget_is_a_setting() -> None:
    """The policy takes its fields from the settings, whose defaults are the same."""
    assert Policy.of(Settings()) == Policy()
    changed = Policy.of(Settings(fault_seconds=1, tokens_seconds=2, silence_seconds=3))
    assert (changed.budget(Fault.PASSING), changed.budget(Fault.TOKENS)) == (1, 2)
    assert changed.silence_seconds == 3


@pytest.mark.parametrize("fault", [Fault.PASSING, Fault.RATE, Fault.TOKENS])
def test_what_the_server_asks_for_is_waited(fault: Fault, clock: list[float]) -> None:
    """`Retry-After` goes before our own pauses, as long as it fits the budget."""
    assert tried(Policy(), failing(fault, retry_after=7.0), clock) >= 3
    assert set(clock[1:]) == {7.0}
    assert sum(clock[1:]) <= Policy().budget(fault) + 1


@pytest.mark.parametrize("asked", [0.0, 0.001])
def test_whoever_says_at_once_is_asked_in_our_own_time(asked: float, clock: list[float]) -> None:
    """A `Retry-After` of nothing makes no loop of requests."""
    assert 3 <= tried(Policy(), failing(Fault.PASSING, retry_after=asked), clock) < 20
    assert min(clock[1:]) >= 0.05


def test_a_wait_beyond_the_budget_is_not_begun(clock: list[float]) -> None:
    """Whoever is told to come back in an hour is told at once."""
    assert tried(Policy(), failing(Fault.PASSING, retry_after=3600.0), clock) == 1
    assert clock[1:] == []


def test_an_outage_is_waited_out_once(clock: list[float]) -> None:
    """The gateway remembers for 60 s that it could not ask Globus."""
    assert tried(Policy(), failing(Fault.OUTAGE, retry_after=60.0), clock) == 2
    assert clock[1:] == [60.0]


def test_the_time_under_way_counts_and_the_line_does_not(clock: list[float]) -> None:
    """A 504 after 120 s is no reason to wait 120 s more; a turn that was waited for is free."""
    assert tried(Policy(), failing(Fault.PASSING), clock, under_way=120.0) == 1
    begin = len(clock)
    tries = Tries(Policy())

    async def in_line() -> None:
        for _ in range(3):
            clock[0] += 1000.0  # in our own line
            tries.sent(clock[0])
            clock[0] += 1.0
            await tries.again(failing(Fault.RATE, pause=0.5))

    anyio.run(in_line)
    assert clock[begin:] == [0.5, 0.5, 0.5]


def test_each_fault_has_a_budget_of_its_own(clock: list[float]) -> None:
    """An address that came back late leaves the minute of Globus whole."""
    tries = Tries(Policy())

    async def to_the_end() -> None:
        while True:
            await tries.again(failing(Fault.PASSING))

    async def both() -> None:
        with pytest.raises(AlcfError):
            await to_the_end()
        await tries.again(failing(Fault.OUTAGE, retry_after=60.0))

    anyio.run(both)
    assert clock[-1] == 60.0


def test_no_two_kernels_wait_alike() -> None:
    """Pauses of our own are jittered."""
    rhythm = RHYTHMS[Fault.PASSING]
    assert len({rhythm.pause(2) for _ in range(10)}) > 1
    assert all(rhythm.pause(10**6) <= 1.2 * rhythm.most for _ in range(10))


def test_a_policy_may_be_for_some_faults_only(clock: list[float]) -> None:
    """What the catalog can do without is not waited for."""
    brief = Policy().only(Fault.RATE)
    assert tried(brief, failing(Fault.PASSING), clock) == 1
    assert tried(brief, failing(Fault.RATE), clock) > 1


def test_a_long_wait_is_told_and_a_short_one_is_not() -> None:
    """What lasts a blink would only flicker."""
    lines: list[str] = []

    class Noting(Told):
        def waiting(self, line: str) -> None:
            lines.append(line)

    error = GatewayUnreachable("The gateway is away")
    anyio.run(retries.count_down, error, 0.05, Noting())
    assert lines == []
    anyio.run(retries.count_down, error, 0.6, Noting())
    assert lines[0] == "The gateway is away. Trying once more in 1 s"
    assert lines[-1] == ""
