"""`--tools` in a real kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from alcf_magics.sandbox import Sandbox
from support.kernels import Kernel
from support.logins import log_in

pytestmark = pytest.mark.kernel

TOOLS = """
%load_ext alcf_magics
import asyncio, threading
from IPython.display import display, HTML
seen = []
def speed(nodes: int) -> float:
    seen.append(nodes)
    display(HTML("<i>a figure</i>"))
    return nodes * 1.5
async def later():
    await asyncio.sleep(0.01)
    seen.append(threading.current_thread() is threading.main_thread())
    return "late"
"""
MODEL = "-m metis:gpt-oss-120b"


@pytest.mark.parametrize("nested", [False, True])
def test_tools_run_in_the_cell(kernel: Kernel, sandbox: Sandbox, home: Path, nested: bool) -> None:
    """On the main thread, with what they display; also where nest_asyncio was applied."""
    log_in(sandbox, home)
    kernel.run(TOOLS)
    if nested:
        kernel.run("import nest_asyncio; nest_asyncio.apply()")
    cell = kernel.run(f"%%alcf {MODEL} --tools speed,later\nspeed nodes=4, later")
    assert cell.status == "ok", cell.outputs
    assert kernel.value("seen") == "[4, True]"
    pages = [output["data"]["text/html"] for output in cell.outputs if "data" in output]
    assert [page[:8] for page in pages[:3]] == ["<details", "<i>a fig", "<details"]
    assert "6.0" in pages[0]
    assert "A sandbox answered" in pages[-1]
    assert len(pages) == 4
    assert kernel.value("_.calls[1].result") == "'late'"
    assert kernel.value("1 + 1") == "2"  # and the next cells run


def test_ask_asks_the_person(kernel: Kernel, sandbox: Sandbox, home: Path) -> None:
    """Yes runs a call, anything else does not, and where nobody can answer nothing runs."""
    log_in(sandbox, home)
    kernel.run(TOOLS)
    code = f"%%alcf {MODEL} --tools speed --ask\nspeed nodes=2"
    yes = kernel.start_cell(code, answer="y").wait()
    assert [prompt.text for prompt in yes.prompts] == ['Run speed({"nodes": 2})? [y/N] ']
    kernel.start_cell(code, answer="no").wait()
    nobody = kernel.run(code)
    assert nobody.status == "ok"
    assert "nobody is here to confirm it" in nobody.text
    assert kernel.value("seen") == "[2]"


def test_an_interrupted_tool_ends_the_prompt(kernel: Kernel, sandbox: Sandbox, home: Path) -> None:
    """One line; what came is kept, also of a tool that is awaited."""
    log_in(sandbox, home)
    kernel.run(TOOLS)
    kernel.run("async def slow():\n    print('slow')\n    await asyncio.sleep(60)")
    cell = kernel.start_cell(f"%%alcf {MODEL} --tools speed,slow --out kept\nspeed nodes=2, slow")
    cell.wait_for(lambda messages: "slow" in cell.text)
    kernel.interrupt()
    cell.wait()
    assert cell.ename == "KeyboardInterrupt"
    assert kernel.value("[call.name for call in kept.calls]") == "['speed']"
    assert kernel.run(f"%%alcf {MODEL} --tools later\nlater").status == "ok"
