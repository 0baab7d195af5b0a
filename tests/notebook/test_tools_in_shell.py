"""`--tools`, typed into a shell in this process."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from alcf_magics.notebook.options import prompt_parser
from alcf_magics.sandbox import Sandbox
from support.shell import Shell

MODEL = "-m metis:gpt-oss-120b"
FUNCTIONS = """
import asyncio, threading, types
seen = []
def speed(nodes: int = 1) -> float:
    "How fast so many nodes are."
    seen.append(nodes)
    print("measuring", nodes)
    return nodes * 1.5
async def later(x: int = 1):
    await asyncio.sleep(0)
    return threading.current_thread() is threading.main_thread()
def boom():
    raise ValueError("no <b>way</b>")
def table():
    import pandas
    return pandas.DataFrame({"a": [1, 2]})
fast = speed
inside = types.SimpleNamespace(speed=speed)
number = 5
"""


@pytest.fixture
def ready(shell: Shell) -> Shell:
    assert shell.run(FUNCTIONS).status == "ok"
    return shell


def prompts(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [r.body for r in sandbox.requests if r.path.endswith("completions")]


def test_a_call_is_a_folded_block_above_the_answer(ready: Shell) -> None:
    """Arguments before the result; what the function printed stays."""
    cell = ready.run(f"%%alcf {MODEL} --tools speed,later --out kept\nspeed nodes=4")
    assert cell.status == "ok", cell.said
    block = next(o["data"]["text/html"] for o in cell.outputs if "data" in o)
    assert block.startswith("<details")
    assert " open" not in block.split(">")[0]
    assert block.index('{"nodes": 4}'.replace('"', "&quot;")) < block.index("6.0")
    assert "measuring 4" in cell.text
    assert "waiting for" not in cell.html
    assert cell.value is ready.names["kept"] is ready.names["_"]
    assert "6.0" in cell.value.text
    assert "6.0" in ready.run("kept").html
    assert "alcf-call" in ready.run("kept").html


def test_names_are_the_notebooks_own(ready: Shell, in_sandbox: Sandbox) -> None:
    """Also under another name, of an object, and with the option given again."""
    ready.run(f"%%alcf {MODEL} --tools inside.speed --tools 'fast, later'\nhi")
    names = [tool["function"]["name"] for tool in prompts(in_sandbox)[0]["tools"]]
    assert names == ["speed", "fast", "later"]
    ready.run(f"%%alcf {MODEL} --tools fast\nfast nodes=7")
    assert ready.names["seen"] == [7]


@pytest.mark.parametrize(
    ("options", "ename", "said"),
    [
        ("--tools nowhere", "UsageError", "there is no variable nowhere"),
        ("--tools speed,", "UsageError", "--tools"),
        ("--tools ,", "UsageError", "a name is missing"),
        ("--tools number", "UsageError", "a tool is a function, and this is int"),
        ("--tools len(seen)", "UsageError", "no call"),
        ("--tools speed -n 2", "UsageError", "-n above 1"),
        ("--ask", "UsageError", "--ask goes with --tools"),
        ("--rounds 2", "UsageError", "--rounds goes with --tools"),
        ("--tools speed --rounds 0", "UsageError", "1 or more"),
        ("--tools speed --rounds x", "UsageError", "1 or more"),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_is_sent(
    ready: Shell, in_sandbox: Sandbox, options: str, ename: str, said: str
) -> None:
    """It says what was typed, and why not."""
    cell = ready.run(f"%%alcf {MODEL} {options}\nspeed")
    assert cell.ename == ename
    assert said in cell.said
    assert prompts(in_sandbox) == []
    assert ready.names["seen"] == []


def test_what_fails_is_a_line_and_the_answer_comes(ready: Shell, in_sandbox: Sandbox) -> None:
    """The model gets the same as text."""
    cell = ready.run(f"%%alcf {MODEL} --tools boom\nboom")
    assert cell.status == "ok"
    assert "boom failed: ValueError: no <b>way</b>" in cell.text
    assert "<b>way" not in cell.html
    assert prompts(in_sandbox)[1]["messages"][-1]["content"] == "ValueError: no <b>way</b>"


def test_results_are_shown_to_the_model_as_in_a_prompt(ready: Shell, in_sandbox: Sandbox) -> None:
    """A data frame is a Markdown table."""
    ready.run(f"%%alcf {MODEL} --tools table\ntable")
    assert "| a |" in prompts(in_sandbox)[1]["messages"][-1]["content"]


def test_a_tool_runs_on_the_main_thread_also_where_it_is_awaited(ready: Shell) -> None:
    """In the cell's own context."""
    cell = ready.run(f"%%alcf {MODEL} --tools later\nlater")
    assert [call.result for call in cell.value.calls] == ["true"]


def test_a_token_in_a_result_or_an_error_stays_here(
    ready: Shell, in_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in all that comes into a prompt."""
    token = "t0k3n-" * 6
    monkeypatch.setenv("ALCF_AI_TOKEN", token)
    ready.run(f"def tells(): return {token!r}\ndef fails(): raise ValueError({token!r})")
    ready.run(f"%%alcf {MODEL} --tools tells,fails\ntells, fails")
    given = [m["content"] for m in prompts(in_sandbox)[1]["messages"] if m["role"] == "tool"]
    assert given == ["(token)", "ValueError: (token)"]


@pytest.mark.parametrize(("said", "runs"), [("y", 1), ("YES ", 1), ("", 0), ("n", 0), ("ok", 0)])
def test_ask_confirms_each_call(
    ready: Shell, monkeypatch: pytest.MonkeyPatch, said: str, runs: int
) -> None:
    """Yes runs it; anything else does not, and the model is told."""
    questions: list[str] = []

    def answer(question: str = "") -> str:
        questions.append(question)
        return said

    monkeypatch.setattr(builtins, "input", answer)
    cell = ready.run(f"%%alcf {MODEL} --tools speed --ask\nspeed nodes=3")
    assert cell.status == "ok"
    assert questions == ['Run speed({"nodes": 3})? [y/N] ']
    assert ready.names["seen"] == [3] * runs
    assert ("did not run" in cell.text) == (not runs)


def test_ask_runs_nothing_where_nobody_is(ready: Shell) -> None:
    """A line says so, and the answer comes all the same."""
    cell = ready.run(f"%%alcf {MODEL} --tools speed --ask\nspeed", person=False)
    assert cell.status == "ok"
    assert ready.names["seen"] == []
    assert "nobody is here to confirm it" in cell.text


def test_beside_other_code_it_is_the_same(ready: Shell) -> None:
    """The blocks and the answer are displays."""
    cell = ready.run(f"x = 1\nanswer = %alcf {MODEL} --tools speed speed")
    assert cell.html.count("<details") == 1
    assert "A sandbox answered" in cell.html
    assert ready.names["answer"].calls[0].result == "1.5"


def test_a_terminal_prints_calls_as_lines(terminal: Shell) -> None:
    """Arguments before the result, in the order of all that comes."""
    terminal.run(FUNCTIONS)
    text = terminal.run(f"%%alcf {MODEL} --tools speed\nspeed nodes=4").text
    places = [text.index(piece) for piece in ('[speed({"nodes": 4})]', "→ 6.0]", "A sandbox")]
    assert places == sorted(places)


def test_calls_that_nobody_asked_for_are_shown(ready: Shell, in_sandbox: Sandbox) -> None:
    """And run nothing."""
    tool = '[{"type":"function","function":{"name":"speed","parameters":{}}}]'
    cell = ready.run(f"%%alcf {MODEL} --extra 'tools={tool}'\nspeed")
    assert "calls speed(" in cell.html
    assert ready.names["seen"] == []


def test_tab_offers_functions(ready: Shell) -> None:
    """The notebook's own; behind a comma, too."""
    completions = ready.ip.magics_manager.registry["AlcfMagics"].completions
    offered = completions.offered(prompt_parser(), "--tools", "")
    assert offered == ["boom", "fast", "later", "speed", "table"]
    assert completions.offered(prompt_parser(), "--tools", "speed,la") == ["speed,later"]
