"""Prompting in a real JupyterLab: Tab on the magic's line, and the cell that owns its turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from alcf_magics.sandbox import Sandbox
from support.lab import Lab, require_browser
from support.logins import log_in

pytestmark = pytest.mark.browser

SOURCE = """(index) =>
  window.lab.panel('notebook.ipynb').content.widgets[index].model.sharedModel.getSource()"""
OFFERED = ".jp-Completer:not(.lm-mod-hidden) .jp-Completer-match"
COUNT = "print(len(alcf_magics.session().chats['physics']))"


@pytest.fixture
def ready(home: Path, sandbox: Sandbox) -> Sandbox:
    """The sandbox, with a login that every kernel in `home` finds, and short answers."""
    require_browser()
    log_in(sandbox, home)
    sandbox.answer = "Yes."
    return sandbox


def notebook(*sources: str) -> nbformat.NotebookNode:
    node: nbformat.NotebookNode = new_notebook(cells=[new_code_cell(source) for source in sources])
    return node


def press_tab(lab: Lab, index: int) -> None:
    """Press Tab at the end of a cell."""
    lab.cell(index).locator(".cm-content").click()
    lab.page.keyboard.press("Control+End")
    lab.page.keyboard.press("Tab")


def offered(lab: Lab) -> list[str]:
    """What the completer's list offers, as the page shows it."""
    found = lab.page.locator(OFFERED)
    found.first.wait_for(timeout=10_000)
    texts: list[str] = found.all_inner_texts()
    return texts


def source(lab: Lab, index: int) -> str:
    """What a cell says now."""
    text: str = lab.page.evaluate(SOURCE, index)
    return text


def runs(lab: Lab, index: int) -> str:
    """Run a cell; what the page shows under it."""
    lab.run(index)
    return lab.output_text(index)


def test_tab_puts_a_model_in(home: Path, ready: Sandbox) -> None:
    """The models that start so and no name of Python's; the chosen one comes by its bare name."""
    cells = notebook(
        "%load_ext alcf_magics\ngp_of_mine = 1",
        "%alcf_models",  # reads the catalog, which Tab never waits for
        "%%alcf -m gp",
        "%%alcf -m metis:",
        "%%alcf -m gp_of_mi",
        "gp_of_mi",
    )
    with Lab(home, env=ready.environment, notebook=cells) as lab:
        lab.run(0)
        lab.run(1)
        press_tab(lab, 2)
        assert offered(lab) == ["gpt-oss-120b"]
        lab.page.keyboard.press("Enter")
        assert source(lab, 2) == "%%alcf -m gpt-oss-120b"
        press_tab(lab, 3)
        assert "metis:gpt-oss-120b" in offered(lab)
        assert all(name.startswith("metis:") for name in offered(lab))
        lab.page.keyboard.press("Escape")
        # A Python cell is offered the name, once Jedi, slow at first, answers within a second.
        for _ in range(8):
            press_tab(lab, 5)
            lab.page.wait_for_timeout(1500)
            if lab.page.locator(OFFERED).count() or source(lab, 5) != "gp_of_mi":
                break
        assert source(lab, 5) == "gp_of_mine" or offered(lab) == ["gp_of_mine"]
        lab.page.keyboard.press("Escape")
        press_tab(lab, 4)
        lab.page.wait_for_timeout(1500)
        assert "gp_of_mine" not in lab.page.locator(OFFERED).all_inner_texts()
        assert source(lab, 4) == "%%alcf -m gp_of_mi"


def test_a_cell_owns_its_turns(home: Path, ready: Sandbox) -> None:
    """Run again, it replaces its turn and drops the later one; a copy of it appends."""
    cells = notebook(
        "%load_ext alcf_magics\nimport alcf_magics",
        *(f"%%alcf --chat physics\n{word}" for word in ("one", "two", "three")),
        COUNT,
    )
    with Lab(home, env=ready.environment, notebook=cells) as lab:
        for index in range(4):
            lab.run(index)
        assert runs(lab, 4).strip() == "3"
        again = runs(lab, 2)
        assert "physics · turn 2" in again
        assert "2 turns dropped" in again
        assert runs(lab, 4).strip() == "2"
        asked: list[Any] = ready.requests[-1].body["messages"]
        assert [message["content"] for message in asked] == ["one", "Yes.", "two"]
        lab.page.evaluate(
            """async () => {
                const { commands } = window.jupyterapp;
                window.lab.panel('notebook.ipynb').content.activeCellIndex = 2;
                await commands.execute('notebook:copy-cell');
                await commands.execute('notebook:paste-cell-below');
            }"""
        )
        assert source(lab, 3) == source(lab, 2)
        copied = runs(lab, 3)
        assert "physics · turn 3" in copied
        assert "dropped" not in copied
        assert runs(lab, 5).strip() == "3"
