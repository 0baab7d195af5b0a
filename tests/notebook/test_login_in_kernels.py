"""Logging in, as a person does it in a real kernel, against a real sandbox."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from alcf_magics.sandbox import Identity, Sandbox
from support.kernels import Cell, Kernel
from support.people import (
    LINK,
    enter,
    link,
    log_in,
    said,
    stored,
    tokens,
    wait_for,
    with_person,
)

pytestmark = pytest.mark.kernel


def shown(cell: Cell, text: str) -> None:
    """Wait until a running cell shows this text, ten seconds at most."""
    cell.wait_for(lambda messages: text in cell.text, 10)


def model_names(kernel: Kernel) -> set[str]:
    """The kinds of widgets that are open."""
    return {str(state.get("_model_name")) for state in list(kernel.widgets.values())}


def test_the_panel_logs_in_without_blocking(kernel: Kernel, sandbox: Sandbox, home: Path) -> None:
    """Link, box, button: the cell ends at once, the click logs in, the cell then says so."""
    kernel.run("%load_ext alcf_magics")
    panel = with_person(kernel, "%alcf_login")
    assert panel.status == "ok"
    text, view = panel.outputs
    assert "application/vnd.jupyter.widget-view+json" in view["data"]
    assert "%alcf_login CODE" in text["data"]["text/plain"]
    busy = kernel.run("%alcf hello")
    assert busy.ename == "NotLoggedIn"
    box, button = kernel.find_widget("PasswordModel"), kernel.find_widget(description="Log in")
    assert kernel.widgets[button]["disabled"]
    kernel.set_widget(box, value=sandbox.approve(link(panel)))
    wait_for(kernel, lambda: not kernel.widgets[button]["disabled"])
    kernel.press(button)
    enter(kernel, box)
    wait_for(kernel, lambda: "Logged in" in panel.text)
    assert panel.text.strip().startswith("Logged in as alice@anl.gov")
    # One line stays; the place of the widgets is empty, also in a saved notebook.
    assert [sorted(output["data"]) for output in panel.outputs] == [["text/plain"], []]
    assert sandbox.token_requests("authorization_code") == 1
    assert kernel.widgets.get(box, {}).get("value", "") == ""
    assert tokens(home).stat().st_mode & 0o777 == 0o600
    assert kernel.run("%alcf hello").status == "ok"


def test_a_wrong_code_in_the_panel_leaves_it_ready(kernel: Kernel, sandbox: Sandbox) -> None:
    """An empty or wrong code is one line in the panel, and the right one then works."""
    kernel.run("%load_ext alcf_magics")
    panel = with_person(kernel, "%alcf_login")
    box = kernel.find_widget("PasswordModel")
    assert "good for 10 more minutes" in said(kernel)
    enter(kernel, box)
    wait_for(kernel, lambda: "no code" in said(kernel))
    kernel.set_widget(box, value="wrong-code")
    enter(kernel, box)
    wait_for(kernel, lambda: "did not take the code" in said(kernel))
    assert kernel.widgets[box]["value"] == ""
    assert not kernel.widgets[box]["disabled"]
    kernel.set_widget(box, value=sandbox.approve(link(panel)))
    enter(kernel, box)
    wait_for(kernel, lambda: "Logged in" in panel.text)


def test_a_second_panel_makes_the_first_go_quiet(kernel: Kernel, sandbox: Sandbox) -> None:
    """One panel is open at a time, and both lead to the same login."""
    kernel.run("%load_ext alcf_magics")
    first = with_person(kernel, "%alcf_login")
    url = link(first)
    second = with_person(kernel, "%alcf_login")
    assert first.text.strip() == "Another login was begun below."
    assert link(second) == url
    kernel.run(f"%alcf_login {sandbox.approve(url)}")
    assert second.text.strip().startswith("Logged in as")


def test_the_panel_leaves_other_widgets_alone(kernel: Kernel, sandbox: Sandbox) -> None:
    """A person's own widgets live on when a panel ends."""
    kernel.run("import ipywidgets; slider = ipywidgets.IntSlider(); slider")
    kernel.run("%load_ext alcf_magics")
    with_person(kernel, "%alcf_login")
    with_person(kernel, "%alcf_login")
    box = kernel.find_widget("PasswordModel")
    kernel.set_widget(box, value=sandbox.approve(link(kernel.cells[-1])))
    enter(kernel, box)
    wait_for(kernel, lambda: sandbox.token_requests() == 1)

    def boxes() -> list[str]:
        return [w for w, s in kernel.widgets.items() if "Password" in str(s.get("_model_name"))]

    wait_for(kernel, lambda: not boxes())
    assert kernel.value("slider.comm is not None") == "True"
    assert not boxes()


def test_logins_to_two_sandboxes_live_side_by_side(home: Path) -> None:
    """Both are stored; logging out of one leaves the other, --all takes every one away."""
    with (
        Sandbox() as first,
        Sandbox() as second,
        Kernel(env=first.environment, home=home) as one,
        Kernel(env=second.environment, home=home) as two,
    ):
        log_in(one, first)
        assert "Not stored" not in log_in(two, second).text
        assert "Already logged in" in one.run("%alcf_login").text
        assert stored(home, first).keys() == stored(home, second).keys() > set()
        assert "Logged out: the login is revoked" in two.run("%alcf_logout").text
        assert one.run("%alcf hello").status == "ok"
        log_in(two, second)
        tokens_of_first = [entry["access_token"] for entry in stored(home, first).values()]
        assert "Logged out" in two.run("%alcf_logout --all").text
        assert not any(map(first.active, tokens_of_first))
        assert not tokens(home).exists()


def test_a_login_drops_those_of_sandboxes_that_are_gone(home: Path) -> None:
    """Each start of a sandbox has a port of its own: what earlier ones left goes by itself."""
    with Sandbox() as gone, Kernel(env=gone.environment, home=home) as kernel:
        log_in(kernel, gone)
    with Sandbox() as sandbox, Kernel(env=sandbox.environment, home=home) as kernel:
        log_in(kernel, sandbox)
        assert list(json.loads(tokens(home).read_text())["data"]) == [sandbox.globus_auth_url]


def test_a_panel_whose_time_is_over_says_so(kernel: Kernel, sandbox: Sandbox) -> None:
    """After ten minutes the link is gone, and the next step stands in its place."""
    kernel.run("%load_ext alcf_magics")
    kernel.run("import alcf_magics.notebook.panel as p; p.TICK_SECONDS = 0.05")
    panel = with_person(kernel, "%alcf_login")
    box = kernel.find_widget("PasswordModel")
    kernel.run("import alcf_magics.auth.authorization as g; g.PENDING_SECONDS = 0")
    wait_for(kernel, lambda: "expired" in panel.text)
    assert "%alcf_login" in panel.text
    assert kernel.widgets.get(box, {}).get("value", "") == ""


def test_another_persons_login_asks_first(kernel: Kernel, sandbox: Sandbox, home: Path) -> None:
    """A login of another identity than the stored one waits for a word, in cell and panel."""
    log_in(kernel, sandbox)
    before = tokens(home).read_bytes()
    sandbox.identity = Identity("b0b00000-2f5b-4a55-9c3c-9d8e4f1c7a10", "bob@anl.gov", "Bob")
    url = link(kernel.run("%alcf_login --force"))
    assert "prompt=login" in url
    asked = kernel.run(f"%alcf_login {sandbox.approve(url)}")
    assert asked.ename == "LoginFailed"
    assert "alice@anl.gov" in asked.error_text
    assert "%alcf_login --replace" in asked.error_text
    assert tokens(home).read_bytes() == before
    assert "as bob@anl.gov" in kernel.run("%alcf_login --replace").text
    assert "bob@anl.gov" in kernel.run("%alcf_login").text
    assert kernel.run("%alcf_login --replace").ename == "LoginFailed"
    sandbox.identity = Identity("a11ce000-2f5b-4a55-9c3c-9d8e4f1c7a10", "alice@anl.gov", "Alice")
    panel = with_person(kernel, "%alcf_login --force")
    box = kernel.find_widget("PasswordModel")
    kernel.set_widget(box, value=sandbox.approve(link(panel)))
    enter(kernel, box)
    wait_for(kernel, lambda: "logged in as bob@anl.gov" in said(kernel))
    kernel.press(kernel.find_widget(description="Take it over"))
    wait_for(kernel, lambda: "Logged in as alice@anl.gov" in panel.text)


def test_status_is_one_table(kernel: Kernel, sandbox: Sandbox) -> None:
    """Who, from where, until when, which identity provider; also without a login."""
    kernel.run("%load_ext alcf_magics")
    assert "no: You are not logged in to ALCF" in kernel.run("%alcf_login --status").text
    code = sandbox.approve(link(kernel.run("%alcf_login")))
    kernel.run(f"%alcf_login {code}")
    shown = kernel.run("%alcf_login --status")
    assert "<table" in shown.html
    for row in ("alice@anl.gov", "your login", "token until", "renewable until", "tokens.json"):
        assert row in shown.text
    assert "Argonne National Laboratory" in shown.text
    assert sandbox.gateway_url in shown.text


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

    # The question may arrive before the link that was printed above it: another socket.
    url = link(cell)
    cell = kernel.run("%alcf_login --prompt", answer=lambda prompt: sandbox.approve(url))
    assert link(cell) == url
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
    entries = stored(home, sandbox).values()
    secrets = [e[k] for e in entries for k in ("access_token", "refresh_token")]
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
        for cell in ("%alcf hello", "%alcf_models"):
            refused = kernel.run(cell)
            assert refused.ename == "LoginExpired"
            assert "inference_auth_token" not in refused.error_text
        # With a person there, the panel comes at once, says why, and asks for a fresh login.
        panel = with_person(kernel, "%alcf hello")
        assert panel.ename == "LoginExpired"
        assert "too long ago" in panel.outputs[0]["data"]["text/plain"]
        url = link(panel)
        assert "prompt=login" in url
        box = kernel.find_widget("PasswordModel")
        kernel.set_widget(box, value=sandbox.approve(url))
        enter(kernel, box)
        wait_for(kernel, lambda: "Logged in" in panel.text)
        assert kernel.run("%alcf hello").status == "ok"


def test_an_outage_of_globus_is_counted_down_and_tried_once_more(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    """When the gateway cannot ask Globus, the cell says so at once, waits, and tries once more."""
    log_in(kernel, sandbox)
    kernel.run("%alcf hello")
    kernel.run("import alcf_magics.gateway.refusals as a; a.OUTAGE_SECONDS = 1.2")
    forget = "import alcf_magics; alcf_magics.session()._connection.discovery.forget()"
    for line in ("%alcf hello", "%alcf_models"):
        kernel.run(forget)  # what was read a moment ago would do
        sandbox.scenario = "globus_outage"
        run = kernel.start_cell(line)
        shown(run, "Trying once more in 1 s")
        sandbox.scenario = "default"
        cell = run.wait(10)
        assert cell.status == "ok", cell.error_text
        assert "Trying once more" not in cell.text
    sandbox.scenario = "globus_outage"
    before = len(sandbox.requests)
    cell = kernel.run("%alcf hello")
    assert cell.ename == "GatewayUnreachable"
    asked = [r for r in sandbox.requests[before:] if r.path.endswith("/chat/completions")]
    assert len(asked) == 2
    run = kernel.start_cell("%alcf hello")
    run.wait_for(lambda messages: "Trying once more" in run.text, 10)
    kernel.interrupt()
    assert run.wait(5).ename == "KeyboardInterrupt"


def test_a_group_restriction_and_other_refusals_show_their_text(home: Path) -> None:
    """What a login cannot cure is AccessDenied with the gateway's own reason."""
    with (
        Sandbox("group_restricted") as sandbox,
        Kernel(env=sandbox.environment, home=home) as kernel,
    ):
        log_in(kernel, sandbox)
        table = kernel.run("%alcf_models")
        assert "minerva: states not known" in table.text
        assert "live" in table.text
        denied = kernel.run("%%alcf -m minerva:gemma-4-31b-it\nhi")
        assert denied.ename == "AccessDenied"
        assert "Globus Group" in denied.error_text


def test_a_refresh_that_fails_leads_to_the_panel(
    kernel: Kernel, sandbox: Sandbox, home: Path
) -> None:
    """When Globus cannot renew a login just now, one can log in all the same, and is told why."""
    log_in(kernel, sandbox)
    content = json.loads(tokens(home).read_text())
    for entry in content["data"][sandbox.globus_auth_url].values():
        entry["expires_at_seconds"] = 1000
    tokens(home).write_text(json.dumps(content))
    with Kernel(env=sandbox.environment, home=home) as second:
        second.run("%load_ext alcf_magics")
        second.run(
            "import alcf_magics.auth.globus as g\n"
            "g.GlobusAuth._post = lambda *a: (500, None, 'busy')"
        )
        assert second.run("%alcf hello").ename == "GatewayUnreachable"
        status = second.run("%alcf_login --status")
        assert "not known: Globus could not refresh" in status.text
        panel = with_person(second, "%alcf_login")
        assert panel.status == "ok"
        assert "could not refresh" in panel.text
        assert LINK.search(panel.text)


def test_the_widgets_output_holds_the_link_too(kernel: Kernel) -> None:
    """Whoever reads the output of the widgets alone finds the address and what to type."""
    kernel.run("%load_ext alcf_magics")
    text, view = with_person(kernel, "%alcf_login").outputs
    assert LINK.search(view["data"]["text/plain"])
    assert "%alcf_login CODE" in view["data"]["text/plain"]
    assert view["data"]["text/plain"] in text["data"]["text/plain"]


def test_a_login_that_ends_in_a_quiet_panel_is_told_in_the_open_one(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    """A second panel opened while the first exchanges its code says that the login is done."""
    kernel.run("%load_ext alcf_magics")
    kernel.run(
        "import time, alcf_magics.auth.globus as g\n"
        "post = g.GlobusAuth._post\n"
        "def slow(*given):\n"
        "    time.sleep(1.5)\n"
        "    return post(*given)\n"
        "g.GlobusAuth._post = slow"
    )
    first = with_person(kernel, "%alcf_login")
    box = kernel.find_widget("PasswordModel")
    kernel.set_widget(box, value=sandbox.approve(link(first)))
    enter(kernel, box)
    second = with_person(kernel, "%alcf_login")
    wait_for(kernel, lambda: "Logged in" in second.text)
    assert not LINK.search(second.text)


def test_whatever_goes_wrong_the_panel_is_ready_again(kernel: Kernel, sandbox: Sandbox) -> None:
    """An error that nobody thought of leaves no panel that waits for ever."""
    kernel.run("%load_ext alcf_magics")
    panel = with_person(kernel, "%alcf_login")
    kernel.run("import alcf_magics.auth.account as l\nl.read_code = None")
    box = kernel.find_widget("PasswordModel")
    kernel.set_widget(box, value=sandbox.approve(link(panel)))
    enter(kernel, box)
    wait_for(kernel, lambda: "The login failed (TypeError)" in said(kernel))
    assert not kernel.widgets[box]["disabled"]
    typed = kernel.run("%alcf_login SOME-CODE")
    assert typed.ename == "LoginFailed"
    assert len(typed.error_text.splitlines()) == 1


def test_a_question_is_forgotten_when_it_was_answered_otherwise(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    """Another person's login that nobody took over cannot be taken over later."""
    log_in(kernel, sandbox)
    alice = sandbox.identity
    sandbox.identity = Identity("b0b00000-2f5b-4a55-9c3c-9d8e4f1c7a10", "bob@anl.gov", "Bob")
    url = link(kernel.run("%alcf_login --force"))
    assert kernel.run(f"%alcf_login {sandbox.approve(url)}").ename == "LoginFailed"
    sandbox.identity = alice
    assert "as alice" in kernel.run(f"%alcf_login {sandbox.approve(url)}").text
    assert "no login to take over" in kernel.run("%alcf_login --replace").error_text


@pytest.mark.parametrize(
    "line", ["--status extra", "--sandbox --replace", "--prompt CODE", "--status --prompt"]
)
def test_options_that_would_be_ignored_are_refused(kernel: Kernel, line: str) -> None:
    """Two things at once are one line that says so, and nothing is done."""
    kernel.run("%load_ext alcf_magics")
    cell = kernel.run(f"%alcf_login {line}")
    assert cell.ename == "UsageError"
    assert "go" in cell.text + cell.error_text


def test_changed_policies_count_for_a_login_that_was_begun(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    """The link asks for what is set now, and the verifier stays."""
    kernel.run("%load_ext alcf_magics")
    first = link(kernel.run("%alcf_login"))
    kernel.run("%config AlcfMagics.session_policies = ''")
    kernel.run("%config AlcfMagics.session_domains = 'anl.gov'")
    second = link(kernel.run("%alcf_login"))
    assert "session_required_policies" in first
    assert "session_required_policies" not in second
    assert "session_required_single_domain=anl.gov" in second
    assert "Logged in" in kernel.run(f"%alcf_login {sandbox.approve(first)}").text


def test_a_panel_that_could_not_be_shown_is_none(kernel: Kernel, sandbox: Sandbox) -> None:
    """An interrupt while the panel is drawn does not stand in the way of the next one."""
    kernel.run("%load_ext alcf_magics")
    kernel.run(
        "import alcf_magics.notebook.panel as p\n"
        "show = p.show_link\n"
        "def interrupted(*given): raise KeyboardInterrupt\n"
        "p.show_link = interrupted"
    )
    assert with_person(kernel, "%alcf_login").ename == "LoginFailed"
    kernel.run("p.show_link = show")
    assert LINK.search(with_person(kernel, "%alcf_login").text)
    assert kernel.run("%unload_ext alcf_magics").status == "ok"


def test_an_open_panel_ends_with_any_login(kernel: Kernel, sandbox: Sandbox, home: Path) -> None:
    """A login made at a prompt, or in another kernel, leaves no panel that counts down."""
    kernel.run("%load_ext alcf_magics")
    panel = with_person(kernel, "%alcf_login")
    url = link(panel)
    kernel.run("%alcf_login --prompt", answer=lambda prompt: sandbox.approve(url))
    assert panel.text.strip().startswith("Logged in as alice")
    kernel.run("%alcf_logout")
    panel = with_person(kernel, "%alcf_login")
    with Kernel(env=sandbox.environment, home=home) as second:
        log_in(second, sandbox)
    assert "Already logged in" in kernel.run("%alcf_login").text
    assert "Already logged in" in panel.text


def test_a_logout_beside_a_sandbox_says_what_it_does(
    kernel: Kernel, sandbox: Sandbox, home: Path
) -> None:
    """With the real servers set again, logging out is not told as leaving the sandbox."""
    log_in(kernel, sandbox)
    kernel.run("%alcf_login --sandbox")
    kernel.run(f"%config AlcfMagics.gateway_url = {sandbox.gateway_url!r}")
    kernel.run(f"%config AlcfMagics.globus_auth_url = {sandbox.globus_auth_url!r}")
    assert kernel.run("%alcf_logout").text.strip().startswith("Logged out: the login is revoked")
    assert not tokens(home).exists()


def test_an_interrupted_sandbox_leaves_the_kernel_as_it_was(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    """What could not be entered is left: the next login is at the real place."""
    log_in(kernel, sandbox)
    kernel.run(
        "from alcf_magics.sandbox import Sandbox\n"
        "def interrupted(*given): raise KeyboardInterrupt\n"
        "Sandbox.approve = interrupted"
    )
    assert kernel.run("%alcf_login --sandbox").ename == "LoginFailed"
    assert "Already logged in" in kernel.run("%alcf_login").text
    assert sandbox.gateway_url in kernel.run("%alcf_login --status").text


def test_a_refusal_that_status_meets_counts(home: Path) -> None:
    """Told by --status to log in again, %alcf_login does not say that all is well."""
    with (
        Sandbox("policy_timeout") as sandbox,
        Kernel(env=sandbox.environment, home=home) as kernel,
    ):
        log_in(kernel, sandbox)
        with Kernel(env=sandbox.environment, home=home) as second:
            second.run("%load_ext alcf_magics")
            assert "fresh login" in second.run("%alcf_login --status").text
            assert "prompt=login" in link(second.run("%alcf_login"))


def test_a_code_can_take_over_in_one_line(kernel: Kernel, sandbox: Sandbox) -> None:
    """`--replace CODE` is a login as another person, asked and answered; --force is no harm."""
    log_in(kernel, sandbox)
    sandbox.identity = Identity("b0b00000-2f5b-4a55-9c3c-9d8e4f1c7a10", "bob@anl.gov", "Bob")
    url = link(kernel.run("%alcf_login --force"))
    done = kernel.run(f"%alcf_login --force --replace {sandbox.approve(url)}")
    assert "Logged in as bob@anl.gov" in done.text
