"""Logging in, as a person does it in a real kernel, against a real sandbox."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from kernels import Cell, Kernel

from alcf_magics.sandbox import Sandbox
from alcf_magics.settings import CLIENT_ID

pytestmark = pytest.mark.kernel

LINK = re.compile(r"https?://\S+/v2/oauth2/authorize\?\S+")


def tokens(home: Path) -> Path:
    return home / ".globus/app" / CLIENT_ID / "alcf_magics/tokens.json"


def link(cell: Cell) -> str:
    """The authorize URL in what a cell shows."""
    return LINK.findall(cell.text)[0]


def with_person(kernel: Kernel, code: str) -> Cell:
    """Run a cell from a front end in which a person sits (it allows input)."""
    return kernel.run(code, answer="")


def log_in(kernel: Kernel, sandbox: Sandbox) -> Cell:
    """Load the extension and log in by pasting the code into a cell."""
    assert kernel.run("%load_ext alcf_magics").status == "ok"
    code = sandbox.approve(link(kernel.run("%alcf_login")))
    cell = kernel.run(f"%alcf_login {code}")
    assert "Logged in" in cell.text
    return cell


def test_the_panel_logs_in_without_blocking(kernel: Kernel, sandbox: Sandbox, home: Path) -> None:
    """Link, box, button: the cell ends at once, the click logs in, the cell then says so."""
    kernel.run("%load_ext alcf_magics")
    panel = with_person(kernel, "%alcf_login")
    assert panel.status == "ok"
    (output,) = panel.outputs
    assert "application/vnd.jupyter.widget-view+json" in output["data"]
    assert "%alcf_login CODE" in output["data"]["text/plain"]
    busy = kernel.run("%alcf hello")
    assert busy.ename == "NotLoggedIn"
    box = kernel.find_widget("PasswordModel")
    kernel.set_widget(box, value=sandbox.approve(link(panel)))
    kernel.press(kernel.find_widget("ButtonModel"))
    deadline = time.monotonic() + 10
    while "Logged in" not in panel.text and time.monotonic() < deadline:
        kernel.settle()
    assert "Logged in as alice@anl.gov" in panel.text
    assert sandbox.token_requests("authorization_code") == 1
    assert kernel.widgets.get(box, {}).get("value", "") == ""
    assert tokens(home).stat().st_mode & 0o777 == 0o600
    assert kernel.run("%alcf hello").status == "ok"


def test_a_wrong_code_in_the_panel_leaves_it_ready(kernel: Kernel, sandbox: Sandbox) -> None:
    """An empty or wrong code is one line in the panel, and the right one then works."""
    kernel.run("%load_ext alcf_magics")
    panel = with_person(kernel, "%alcf_login")
    box, button = kernel.find_widget("PasswordModel"), kernel.find_widget("ButtonModel")

    def said() -> str:
        return " ".join(str(s.get("value")) for s in kernel.widgets.values() if "value" in s)

    def wait_for(text: str) -> None:
        deadline = time.monotonic() + 10
        while text not in said() + panel.text and time.monotonic() < deadline:
            kernel.settle()
        assert text in said() + panel.text

    kernel.press(button)
    wait_for("no code")
    kernel.set_widget(box, value="wrong-code")
    wait_for("did not take the code")
    kernel.set_widget(box, value=sandbox.approve(link(panel)))
    wait_for("Logged in")


def test_a_code_typed_in_a_cell_finishes_the_login(kernel: Kernel, sandbox: Sandbox) -> None:
    """Without widgets: the link as text, `%alcf_login CODE`, and who it is from then on."""
    log_in(kernel, sandbox)
    again = kernel.run("%alcf_login")
    assert again.text.strip().startswith("Already logged in as alice@anl.gov")
    assert not LINK.search(again.text)
    assert kernel.run("%alcf_models").status == "ok"


@pytest.mark.parametrize(
    "form", ["{code}", "code={code}", "'https://x/?code={code}&state={state}'"]
)
def test_the_code_may_come_in_any_form(kernel: Kernel, sandbox: Sandbox, form: str) -> None:
    """Bare, as `code=…`, or as the whole address."""
    kernel.run("%load_ext alcf_magics")
    url = link(kernel.run("%alcf_login"))
    typed = form.format(code=sandbox.approve(url), state=re.findall(r"state=([^&]+)", url)[0])
    assert "Logged in" in kernel.run(f"%alcf_login {typed}").text


def test_wrong_and_spent_codes_are_one_line_each(kernel: Kernel, sandbox: Sandbox) -> None:
    """A bad code fails the cell in one line, and the same link takes another try."""
    kernel.run("%load_ext alcf_magics")
    assert kernel.run("%alcf_login abc").ename == "LoginFailed"
    url = link(kernel.run("%alcf_login"))
    wrong = kernel.run("%alcf_login wrong-code")
    assert wrong.ename == "LoginFailed"
    assert len(wrong.error_text.strip().splitlines()) == 1
    foreign = kernel.run("%alcf_login 'https://x/?code=abc&state=other'")
    assert "another login" in foreign.error_text
    code = sandbox.approve(url)
    assert link(kernel.run("%alcf_login")) == url  # the verifier is kept
    assert "Logged in" in kernel.run(f"%alcf_login {code}").text
    spent = kernel.run(f"%alcf_login {code}")
    assert spent.ename == "LoginFailed"
    assert sandbox.token_requests("authorization_code") == 2


def test_prompt_asks_in_the_cell_and_holds_run_all(kernel: Kernel, sandbox: Sandbox) -> None:
    """--prompt waits for the code with a hidden input; the cells after it find a login."""
    kernel.run("%load_ext alcf_magics")
    run = kernel.start_cell("%alcf_login --prompt", answer="")
    run.wait_for(lambda messages: bool(run.prompts), 10)
    cell = run.wait(20)
    assert cell.ename == "LoginFailed"  # three empty answers
    assert cell.prompts[0].password

    seen: list[str] = []

    def answer(prompt: object) -> str:
        (url,) = LINK.findall(kernel.cells[-1].text) or [""]
        seen.append(url)
        return sandbox.approve(url)

    cell = kernel.run("%alcf_login --prompt", answer=answer)
    assert "Logged in" in cell.text
    assert kernel.run("%alcf hello").status == "ok"


def test_headless_is_said_at_once(kernel: Kernel) -> None:
    """Where no input is allowed, --prompt fails at once and the panel says that nobody is here."""
    kernel.run("%load_ext alcf_magics")
    asked = kernel.run("%alcf_login --prompt", timeout=5)
    assert asked.ename == "NotLoggedIn"
    assert "ALCF_AI_TOKEN" in asked.error_text
    shown = kernel.run("%alcf_login", timeout=5)
    assert shown.status == "ok"
    assert "without a person" in shown.text


def test_logout_revokes_and_removes(kernel: Kernel, sandbox: Sandbox, home: Path) -> None:
    """After logging out no token works, none is stored, and the next prompt says what to do."""
    log_in(kernel, sandbox)
    stored = json.loads(tokens(home).read_text())["data"]["DEFAULT"]
    secrets = [e[k] for e in stored.values() for k in ("access_token", "refresh_token")]
    assert all(sandbox.active(s) for s in secrets)
    assert "Logged out" in kernel.run("%alcf_logout").text
    assert not any(sandbox.active(s) for s in secrets)
    assert not tokens(home).exists()
    assert kernel.run("%alcf hello").ename == "NotLoggedIn"
    assert "not logged in" in kernel.run("%alcf_logout").text


def test_a_login_lasts_over_kernels(kernel: Kernel, sandbox: Sandbox, home: Path) -> None:
    """A second kernel of the same home needs no login."""
    log_in(kernel, sandbox)
    with Kernel(env=sandbox.environment, home=home) as second:
        second.run("%load_ext alcf_magics")
        assert "Already logged in" in second.run("%alcf_login").text
        assert second.run("%alcf hello").status == "ok"


def test_a_sandbox_in_the_kernel_leaves_a_login_alone(
    kernel: Kernel, sandbox: Sandbox, home: Path
) -> None:
    """--sandbox logs in without a page, stores nothing, and logging out brings the old one back."""
    log_in(kernel, sandbox)
    before = tokens(home).read_bytes()
    inside = kernel.run("%alcf_login --sandbox")
    assert "Logged in" in inside.text
    assert "sandbox" in inside.text
    url = kernel.value("get_ipython().magics_manager.registry['AlcfMagics'].gateway_url")
    assert sandbox.gateway_url not in url
    seen = len(sandbox.requests)
    assert "sandbox" in kernel.run("%alcf hello").text
    assert len(sandbox.requests) == seen
    assert "Logged out of the sandbox" in kernel.run("%alcf_logout").text
    assert tokens(home).read_bytes() == before
    assert "Already logged in" in kernel.run("%alcf_login").text


def test_the_policy_of_the_facility_leads_to_a_fresh_login(home: Path) -> None:
    """A 401 that only a new authentication cures makes the next link ask for one."""
    with (
        Sandbox("policy_timeout") as sandbox,
        Kernel(env=sandbox.environment, home=home) as kernel,
    ):
        log_in(kernel, sandbox)
        refused = kernel.run("%alcf hello")
        assert refused.ename == "LoginExpired"
        assert "inference_auth_token" not in refused.error_text
        url = link(kernel.run("%alcf_login"))
        assert "prompt=login" in url
        assert "Logged in" in kernel.run(f"%alcf_login {sandbox.approve(url)}").text
        assert kernel.run("%alcf hello").status == "ok"
