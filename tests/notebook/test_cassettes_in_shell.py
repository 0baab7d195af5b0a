"""Recorded answers and class mode, typed into a shell in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

import alcf_magics
from alcf_magics.gateway import replaying
from alcf_magics.sandbox import Sandbox
from support.shell import Shell


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "PAUSE", 0.001)


def asked(sandbox: Sandbox) -> int:
    return sum(r.path.endswith("/chat/completions") for r in sandbox.requests)


def test_run_all_of_a_recorded_notebook_asks_nothing(
    shell: Shell, in_sandbox: Sandbox, tmp_path: Path
) -> None:
    """The grey line says when and from where; --fresh asks anew; tokens are counted once."""
    file = tmp_path / "lesson.jsonl"
    cells = [
        f"%config AlcfMagics.cassette = {str(file)!r}",
        "%%alcf\nWhy?",
        "%%alcf -c\nAnd at night?",
        "%%alcf --format json -m metis:gpt-oss-120b\nAs JSON?",
    ]
    in_sandbox.answer = '{"why": "so"}'
    first = [shell.run(cell) for cell in cells]
    assert all(cell.status == "ok" for cell in first)
    assert asked(in_sandbox) == 3
    totals = alcf_magics.session().history.totals()
    alcf_magics.session().chats.clear()
    again = [shell.run(cell) for cell in cells]
    assert asked(in_sandbox) == 3
    for cell in again[1:]:
        assert "recorded 20" in cell.html
    assert " from openai/gpt-oss-120b · sophia" in again[1].html
    assert " from gpt-oss-120b · metis" in again[3].html
    assert "turn 2" in again[2].html
    assert again[3].value.parsed == {"why": "so"}
    assert alcf_magics.session().history.totals() == totals
    in_sandbox.answer = "Otherwise."
    assert "Otherwise." in shell.run("%%alcf --fresh\nWhy?").html
    assert asked(in_sandbox) == 4
    cell = shell.run("%%alcf\nWhy?")
    assert "Otherwise." in cell.html
    assert "recorded" in cell.html
    shell.run("%config AlcfMagics.cassette = ''")
    assert "recorded" not in shell.run("%%alcf\nWhy?").html


def test_a_line_of_one_word_replays_without_a_login(
    shell: Shell, in_sandbox: Sandbox, tmp_path: Path
) -> None:
    """Whether the word is a model's name cannot be known then, and need not be."""
    shell.run(f"%config AlcfMagics.cassette = {str(tmp_path / 'lesson.jsonl')!r}")
    assert shell.run("%alcf Hello").status == "ok"
    shell.run("%alcf_logout")
    cell = shell.run("%alcf Hello")
    assert cell.status == "ok", cell.said
    assert "recorded 20" in cell.html
    assert "not recorded in" in shell.run("%alcf Goodbye").error_text
    assert asked(in_sandbox) == 1


def test_a_file_that_is_not_there_is_said(fresh_shell: Shell, tmp_path: Path) -> None:
    """The commonest fault of a class: it does not lie beside the notebook."""
    file = tmp_path / "lesson.json"
    fresh_shell.run(f"%config AlcfMagics.cassette = {str(file)!r}")
    assert "lesson.json: there is no such file" in fresh_shell.run("%%alcf\nWhy?").error_text
    file.write_text("")
    assert "no such file" not in fresh_shell.run("%%alcf\nWhy?").error_text


def test_without_a_login_and_a_network(
    fresh_shell: Shell, in_sandbox: Sandbox, tmp_path: Path
) -> None:
    """What is recorded comes; what is not is refused by one line that names the file."""
    file = tmp_path / "lesson.jsonl"
    shell = fresh_shell
    shell.run("%load_ext alcf_magics")
    shell.run(f"%config AlcfMagics.cassette = {str(file)!r}")
    cell = shell.run("%%alcf\nWhy?")
    assert cell.ename == "NotLoggedIn"
    [error] = cell.outputs
    [line] = error["traceback"]
    assert "lesson.jsonl" in line
    assert "%alcf_login" in line
    assert "\n" not in line
    assert asked(in_sandbox) == 0


def test_a_file_that_cannot_be_written_is_told_below_the_answer(
    shell: Shell, in_sandbox: Sandbox, tmp_path: Path
) -> None:
    """The answer is there, and a line says why it is not recorded."""
    file = tmp_path / "none" / "lesson.jsonl"
    shell.run(f"%config AlcfMagics.cassette = {str(file)!r}")
    in_sandbox.answer = "Because."
    cell = shell.run("%%alcf\nWhy?")
    assert cell.status == "ok"
    assert "Because." in cell.html
    assert "The answer is not recorded: " in cell.html + cell.text


def test_a_terminal_replays_too(terminal: Shell, in_sandbox: Sandbox, tmp_path: Path) -> None:
    """The answer is printed once, with the line."""
    file = tmp_path / "lesson.jsonl"
    terminal.run(f"%config AlcfMagics.cassette = {str(file)!r}")
    in_sandbox.answer = "Because of the air."
    terminal.run("%%alcf\nWhy?")
    cell = terminal.run("%%alcf\nWhy?")
    assert asked(in_sandbox) == 1
    assert cell.text.count("Because of the air.") == 1
    assert "recorded 20" in cell.text


def test_a_students_cell_waits_and_says_why(
    shell: Shell, in_sandbox: Sandbox, tmp_path: Path
) -> None:
    """What is recorded does not wait; an interrupt ends the waiting, and nothing is sent."""
    shell.run(f"%config AlcfMagics.cassette = {str(tmp_path / 'lesson.jsonl')!r}")
    shell.run("%config AlcfMagics.prompts_per_minute = 1")
    assert shell.run("%%alcf\nWhy?").status == "ok"
    assert shell.run("%%alcf\nWhy?").status == "ok"  # recorded
    waiting: list[str] = []

    def says_why(cell: object) -> bool:
        text = getattr(cell, "text", "") + getattr(cell, "html", "") + shell.widgets_say()
        waiting.append(text)
        return "AlcfMagics.prompts_per_minute" in text

    cell = shell.run("%%alcf\nWhy not?", interrupt=says_why)
    assert cell.ename == "KeyboardInterrupt"
    assert any("This class asks 1 prompt a minute" in text for text in waiting)
    assert asked(in_sandbox) == 1
    shell.run("%config AlcfMagics.prompts_per_minute = 0")
    assert shell.run("%%alcf\nWhy not?").status == "ok"


@pytest.mark.parametrize("wrong", ["-1", "'many'", "True"])
def test_a_wrong_number_is_said(shell: Shell, caplog: pytest.LogCaptureFixture, wrong: str) -> None:
    """The setting stays as it was."""
    shell.run(f"%config AlcfMagics.prompts_per_minute = {wrong}")
    assert "prompts_per_minute is a number, 0 or more" in caplog.text
    assert alcf_magics.session().settings.prompts_per_minute == 0


def test_a_tools_block_is_shown_in_a_replay(
    shell: Shell, in_sandbox: Sandbox, tmp_path: Path
) -> None:
    """Calls and results are those of then, above the answer; the function does not run."""
    shell.run(f"%config AlcfMagics.cassette = {str(tmp_path / 'lesson.jsonl')!r}")
    shell.run(
        "runs = []\ndef area(side: float) -> float:\n    runs.append(side)\n    return side**2"
    )
    cells = [shell.run("%%alcf --tools area\nCall area(side=3).") for _ in range(2)]
    assert [cell.status for cell in cells] == ["ok", "ok"]
    assert shell.names["runs"] == [3]
    assert "area(" in cells[1].html
    assert "recorded 20" in cells[1].html
