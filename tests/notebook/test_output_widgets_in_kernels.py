"""Prompts in places that are no plain cell: Output widgets, callbacks, captures, other loops."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alcf_magics.sandbox import Sandbox
from support.kernels import Kernel
from support.logins import log_in
from support.outputs import Json

pytestmark = pytest.mark.kernel

END = "Log in at the real gateway to ask a real model."
ASK = "get_ipython().run_line_magic('alcf', '-m gpt-oss-120b hi')"


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    """The sandbox of all tests that share a kernel."""
    with Sandbox(pace=0.02) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, shared: Sandbox) -> Iterator[Kernel]:
    """A kernel that is logged in, with ipywidgets as W."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        log_in(shared, home)
        with Kernel(env=shared.environment, home=home) as kernel:
            kernel.run("import ipywidgets as W\n%load_ext alcf_magics")
            yield kernel


def held(kernel: Kernel, name: str) -> list[Json]:
    """What an Output of this name shows: no nested widget that takes no place, and text."""
    kernel.settle()
    outputs = kernel.widgets[kernel.value(f"{name}.model_id").strip("'")]["outputs"]
    return [one for one in outputs if not _is_hidden(kernel, one)]


def _is_hidden(kernel: Kernel, output: Json) -> bool:
    view = output.get("data", {}).get("application/vnd.jupyter.widget-view+json")
    if view is None:
        return False
    widget = kernel.widgets[view["model_id"]]
    layout = kernel.widgets[widget["layout"].removeprefix("IPY_MODEL_")]
    return layout["display"] == "none" and not widget["outputs"]


@pytest.mark.parametrize(
    "prompt", ["%alcf -m gpt-oss-120b hi", "get_ipython().run_cell_magic('alcf', '', 'hi')"]
)
def test_an_output_widget_ends_with_the_whole_answer(ready: Kernel, prompt: str) -> None:
    """No update by display id reaches in there: what was printed stays, and one answer is there."""
    assert ready.run(f"out = W.Output()\nwith out:\n    print('mine')\n    {prompt}").status == "ok"
    printed, answer = held(ready, "out")
    assert printed["text"] == "mine\n"
    assert END in answer["data"]["text/html"]
    assert answer["metadata"]["alcf_magics"]["model"]


def test_an_output_widget_grows_while_the_answer_comes(ready: Kernel) -> None:
    """It shows more than the waiting line before the end."""
    cell = ready.run(f"out = W.Output()\nwith out:\n    {ASK}")
    drawn = [
        str(m.content["data"]["state"]["outputs"])
        for m in cell.messages
        if m.type == "comm_msg" and m.content["data"].get("state", {}).get("outputs")
    ]
    assert any("A sandbox answered" in one and END not in one for one in drawn)


def test_interact_shows_each_answer_once(ready: Kernel) -> None:
    """Returned or not, at the first call and when the person chooses something else."""
    for body in (ASK, f"return {ASK}"):
        code = f"def f(x):\n    {body}\nwidget = W.interactive(f, x=['a', 'b'])\ndisplay(widget)"
        assert ready.run(code).status == "ok"
        ready.run("widget.update()")
        ready.set_widget(ready.find_widget("DropdownModel"), index=1)
        (answer,) = held(ready, "widget.out")
        assert END in answer["data"]["text/html"]


def test_a_button_asks_into_its_output(ready: Kernel) -> None:
    """A callback runs after the cell, with the Output that it opens itself."""
    ready.run(
        f"out, button = W.Output(), W.Button()\ndef go(_):\n    with out:\n        {ASK}\n"
        "button.on_click(go)\ndisplay(button, out)"
    )
    ready.press(ready.find_widget("ButtonModel"))
    (answer,) = held(ready, "out")
    assert END in answer["data"]["text/html"]


def test_what_breaks_off_in_an_output_widget_says_why(
    ready: Kernel, shared: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part that came, and the reason, as in a cell."""
    monkeypatch.setattr(shared, "answer", "no value at all")
    ready.run(f"out = W.Output()\nwith out:\n    {ASK.replace('hi', '--format json hi')}")
    answer, error = held(ready, "out")
    assert "no value at all" in answer["data"]["text/html"]
    assert "no valid JSON" in answer["data"]["text/html"]
    assert error["output_type"] == "error"


@pytest.mark.parametrize(
    "code", ["%alcf -m gpt-oss-120b hi", f"x = {ASK}", f"print('mine')\n{ASK}"]
)
def test_what_is_captured_is_one_answer(ready: Kernel, code: str) -> None:
    """Every draw would be one more output of the capture."""
    assert ready.run(f"%%capture cap\n{code}").outputs == []
    cell = ready.run("cap.show()")
    (answer,) = [one for one in cell.outputs if one["output_type"] != "stream"]
    assert END in answer["data"]["text/html"]


def test_the_first_prompt_may_be_in_a_cell_of_trio(home: Path, sandbox: Sandbox) -> None:
    """Nothing of the event loop is made on somebody else's."""
    log_in(sandbox, home)
    with Kernel(env=sandbox.environment, home=home) as kernel:
        kernel.run("%load_ext alcf_magics\n%autoawait trio")
        cell = kernel.run(f"import trio\nawait trio.sleep(0)\nx = {ASK}\nx.text")
        assert cell.status == "ok"
        assert END in cell.text


def test_a_trailing_semicolon_and_no_interactivity_keep_the_answer(ready: Kernel) -> None:
    """The answer is shown where IPython shows no value."""
    for code in ("%alcf -m gpt-oss-120b hi;", "%%alcf -m gpt-oss-120b\nhi;"):
        assert END in ready.run(code).html
    ready.run("get_ipython().ast_node_interactivity = 'none'")
    for code in ("%alcf -m gpt-oss-120b hi", "%%alcf -m gpt-oss-120b\nhi", f"x = {ASK}"):
        assert ready.run(code).html.count(END) == 1
    ready.run("get_ipython().ast_node_interactivity = 'last_expr'")
