"""Many processes and many kernels on one login: the file stays whole, the refresh is one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from alcf_magics.auth.token_file import LEFTOVER_SECONDS, TokenFile
from alcf_magics.sandbox import Sandbox
from support import stress
from support.grants import grant
from support.kernels import Kernel
from support.people import log_in


@pytest.mark.slow
def test_processes_that_read_refresh_log_in_and_die(home: Path) -> None:
    """At small size what `support/stress.py` does at large: nothing lost, nothing half-written."""
    report = stress.run(processes=4, rounds=40, kills=3, home=home)
    assert report.problems == []
    assert report.reads == 160
    assert report.refreshes > 5
    assert report.logins > 0
    assert report.killed == 3


@pytest.mark.kernel
def test_five_kernels_refresh_once(sandbox: Sandbox, home: Path) -> None:
    """Five kernels that find the token expired cause one token request, and all get an answer."""
    sandbox.requests_per_second = 1000
    kernels = [Kernel(env=sandbox.environment, home=home) for _ in range(5)]
    try:
        for kernel in kernels:
            kernel.__enter__()
        log_in(kernels[0], sandbox)
        for kernel in kernels:
            kernel.run("%load_ext alcf_magics")
            assert kernel.run("%alcf hello").status == "ok"
        sandbox.expire_access_tokens()
        cells = [kernel.start_cell("%alcf hello") for kernel in kernels]
        assert [cell.wait(30).status for cell in cells] == ["ok"] * 5
        assert sandbox.token_requests("refresh_token") == 1
    finally:
        for kernel in kernels:
            kernel.close()


def test_what_killed_processes_left_is_swept_away(home: Path) -> None:
    """A temporary file of long ago goes with the next save; a fresh one is somebody's."""
    file = TokenFile()
    file.save((grant(),))
    old, fresh = file.path.parent / ".tokens-old", file.path.parent / ".tokens-fresh"
    for path in (old, fresh):
        path.write_text("{")
    long_ago = time.time() - LEFTOVER_SECONDS - 10
    os.utime(old, (long_ago, long_ago))
    file.save((grant(),))
    assert not old.exists()
    assert fresh.exists()
