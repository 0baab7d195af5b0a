"""What reading the answers of a batch takes: seconds, and memory above what there was before.

    python tests/benchmarks/bench_batch.py
    python tests/benchmarks/bench_batch.py --lines 10000 100000

Prints the size of the files, the seconds of finding and of reading all answers, and the memory
that was in use at the highest point meanwhile (by tracemalloc, in a run of its own).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from alcf_magics.gateway.batches import request_line
from alcf_magics.gateway.chat import ChatRequest, Message
from alcf_magics.gateway.completions import Completion
from alcf_magics.gateway.models import Model
from alcf_magics.many.answers import Answers, BatchResults
from alcf_magics.many.files import About

PLACE = Model("org/m", "red", "fw", "http://red.example/v1")
TEXT = "An answer of some two hundred characters, as a classification with its reasons has it. " * 3


@dataclass(frozen=True)
class Cost:
    """Bytes of both files; seconds to find the answers and to read all; bytes at the highest."""

    lines: int
    size: int
    found: float
    read: float
    memory: int

    def __str__(self) -> str:
        return (
            f"{self.lines:9,} {self.size / 1e6:9.1f} {self.found:8.2f} {self.read:8.2f} "
            f"{self.memory / 1e6:10.2f}"
        )


HEADER = "    lines files(MB)  find(s)  read(s) memory(MB)"


def written(folder: Path, lines: int) -> tuple[About, Path]:
    """A batch that is done, its answers in the opposite order."""
    asked, answered = folder / f"{lines}.jsonl", folder / f"{lines}.results.jsonl"
    with asked.open("w") as out:
        for n in range(lines):
            messages = (Message("user", f"Number {n}: {TEXT}"),)
            request = ChatRequest("org/m", messages, {}, stream=False)
            out.write(request_line(str(n), request, PLACE))
    with answered.open("w") as out:
        for n in reversed(range(lines)):
            message = {"role": "assistant", "content": f"{n}: {TEXT}"}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            usage = {"prompt_tokens": 60, "completion_tokens": 50, "total_tokens": 110}
            body = {"id": f"c{n}", "model": "org/m", "choices": [choice], "usage": usage}
            response = {"status_code": 200, "request_id": f"r{n}", "body": body}
            line = {"id": f"v{n}", "custom_id": str(n), "response": response, "error": None}
            out.write(json.dumps(line) + "\n")
    about = About(str(asked), str(folder), lines, model="org/m", cluster="red", version="0")
    return about, answered


def read(about: About, answered: Path) -> tuple[float, float]:
    """Find all answers and read each once, as a loop does; the seconds of both."""
    begun = time.perf_counter()
    results = BatchResults(Answers(about, str(answered)))
    found = time.perf_counter()
    for n, item in enumerate(results):
        assert isinstance(item, Completion)
        assert item.text.startswith(f"{n}: ")
    assert results.failed == []
    assert results.usage.total_tokens == 110 * about.lines
    return found - begun, time.perf_counter() - found


def highest(work: Callable[[], object]) -> int:
    """Bytes above what was in use before, at the highest point of some work."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def measure(folder: Path, lines: int) -> Cost:
    about, answered = written(folder, lines)
    size = Path(about.input_file).stat().st_size + answered.stat().st_size
    found, whole = read(about, answered)
    return Cost(lines, size, found, whole, highest(lambda: read(about, answered)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, nargs="+", default=[10_000, 100_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(HEADER)
        for lines in options.lines:
            print(measure(Path(folder), lines), flush=True)


if __name__ == "__main__":
    main()
