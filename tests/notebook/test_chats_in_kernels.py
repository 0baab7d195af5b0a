"""A chat in a real kernel, whose requests name the cell as a front end's do."""

from __future__ import annotations

from pathlib import Path

import pytest

from alcf_magics.sandbox import Sandbox
from support.kernels import Kernel
from support.logins import log_in

pytestmark = pytest.mark.kernel


def test_a_cell_run_again_replaces_its_turn(kernel: Kernel, sandbox: Sandbox, home: Path) -> None:
    """The request's cellId says which cell it is; without one, turns append."""
    log_in(sandbox, home)
    sandbox.answer = "Yes."
    kernel.run("%load_ext alcf_magics")
    kernel.run("%%alcf -m metis:gpt-oss-120b\none", id="a")
    kernel.run("%%alcf -c\ntwo", id="b")
    kernel.run("%%alcf -c\nthree", id="c")
    cell = kernel.run("%%alcf -c\nTWO", id="b")
    assert "chat 1 · turn 2" in cell.html
    assert "2 turns dropped" in cell.html
    messages = sandbox.requests[-1].body["messages"]
    assert [message["content"] for message in messages] == ["one", "Yes.", "TWO"]
    kernel.run("%%alcf -c\nthree")
    kernel.run("%%alcf -c\nthree")
    assert kernel.value("len(__import__('alcf_magics').session().chats['chat 1'])") == "4"
