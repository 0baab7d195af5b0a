"""An answer while it comes, in a shell in this process: drawn, interrupted, broken off, printed."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from alcf_magics.sandbox import Sandbox
from support.shell import Cell, Shell

MODEL = "-m gpt-oss-120b"

LONG = [
    piece
    for number in range(40)
    for piece in (
        f"## Part {number}\n\n",
        *(f"Sentence {n} of part {number}, with *emphasis* and $x_{n}$. " for n in range(6)),
        "\n\n- one\n- two\n\n```python\nprint(1)\n```\n\n",
    )
]


def slowly(sandbox: Sandbox, answer: Any = None, *, pace: float = 0.03, burst: int = 4) -> None:
    """Let answers come as a model writes them."""
    sandbox.answer, sandbox.pace, sandbox.burst = answer, pace, burst


def watched(shell: Shell, code: str, look: Any, **given: Any) -> tuple[Cell, list[Any]]:
    """Run a cell, and note what `look` finds in it and the widgets after each of its messages."""
    seen: list[Any] = []
    take, on_comm = shell.take, shell.on_comm

    def noting(do: Any) -> Any:
        def noted(*arguments: Any) -> None:
            do(*arguments)
            seen.append(look(shell.cells[-1]))

        return noted

    shell.take, shell.on_comm = noting(take), noting(on_comm)  # type: ignore[method-assign]
    try:
        return shell.run(code, **given), seen
    finally:
        shell.take, shell.on_comm = take, on_comm  # type: ignore[method-assign]


# Growing


@pytest.mark.clock
def test_a_long_answer_grows_in_pieces_and_ends_as_one(shell: Shell, in_sandbox: Sandbox) -> None:
    """Finished parts stay as they are, the last one is redrawn, and in the end there is one."""
    slowly(in_sandbox, LONG, pace=0.05, burst=8)
    cell, seen = watched(shell, f"%%alcf {MODEL}\nhello", lambda c: [o["data"] for o in c.outputs])
    most = max(map(len, seen))
    assert 3 < most < 50
    whole = next(outputs for outputs in seen if len(outputs) == most)
    for outputs in seen:
        if 1 < len(outputs) < most:
            assert outputs[:-2] == whole[: len(outputs) - 2]
    assert len(cell.outputs) == 1
    assert cell.value.text == "".join(LONG)
    assert cell.drawn > most


def test_what_is_waited_for_stands_there_until_the_answer_begins(
    shell: Shell, in_sandbox: Sandbox
) -> None:
    """A silent model has a line with its name, which gives way to the text."""
    in_sandbox.scenario = "slow"
    in_sandbox.answer = "Here."
    cell, seen = watched(shell, f"%%alcf {MODEL}\nhello", lambda c: c.text)
    assert any("gpt-oss-120b · metis · waiting for the first token" in text for text in seen)
    assert cell.text == "Here."


def test_in_a_cell_with_other_code_one_output_grows(shell: Shell, in_sandbox: Sandbox) -> None:
    """It is one display from beginning to end, with the reasoning folded in it."""
    in_sandbox.reasoning = ["First ", "think. "] * 10
    slowly(in_sandbox, ["The ", "answer. "] * 20)
    cell, seen = watched(shell, f"x = 1\n%alcf {MODEL} hello", lambda c: len(c.outputs))
    assert max(seen) == 1
    assert cell.drawn > 2
    assert cell.html.count("<details>") == 1
    assert "The answer." in cell.html


@pytest.mark.parametrize("format", ["text", "json", "code"])
def test_a_format_that_is_read_later_grows_as_text(
    shell: Shell, in_sandbox: Sandbox, format: str
) -> None:
    """Until it is whole it is shown as it comes."""
    slowly(in_sandbox, ["```json\n", *("[1, " for _ in range(30)), "2", "]" * 30, "\n```\n"])
    _, seen = watched(shell, f"%%alcf {MODEL} --format {format}\nhello", lambda c: c.html)
    assert any("white-space:pre-wrap" in page and "```json" in page for page in seen)


def test_a_text_that_trips_the_renderer_is_shown_as_it_is(
    shell: Shell, in_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of our own while drawing takes nothing from the answer."""

    def trip(*given: object) -> None:
        raise IndexError("a bug")

    monkeypatch.setattr("alcf_magics.markdown.growing.parse", trip)
    slowly(in_sandbox, ["some *words* "] * 40)
    cell, seen = watched(shell, f"%%alcf {MODEL}\nhello", lambda c: c.html)
    assert any("some *words*" in page and "<em>" not in page for page in seen)
    assert cell.status == "ok"
    assert "some <em>words</em>" in cell.html


# Reasoning


def test_reasoning_is_a_block_above_the_answer_while_it_comes(
    shell: Shell, in_sandbox: Sandbox
) -> None:
    """A folded widget whose text grows; in the end it is in the page, and the widget is gone."""
    in_sandbox.reasoning = [f"thought {n} \n" for n in range(800)]
    slowly(in_sandbox, ["The ", "answer. "] * 30, pace=0.1, burst=40)

    def look(cell: Cell) -> tuple[bool, int]:
        folds = [w for w in shell.widgets.values() if w.get("_model_name") == "AccordionModel"]
        texts = [w for w in shell.widgets.values() if "thought" in str(w.get("value"))]
        return bool(folds), len(texts)

    cell, seen = watched(shell, f"%%alcf {MODEL} --out a\nhello", look)
    assert (True, 1) in seen
    # A widget that is full is not sent again: the text goes on in another one.
    assert max(texts for _, texts in seen) > 1
    (output,) = cell.outputs
    assert "<details><summary>Reasoning</summary>" in output["data"]["text/html"]
    assert "thought" not in output["data"]["text/plain"]
    assert cell.value.reasoning.startswith("thought 0")
    assert not shell.widgets


@contextlib.contextmanager
def opening(shell: Shell, *clicks: int | None) -> Iterator[None]:
    """Somebody clicks the block of reasoning as soon as it is there: 0 opens it, None closes it."""
    on_comm = shell.on_comm
    done: list[bool] = []

    def noting(opened: Any, kind: str, data: Any) -> None:
        on_comm(opened, kind, data)
        if not done and "thought 3" in shell.widgets_say():
            done.append(True)
            for click in clicks:
                shell.set_widget(shell.find_widget("AccordionModel"), selected_index=click)

    shell.on_comm = noting  # type: ignore[method-assign]
    try:
        yield
    finally:
        shell.on_comm = on_comm  # type: ignore[method-assign]
    assert done


@pytest.mark.parametrize(
    ("clicks", "options", "start"),
    [
        ((0,), "", "<details open><summary>Reasoning"),
        ((0,), "--format text ", "<details open><summary>Reasoning"),
        ((0, None), "", "<details><summary>Reasoning"),
    ],
)
def test_reasoning_that_the_reader_opened_stays_open(
    shell: Shell, in_sandbox: Sandbox, clicks: tuple[int | None, ...], options: str, start: str
) -> None:
    """The complete answer has it as the reader left it, once, in its one output."""
    in_sandbox.reasoning = [f"thought {n} " for n in range(60)]
    slowly(in_sandbox, ["The ", "answer. "] * 10)
    with opening(shell, *clicks):
        cell = shell.run(f"%%alcf {MODEL} {options}\nhello")
    (output,) = cell.outputs
    assert start in output["data"]["text/html"]
    assert cell.html.count("<details") == 1
    assert "thought 59" in cell.html
    assert not shell.widgets
    # It is a matter of this display: the value shows itself folded, as ever.
    assert "<details>" in cell.value._repr_html_()


def test_opened_reasoning_stays_open_when_the_answer_breaks_off(
    shell: Shell, in_sandbox: Sandbox
) -> None:
    """Interrupted in the middle of it, it stands there as the reader had it."""
    in_sandbox.reasoning = [f"thought {n} " for n in range(200)]
    slowly(in_sandbox, pace=0.05, burst=2)
    with opening(shell, 0):
        cell = shell.run(
            f"%%alcf {MODEL}\nhello", interrupt=lambda c: "thought 9" in shell.widgets_say()
        )
    assert cell.ename == "KeyboardInterrupt"
    assert "<details open><summary>Reasoning" in cell.html
    assert cell.html.count("<details") == 1
    assert not shell.widgets


def test_where_no_widgets_are_shown_reasoning_is_an_output(
    shell: Shell, in_sandbox: Sandbox
) -> None:
    """The same block in a notebook that runs without a person, redrawn now and then."""
    in_sandbox.reasoning = [f"thought {n} \n" for n in range(60)]
    slowly(in_sandbox, ["The ", "answer. "] * 30, pace=0.05)
    cell, seen = watched(
        shell, f"%%alcf {MODEL}\nhello", lambda c: [o["data"] for o in c.outputs], person=False
    )
    assert not shell.widgets
    live = [outputs for outputs in seen if len(outputs) > 1]
    assert live
    assert all("<details>" in outputs[0]["text/html"] for outputs in live)
    assert cell.html.count("<details>") == 1
    assert len(cell.outputs) == 1


# Interrupts and failures


def closed(shell: Shell, sandbox: Sandbox) -> None:
    """Wait until the gateway has seen a connection close."""
    shell.wait_for(lambda: sandbox.disconnects)


@pytest.mark.parametrize("before", ["", "x = 1\n"])
def test_an_interrupt_keeps_what_came_and_closes_the_request(
    shell: Shell, in_sandbox: Sandbox, before: str
) -> None:
    """One line says so; the text stays on the screen, in --out and on the exception."""
    slowly(in_sandbox, pace=0.05, burst=2)
    cell = shell.run(
        f"{before}%alcf {MODEL} --out part hello", interrupt=lambda c: "A sandbox" in c.html
    )
    assert cell.ename == "KeyboardInterrupt"
    assert cell.error_text == ("KeyboardInterrupt: The prompt was interrupted; what came is kept.")
    shown = cell.outputs[0]
    assert "interrupted" in shown["data"]["text/html"]
    assert "· metis ·" in shown["data"]["text/html"]
    part = shell.names["part"]
    assert shown["data"]["text/plain"].startswith(part.text)
    assert (part.finish_reason, part.text[:10]) == (None, "## A sandb")
    assert cell.error.completion is part  # type: ignore[union-attr]
    closed(shell, in_sandbox)
    slowly(in_sandbox, pace=0.005, burst=20)
    assert shell.run(f"%alcf {MODEL} hello").status == "ok"


def test_an_interrupt_before_anything_came_leaves_nothing(
    shell: Shell, in_sandbox: Sandbox
) -> None:
    """The waiting line goes away, the request is closed, and --out says that it was nothing."""
    in_sandbox.scenario = "slow"
    cell = shell.run(
        f"%%alcf {MODEL} --out part\nhello", interrupt=lambda c: "first token" in c.text
    )
    assert cell.error_text == (
        "KeyboardInterrupt: The prompt was interrupted; nothing had come yet."
    )
    assert "first token" not in cell.text
    assert shell.names["part"].text == ""
    closed(shell, in_sandbox)


def test_a_part_of_reasoning_is_kept_too(shell: Shell, in_sandbox: Sandbox) -> None:
    """Interrupted while it reasons: what it thought is shown, folded, and its widget is gone."""
    in_sandbox.reasoning = [f"thought {n} " for n in range(200)]
    slowly(in_sandbox, pace=0.05, burst=2)
    cell = shell.run(
        f"%%alcf {MODEL} --out part\nhello",
        interrupt=lambda c: "thought 3" in shell.widgets_say(),
    )
    assert cell.ename == "KeyboardInterrupt"
    assert "<details>" in cell.html
    assert shell.names["part"].reasoning.startswith("thought 0 thought 1")
    assert not shell.widgets


def test_an_interrupt_of_the_table_is_one_line(shell: Shell, in_sandbox: Sandbox) -> None:
    """Whatever is waited for: no traceback of our insides."""
    in_sandbox.scenario = "globus_outage"
    cell = shell.run("%alcf_models", interrupt=lambda c: "Trying once more" in c.text)
    assert cell.ename == "KeyboardInterrupt"
    assert len(cell.error_text.splitlines()) == 1
    assert "Trying once more" not in cell.text


def test_an_outage_is_counted_down_and_tried_once_more(
    shell: Shell, in_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line counts, goes away, and the prompt is sent again."""
    shell.run(f"%alcf {MODEL} hello")
    monkeypatch.setattr("alcf_magics.gateway.refusals.OUTAGE_SECONDS", 0.6)
    in_sandbox.scenario = "globus_outage"

    def look(cell: Cell) -> str:
        if "Trying once more" in cell.text:
            in_sandbox.scenario = "default"
        return cell.text

    cell, seen = watched(shell, f"%alcf {MODEL} hello", look)
    assert cell.status == "ok", cell.said
    assert any("Trying once more in" in text for text in seen)
    assert "Trying once more" not in cell.text


def test_an_error_in_the_middle_says_where_it_came_from(shell: Shell, in_sandbox: Sandbox) -> None:
    """Below the part that came: the error in a line, and model and cluster in another."""
    in_sandbox.scenario = "error_in_stream"
    cell = shell.run(f"x = 1\n%alcf {MODEL} hello")
    assert cell.ename == "StreamBroken"
    shown = cell.outputs[0]["data"]
    assert "broke off" in shown["text/html"]
    assert "gpt-oss-120b · metis" in shown["text/html"]
    assert re.search(r"\n\[.*broke off.*\]$", shown["text/plain"])


# A terminal


def test_a_terminal_prints_the_text_and_a_line_about_it(
    terminal: Shell, in_sandbox: Sandbox
) -> None:
    """Once, as it came: no HTML, no escape codes of a model's, and not again as the result."""
    in_sandbox.answer = "# A **bold** answer\n\nwith `code` and \x1b[31mred\x1b[0m.\n"
    cell = terminal.run(f"%%alcf {MODEL}\nhello")
    assert cell.text.count("# A **bold** answer") == 1
    assert re.search(r"\n\[gpt-oss-120b · metis · .* out · .*\]\n", cell.text)
    assert "<" not in cell.text
    assert "\x1b" not in cell.text
    assert "bold" in terminal.run("_").text


def test_a_terminal_prints_while_it_comes(terminal: Shell, in_sandbox: Sandbox) -> None:
    """The beginning stands there long before the end."""
    slowly(in_sandbox, [f"word{n} " for n in range(60)])
    _, seen = watched(terminal, f"%alcf {MODEL} hello", lambda c: c.text)
    grown = [text for text in seen if "word0" in text and "word59" not in text]
    assert len(grown) > 3


def test_a_terminal_keeps_what_came(terminal: Shell, in_sandbox: Sandbox) -> None:
    """Interrupted or broken off: the text, the line about it, and --out."""
    slowly(in_sandbox, pace=0.05, burst=2)
    cell = terminal.run(
        f"%alcf {MODEL} --out part hello", interrupt=lambda c: "A sandbox" in c.text
    )
    assert cell.ename == "KeyboardInterrupt"
    assert "ended early]" in cell.text
    assert cell.text.startswith(terminal.names["part"].text)
    in_sandbox.scenario = "cut_mid_stream"
    broken = terminal.run(f"%alcf {MODEL} hello")
    assert broken.ename == "StreamBroken"
    assert "ended early]" in broken.text
    assert "StreamBroken: " in broken.text


def test_a_terminal_says_once_what_it_waits_for(
    terminal: Shell, in_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was printed stays: the first line of a countdown is enough."""
    terminal.run(f"%alcf {MODEL} hello")
    monkeypatch.setattr("alcf_magics.gateway.refusals.OUTAGE_SECONDS", 0.6)
    in_sandbox.scenario = "globus_outage"
    begun = time.monotonic()
    cell = terminal.run(f"%alcf {MODEL} hello")
    assert time.monotonic() - begun > 0.5
    assert cell.ename == "GatewayUnreachable"
    assert cell.text.count("Trying once more in") == 1


def test_a_terminal_has_tables_and_help_in_text(terminal: Shell) -> None:
    """Models, status and help need no page."""
    assert "context window" in terminal.run("%alcf_models --live").text
    assert "Already logged in" in terminal.run("%alcf_login").text
    assert "identity provider" in terminal.run("%alcf_login --status").text
    assert "--effort" in terminal.run("%alcf --help").text


@pytest.mark.parametrize("code", ["%alcf {} hi", "%%alcf {}\nhi", "x = %alcf {} hi"])
def test_a_console_of_jupyters_has_the_answer_once(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """It shows displays as text and no update of them, so that it is a terminal to us."""
    command = ("/usr/bin/python3", "/usr/bin/jupyter-console", "--simple-prompt")
    monkeypatch.setattr("alcf_magics.notebook.shells._parent_command", lambda: command)
    cell = shell.run(code.format("-m gpt-oss-120b"))
    assert cell.text.count("A sandbox answered") == 1
    assert cell.html == ""


def test_a_console_of_jupyters_asks_for_the_code(
    fresh_shell: Shell, in_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no box in it: the link is printed once, and the code asked for."""
    monkeypatch.setattr("alcf_magics.notebook.shells._parent_command", lambda: ("jupyter-console",))
    cell = fresh_shell.run("%alcf_login", answer="no code")
    assert cell.text.count("authorize?") == 1
    assert len(cell.questions) == 3
    assert "below" not in cell.said
