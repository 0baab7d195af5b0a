"""The shell in this process tells the truth: it shows what a real kernel shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.kernels import Kernel
from support.shell import Shell

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One plain kernel for all tests here."""
    with Kernel(home=tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


@pytest.fixture
def plain(home: Path) -> Iterator[Shell]:
    """A shell without the magics."""
    with Shell(home) as shell:
        yield shell


def alike(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Outputs without what two kernels do not share: counts, ids, names of files, colours."""
    found = []
    for output in outputs:
        kept = {k: v for k, v in output.items() if k not in ("execution_count", "traceback")}
        if "evalue" in kept:
            kept["evalue"] = re.sub(r"\(.*, line", "(line", kept["evalue"])
        kept.get("data", {}).get(VIEW, {}).pop("model_id", None)
        found.append(kept)
    return found


@pytest.mark.kernel
@pytest.mark.parametrize(
    "code",
    [
        "print('a'); print('b')",
        "import sys; print('to standard error', file=sys.stderr)",
        "1 + 1",
        "1 + 1;",
        "None",
        "print('before')\n'the value'",
        "from IPython.display import HTML; HTML('<b>x</b>')",
        "from IPython.display import display; display('x', metadata={'a': 1}); display('y')",
        "h = display('x', display_id=True); print('between'); h.update('y')",
        "from IPython.display import clear_output\nprint('x'); clear_output(); print('y')",
        "display('x'); clear_output(wait=True); display('y'); display('z')",
        "display('x'); clear_output(wait=True); 'the value'",
        "import ipywidgets; ipywidgets.IntSlider()",
        "1 / 0",
        "def broken(:",
        "raise KeyboardInterrupt",
        "%no_such_magic",
        "%%time?",
        "get_ipython().set_next_input('x')",
    ],
)
def test_a_cell_holds_what_it_holds_in_a_kernel(kernel: Kernel, plain: Shell, code: str) -> None:
    """The same outputs in the same order, the same error, and as much asked of the front end."""
    names = "from IPython.display import clear_output, display"
    kernel.run(names)
    plain.run(names)
    real, ours = kernel.run(code), plain.run(code)
    assert alike(ours.outputs) == alike(real.outputs)
    assert (ours.status, ours.ename) == (real.status, real.ename)
    assert [p["source"] for p in ours.payload] == [p["source"] for p in real.payload]


def test_widgets_hear_what_a_person_does(plain: Shell) -> None:
    """A value that is set, a button that is pressed; what is closed is gone."""
    plain.run(
        "import ipywidgets\n"
        "pressed = []\n"
        "word, go = ipywidgets.Text(value='a'), ipywidgets.Button(description='Go')\n"
        "go.on_click(lambda _: pressed.append(word.value))\n"
        "ipywidgets.VBox([word, go])"
    )
    plain.set_widget(plain.find_widget("TextModel"), value="typed")
    plain.press(plain.find_widget(description="Go"))
    assert plain.names["pressed"] == ["typed"]
    plain.run("word.value = 'set'")
    assert plain.widgets[plain.find_widget("TextModel")]["value"] == "set"
    plain.run("word.close()")
    with pytest.raises(AssertionError, match="no widget"):
        plain.find_widget("TextModel")


def test_a_question_gets_its_answer(plain: Shell) -> None:
    """getpass asks the cell's person, by whatever name it was imported."""
    code = "from getpass import getpass; typed = getpass('Code: ')"
    assert plain.run(code, answer="abc").questions == ["Code: "]
    assert plain.names["typed"] == "abc"
    assert plain.run("getpass()").ename == "EOFError"


def test_an_interrupt_arrives_when_it_is_meant_to(plain: Shell) -> None:
    """The cell stops in the middle; the shell goes on."""
    cell = plain.run(
        "import time\nprint('begun')\ntime.sleep(30)", interrupt=lambda c: "begun" in c.text
    )
    assert (cell.ename, cell.text) == ("KeyboardInterrupt", "begun")
    assert plain.run("1").status == "ok"


def test_a_terminal_prints_its_values(home: Path) -> None:
    """No display message, no kernel: text alone."""
    with Shell(home, terminal=True) as terminal:
        assert terminal.run("1 + 1").text == "Out[1]: 2"
        assert not hasattr(terminal.ip, "kernel")
        assert "ZeroDivisionError" in terminal.run("1 / 0").text
