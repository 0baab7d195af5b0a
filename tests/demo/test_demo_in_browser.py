"""The quickstart as a person meets it: a real JupyterLab in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from alcf_magics import demo
from support.lab import Lab, require_browser

if TYPE_CHECKING:
    from alcf_magics.sandbox import Sandbox

pytestmark = pytest.mark.browser


@pytest.fixture
def lab(home: Path, sandbox: Sandbox) -> Iterator[Lab]:
    """The quickstart notebook, open in JupyterLab against the sandbox."""
    require_browser()
    with Lab(home, env=sandbox.environment, notebook=demo.quickstart()) as lab:
        yield lab


def index_of(lab: Lab, source: str) -> int:
    """The index of the cell that begins with this text."""
    cells = lab.notebook()["cells"]
    return next(i for i, cell in enumerate(cells) if "".join(cell["source"]).startswith(source))


def open_panel(lab: Lab) -> int:
    """Load the magics and show the login panel; the index of its cell."""
    lab.run(index_of(lab, "%load_ext"))
    index = index_of(lab, "%alcf_login")
    lab.run(index)
    return index


def type_code(lab: Lab, index: int, code: str) -> None:
    """Type a code into the panel and press Enter."""
    box = lab.cell(index).locator("input[type=password]")
    box.fill(code)
    box.press("Enter")


def log_in(lab: Lab, sandbox: Sandbox) -> int:
    """Log in with the panel, as a person does; the index of its cell."""
    index = open_panel(lab)
    link = lab.cell(index).get_by_role("link").get_attribute("href")
    type_code(lab, index, sandbox.approve(link))
    lab.cell(index).get_by_text("Logged in").first.wait_for()
    lab.wait_idle()
    return index


def test_quickstart(lab: Lab, sandbox: Sandbox) -> None:
    """The first five cells lead to a login, a table and one rendered answer, on loopback alone."""
    assert lab.output_text(log_in(lab, sandbox)).startswith(
        f"Logged in as {sandbox.identity.username}"
    )

    models = index_of(lab, "%alcf_models")
    lab.run(models)
    assert lab.cell(models).locator("table").get_by_text("openai/gpt-oss-120b").is_visible()

    asked = index_of(lab, "%%alcf")
    lab.run(asked)
    assert lab.outputs(asked).count() == 1
    assert lab.cell(asked).locator(".jp-RenderedHTMLCommon table").count() == 1
    assert lab.cell(asked).locator(".jp-RenderedHTMLCommon li").count() == 3
    # MathJax draws the formula a moment later.
    lab.cell(asked).locator("mjx-container").first.wait_for()

    lab.save()
    outputs = lab.notebook()["cells"][asked]["outputs"]
    assert [output["output_type"] for output in outputs] == ["execute_result"]
    away = [url for url in lab.requests if urlsplit(url).hostname not in ("127.0.0.1", None)]
    assert away == []


def test_panel(lab: Lab, sandbox: Sandbox) -> None:
    """The panel has a link, a box and a button; a wrong code is told, and a right one follows."""
    index = open_panel(lab)
    panel = lab.cell(index)
    assert panel.get_by_role("link").get_attribute("href").startswith(sandbox.globus_auth_url)
    assert panel.locator("input[type=password]").is_visible()
    assert panel.get_by_role("button", name="Log in").is_visible()

    type_code(lab, index, "not-a-code")
    trouble = panel.get_by_text(re.compile("code", re.IGNORECASE)).and_(
        panel.get_by_text(re.compile("wrong|spent|not accept|not take|refuse|invalid"))
    )
    trouble.first.wait_for()

    link = panel.get_by_role("link").get_attribute("href")
    type_code(lab, index, sandbox.approve(link))
    panel.get_by_text("Logged in").first.wait_for()
    assert sandbox.token_requests("authorization_code") == 2


def test_reopened(lab: Lab, sandbox: Sandbox) -> None:
    """Saved and opened again without a kernel, the notebook shows the login, table and answer."""
    login = log_in(lab, sandbox)
    asked = index_of(lab, "%%alcf")
    lab.run(asked)
    lab.save()
    lab.reopen(trusted=False)
    assert "Logged in" in lab.output_text(login)
    assert "A sandbox answered" in lab.output_text(asked)


def test_interrupt(lab: Lab, sandbox: Sandbox) -> None:
    """An interrupt in the middle of an answer keeps what came and says that it was interrupted."""
    log_in(lab, sandbox)
    sandbox.pace, sandbox.burst = 0.3, 1
    asked = index_of(lab, "%%alcf")
    lab.start(asked)
    lab.cell(asked).get_by_text("A sandbox").first.wait_for()
    lab.interrupt()
    lab.wait_idle(5)
    text = lab.output_text(asked)
    assert "A sandbox" in text
    assert "interrupted" in text
    assert "Log in at the real gateway" not in text
