"""One person's limit, and several kernels of theirs that know nothing of each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from alcf_magics.sandbox import Sandbox
from support.kernels import Kernel
from support.people import log_in

pytestmark = pytest.mark.kernel

ASK = """
from concurrent.futures import ThreadPoolExecutor
import alcf_magics
ask = lambda n: alcf_magics.session().ask(f"prompt {n}", "metis:gpt-oss-120b").text
texts = list(ThreadPoolExecutor(20).map(ask, range(20)))
"""


def test_two_kernels_of_one_person_lose_no_prompt(home: Path) -> None:
    """Twenty prompts each, at the same time: what is refused is asked again until it is taken."""
    with (
        Sandbox(pace=0.0) as sandbox,
        Kernel(env=sandbox.environment, home=home) as one,
        Kernel(env=sandbox.environment, home=home) as two,
    ):
        log_in(one, sandbox)
        assert two.run("%load_ext alcf_magics").status == "ok"
        cells = [kernel.start_cell(ASK) for kernel in (one, two)]
        for kernel, cell in zip((one, two), cells, strict=True):
            cell.wait()
            assert cell.status == "ok", cell
            assert kernel.value("len([text for text in texts if 'sandbox' in text])") == "20"
        answered = [r for r in sandbox.requests if "completions" in r.path and r.status == 200]
        assert len(answered) == 40
