"""What showing an answer costs, at sizes that a test run can afford; ratios in one run only.

`bench_streaming.py`, beside this file, measures the same at any size.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.bench_streaming import Bench, Cost, bench

pytestmark = [pytest.mark.slow, pytest.mark.kernel, pytest.mark.clock]

#: Kernel CPU of a prompt, for that of reading its stream; bytes sent, for those of the text.
CPU, SENT = 3.0, 12.0
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
        growth = GROWTH * max(middle.ratio, CPU / GROWTH)
        if max(middle.ratio, large.ratio) <= min(CPU, growth) or attempt == TRIES - 1:
            break
    costs = told(small, middle, large)
    assert max(middle.ratio, large.ratio) <= CPU, costs
    assert large.ratio <= growth, costs
    assert max(small.inflation, middle.inflation, large.inflation) <= SENT, costs
    # A few draws more or less are no growth: what is far below the bound may vary.
    assert large.inflation <= GROWTH * max(middle.inflation, SENT / GROWTH**2), costs


@pytest.mark.parametrize("shape", ["prose", "code", "table"])
def test_cost_at_the_pace_of_a_model(warm: Bench, shape: str) -> None:
    """At 400 chunks a second there are many draws, and the bounds hold all the same."""
    for attempt in range(TRIES):
        cost = warm.measure(shape, 2000, rate=400)
        if cost.ratio <= CPU or attempt == TRIES - 1:
            break
    assert cost.ratio <= CPU, told(cost)
    # The bound on bytes is for prose; the others come near it.
    assert cost.inflation <= (SENT if shape == "prose" else 1.5 * SENT), told(cost)
