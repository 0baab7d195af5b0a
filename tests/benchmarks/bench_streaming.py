"""What showing an answer costs, as ratios to reading the same stream without showing it.

    python tests/benchmarks/bench_streaming.py
    python tests/benchmarks/bench_streaming.py --chunks 2000 20000 200000 --shape prose code
    python tests/benchmarks/bench_streaming.py --chunks 4000 --rate 200      # as a model sends
    python tests/benchmarks/bench_streaming.py --chunks 20000 --shape code --profile

Prints a table: for each shape and number of chunks (of five characters) the CPU seconds that a
real kernel spends on a `%%alcf` cell and on reading the same answer with bare httpx and
json.loads, their ratio, the bytes of messages to the front end for each byte of the text, the
number of draws, the longest time between two of them as a share of the whole, and by how much the
kernel's memory grew beside the text. The stream comes from another process. Without `--rate` it
comes as fast as the kernel reads it: that is the hardest for CPU a second, and the easiest for the
ratio, as draws are by time.
The test suite runs small sizes (`pytest -m slow tests/benchmarks`).
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from alcf_magics.auth.credentials import Credentials
from alcf_magics.sandbox import Sandbox
from benchmarks.shapes import SHAPES, text_of
from support.kernels import Cell, Kernel
from support.stress import log_in, settings_of

DRAWS = ("display_data", "update_display_data", "execute_result")
#: In the kernel: read the same stream with httpx and json.loads, and nothing else.
DRAIN = """\
def drain(prompt):
    import alcf_magics, httpx
    model = alcf_magics.session().resolve()
    body = {'model': model.name, 'messages': [{'role': 'user', 'content': prompt}], 'stream': True}
    url, count = f'{model.base_url}/chat/completions', 0
    begun = time.process_time()
    with httpx.Client(trust_env=False, timeout=600) as client:
        with client.stream('POST', url, json=body) as response:
            for line in response.iter_lines():
                if line.startswith('data: {'):
                    choices = json.loads(line[6:])['choices']
                    count += len(choices[0]['delta'].get('content') or '')
    return count, time.process_time() - begun
"""
#: In the kernel: the most memory that it ever held, in bytes.
PEAK = """\
def peak():
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
"""
PROFILE = """\
profiler = cProfile.Profile()
profiler.enable()
get_ipython().run_cell_magic('alcf', '', {prompt!r})
profiler.disable()
pstats.Stats(profiler).sort_stats('cumulative').print_stats(45)
"""


@dataclass(frozen=True)
class Cost:
    """CPU seconds of the kernel with and without display, and bytes to the front end."""

    shape: str
    chunks: int
    shown: float
    read: float
    sent: int
    text: int
    draws: int
    outputs: int
    silence: float
    memory: int

    @property
    def ratio(self) -> float:
        return self.shown / self.read

    @property
    def inflation(self) -> float:
        """Bytes sent for each byte of the text."""
        return self.sent / self.text

    def __str__(self) -> str:
        return (
            f"{self.shape:6} {self.chunks:8,} {self.shown:9.2f} {self.read:8.2f} {self.ratio:6.2f} "
            f"{self.sent / 1e6:8.2f} {self.inflation:9.2f} {self.draws:6} {self.silence:7.2f} "
            f"{self.memory / 1e6:6.0f}"
        )


HEADER = "shape    chunks  shown(s)  read(s)  ratio  sent(MB) sent/text  draws  silent  +(MB)"


class Bench:
    """A kernel that is logged in and warm, and a fast gateway for it."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._run("import json, time, cProfile, pstats\n" + DRAIN + PEAK)
        self._run("%load_ext alcf_magics")
        # Imports and caches are no part of what is measured.
        for shape in SHAPES:
            self.measure(shape, 200)

    def measure(self, shape: str, chunks: int, rate: float = 0, repeat: int = 1) -> Cost:
        """Costs of one answer; of several runs the one with the least CPU, for each of the two."""
        prompt = json.dumps({"shape": shape, "chunks": chunks, "rate": rate})
        text = text_of(shape, chunks)
        shown, read, sent, draws, outputs = [], [], 0, 0, 0
        silences, before = [], self._value("peak()")
        for _ in range(repeat):
            count, seconds = self._value(f"drain({prompt!r})")
            assert count == len(text)
            read.append(seconds)
            begun = self._value("time.process_time()")
            cell = self._run(f"%%alcf\n{prompt}")
            shown.append(self._value("time.process_time()") - begun)
            messages = [m for m in cell.messages if m.type in DRAWS]
            sent = max(sent, sum(len(json.dumps(m.content).encode()) for m in messages))
            draws, outputs = len(messages), len(cell.outputs)
            at = [m.at for m in messages]
            whole = max(at[-1] - at[0], 1e-9)
            silences.append(max((b - a for a, b in itertools.pairwise(at)), default=0.0) / whole)
            assert outputs == 1
            assert cell.outputs[0]["data"]["text/plain"] == text
        size = len(text.encode())
        grown = self._value("peak()") - before - size
        return Cost(
            shape, chunks, min(shown), min(read), sent, size, draws, outputs, min(silences), grown
        )

    def profile(self, shape: str, chunks: int, rate: float = 0) -> str:
        """Where the time goes in the main thread of the kernel."""
        prompt = json.dumps({"shape": shape, "chunks": chunks, "rate": rate})
        cell = self._run(PROFILE.format(prompt=prompt))
        return cell.text

    def _value(self, expression: str) -> Any:
        return ast.literal_eval(self._kernel.value(expression, 1800))

    def _run(self, code: str) -> Cell:
        cell = self._kernel.run(code, timeout=1800)
        assert cell.status == "ok", cell
        return cell


@contextlib.contextmanager
def bench(home: Path) -> Iterator[Bench]:
    """Sandbox, fast gateway and kernel; `home` is the kernel's, and HOME while the bench lasts."""
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(home)
    try:
        with Sandbox() as sandbox:
            command = [sys.executable, "-m", "benchmarks.sse_server"]
            with subprocess.Popen(
                [*command, sandbox.gateway_url.removesuffix("/resource_server")],
                cwd=Path(__file__).parents[1],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as server:
                assert server.stdout is not None
                assert server.stdin is not None
                try:
                    url = server.stdout.readline().strip() + "/resource_server"
                    env = {**sandbox.environment, "ALCF_GATEWAY_URL": url}
                    settings = settings_of(sandbox)
                    log_in(sandbox, Credentials(lambda: settings))
                    with Kernel(env=env, home=home) as kernel:
                        yield Bench(kernel)
                finally:
                    server.stdin.close()
    finally:
        if before is not None:
            os.environ["HOME"] = before


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chunks", type=int, nargs="+", default=[2000, 20_000])
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=["prose", "code", "table"])
    parser.add_argument("--rate", type=float, default=0, help="chunks a second; 0: no pause")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, bench(Path(home)) as it:
        print(HEADER)
        for shape in options.shape:
            for chunks in options.chunks:
                print(it.measure(shape, chunks, options.rate, options.repeat), flush=True)
                if options.profile:
                    print(it.profile(shape, chunks, options.rate), flush=True)


if __name__ == "__main__":
    main()
