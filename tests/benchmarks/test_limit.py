"""How much of the gateway's limit is used, as `bench_limit.py`, beside this file, measures it."""

from __future__ import annotations

import pytest

from benchmarks.bench_limit import measure

pytestmark = [pytest.mark.slow, pytest.mark.clock]

#: Others use this machine, too: what holds must hold in one of so many runs.
TRIES = 3


@pytest.mark.parametrize("sessions", [1, 2])
def test_nine_tenths_of_the_limit_are_used_and_nothing_is_lost(sessions: int) -> None:
    """By one kernel's session or by two that know nothing of each other, in real time."""
    for _ in range(TRIES):
        share = measure(sessions, 80 // sessions)
        assert share.lost == 0, share
        if share.used >= 0.9:
            break
    assert share.used >= 0.9, share
