"""What showing an answer costs, at sizes that a test run can afford; ratios in one run only.

`bench_streaming.py`, beside this file, measures the same at any size.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.bench_reading import fast_session, measure
from benchmarks.bench_streaming import Bench, Cost, bench

pytestmark = [pytest.mark.slow, pytest.mark.kernel, pytest.mark.clock]

#: Kernel CPU of a prompt, for that of reading its stream with bare httpx and json.loads; bytes
#: sent, for those of the text.
CPU = {"prose": 2.6, "code": 2.2, "table": 3.6}
SENT = 12.0
#: The same at the pace of a model, where draws are paid by the second, and reading costs little.
CPU_AT_PACE = 6.0
#: CPU of `ask`, for that of the same: time-outs, places and turns are looked at, too.
ASKED = 1.75
#: How much more a chunk may cost at ten times the chunks. 1 would be linear to the letter.
GROWTH = 1.5


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One warm kernel for all tests here."""
    with bench(tmp_path_factory.mktemp("home")) as it:
        yield it


def told(*costs: Cost) -> str:
    return "\n".join(map(str, costs))


#: Others use this machine, too: what holds must hold in one of so many runs.
TRIES = 3


@pytest.mark.parametrize("shape", ["prose", "code", "table"])
def test_cost_and_growth(warm: Bench, shape: str) -> None:
    """At full speed, CPU and bytes are bounded by those of the stream, and grow no faster."""
    for attempt in range(TRIES):
        small = warm.measure(shape, 2000, repeat=3)
        middle = warm.measure(shape, 20_000, repeat=2)
        # Two thousand chunks at full speed are two draws: what a chunk costs is in the larger ones.
        large = warm.measure(shape, 60_000)
        growth = GROWTH * max(middle.ratio, CPU[shape] / GROWTH)
        if max(middle.ratio, large.ratio) <= min(CPU[shape], growth) or attempt == TRIES - 1:
            break
    costs = told(small, middle, large)
    assert max(middle.ratio, large.ratio) <= CPU[shape], costs
    assert large.ratio <= growth, costs
    assert max(small.inflation, middle.inflation, large.inflation) <= SENT, costs
    # A few draws more or less are no growth: what is far below the bound may vary.
    assert large.inflation <= GROWTH * max(middle.inflation, SENT / GROWTH**2), costs


@pytest.mark.parametrize("shape", ["prose", "code", "table"])
def test_cost_at_the_pace_of_a_model(warm: Bench, shape: str) -> None:
    """At 400 chunks a second there are many draws, and the bounds hold all the same."""
    for attempt in range(TRIES):
        cost = warm.measure(shape, 2000, rate=400)
        if cost.ratio <= CPU_AT_PACE or attempt == TRIES - 1:
            break
    assert cost.ratio <= CPU_AT_PACE, told(cost)
    # The bound on bytes is for prose; the others come near it.
    assert cost.inflation <= (SENT if shape == "prose" else 1.5 * SENT), told(cost)


@pytest.mark.parametrize("shape", ["prose", "table"])
def test_a_million_tokens(warm: Bench, shape: str) -> None:
    """Memory and bytes stay bounded, and something new is shown all the while."""
    cost = warm.measure(shape, 1_000_000)
    assert cost.memory < 300e6, told(cost)
    assert cost.inflation <= SENT, told(cost)
    # Never more than three seconds, of some thirty, on a machine that does nothing else.
    assert cost.draws >= 10, told(cost)
    assert cost.silence <= 1 / 4, told(cost)


def test_asking_costs_little_more_than_reading(tmp_path: Path) -> None:
    """Without a screen, an answer costs what its bytes and its JSON cost, and half of that."""
    with fast_session(tmp_path) as session:
        for attempt in range(TRIES):
            cost = measure(session, "prose", 20_000, repeat=5)
            if cost.ratio <= ASKED or attempt == TRIES - 1:
                break
    assert cost.ratio <= ASKED, str(cost)
