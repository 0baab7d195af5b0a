"""Models that are not live: waited for, started, watched; typed into a shell."""

from __future__ import annotations

import asyncio
import io
import re
import sys
import threading
from typing import Any

import pytest

from alcf_magics._session import Session
from alcf_magics.errors import ModelNotReady, RequestRefused
from alcf_magics.notebook.wait_line import MovingLine
from alcf_magics.sandbox import Sandbox
from alcf_magics.sandbox.server import Request
from support.shell import Cell, Shell

GPT = "sophia:openai/gpt-oss-120b"


def prompts(sandbox: Sandbox) -> list[tuple[bool, int]]:
    """Whether each prompt was to be streamed, and the status of its answer (0: the client left)."""
    sent = [r for r in sandbox.requests if r.path.endswith("/chat/completions")]
    return [(bool(request.body.get("stream")), request.status) for request in sent]


def looks(sandbox: Sandbox) -> list[Request]:
    return [r for r in list(sandbox.requests) if r.path.endswith("/sophia/jobs")]


def test_a_cold_model_is_started_and_waited_for(shell: Shell, in_sandbox: Sandbox) -> None:
    """cold_start: one token that can wait loads it, and then the prompt is sent, once."""
    in_sandbox.scenario, in_sandbox.load_seconds = "cold_start", 1.5
    cell = shell.run(f"%%alcf -m {GPT}\nhello")
    assert cell.status == "ok", cell.said
    assert prompts(in_sandbox) == [(False, 200), (True, 200)]
    first = next(r for r in in_sandbox.requests if r.path.endswith("/chat/completions"))
    assert first.body["max_tokens"] == 1
    assert "was loaded in" in cell.said + cell.html


def test_no_wait_sends_nothing_and_names_the_next_step(shell: Shell, in_sandbox: Sandbox) -> None:
    """The state, and what starts the model; --wait 0 is the same."""
    in_sandbox.scenario = "cold_start"
    for option in ("--no-wait", "--wait 0"):
        cell = shell.run(f"%%alcf -m {GPT} {option}\nhello")
        assert cell.ename == "ModelNotReady"
        assert "is offline; nothing was sent." in cell.error_text
        assert f"%alcf_models --start {GPT}" in cell.error_text
    assert prompts(in_sandbox) == []


def test_the_time_to_wait_is_a_setting_and_has_an_end(shell: Shell, in_sandbox: Sandbox) -> None:
    """cold_model never loads: the state, after how long, and how to wait longer."""
    in_sandbox.scenario = "cold_model"
    shell.run("%config AlcfMagics.wait = 0.01")
    cell = shell.run(f"%%alcf -m {GPT}\nhello")
    assert cell.ename == "ModelNotReady"
    assert "is still starting" in cell.error_text
    assert "--wait 0.02" in cell.error_text
    assert all(not streamed for streamed, _ in prompts(in_sandbox))


def test_an_interrupt_leaves_nothing_running(shell: Shell, in_sandbox: Sandbox) -> None:
    """Neither the request that loads the model nor the looks at its jobs go on."""
    in_sandbox.scenario, in_sandbox.load_seconds = "cold_start", 30
    cell = shell.run(f"%%alcf -m {GPT}\nhello", interrupt=lambda c: "waiting for 1 s" in c.text)
    assert cell.ename == "KeyboardInterrupt"
    shell.wait_for(lambda: prompts(in_sandbox))
    assert prompts(in_sandbox) == [(False, 0)]
    before = len(looks(in_sandbox))
    with pytest.raises(AssertionError):
        shell.wait_for(lambda: len(looks(in_sandbox)) > before, seconds=1.2)


def test_where_nothing_loads_no_loading_is_advised(shell: Shell, in_sandbox: Sandbox) -> None:
    """What is so, and what runs instead."""
    cell = shell.run("%%alcf -m DeepSeek-R1\nhello")
    assert cell.ename == "ModelNotReady"
    assert "Nothing is loaded on demand on metis" in cell.error_text
    assert "minutes" not in cell.error_text


def test_states_that_cannot_be_read_are_no_reason_to_wait(
    shell: Shell, in_sandbox: Sandbox
) -> None:
    """jobs_empty: the prompt is sent at once."""
    in_sandbox.scenario = "jobs_empty"
    assert shell.run(f"%%alcf -m {GPT}\nhello").status == "ok"
    assert prompts(in_sandbox) == [(True, 200)]


def test_start_loads_a_model_without_a_prompt(shell: Shell, in_sandbox: Sandbox) -> None:
    """It returns while the model loads, and --watch follows it."""
    in_sandbox.scenario = "cold_start"
    cell = shell.run(f"%alcf_models --start {GPT}")
    assert cell.status == "ok"
    assert "which was offline" in cell.text
    assert in_sandbox.loading
    seen = shell.run("%alcf_models --watch gpt-oss", interrupt=lambda c: "→ live" in c.text)
    assert seen.status == "ok"
    assert f"{GPT}: starting" in seen.text


def test_the_table_has_the_notice_of_maintenance(shell: Shell, in_sandbox: Sandbox) -> None:
    """maintenance: the facility's own words, and the place where the model is live."""
    in_sandbox.scenario = "maintenance"
    table = shell.run("%alcf_models gpt-oss").text
    assert "under maintenance until Monday 5 pm CT." in table
    assert "metis    live" in table


def test_threads_that_ask_together_share_one_read(shell: Shell, in_sandbox: Sandbox) -> None:
    """And what was read counts for a minute."""
    from alcf_magics import session

    own: Session = session()
    threads = [threading.Thread(target=lambda: own.catalog(described=False)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    own.catalog(described=False)
    assert len(looks(in_sandbox)) == 1


def test_a_failed_read_is_not_used_again(shell: Shell, in_sandbox: Sandbox) -> None:
    """jobs_unreadable, and then not: the next table knows."""
    in_sandbox.scenario = "jobs_unreadable"
    assert "states not known" in shell.run("%alcf_models").text
    in_sandbox.scenario = "default"
    assert "states not known" not in shell.run("%alcf_models").text


def lines_while(shell: Shell, code: str, **options: Any) -> list[str]:
    """Every line that a cell showed while it ran, each once, seconds left out."""
    seen: list[str] = []

    def look(cell: Cell) -> bool:
        seen.extend(cell.text.splitlines())
        return False

    cell = shell.run(code, interrupt=look, **options)
    assert cell.status == "ok", cell.said
    return list(dict.fromkeys(re.sub(r"\d+ s\b", "N s", line) for line in seen))


def test_the_wait_shows_state_time_estimate_and_free_nodes(
    shell: Shell, in_sandbox: Sandbox
) -> None:
    """cold_start: asked to load, queued with its estimate, starting since when."""
    in_sandbox.scenario, in_sandbox.load_seconds, in_sandbox.cache_seconds = "cold_start", 3, 0.1
    lines = "\n".join(lines_while(shell, f"%%alcf -m {GPT}\nhello"))
    assert re.search(
        r"sophia · offline, asked to load · \d+ nodes free · waiting for N s of 20 min", lines
    )
    assert re.search(r"queued, estimated start .*\d\d:\d\d", lines)
    assert "live at once: -m metis:gpt-oss-120b" in lines
    assert re.search(r"starting since \d\d:\d\d", lines)


def test_jobs_are_looked_at_once_in_what_the_gateway_keeps_them(
    shell: Shell, in_sandbox: Sandbox
) -> None:
    """A minute, where it does not say: the wait itself looks once."""
    in_sandbox.scenario = "cold_model"
    shell.run("%alcf_models")
    before = len(looks(in_sandbox))
    shell.run(f"%%alcf -m {GPT} --wait 0.04\nhello")
    assert len(looks(in_sandbox)) - before <= 1
    assert len(prompts(in_sandbox)) == 1


def test_wait_in_python_is_in_minutes(in_sandbox: Sandbox, shell: Shell) -> None:
    """0 is a ModelNotReady, and what is no number is refused; the twin is the same."""
    from alcf_magics import session

    in_sandbox.scenario, in_sandbox.load_seconds = "cold_start", 1
    own: Session = session()
    with pytest.raises(ModelNotReady, match="--start"):
        own.ask("hi", GPT, wait=0)
    with pytest.raises(ModelNotReady, match="--start"):
        asyncio.run(own.aask("hi", GPT, wait=0))
    for wrong in (-1, float("nan"), "soon", True):
        with pytest.raises(RequestRefused, match="wait"):
            own.ask("hi", GPT, wait=wrong)  # type: ignore[arg-type]
    assert prompts(in_sandbox) == []
    assert own.ask("hi", GPT, wait=1).text


def test_no_threads_and_tasks_are_left_of_a_wait(shell: Shell, in_sandbox: Sandbox) -> None:
    """An interrupted wait costs nothing later."""
    from alcf_magics import session

    in_sandbox.scenario = "default"
    shell.run("%alcf hello")

    async def tasks() -> int:
        return len(asyncio.all_tasks())

    def alive() -> tuple[int, int]:
        return threading.active_count(), session()._connection.runtime.run(tasks)

    in_sandbox.scenario, before = "cold_model", alive()
    for _ in range(3):
        shell.run(f"%%alcf -m {GPT}\nhello", interrupt=lambda c: "waiting for" in c.text)
    shell.wait_for(lambda: alive() == before)


@pytest.mark.parametrize("option", ["--wait=-1", "--wait soon", "--wait nan", "--wait 5 --no-wait"])
def test_minutes_that_are_none_are_one_line(shell: Shell, in_sandbox: Sandbox, option: str) -> None:
    """Nothing is sent."""
    cell = shell.run(f"%%alcf {option}\nhello")
    assert cell.ename == "UsageError"
    assert "wait" in cell.said
    assert prompts(in_sandbox) == []


def test_the_table_has_jobs_on_request(shell: Shell, in_sandbox: Sandbox) -> None:
    """Host, job id and walltime."""
    plain, full = shell.run("%alcf_models").text, shell.run("%alcf_models --jobs").text
    assert "walltime" not in plain
    assert all(word in full for word in ("host", "job", "walltime"))
    assert re.search(r"\d:\d\d:\d\d", full)


def test_an_alias_goes_to_the_cluster_that_was_named(shell: Shell, in_sandbox: Sandbox) -> None:
    """As it was typed; the server says whether it has it."""
    cell = shell.run("%%alcf -m sophia:My-Alias\nhello")
    assert cell.ename == "ModelNotFound"
    [sent] = [r for r in in_sandbox.requests if r.path.endswith("/chat/completions")]
    assert sent.body["model"] == "My-Alias"


def test_signs_of_life(shell: Shell, in_sandbox: Sandbox) -> None:
    """slow: the first token, then the reasoning: how long, and how much."""
    in_sandbox.scenario = "slow"
    in_sandbox.reasoning = ["hm "] * 40
    in_sandbox.burst = 1
    lines = lines_while(shell, f"%%alcf -m {GPT} --effort high --max-tokens 60\nhello")
    assert any("waiting for the first token · N s" in line for line in lines)
    thoughts = [line for line in lines if re.search(r"reasoning for N s · \d+ characters", line)]
    assert len(thoughts) >= 3


def test_starting_what_is_live_or_loads_nowhere_says_so(shell: Shell, in_sandbox: Sandbox) -> None:
    """Nothing is sent for either."""
    live = shell.run(f"%alcf_models --start {GPT}")
    assert "is live: there is nothing to start" in live.text
    never = shell.run("%alcf_models --start metis:DeepSeek-R1")
    assert never.ename == "ModelNotReady"
    assert "Nothing is loaded on demand on metis" in never.error_text
    assert prompts(in_sandbox) == []


class Screen(io.StringIO):
    """A terminal's output, which can be printed over."""

    def isatty(self) -> bool:
        return True


def test_a_line_moves_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes the place of the one before, whole, and nothing is left of the last."""
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    line = MovingLine()
    for said in ("waiting · 10 s", "waiting · 9 s", ""):
        line(said)
    assert screen.getvalue() == "\rwaiting · 10 s\rwaiting · 9 s \r             \r"


def test_a_line_that_stays_is_said_again_more_and_more_rarely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a file or a pipe; and no control character is in it."""
    now = [100.0]
    monkeypatch.setattr("alcf_magics.notebook.wait_line.time.monotonic", lambda: now[0])
    printed = io.StringIO()
    monkeypatch.setattr(sys, "stdout", printed)
    line = MovingLine()
    for second in range(40):
        now[0] = 100.0 + second
        line(f"waiting · {second} s")
    assert printed.getvalue().splitlines() == [
        "waiting · 0 s",
        "waiting · 5 s",
        "waiting · 15 s",
        "waiting · 35 s",
    ]


def test_a_terminal_says_what_it_waits_for(terminal: Shell, in_sandbox: Sandbox) -> None:
    """cold_start: the state and for how long, and then the answer."""
    in_sandbox.scenario, in_sandbox.load_seconds = "cold_start", 1
    cell = terminal.run(f"%%alcf -m {GPT}\nhello")
    assert cell.status == "ok", cell.said
    assert "sophia · offline, asked to load" in cell.text
    assert "sandbox" in cell.text
