"""Many prompts in a cell of a real kernel: bar, table, an interrupt, the same cell again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alcf_magics.sandbox import Sandbox
from support.kernels import Kernel
from support.people import log_in

pytestmark = pytest.mark.kernel

CELL = """
results = alcf_magics.session().map(
    [{{"what": n}} for n in range({count})], "Why {{{{what}}}}?",
    model="gpt-oss-120b", save={file!r}, in_flight=2,
)
results
"""


def asked(sandbox: Sandbox) -> list[str]:
    return [
        r.body["messages"][-1]["content"]
        for r in sandbox.requests
        if r.path.endswith("/chat/completions")
    ]


def test_a_map_is_interrupted_and_the_cell_run_again(
    kernel: Kernel, sandbox: Sandbox, tmp_path: Path
) -> None:
    """A bar while it comes, one line for an interrupt, and in the end a table; none asked twice."""
    log_in(kernel, sandbox)
    kernel.run("import alcf_magics, threading")
    file = tmp_path / "answers.jsonl"
    code = CELL.format(count=8, file=str(file))
    sandbox.scenario = "slow"
    cell = kernel.start_cell(code)
    cell.wait_for(lambda messages: file.exists() and file.read_text().count("\n") >= 2)
    kernel.interrupt()
    cell.wait()
    [error] = [one for one in cell.outputs if one["output_type"] == "error"]
    assert error["ename"] == "KeyboardInterrupt"
    assert len(error["traceback"]) == 1
    assert "The map was interrupted; " in error["traceback"][0]
    kept = file.read_text().count("\n")
    came = "sum(hasattr(r, 'text') for r in alcf_magics.session().last_map)"
    assert 2 <= int(kernel.value(came)) == kept < 8
    sandbox.scenario = "default"
    kernel.settle()
    sandbox.requests.clear()
    cell = kernel.run(code)
    assert cell.status == "ok", cell
    assert len(asked(sandbox)) == 8 - kept
    result = cell.outputs[-1]
    assert result["output_type"] == "execute_result"
    assert "8 of 8 answered" in result["data"]["text/plain"]
    assert "<table>" in result["data"]["text/html"]
    assert _bars(cell)
    assert kernel.value("len(alcf_magics.session().history)") == "0"
    names = kernel.value("[t.name for t in threading.enumerate() if 'tqdm' in repr(t).lower()]")
    assert names == "[]"


def _bars(cell: Any) -> list[Any]:
    """The outputs that are widgets: in a page they are bars."""
    widget = "application/vnd.jupyter.widget-view+json"
    return [one for one in cell.outputs if widget in one.get("data", {})]
