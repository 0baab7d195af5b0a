"""Class mode: so many prompts a minute leave a kernel, and the others wait in their order."""

from __future__ import annotations

import asyncio
import time

import anyio
import pytest

from alcf_magics.gateway.class_mode import PromptPace
from alcf_magics.told import Told


class Clock:
    """A clock that stands still but for whoever sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(anyio, "sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def starts(clock: Clock, count: int, per_minute: float, told: Told | None = None) -> list[float]:
    """When each of so many prompts leaves, in seconds from the first."""

    async def all_of_them() -> list[float]:
        pace, found = PromptPace(), []
        for _ in range(count):
            await pace.turn(per_minute, told or Told())
            found.append(round(clock.now - 1000, 3))
        return found

    return asyncio.run(all_of_them())


@pytest.mark.parametrize(
    ("per_minute", "expected"),
    [
        (0, [0, 0, 0, 0, 0]),
        (1, [0, 60, 120, 180, 240]),
        (2, [0, 0, 60, 60, 120]),
        (4, [0, 0, 0, 0, 60]),
        (0.5, [0, 120, 240, 360, 480]),
        (2.5, [0, 0, 48, 48, 96]),
    ],
)
def test_so_many_leave_in_any_minute(
    clock: Clock, per_minute: float, expected: list[float]
) -> None:
    """The first ones at once, each later one when the minute of an earlier one is over."""
    assert starts(clock, 5, per_minute) == expected


def test_who_waits_is_told_why(clock: Clock) -> None:
    """The setting is named, and how long it takes; the line goes in the end."""
    lines: list[str] = []
    starts(clock, 2, 1, Told(lines.append))
    assert lines[0] == (
        "This class asks 1 prompt a minute (AlcfMagics.prompts_per_minute): yours leaves in 60 s"
    )
    assert lines[-1] == ""


def test_one_that_is_cancelled_takes_nobodys_place() -> None:
    """The next one waits no longer for its sake."""

    async def waited() -> float:
        pace = PromptPace()
        await pace.turn(1, Told())
        with anyio.move_on_after(0.01):
            await pace.turn(1, Told())
        return pace._next(1) - time.monotonic()

    assert 0 < asyncio.run(waited()) <= 60
