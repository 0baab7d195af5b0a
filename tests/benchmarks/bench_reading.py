"""What reading an answer through `ask` costs, beside bare httpx and json.loads in the same run.

    python tests/benchmarks/bench_reading.py
    python tests/benchmarks/bench_reading.py --chunks 200000 --shape table

Prints the CPU seconds of this process for both, and their ratio: the stream comes from another
process, as fast as it is read.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx

from alcf_magics import Session
from alcf_magics.sandbox import Sandbox
from benchmarks.shapes import SHAPES, text_of
from support.logins import logged_in


@dataclass(frozen=True)
class Cost:
    """CPU seconds of `ask` and of the bare client, the least of some runs."""

    shape: str
    chunks: int
    asked: float
    bare: float

    @property
    def ratio(self) -> float:
        return self.asked / self.bare

    def __str__(self) -> str:
        return (
            f"{self.shape:6} {self.chunks:8,} {self.asked:8.3f} {self.bare:8.3f} {self.ratio:6.2f}"
        )


HEADER = "shape    chunks   ask(s)  bare(s)  ratio"


def bare(url: str, prompt: str) -> str:
    """The text of a stream, read with httpx and json.loads and nothing else."""
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}], "stream": True}
    pieces = []
    with (
        httpx.Client(trust_env=False, timeout=600) as client,
        client.stream("POST", url, json=body) as response,
    ):
        for line in response.iter_lines():
            if line.startswith("data: {"):
                choices = json.loads(line[6:])["choices"]
                pieces.append(choices[0]["delta"].get("content") or "")
    return "".join(pieces)


def cpu(call: Callable[[], object]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


def measure(session: Session, shape: str, chunks: int, repeat: int = 3) -> Cost:
    """Both in turn, so that a machine that slows down slows both."""
    prompt = json.dumps({"shape": shape, "chunks": chunks, "rate": 0})
    model = session.resolve()
    url = f"{model.base_url}/chat/completions"
    text = text_of(shape, chunks)
    asked, alone = [], []
    for _ in range(repeat):
        asked.append(cpu(lambda: session.ask(prompt, model.place)))
        assert session.history[-1].text == text
        alone.append(cpu(lambda: bare(url, prompt)))
    assert bare(url, prompt) == text
    return Cost(shape, chunks, min(asked), min(alone))


@contextlib.contextmanager
def fast_session(home: Path, server: str = "sse_server") -> Iterator[Session]:
    """A session that is logged in, in front of a gateway that is faster than any model.

    `server` is the module beside this one that answers chats.
    """
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(home)
    server_file = Path(__file__).with_name(f"{server}.py")
    try:
        with Sandbox() as sandbox:
            session = logged_in(sandbox)
            with subprocess.Popen(
                [sys.executable, str(server_file), sandbox.gateway_url.rpartition("/")[0]],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            ) as process:
                assert process.stdout is not None
                assert process.stdin is not None
                try:
                    session.choose(
                        gateway_url=process.stdout.readline().strip() + "/resource_server"
                    )
                    yield session
                finally:
                    session.close()
                    process.stdin.close()
    finally:
        if before is not None:
            os.environ["HOME"] = before


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chunks", type=int, nargs="+", default=[20_000])
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=["prose"])
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, fast_session(Path(home)) as session:
        print(HEADER)
        for shape in options.shape:
            for chunks in options.chunks:
                print(measure(session, shape, chunks, options.repeat), flush=True)


if __name__ == "__main__":
    main()
