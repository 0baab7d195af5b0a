"""How much of the gateway's ten requests a second is used, by one kernel's session or by several.

    python tests/benchmarks/bench_limit.py
    python tests/benchmarks/bench_limit.py --sessions 3 --prompts 60

Each session has a limit of its own, and knows nothing of the others; all are one person, whom the
sandbox counts as the gateway does. Prints the share of the limit that was used, once the first ten
requests had left at once, and how many were refused on the way and lost in the end.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from alcf_magics import Session
from alcf_magics.errors import AlcfError
from alcf_magics.sandbox import Sandbox
from support.logins import logged_in

LIMIT = 10
MODEL = "metis:gpt-oss-120b"


@dataclass(frozen=True)
class Share:
    """What became of the prompts of so many sessions."""

    sessions: int
    used: float
    refused: int
    lost: int

    def __str__(self) -> str:
        return (
            f"{self.sessions} session(s): {self.used:.0%} of the limit used, "
            f"{self.refused} refused on the way, {self.lost} lost"
        )


def measure(sessions: int, prompts: int) -> Share:
    """The share that so many sessions use, each with so many prompts at once."""
    with Sandbox(pace=0.0) as sandbox:
        theirs = [logged_in(sandbox) for _ in range(sessions)]
        for session in theirs:
            session.ask("warm", MODEL)
        time.sleep(1.1)  # the limit is whole again
        sandbox.requests.clear()
        with ThreadPoolExecutor(sessions * prompts) as pool:
            lost = sum(pool.map(_is_lost, theirs * prompts))
        asked = [r for r in sandbox.requests if r.path.endswith("/chat/completions")]
        taken = sorted(r.at for r in asked if r.status == 200)
        for session in theirs:
            session.close()
    used = (len(taken) - LIMIT) / (taken[-1] - taken[0]) / LIMIT
    return Share(sessions, used, len(asked) - len(taken), lost)


def _is_lost(session: Session) -> bool:
    try:
        session.ask("hi", MODEL)
    except AlcfError:
        return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=40)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        for sessions in range(1, chosen.sessions + 1):
            print(measure(sessions, chosen.prompts))


if __name__ == "__main__":
    main()
