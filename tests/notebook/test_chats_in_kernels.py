"""A chat in a real kernel, whose requests name the cell as a front end's do."""

from __future__ import annotations

from pathlib import Path

import httpx
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


@pytest.mark.real_model
def test_a_real_model_goes_on(home: Path, model_url: str) -> None:
    """It answers a second turn as it answers the same messages from anybody else."""
    with (
        Sandbox(upstream=model_url) as sandbox,
        Kernel(env=sandbox.environment, home=home) as kernel,
    ):
        log_in(sandbox, home)
        kernel.run("import alcf_magics\n%load_ext alcf_magics")
        options = "-t 0 --max-tokens 20"
        first = kernel.run(f"%%alcf -m smollm2-135m-instruct {options}\nName a city.", timeout=60)
        second = kernel.run(f"%%alcf -c {options} --out a\nName another one.", timeout=60)
        assert (first.status, second.status) == ("ok", "ok")
        messages = eval(kernel.value("alcf_magics.session().chats['chat 1'].messages"))
        asked = {"messages": messages[:-1], "temperature": 0, "max_tokens": 20}
        alone = httpx.post(f"{model_url}/chat/completions", json=asked, timeout=60).json()
        assert messages[-1]["content"] == alone["choices"][0]["message"]["content"]
        assert "chat 1 · turn 2" in second.html
