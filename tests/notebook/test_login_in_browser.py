"""The login panel in a real JupyterLab: by keyboard, with a wrong code, and after reopening."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from support.lab import Lab, require_browser
from support.proxies import noting_proxy

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from alcf_magics.sandbox import Sandbox

pytestmark = pytest.mark.browser

CELLS = ["%load_ext alcf_magics", "%alcf_login", "%alcf hello", "%alcf_login --force"]
LOGIN, ASK, AGAIN = 1, 2, 3


def notebook() -> nbformat.NotebookNode:
    node: nbformat.NotebookNode = new_notebook(cells=[new_code_cell(source) for source in CELLS])
    return node


@pytest.fixture
def lab(home: Path, sandbox: Sandbox) -> Iterator[Lab]:
    require_browser()
    with Lab(home, env=sandbox.environment, notebook=notebook()) as lab:
        yield lab


def follow(lab: Lab, index: int) -> str:
    """Click the panel's link, agree on the page that opens, and copy the code from it."""
    with lab.page.context.expect_page() as opened:
        lab.cell(index).get_by_role("link", name="Open Globus").click()
    page = opened.value
    page.get_by_role("button").first.click()
    code = str(page.locator("#auth-code").inner_text())
    page.close()
    return code


def box_of(lab: Lab, index: int) -> Locator:
    """The box, found as a screen reader finds it: by its label."""
    box: Locator = lab.cell(index).get_by_label("Code")
    return box


def focused(lab: Lab) -> tuple[int, bool]:
    """The cell that has the focus (-1: none), and whether its editor has it."""
    index, editing = lab.page.evaluate(
        """() => {
            const at = document.activeElement;
            const cells = [...document.querySelectorAll('.jp-NotebookPanel .jp-Cell')];
            return [cells.indexOf(at.closest('.jp-Cell')), at.matches('.cm-content')];
        }"""
    )
    return int(index), bool(editing)


def wait_for_focus(lab: Lab, index: int) -> None:
    lab.page.wait_for_function(
        """(index) => document.activeElement
            === document.querySelectorAll('.jp-NotebookPanel .jp-Cell')[index]""",
        arg=index,
        timeout=10_000,
    )


def exchanges(sandbox: Sandbox) -> int:
    return sandbox.token_requests("authorization_code")


def test_the_keyboard_alone_is_enough(lab: Lab, sandbox: Sandbox) -> None:
    """Follow the link, copy the code, paste, Enter: one line, one exchange, nothing outside.

    The focus is then on the next cell, as behind Shift+Enter, which runs that.
    """
    lab.run(0)
    lab.run(LOGIN)
    code = follow(lab, LOGIN)
    box_of(lab, LOGIN).focus()
    lab.page.keyboard.insert_text(code)
    lab.page.keyboard.press("Enter")
    lab.cell(LOGIN).get_by_text("Logged in as").first.wait_for()
    lab.wait_idle()
    assert lab.output_text(LOGIN).strip().startswith("Logged in as alice@anl.gov")
    assert lab.cell(LOGIN).locator("input").count() == 0
    assert exchanges(sandbox) == 1
    wait_for_focus(lab, ASK)
    lab.page.keyboard.press("Shift+Enter")
    lab.cell(ASK).get_by_text("No model was asked").wait_for()
    lab.wait_idle()
    assert focused(lab) == (AGAIN, False)
    assert all("//127.0.0.1" in url for url in lab.requests if url.startswith(("http", "ws")))


def test_tab_and_the_button_exchange_once(lab: Lab, sandbox: Sandbox) -> None:
    """Leaving the box sends nothing; the button, pressed twice, sends one code."""
    lab.run(0)
    lab.run(LOGIN)
    button = lab.cell(LOGIN).get_by_role("button", name="Log in")
    assert button.is_disabled()
    code = follow(lab, LOGIN)
    box_of(lab, LOGIN).press_sequentially(code)
    lab.page.wait_for_function("button => !button.disabled", arg=button.element_handle())
    lab.wait_idle()
    lab.page.keyboard.press("Tab")
    lab.page.wait_for_function(
        "button => document.activeElement === button", arg=button.element_handle()
    )
    assert exchanges(sandbox) == 0
    lab.page.keyboard.press("Enter")
    lab.page.keyboard.press("Enter")
    lab.cell(LOGIN).get_by_text("Logged in as").first.wait_for()
    assert exchanges(sandbox) == 1
    assert focused(lab)[0] == ASK


def test_a_wrong_code_leaves_the_box_focused_and_ready(lab: Lab, sandbox: Sandbox) -> None:
    """The line says what to do, the box is empty and has the focus, the right code then works."""
    lab.run(0)
    lab.run(LOGIN)
    status = lab.cell(LOGIN).get_by_role("status")
    assert "good for 10 more minutes" in status.inner_text()
    box = box_of(lab, LOGIN)
    box.fill("wrong-code")
    box.press("Enter")
    lab.cell(LOGIN).get_by_text("did not take the code").wait_for()
    assert "open the link again" in status.inner_text()
    lab.page.wait_for_function(
        "box => box.value === '' && document.activeElement === box", arg=box.element_handle()
    )
    box.fill(follow(lab, LOGIN))
    box.press("Enter")
    lab.cell(LOGIN).get_by_text("Logged in as").first.wait_for()


def test_a_second_panel_and_reopening_without_a_kernel(lab: Lab, sandbox: Sandbox) -> None:
    """The older panel is a line; saved and reopened, an unfinished one still says what to do."""
    lab.run(0)
    lab.run(LOGIN)
    lab.run(AGAIN)
    assert lab.output_text(LOGIN).strip() == "Another login was begun below."
    lab.save()
    lab.reopen(trusted=False)
    text = lab.output_text(AGAIN)
    assert "Open Globus, log in, copy the code" in text
    assert "%alcf_login CODE" in text
    assert lab.output_text(LOGIN).strip() == "Another login was begun below."


def test_a_finished_panel_reads_well_after_reopening(lab: Lab, sandbox: Sandbox) -> None:
    """A saved login is its one line, and nothing of the code is in the file."""
    lab.run(0)
    lab.run(LOGIN)
    code = follow(lab, LOGIN)
    box_of(lab, LOGIN).fill(code)
    box_of(lab, LOGIN).press("Enter")
    lab.cell(LOGIN).get_by_text("Logged in as").first.wait_for()
    lab.wait_idle()
    lab.save()
    assert code not in lab.path.read_text()
    lab.reopen(trusted=False)
    assert lab.output_text(LOGIN).strip().startswith("Logged in as")
    assert "widget" not in lab.output_text(LOGIN).lower()


def test_the_focus_goes_where_the_person_needs_it(lab: Lab, sandbox: Sandbox) -> None:
    """Who writes in another cell is left there; from below a refused cell it goes to that cell."""
    lab.run(0)
    lab.run(LOGIN)
    box_of(lab, LOGIN).fill(follow(lab, LOGIN))
    box_of(lab, LOGIN).press("Enter")
    lab.cell(AGAIN).locator(".cm-content").focus()
    lab.cell(LOGIN).get_by_text("Logged in as").first.wait_for()
    lab.wait_idle()
    assert focused(lab) == (AGAIN, True)
    sandbox.scenario = "policy_timeout"
    lab.run(ASK)
    sandbox.scenario = "default"
    box_of(lab, ASK).fill(follow(lab, ASK))
    box_of(lab, ASK).press("Enter")
    lab.cell(ASK).get_by_text("“hello” was refused: run it again").first.wait_for()
    wait_for_focus(lab, ASK)
    lab.page.keyboard.press("Shift+Enter")
    lab.cell(ASK).get_by_text("No model was asked").wait_for()
    lab.save()
    assert "javascript" not in lab.path.read_text()


def test_a_hub_with_a_prefix_and_a_proxy(home: Path, sandbox: Sandbox) -> None:
    """As on a JupyterHub: the server under /user/alice/, a proxy set, NO_PROXY not."""
    require_browser()
    with noting_proxy() as (url, lines):
        env = {**sandbox.environment, "HTTP_PROXY": url, "HTTPS_PROXY": url, "http_proxy": url}
        with Lab(home, env=env, notebook=notebook(), base_url="/user/alice/") as lab:
            lab.run(0)
            lab.run(LOGIN)
            box_of(lab, LOGIN).fill(follow(lab, LOGIN))
            box_of(lab, LOGIN).press("Enter")
            lab.cell(LOGIN).get_by_text("Logged in as").first.wait_for()
            lab.run(ASK)
            assert "No model was asked" in lab.output_text(ASK)
        assert lines == []
