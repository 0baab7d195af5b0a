"""Many processes on one token file: reads, refreshes and logins at once, some killed midway.

    python tests/support/stress.py --processes 8 --rounds 200 --kills 8

Prints what happened, and exits with 1 if the file was ever broken or a grant was lost. The test
suite runs it at small size.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from alcf_magics.auth.authorization import begin_login, read_code
from alcf_magics.auth.bearer import Bearer
from alcf_magics.auth.credentials import Credentials
from alcf_magics.auth.globus import GlobusAuth
from alcf_magics.auth.hidden import Secret
from alcf_magics.errors import AlcfError
from alcf_magics.sandbox import Sandbox
from alcf_magics.settings import GATEWAY_RESOURCE_SERVER, Settings

#: A grant of another program in the same file, which must survive everything.
FOREIGN = "a.foreign.resource.server"


@dataclass
class Report:
    """What a run saw."""

    reads: int = 0
    refreshes: int = 0
    logins: int = 0
    killed: int = 0
    problems: list[str] | None = None
    seconds: float = 0.0


def settings_of(sandbox: Sandbox) -> Settings:
    return Settings(gateway_url=sandbox.gateway_url, globus_auth_url=sandbox.globus_auth_url)


def log_in(sandbox: Sandbox, credentials: Credentials) -> None:
    pending = begin_login(settings_of(sandbox), time.time())
    code = read_code(sandbox.approve(pending.authorize_url), pending.state)
    assert credentials.keep(GlobusAuth(sandbox.globus_auth_url).exchange(pending, code)).written


def worker(seed: int, rounds: int, die: bool) -> int:
    """One process's part; with `die`, it kills itself between an answer and the replace."""
    choose = random.Random(seed)
    settings = Settings.load()
    death = choose.randrange(1, 6) if die else 0
    replaced = 0
    original = Path.replace

    def replace(self: Path, target: Path) -> Path:
        nonlocal replaced
        replaced += 1
        if replaced == death:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, target)

    Path.replace = replace  # type: ignore[method-assign,assignment]
    reads = refreshes = 0
    # One that is to die goes on until it has.
    for _ in range(rounds * (20 if die else 1)):
        credentials = Credentials(lambda: settings)
        grants = credentials.file.load(settings.globus_auth_url)
        reads += 1
        if not {GATEWAY_RESOURCE_SERVER, FOREIGN} <= set(grants):
            print(f"lost: {sorted(grants)}", flush=True)
            return 3
        if choose.random() < 0.2:
            grant = grants[GATEWAY_RESOURCE_SERVER]
            try:
                credentials.renew(Bearer(grant.access_token, "stress", grant))
            except AlcfError as error:
                print(f"refresh: {error}", flush=True)
                return 4
            refreshes += 1
    print(json.dumps({"reads": reads, "refreshes": refreshes}), flush=True)
    return 0


def run(processes: int, rounds: int, kills: int, home: Path) -> Report:
    """Run the workers, log in again and again beside them, and watch the file."""
    report = Report(problems=[])
    assert report.problems is not None
    os.environ["HOME"] = str(home)
    with Sandbox() as sandbox:
        sandbox.requests_per_second = 10_000
        settings = settings_of(sandbox)
        credentials = Credentials(lambda: settings)
        log_in(sandbox, credentials)
        own = credentials.file.load(settings.globus_auth_url)[GATEWAY_RESOURCE_SERVER]
        from dataclasses import replace

        foreign = replace(
            own, resource_server=FOREIGN, access_token=Secret("f"), refresh_token=None
        )
        assert credentials.file.save((foreign,)).written
        begun = time.monotonic()
        workers = [
            subprocess.Popen(
                [sys.executable, __file__, "--worker", str(n), "--rounds", str(rounds)]
                + (["--die"] if n < kills else []),
                env={**os.environ, **sandbox.environment},
                stdout=subprocess.PIPE,
                text=True,
            )
            for n in range(processes + kills)
        ]
        while any(process.poll() is None for process in workers):
            try:
                json.loads(credentials.file.path.read_bytes())
            except ValueError:
                report.problems.append("the file did not parse")
            log_in(sandbox, Credentials(lambda: settings))
            report.logins += 1
        for process in workers:
            with process:
                said = process.communicate()[0]
            if process.returncode == -signal.SIGKILL:
                report.killed += 1
            elif process.returncode:
                report.problems.append(f"a worker ended with {process.returncode}: {said}")
            elif said:
                counts = json.loads(said.splitlines()[-1])
                report.reads += counts["reads"]
                report.refreshes += counts["refreshes"]
        report.seconds = time.monotonic() - begun
        final = credentials.file.load(settings.globus_auth_url)
        if not {GATEWAY_RESOURCE_SERVER, FOREIGN} <= set(final):
            report.problems.append(f"lost in the end: {sorted(final)}")
        elif not sandbox.active(final[GATEWAY_RESOURCE_SERVER].access_token.reveal()):
            report.problems.append("the stored token is not the newest")
        left = sorted(p.name for p in credentials.file.path.parent.iterdir())
        # A process killed before the replace leaves its temporary file; nothing else may stay.
        if sum(name.startswith(".tokens-") for name in left) > report.killed:
            report.problems.append(f"left behind: {left}")
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--die", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        return worker(options.worker, options.rounds, options.die)
    with tempfile.TemporaryDirectory() as home:
        report = run(options.processes, options.rounds, options.kills, Path(home))
    print(report)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
