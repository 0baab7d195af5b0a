"""What reading a batch's answers takes; `bench_batch.py`, beside this file, measures any size."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.bench_batch import HEADER, measure

pytestmark = pytest.mark.slow

LINES = 100_000
#: Bytes above what there was before, for files a hundred times as large.
FLAT = 4_000_000
#: Bytes of memory that a further line may take: where it begins, in both files.
A_LINE = 24


def test_memory_is_flat_while_a_batch_is_read(tmp_path: Path) -> None:
    """A hundred thousand answers are read one by one, and none of them stays."""
    small, large = measure(tmp_path, LINES // 10), measure(tmp_path, LINES)
    told = f"{HEADER}\n{small}\n{large}"
    assert large.size > 20 * FLAT, told
    assert large.memory < FLAT, told
    assert (large.memory - small.memory) / (large.lines - small.lines) <= A_LINE, told
