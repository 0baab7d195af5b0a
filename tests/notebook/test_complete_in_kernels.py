"""Tab as a front end asks a real kernel for it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from alcf_magics.sandbox import Sandbox
from support.kernels import Kernel
from support.logins import log_in

pytestmark = pytest.mark.kernel


def test_tab_offers_what_fits_and_nothing_else(
    kernel: Kernel, sandbox: Sandbox, home: Path
) -> None:
    """Models by their bare names, too; no name of Python's, also where nothing fits."""
    log_in(sandbox, home)
    assert kernel.run("%load_ext alcf_magics").status == "ok"
    deadline = time.monotonic() + 10
    while (found := kernel.complete("%%alcf -m gp")) == ["gp"] and time.monotonic() < deadline:
        time.sleep(0.1)  # the first Tab lets the catalog be read
    assert found == ["gpt-oss-120b"]
    assert kernel.complete("%%alcf -m openai/g\nhi", len("%%alcf -m openai/g")) == [
        "openai/gpt-oss-120b"
    ]
    assert kernel.complete("%alcf -m metis:") == [
        "metis:Llama-4-Maverick-17B-128E-Instruct",
        "metis:gpt-oss-120b",
        "metis:DeepSeek-R1",
    ]
    assert kernel.complete("%%alcf -m pri") == ["pri"]
    assert kernel.complete("%%alcf --effort ") == ["low", "medium", "high", "none"]
    assert kernel.complete("%%alcf --no-such-option") == ["--no-such-option"]
    assert kernel.complete("%alcf_login --sta") == ["--status"]
    assert "print" in kernel.complete("pri")
    kernel.run("%unload_ext alcf_magics")
    assert "gpt-oss-120b" not in kernel.complete("%%alcf -m gp")
