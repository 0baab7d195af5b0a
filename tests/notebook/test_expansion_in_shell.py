"""Values, files and the cells above in a prompt: what is sent, and the grey line about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alcf_magics.sandbox import Sandbox
from support.shell import Cell, Shell

MODEL = "-m gpt-oss-120b"


def messages(sandbox: Sandbox) -> list[Any]:
    """The messages of the last chat that arrived."""
    bodies = [r.body for r in sandbox.requests if r.path.endswith("/chat/completions")]
    return list(bodies[-1]["messages"])


def sent(sandbox: Sandbox) -> str:
    """The last prompt that arrived."""
    return str(messages(sandbox)[-1]["content"])


def ask(shell: Shell, prompt: str, options: str = "") -> Cell:
    cell = shell.run(f"%%alcf {MODEL} {options}\n{prompt}")
    assert cell.status == "ok", cell.said
    return cell


# Values


def test_a_value_takes_the_place_of_its_name(shell: Shell, in_sandbox: Sandbox) -> None:
    """A name, an attribute, an item and a format, once each; the grey line says with what."""
    shell.run("q = 'why?'\nrows = [{'k': 'v'}]\nx = 3.14159\nz = 1 + 2j")
    cell = ask(shell, '{{q}} {{ z.imag }} {{rows[0]["k"]}} {{x:.3f}}')
    assert sent(in_sandbox) == "why? 2.0 v 3.142"
    assert 'with q (4 characters), z.imag (3 characters), rows[0]["k"] (1 character)' in (
        cell.html.replace("&quot;", '"')
    )
    assert "with q" not in cell.result["text/plain"]  # type: ignore[index]


def test_a_line_has_values_too(shell: Shell, in_sandbox: Sandbox) -> None:
    """`%alcf` does what `%%alcf` does."""
    shell.run("q = 'the sky'")
    shell.run(f"%alcf {MODEL} what is {{{{q}}}}?")
    assert sent(in_sandbox) == "what is the sky?"


def test_what_came_in_is_not_read_again(shell: Shell, in_sandbox: Sandbox) -> None:
    """One pass: a value's own braces are text, in a prompt and in a system text."""
    shell.run("a = '{{b}} {b} $b'\nb = 'wrong'")
    ask(shell, "{{a}}", '-s "{{a}} $a {a}"')
    system, prompt = messages(in_sandbox)
    assert prompt["content"] == "{{b}} {b} $b"
    assert system["content"] == " ".join(["{{b}} {b} $b"] * 3)


def test_a_system_text_has_both_forms(shell: Shell, in_sandbox: Sandbox) -> None:
    """`{{role}}` is the value without braces; `{role}` and `$role` go on as they were."""
    shell.run("role = 'pirate'")
    ask(shell, "hi", '-s "You are {{role}}, {role}, $role for $5."')
    assert messages(in_sandbox)[0]["content"] == "You are pirate, pirate, pirate for $5."
    ask(shell, "hi", "--system='{{ role }}'")
    assert messages(in_sandbox)[0]["content"] == "pirate"
    ask(shell, "hi", '--raw -s "You are {{role}}, a {role}."')
    assert messages(in_sandbox)[0]["content"] == "You are {{role}}, a pirate."


@pytest.mark.parametrize(
    "prompt",
    ["${{ q }}", "{{{q}}}", "{{q}", "{{ q | upper }}", "{{}}", '{{"q": 1}}', "{q} {{'q'}}"],
)
def test_other_braces_stay_as_typed(shell: Shell, in_sandbox: Sandbox, prompt: str) -> None:
    """Templates, JSON and code go through, though q is a variable."""
    shell.run("q = 'wrong'")
    ask(shell, prompt)
    assert sent(in_sandbox) == prompt


def test_raw_sends_every_byte(shell: Shell, in_sandbox: Sandbox) -> None:
    """--raw leaves all braces alone, and says nothing of them."""
    shell.run("q = 'wrong'")
    cell = ask(shell, "{{q}} {q} {{nobody}}", "--raw")
    assert sent(in_sandbox) == "{{q}} {q} {{nobody}}"
    assert "as typed" not in cell.html


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("{{nobody}}", "{{nobody}} was sent as typed: there is no variable nobody"),
        ("{{q.nothing}}", "{{q.nothing}} was sent as typed: AttributeError"),
        ("{{q[99]}}", "{{q[99]}} was sent as typed: IndexError"),
        ("{{q:.3f}}", "{{q:.3f}} was sent as typed: ValueError"),
        ("{{q.upper()}}", "no call"),
        ("what is {q}?", "{q} sent as typed: {{q}} sends its value"),
    ],
)
def test_what_has_no_value_is_said(
    shell: Shell, in_sandbox: Sandbox, prompt: str, said: str
) -> None:
    """It is sent as it was typed, and a grey line says so."""
    shell.run("q = 'text'")
    cell = ask(shell, prompt)
    assert sent(in_sandbox) == prompt
    assert said in cell.html


def test_latex_is_no_name_in_braces(shell: Shell, in_sandbox: Sandbox) -> None:
    """Nothing is said of `\\frac{q}{2}`, of unknown names, and of IPython's own."""
    shell.run("q = 1")
    assert "as typed" not in ask(shell, "\\frac{q}{2} x_{q} {nobody} {In} {exit}").html


def test_a_terminal_prints_the_line(terminal: Shell, in_sandbox: Sandbox) -> None:
    """Below the answer, as whatever else there is to tell."""
    terminal.run("q = 'why?'")
    cell = terminal.run(f"%alcf {MODEL} {{{{q}}}}")
    assert sent(in_sandbox) == "why?"
    assert "· first token after" in cell.text.split("with q (4 characters)")[0]


def test_python_sends_strings_as_they_are(shell: Shell, in_sandbox: Sandbox) -> None:
    """`ask` has no braces of ours."""
    shell.run("import alcf_magics\nq = 'wrong'")
    done = shell.run("alcf_magics.session().ask('{{q}} {q}', model='gpt-oss-120b').text")
    assert done.status == "ok", done.said
    assert sent(in_sandbox) == "{{q}} {q}"


CODE = """
class Plain:
    size = 3

def half(x):
    return x / 2

try:
    half("a")
except TypeError as error:
    failure = error
"""


def test_code_of_cells_is_sent_as_source(shell: Shell, in_sandbox: Sandbox) -> None:
    """Classes, functions and errors that a cell made; and what IPython calls its own."""
    assert shell.run(CODE).status == "ok"
    shell.run("6 * 7")
    ask(shell, "{{Plain}}|{{half}}|{{failure}}|{{_}} {{Out[3]}} {{In[3]}}")
    plain, half, failure, last = sent(in_sandbox).split("|")
    assert plain == "class Plain:\n    size = 3"
    assert half == "def half(x):\n    return x / 2"
    assert "return x / 2" in failure
    assert failure.endswith("TypeError: unsupported operand type(s) for /: 'str' and 'int'")
    assert last == "42 42 6 * 7"


def test_a_frame_is_sent_as_a_table(shell: Shell, in_sandbox: Sandbox) -> None:
    """The grey line says how much of it."""
    shell.run("import pandas\ndf = pandas.DataFrame({'n': range(3400)})")
    cell = ask(shell, "Look: {{df}}")
    assert sent(in_sandbox).startswith("Look: | n |\n| --- |\n| 0 |\n| 1 |")
    assert "of 3,400 rows)" in sent(in_sandbox)
    assert "with df (500 of 3,400 rows)" in cell.html


def test_a_system_text_of_an_unknown_name_is_refused(shell: Shell, in_sandbox: Sandbox) -> None:
    """As any option's value that is nothing but a name."""
    cell = shell.run(f"%%alcf {MODEL} -s $nobody\nhi")
    assert cell.ename == "UsageError"
    assert "no variable 'nobody'" in cell.said


# Files


def test_a_file_goes_along_as_a_labelled_block(
    shell: Shell, in_sandbox: Sandbox, tmp_path: Path
) -> None:
    """Several in their order, before the prompt; fences in them close nothing."""
    (tmp_path / "a.py").write_text("print(1)\n")
    (tmp_path / "b.md").write_text("```\nx\n```")
    shell.run(f"folder = {str(tmp_path)!r}")
    cell = ask(shell, "Explain.", f"-f {tmp_path}/a.py --file '{tmp_path}/b.md'")
    assert sent(in_sandbox) == (
        f"File {tmp_path}/a.py:\n```py\nprint(1)\n```\n\n"
        f"File {tmp_path}/b.md:\n````md\n```\nx\n```\n````\n\nExplain."
    )
    assert f"{tmp_path}/a.py (9 characters), {tmp_path}/b.md (9 characters)" in cell.html


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing", None, "there is no such file"),
        (".", None, "not a file"),
        ("nul", b"a\0b", "not a text file"),
        ("latin", b"caf\xe9", "not a text file"),
        ("huge", b"x" * 1_000_001, "more than 1,000,000 bytes"),
    ],
)
def test_a_file_that_cannot_go_along_is_one_line(
    shell: Shell, in_sandbox: Sandbox, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    """Nothing is sent."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    before = len(in_sandbox.requests)
    cell = shell.run(f"%%alcf {MODEL} -f {tmp_path / name}\nhi")
    assert cell.ename == "UsageError"
    assert said in cell.said
    assert len(cell.said.strip().splitlines()) == 1
    assert len(in_sandbox.requests) == before


# The cells above


def test_the_last_cells_go_along_in_order(shell: Shell, in_sandbox: Sandbox) -> None:
    """Source and result of each, and neither the cell that asks nor more than asked for."""
    shell.run("before = 0")
    shell.run("one = 1\none")
    shell.run("1 / 0")
    cell = ask(shell, "Why?", "--cells 2")
    text = sent(in_sandbox)
    assert text.startswith("The last 2 cells of this notebook, oldest first.\n\nCell:\n```python\n")
    assert text.endswith("\n\nWhy?")
    assert text.index("one = 1") < text.index("1 / 0") < text.index("ZeroDivisionError")
    assert "before = 0" not in text
    assert "--cells" not in text
    assert "with the last 2 cells (" in cell.html


def test_a_terminals_cells_go_along_too(terminal: Shell, in_sandbox: Sandbox) -> None:
    """Their sources, results and errors."""
    terminal.run("one = 1\none")
    terminal.run("1 / 0")
    assert terminal.run(f"%alcf {MODEL} --cells all why?").status == "ok"
    text = sent(in_sandbox)
    assert "```python\none = 1\none\n```\nIt showed:\n```\n1\n```" in text
    assert "ZeroDivisionError: division by zero" in text
    assert text.endswith("\n\nwhy?")


def test_a_loop_reads_its_variable_anew(shell: Shell, in_sandbox: Sandbox) -> None:
    """Each `%alcf` in it sends the value of that turn, and the cell that runs is not above."""
    loop = "for n in range(2):\n    %alcf -m gpt-oss-120b --cells all number {{n}}\n"
    shell.run("a = 1")
    assert shell.run(loop).status == "ok"
    assert sent(in_sandbox).endswith("\n\nnumber 1")
    assert "for n in" not in sent(in_sandbox)


@pytest.mark.parametrize("number", ["0", "-1", "many", "1.5"])
def test_a_wrong_number_of_cells_is_one_line(shell: Shell, number: str) -> None:
    """What --cells takes is said."""
    cell = shell.run(f"%%alcf {MODEL} --cells {number}\nhi")
    assert cell.ename == "UsageError"
    assert "a number of cells, 1 or more, or all" in cell.said


def test_no_login_cell_goes_along(shell: Shell, in_sandbox: Sandbox) -> None:
    """Whatever was typed to log in or out stays here."""
    shell.run("%alcf_login --status")
    shell.run("kept = 1")
    shell.run("get_ipython().run_line_magic('alcf_login', '--status')")
    ask(shell, "Why?", "--cells all")
    assert "kept = 1" in sent(in_sandbox)
    assert "alcf_login" not in sent(in_sandbox)


# Tokens


def test_no_token_is_sent_with_a_prompt(
    shell: Shell, in_sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bearer, what is stored and the environment's, out of cells, files and values."""
    monkeypatch.setenv("ALCF_AI_TOKEN", "environment-token")
    (stored,) = home.glob(".globus/app/*/alcf_magics/tokens.json")
    shell.run(f"import pathlib\ncontent = pathlib.Path({str(stored)!r}).read_text()\ncontent")
    shell.run("'environment-token'")
    ask(shell, "{{content}} environment-token", f"-f {stored} --cells all -s '{{{{content}}}}'")
    text = str(messages(in_sandbox))
    assert text.count('"access_token": "(token)"') >= 3
    assert text.count("environment-token") == 1  # what was typed
