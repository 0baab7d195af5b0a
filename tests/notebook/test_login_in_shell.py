"""Logging in and out, typed into a shell in this process: panel, code, prompt, status."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from alcf_magics.sandbox import Identity, Sandbox
from support.logins import log_in
from support.people import LINK, link, tokens
from support.shell import Cell, Shell

BOB = Identity("b0b00000-2f5b-4a55-9c3c-9d8e4f1c7a10", "bob@anl.gov", "Bob")


def box(shell: Shell) -> str:
    """The box for the code."""
    return shell.find_widget("PasswordModel")


def button(shell: Shell) -> str:
    return shell.find_widget(description="Log in")


def enter_code(shell: Shell, code: str) -> None:
    """Paste a code into the panel and press Enter."""
    shell.set_widget(box(shell), value=code)
    shell.enter(box(shell))


def says(shell: Shell, text: str) -> None:
    """Wait until the panel says so."""
    shell.wait_for(lambda: text in shell.widgets_say())


def reads(shell: Shell, cell: Cell, text: str) -> None:
    """Wait until a cell that was run shows so."""
    shell.wait_for(lambda: text in cell.text)


# The panel


def test_the_panel_logs_in(fresh_shell: Shell, in_sandbox: Sandbox, home: Path) -> None:
    """Link, box, button; then one line stands in its place, and no widget is left."""
    panel = fresh_shell.run("%alcf_login")
    text, view = panel.outputs
    assert "%alcf_login CODE" in text["data"]["text/plain"]
    assert "Open Globus" in text["data"]["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in view["data"]
    assert view["data"]["text/plain"] in text["data"]["text/plain"]
    assert fresh_shell.widgets[button(fresh_shell)]["disabled"]
    fresh_shell.set_widget(box(fresh_shell), value=in_sandbox.approve(link(panel)))
    assert not fresh_shell.widgets[button(fresh_shell)]["disabled"]
    fresh_shell.press(button(fresh_shell))
    reads(fresh_shell, panel, "Logged in as alice@anl.gov")
    assert [sorted(output["data"]) for output in panel.outputs] == [["text/plain"], []]
    fresh_shell.wait_for(lambda: not fresh_shell.widgets)
    assert in_sandbox.token_requests("authorization_code") == 1
    assert tokens(home).is_file()
    assert fresh_shell.run("%alcf hello").status == "ok"


def test_what_is_pressed_twice_is_sent_once(fresh_shell: Shell, in_sandbox: Sandbox) -> None:
    """Enter and the button at once exchange one code."""
    panel = fresh_shell.run("%alcf_login")
    id = box(fresh_shell)
    fresh_shell.set_widget(id, value=in_sandbox.approve(link(panel)))
    fresh_shell.enter(id)
    fresh_shell.press(button(fresh_shell))
    reads(fresh_shell, panel, "Logged in")
    assert in_sandbox.token_requests("authorization_code") == 1


def test_an_empty_and_a_wrong_code_leave_the_panel_ready(
    fresh_shell: Shell, in_sandbox: Sandbox
) -> None:
    """Each is one line; the box is empty, and takes the right one."""
    panel = fresh_shell.run("%alcf_login")
    assert "good for 10 more minutes" in fresh_shell.widgets_say()
    fresh_shell.enter(box(fresh_shell))
    says(fresh_shell, "There is no code yet")
    enter_code(fresh_shell, "wrong-code")
    says(fresh_shell, "did not take the code")
    assert fresh_shell.widgets[box(fresh_shell)]["value"] == ""
    assert not fresh_shell.widgets[box(fresh_shell)]["disabled"]
    enter_code(fresh_shell, in_sandbox.approve(link(panel)))
    reads(fresh_shell, panel, "Logged in")


def test_a_newer_panel_makes_an_older_one_a_line(fresh_shell: Shell, in_sandbox: Sandbox) -> None:
    """Both have the same link, and the login is told in the one that is open."""
    first = fresh_shell.run("%alcf_login")
    url = link(first)
    second = fresh_shell.run("%alcf_login")
    assert first.text == "Another login was begun below."
    assert link(second) == url
    enter_code(fresh_shell, in_sandbox.approve(url))
    reads(fresh_shell, second, "Logged in")


@pytest.mark.parametrize("line", ["%alcf_login {code}", "%alcf_login --prompt"])
def test_any_login_closes_an_open_panel(fresh_shell: Shell, in_sandbox: Sandbox, line: str) -> None:
    """A code typed in a cell, or at a prompt, leaves no panel behind."""
    panel = fresh_shell.run("%alcf_login")
    code = in_sandbox.approve(link(panel))
    assert "Logged in" in fresh_shell.run(line.format(code=code), answer=code).text
    assert panel.text.startswith("Logged in as alice")
    assert not fresh_shell.widgets


def test_a_login_from_elsewhere_closes_the_panel_when_it_is_found(
    fresh_shell: Shell, in_sandbox: Sandbox, home: Path
) -> None:
    """Another kernel of this home has logged in: %alcf_login says so, here and in the panel."""
    panel = fresh_shell.run("%alcf_login")
    log_in(in_sandbox, home)
    assert fresh_shell.run("%alcf_login").text.startswith("Already logged in as alice")
    assert panel.text.startswith("Already logged in")


def test_unloading_gives_a_login_up(fresh_shell: Shell) -> None:
    """An open panel ends as a line."""
    panel = fresh_shell.run("%alcf_login")
    fresh_shell.run("%unload_ext alcf_magics")
    assert "given up" in panel.text
    assert not fresh_shell.widgets


def test_another_persons_login_is_confirmed_in_the_panel(shell: Shell, in_sandbox: Sandbox) -> None:
    """The question and a button appear; only pressing it replaces who is logged in."""
    in_sandbox.identity = BOB
    panel = shell.run("%alcf_login --force")
    assert "prompt=login" in link(panel)
    enter_code(shell, in_sandbox.approve(link(panel)))
    says(shell, "You are logged in as alice@anl.gov; this login is bob@anl.gov")
    shell.press(shell.find_widget(description="Take it over"))
    reads(shell, panel, "Logged in as bob@anl.gov")


def test_a_fresh_login_is_offered_where_only_that_helps(shell: Shell, in_sandbox: Sandbox) -> None:
    """The cell that meets the facility's policy fails, and shows the panel at once."""
    in_sandbox.scenario = "policy_timeout"
    cell = shell.run("%alcf -m gpt-oss-120b hello")
    assert cell.ename == "LoginExpired"
    assert "too long ago" in cell.text
    assert "prompt=login" in link(cell)
    enter_code(shell, in_sandbox.approve(link(cell)))
    reads(shell, cell, "Logged in")
    assert shell.run("%alcf -m gpt-oss-120b hello").status == "ok"


# Cells that were refused


def count(shell: Shell) -> int:
    """The execution count of the cell that ran last."""
    return int(shell.ip.execution_count) - 1


def test_the_cell_that_was_refused_is_named(fresh_shell: Shell, in_sandbox: Sandbox) -> None:
    """The panel's last line says by number and words which one to run again, and says it once."""
    refused = fresh_shell.run("%%alcf -m gpt-oss-120b\n\nWhat is   an\nallreduce?")
    assert refused.ename == "NotLoggedIn"
    number = count(fresh_shell)
    panel = fresh_shell.run("%alcf_login")
    enter_code(fresh_shell, in_sandbox.approve(link(panel)))
    reads(fresh_shell, panel, "Logged in as alice")
    assert panel.text.endswith(
        f"Cell [{number}] “What is an allreduce?” was refused: run it again."
    )
    assert [sorted(output["data"]) for output in panel.outputs] == [["text/plain"], []]
    assert "refused" not in fresh_shell.run("%alcf_login").text


def test_the_panel_below_a_refused_cell_names_that_cell(shell: Shell, in_sandbox: Sandbox) -> None:
    """The facility's policy asks for a fresh login: when it is made, the prompt is to be sent."""
    in_sandbox.scenario = "policy_timeout"
    cell = shell.run("%alcf -m gpt-oss-120b hello")
    number = count(shell)
    enter_code(shell, in_sandbox.approve(link(cell)))
    reads(shell, cell, f"Cell [{number}] “-m gpt-oss-120b hello” was refused: run it again.")


@pytest.mark.parametrize("line", ["%alcf_login {code}", "%alcf_login --prompt"])
def test_several_refused_cells_are_named(
    fresh_shell: Shell, in_sandbox: Sandbox, line: str
) -> None:
    """The first three, and how many more, however one logs in; of code its number alone."""
    first = count(fresh_shell) + 1
    for prompt in ("one", "two"):
        fresh_shell.run(f"%alcf {prompt}")
    fresh_shell.run("import alcf_magics; token = 'abc'; alcf_magics.session().ask('three')")
    code = in_sandbox.approve(link(fresh_shell.run("%alcf_login")))
    some = f"Cells [{first}] “one”, [{first + 1}] “two”"
    fresh_shell.run("%alcf_models")
    fresh_shell.run("%alcf_models --jobs")
    said = fresh_shell.run(line.format(code=code), answer=code).text
    assert said.endswith(f"{some}, [{first + 2}] and 2 more were refused: run them again.")


def test_a_cell_that_ran_since_is_not_named(
    fresh_shell: Shell, in_sandbox: Sandbox, home: Path
) -> None:
    """Refused twice it is named once, by its last number; answered since, not at all."""
    fresh_shell.run("%alcf again")
    fresh_shell.run("%alcf answered")
    fresh_shell.run("%alcf again")
    number = count(fresh_shell)
    fresh_shell.run("%alcf_login --nonsense")
    fresh_shell.run("1 / 0")
    code = in_sandbox.approve(link(fresh_shell.run("%alcf_login")))
    log_in(in_sandbox, home)
    assert fresh_shell.run("%alcf answered").status == "ok"
    said = fresh_shell.run(f"%alcf_login {code}").text
    assert said.endswith(f"Cell [{number}] “again” was refused: run it again.")


def test_a_hostile_prompt_is_named_as_a_clean_line(
    fresh_shell: Shell, in_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No escape sequence, no markup, no token, and not the whole of it."""
    token = "Agnobodyshallseethis"
    fresh_shell.run(f"%%alcf\n\x1b[31m<script>\u202e{token} {'long ' * 100}")
    panel = fresh_shell.run("%alcf_login")
    monkeypatch.setenv("ALCF_AI_TOKEN", token)
    enter_code(fresh_shell, in_sandbox.approve(link(panel)))
    reads(fresh_shell, panel, "refused")
    named = panel.text.partition("Cell ")[2]
    assert token[:8] not in panel.text
    assert len(named) < 100
    assert "<script>(token) long" in named
    assert not set("\x1b\u202e") & set(named)


def test_a_terminal_names_the_refused_prompt(terminal: Shell, in_sandbox: Sandbox) -> None:
    """Printed behind the line of the login."""
    terminal.run("%alcf_logout")
    terminal.run("%alcf -m gpt-oss-120b hello")
    cell = terminal.run(
        "%alcf_login", answer=lambda question: in_sandbox.approve(link(terminal.cells[-1]))
    )
    assert "hello” was refused: run it again." in cell.text


def test_without_the_extension_nothing_is_remembered(fresh_shell: Shell) -> None:
    """Unloading forgets the cells, and no longer listens."""
    fresh_shell.run("%alcf hello")
    magics = fresh_shell.ip.magics_manager.registry["AlcfMagics"]
    fresh_shell.run("%unload_ext alcf_magics")
    assert magics.logins._naming("Done.") == "Done."
    assert magics.logins._refused._on_end not in fresh_shell.ip.events.callbacks["post_run_cell"]


def test_a_panel_counts_down_and_ends(fresh_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says for how long the link is good; then the next step stands in its place."""
    monkeypatch.setattr("alcf_magics.notebook.panel.TICK_SECONDS", 0.02)
    panel = fresh_shell.run("%alcf_login")
    now = time.time
    for minutes, good in ((5, "good for 5 more minutes"), (9.4, "good for 1 more minute.")):
        monkeypatch.setattr(time, "time", lambda minutes=minutes: now() + minutes * 60)
        says(fresh_shell, good)
    monkeypatch.setattr(time, "time", lambda: now() + 601)
    reads(fresh_shell, panel, "The link has expired. Log in again: %alcf_login")
    assert not fresh_shell.widgets


# A code in a cell


@pytest.mark.parametrize(
    "form", ["{code}", "code={code}", "'https://x/?code={code}&state={state}'"]
)
def test_a_code_is_taken_in_any_form(fresh_shell: Shell, in_sandbox: Sandbox, form: str) -> None:
    """Bare, as `code=…`, or as the whole address."""
    url = link(fresh_shell.run("%alcf_login"))
    state = re.findall(r"state=([^&]+)", url)[0]
    line = form.format(code=in_sandbox.approve(url), state=state)
    assert "Logged in as alice@anl.gov" in fresh_shell.run(f"%alcf_login {line}").text


def test_a_wrong_code_is_one_line_and_the_link_stays(
    fresh_shell: Shell, in_sandbox: Sandbox
) -> None:
    """Not begun, wrong, of another login, spent: each says what to do, and none is tried twice."""
    assert "No login was begun" in fresh_shell.run("%alcf_login abc").error_text
    url = link(fresh_shell.run("%alcf_login"))
    wrong = fresh_shell.run("%alcf_login wrong-code")
    assert wrong.ename == "LoginFailed"
    assert len(wrong.error_text.splitlines()) == 1
    foreign = fresh_shell.run("%alcf_login 'https://x/?code=abc&state=other'")
    assert "another login" in foreign.error_text
    code = in_sandbox.approve(url)
    assert link(fresh_shell.run("%alcf_login")) == url
    assert "Logged in" in fresh_shell.run(f"%alcf_login {code}").text
    assert fresh_shell.run(f"%alcf_login {code}").ename == "LoginFailed"
    assert in_sandbox.token_requests("authorization_code") == 2


def test_another_persons_code_asks_first(shell: Shell, in_sandbox: Sandbox, home: Path) -> None:
    """--replace takes over the login that waits, once; beside a code it answers beforehand."""
    before = tokens(home).read_bytes()
    in_sandbox.identity = BOB
    url = link(shell.run("%alcf_login --force"))
    asked = shell.run(f"%alcf_login {in_sandbox.approve(url)}")
    assert asked.ename == "LoginFailed"
    assert asked.error_text.endswith("To take it over: %alcf_login --replace")
    assert tokens(home).read_bytes() == before
    assert "as bob@anl.gov" in shell.run("%alcf_login --replace").text
    assert "no login to take over" in shell.run("%alcf_login --replace").error_text
    in_sandbox.identity = Identity("a11ce000-2f5b-4a55-9c3c-9d8e4f1c7a10", "al@anl.gov", "Al")
    url = link(shell.run("%alcf_login --force"))
    done = shell.run(f"%alcf_login --force --replace {in_sandbox.approve(url)}")
    assert "Logged in as al@anl.gov" in done.text


@pytest.mark.parametrize(
    "cell",
    ["%alcf_login {}", "x = 1\n%alcf_login {}", "get_ipython().run_line_magic('alcf_login', '{}')"],
)
def test_a_typed_code_is_not_remembered(fresh_shell: Shell, in_sandbox: Sandbox, cell: str) -> None:
    """IPython's inputs, in memory and on disk, hold dots in its place; all others stay."""
    fresh_shell.run("kept = 'status'")
    code = in_sandbox.approve(link(fresh_shell.run("%alcf_login")))
    assert "Logged in" in fresh_shell.run(cell.format(code)).text
    fresh_shell.run("1")
    remembered = fresh_shell.remembered()
    assert code not in remembered
    assert "%alcf_login …" in remembered
    assert "kept = 'status'" in remembered
    result = fresh_shell.ip.last_execution_result
    assert code not in repr(result.info)


def test_a_code_in_a_line_that_is_wrong_is_not_remembered_either(fresh_shell: Shell) -> None:
    """Two words, or a word for %alcf_logout: the line is refused, and forgotten all the same."""
    for line in ("%alcf_login CODE-1 CODE-2", "%alcf_logout CODE-3", "%alcf_login --x CODE-4"):
        assert fresh_shell.run(line).ename == "UsageError"
    fresh_shell.run("1")
    assert "CODE-" not in fresh_shell.remembered()


# A prompt in the cell


def test_prompt_asks_in_the_cell(fresh_shell: Shell, in_sandbox: Sandbox) -> None:
    """The link is printed, and the cell waits for the code, which is not shown."""
    url = link(fresh_shell.run("%alcf_login"))
    cell = fresh_shell.run("%alcf_login --prompt", answer=lambda question: in_sandbox.approve(url))
    assert link(cell) == url
    assert cell.questions == ["Paste the code here: "]
    assert "Logged in as alice@anl.gov" in cell.text


def test_prompt_asks_three_times(fresh_shell: Shell) -> None:
    """An empty code is told twice; the third ends the cell."""
    cell = fresh_shell.run("%alcf_login --prompt", answer="")
    assert cell.ename == "LoginFailed"
    assert len(cell.questions) == 3
    assert len(cell.error_text.splitlines()) == 1


@pytest.mark.parametrize(("word", "who"), [("yes", "bob"), ("no", "alice")])
def test_prompt_asks_before_it_takes_over(
    shell: Shell, in_sandbox: Sandbox, word: str, who: str
) -> None:
    """Another person's code is one question more."""
    in_sandbox.identity = BOB
    url = link(shell.run("%alcf_login --force"))
    code = in_sandbox.approve(url)
    cell = shell.run(
        "%alcf_login --force --prompt", answer=lambda text: code if "code" in text else word
    )
    assert cell.questions[1:] == ["Take it over? Type yes: "]
    assert "this login is bob@anl.gov" in cell.text
    assert (cell.status == "ok") == (word == "yes")
    assert f"as {who}@anl.gov" in shell.run("%alcf_login").text


def test_an_interrupted_question_is_one_line(fresh_shell: Shell) -> None:
    """Stopping the cell stops the login, without a traceback."""

    def stop(question: str) -> str:
        raise KeyboardInterrupt

    cell = fresh_shell.run("%alcf_login --prompt", answer=stop)
    assert cell.error_text == ("LoginFailed: The login was interrupted. Begin again: %alcf_login")


def test_ctrl_d_at_the_question_is_one_line(fresh_shell: Shell) -> None:
    """It is the end of the input, and no failure."""

    def end(question: str) -> str:
        raise EOFError

    cell = fresh_shell.run("%alcf_login --prompt", answer=end)
    assert cell.error_text == "LoginFailed: No code was typed. Begin again: %alcf_login"


def test_what_nobody_thought_of_is_one_line(fresh_shell: Shell) -> None:
    """An error of another kind names its kind, and nothing that a code could stand in."""

    def trip(question: str) -> str:
        raise ValueError("secret-code")

    cell = fresh_shell.run("%alcf_login --prompt", answer=trip)
    assert cell.ename == "LoginFailed"
    assert "(ValueError)" in cell.error_text
    assert "secret-code" not in cell.said


@pytest.mark.parametrize("place", ["fresh_shell", "terminal"])
def test_where_nobody_sits_it_is_said_at_once(place: str, request: pytest.FixtureRequest) -> None:
    """--prompt fails instead of waiting; the panel is a link, and what to do instead."""
    shell: Shell = request.getfixturevalue(place)
    shell.run("%alcf_logout")
    asked = shell.run("%alcf_login --prompt", person=False)
    assert asked.ename == "NotLoggedIn"
    assert "ALCF_AI_TOKEN" in asked.said
    shown = shell.run("%alcf_login", person=False)
    assert shown.status == "ok"
    assert "without a person" in shown.text
    assert LINK.search(shown.text)
    assert not shell.widgets


# Status, logging out, the sandbox


def test_status_is_one_table(shell: Shell, in_sandbox: Sandbox) -> None:
    """Who, with which token, until when, through which identity provider, and where."""
    cell = shell.run("%alcf_login --status")
    assert "<table" in cell.html
    for row in (
        "alice@anl.gov",
        "your login",
        "token until",
        "renewable until",
        "tokens.json",
        "Argonne National Laboratory",
        in_sandbox.gateway_url,
        in_sandbox.globus_auth_url,
    ):
        assert row in cell.text


def test_status_without_a_login_says_so(fresh_shell: Shell) -> None:
    """It is an answer, and no error."""
    cell = fresh_shell.run("%alcf_login --status")
    assert cell.status == "ok"
    assert "no: You are not logged in to ALCF" in cell.text


def test_a_login_that_is_there_is_told_and_not_replaced(shell: Shell, in_sandbox: Sandbox) -> None:
    """%alcf_login in a notebook that is run again does nothing."""
    minted = in_sandbox.token_requests()
    cell = shell.run("%alcf_login")
    assert cell.text.startswith("Already logged in as alice@anl.gov (token until")
    assert in_sandbox.token_requests() == minted


def test_logging_out_revokes_and_removes(shell: Shell, in_sandbox: Sandbox, home: Path) -> None:
    """No file, no token that works; a second time there is nothing to do."""
    assert shell.run("%alcf_logout").text.startswith("Logged out: the login is revoked")
    assert not tokens(home).exists()
    assert shell.run("%alcf hello").ename == "NotLoggedIn"
    assert "not logged in" in shell.run("%alcf_logout").text
    assert "not logged in" in shell.run("%alcf_logout --all").text


def test_a_model_of_a_sandbox_in_the_kernel_is_asked_for_as_at_alcf(shell: Shell) -> None:
    """One that is offline is not refused for taking its time, at the first call or later."""
    shell.run("%alcf_login --sandbox")
    for _ in range(2):
        assert "Asked for argonne/AuroraGPT-7B" in shell.run("%alcf_models --start AuroraGPT").said
    shell.run("%alcf_logout")


def test_a_sandbox_leaves_a_login_alone(shell: Shell, in_sandbox: Sandbox, home: Path) -> None:
    """--sandbox starts, is asked and shown in force; logging out brings the old login back."""
    before = tokens(home).read_bytes()
    inside = shell.run("%alcf_login --sandbox")
    assert "Logged in" in inside.text
    assert "This is a sandbox" in inside.text
    assert in_sandbox.gateway_url not in shell.run("%config AlcfMagics.gateway_url").said
    seen = len(in_sandbox.requests)
    assert "sandbox" in shell.run("%alcf hello").text
    assert "in this kernel only" in shell.run("%alcf_login --status").text
    assert len(in_sandbox.requests) == seen
    assert "Logged out of the sandbox" in shell.run("%alcf_logout").text
    assert in_sandbox.gateway_url in shell.run("%config AlcfMagics.gateway_url").said
    assert tokens(home).read_bytes() == before
    assert "Already logged in" in shell.run("%alcf_login").text


def test_a_sandbox_plays_what_goes_wrong(shell: Shell) -> None:
    """--scenario says what it plays; each sandbox is a new one, in which nobody must log in."""
    inside = shell.run("%alcf_login --sandbox --scenario maintenance")
    assert "The first cluster is under maintenance" in inside.text.splitlines()[-1]
    refused = shell.run("%alcf -m sophia:gpt-oss-120b hello")
    assert refused.ename == "Maintenance"
    moved = shell.run("%alcf -m llama-3.1-8b-instruct --fallback gpt-oss-120b hello")
    assert "Instruct is under maintenance on sophia. Asked gpt-oss-120b" in moved.html
    assert "maintenance" not in shell.run("%alcf_login --sandbox").text
    assert shell.run("%alcf -m sophia:gpt-oss-120b hello").status == "ok"


def test_a_sandbox_may_want_a_fresh_login(shell: Shell) -> None:
    """What the gateway then says of the login is told with it, and by the next cell."""
    inside = shell.run("%alcf_login --sandbox --scenario policy_timeout")
    assert "But the gateway says: ALCF asks for a fresh login" in inside.text
    assert shell.run("%alcf hello").ename == "LoginExpired"
    assert shell.run("%alcf_login --sandbox").status == "ok"
    assert shell.run("%alcf hello").status == "ok"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--sandbox --scenario stalld", "there is no scenario 'stalld'. Did you mean stalled?"),
        ("--sandbox --scenario nonsense", "There are: default, cold_model,"),
        ("--scenario stalled", "--scenario goes with --sandbox"),
        ("--sandbox --scenario ''", "there is no scenario ''"),
    ],
)
def test_a_scenario_that_there_is_not_changes_nothing(shell: Shell, line: str, said: str) -> None:
    """One line says which there are, and the sandbox that is in force goes on."""
    shell.run("%alcf_login --sandbox")
    before = shell.run("%config AlcfMagics.gateway_url").said
    refused = shell.run(f"%alcf_login {line}")
    assert refused.ename == "UsageError"
    assert said in refused.said
    assert shell.run("%config AlcfMagics.gateway_url").said == before
    assert shell.run("%alcf hello").status == "ok"


def test_what_happened_to_the_file_is_told_once(shell: Shell, home: Path) -> None:
    """Below the answer in the one output; printed by the magics that have none."""
    tokens(home).chmod(0o644)
    shell.run("%reload_ext alcf_magics")
    (output,) = shell.run("%alcf hello").outputs
    assert "was open to others" in output["data"]["text/html"]
    assert "was open" not in output["data"]["text/plain"]
    assert "was open" not in shell.run("%alcf hello").html
    tokens(home).chmod(0o644)
    shell.run("%reload_ext alcf_magics")
    assert "was open to others" in shell.run("%alcf_login").text


# A terminal


def test_a_terminal_asks_for_the_code(terminal: Shell, in_sandbox: Sandbox) -> None:
    """%alcf_login prints the link and waits, without widgets and without HTML."""
    terminal.run("%alcf_logout")
    cell = terminal.run(
        "%alcf_login", answer=lambda question: in_sandbox.approve(link(terminal.cells[-1]))
    )
    assert "Logged in as alice@anl.gov" in cell.text
    assert cell.questions == ["Paste the code here: "]
    assert {output["output_type"] for output in cell.outputs} == {"stream"}
