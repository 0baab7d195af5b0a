"""What is typed and almost an option, told and never sent; and what only looks like one, sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.error import UsageError

from alcf_magics.notebook import near_misses
from alcf_magics.notebook.next_cell import code_of
from alcf_magics.notebook.options import models_parser, prompt_parser
from alcf_magics.notebook.spelling import nearest
from alcf_magics.sandbox import Sandbox
from alcf_magics.showing.formats import CodeBlock, code_blocks
from support.shell import Shell

DASHES = "‐‑‒–—−﹣－"
NAMES = sorted(prompt_parser().names)


def prompts(sandbox: Sandbox) -> list[Any]:
    """Every prompt that arrived."""
    chats = [r.body for r in sandbox.requests if r.path.endswith("/chat/completions")]
    return [chat["messages"][-1]["content"] for chat in chats]


def taken(line: str, cell: str | None = None) -> tuple[str, str | None]:
    """The prompt on a line, and the cell below it, of what is sent. Raises UsageError."""
    parser = prompt_parser()
    line, cell = near_misses.joined(parser, line, cell)
    _, rest = parser.split(line)
    near_misses.check(parser, line, rest, cell)
    return rest, cell


def complaint(line: str, cell: str | None = None) -> str:
    """What is said of a line and the cell below it, in one line; fails where nothing is."""
    with pytest.raises(UsageError) as caught:
        taken(line, cell)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Dashes and quotes


@given(
    st.sampled_from(DASHES),
    st.sampled_from(NAMES),
    st.sampled_from(["{d}", "{d}{d}", "{d}-", "-{d}", "\u200b-", "\ufeff--"]),
)
def test_a_dash_of_a_word_processor_is_told_with_the_right_spelling(
    dash: str, name: str, form: str
) -> None:
    """Every option, behind any dash that is not the keyboard's, alone or among others."""
    typed = form.format(d=dash) + name.lstrip("-")
    assert f"type {name} " in complaint(f"{typed} x")
    assert f"type {name} " in complaint(f"-t 0 {typed} x")
    assert f"type {name} " in complaint(f"{typed}=x y")


@given(st.sampled_from(["“”", "‘’", "„“", "«»", "‹›", "＂＂"]), st.sampled_from(["{}", "={}"]))
def test_a_quote_of_a_word_processor_is_told_with_the_right_spelling(pair: str, form: str) -> None:
    """Else the value would be its first word, and the prompt the others."""
    value = f"{pair[0]}two words{pair[1]}"
    for name in ("-s", "--system"):
        said = complaint(f"{name}{form.format(value) if '=' in form else ' ' + value} hello")
        assert f'type {name} "two words"' in said


def test_dashes_and_quotes_in_a_prompt_are_text() -> None:
    """A prompt may hold them, and begin with a dash and a space, or with a quote."""
    for prompt in ("— what is this?", "“Quoted” words", "a – b", "--- a/file", "why –m"):
        assert taken(prompt) == (prompt, None)
    assert taken("-- —hello") == ("—hello", None)
    assert prompt_parser().split('-s "He said “x”" y')[0].system == "He said “x”"


def test_the_other_magics_say_the_same() -> None:
    """A pattern in such quotes would match nothing, and an option would be a pattern."""
    for line, said in (("“vision”", '"vision"'), ("–-live", "--live"), ("--live # now", "comment")):
        with pytest.raises(UsageError, match=said):
            models_parser().words(line)


# Names


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--max_tokens", "--max-tokens"),
        ("--maxtokens", "--max-tokens"),
        ("--max-new-tokens", "--max-tokens"),
        ("--tokens", "--max-tokens"),
        ("--temprature", "--temperature"),
        ("--temp", "--temperature"),
        ("--Temperature", "--temperature"),
        ("--reasoning-effort", "--effort"),
        ("--system_prompt", "--system"),
        ("--top_p", "--top-p"),
        ("--modle", "--model"),
        ("-T", "-t"),
        ("-model", "--model"),
        ("-max_tokens", "--max-tokens"),
    ],
)
def test_a_name_that_is_none_names_the_one_that_was_meant(typed: str, meant: str) -> None:
    """Underscores, capitals, a dash too few, words of other tools, a letter too many."""
    assert f"Did you mean {meant}?" in complaint(f"{typed} 3 hello")
    assert f"Did you mean {meant}?" in complaint(f"{typed}=3 hello")


def test_a_name_that_is_like_none_names_none() -> None:
    """A guess that is none helps nobody."""
    assert nearest("--xyzzy", NAMES) == []
    assert "Did you mean" not in complaint("--xyzzy hello")
    assert "Did you mean json?" in complaint("--format jsn hello")


def test_a_value_is_taken_in_every_form() -> None:
    """Behind a space, an equals sign, or nothing; a variable, too."""
    for form in ("-m {}", "-m={}", "-m{}", "--model {}", "--model={}"):
        options, rest = prompt_parser().split(
            form.format("$m") + " hello", lambda value: value.replace("$m", "gpt-oss-120b")
        )
        assert (options.model, rest) == ("gpt-oss-120b", "hello")


@pytest.mark.parametrize("path", [r"C:\Users\new\table", r"C:\Users", r"a\tb\nc", r"\frac"])
def test_a_backslash_in_a_value_is_kept(path: str) -> None:
    """Paths of Windows and LaTeX are no escapes; a space and a quote may have one."""
    assert prompt_parser().split(f"-s {path} hello")[0].system == path
    assert prompt_parser().split(r"-s two\ words\' hello")[0].system == "two words'"


# The rest of the line, and the next one


def test_a_backslash_at_the_end_joins_the_next_line() -> None:
    """As many as there are, behind options alone: a prompt keeps its backslash."""
    assert taken("-m x \\", "-t 0\nHi\n") == ("", "Hi\n")
    assert taken("-m x \\", "  -t 0 \\\nHi there\nmore") == ("Hi there", "more")
    assert taken("explain \\", "this") == ("explain \\", "this")
    assert taken("-s C:\\dir\\x", "Hi") == ("", "Hi")


@pytest.mark.parametrize(
    "body",
    [
        "-t 0\nHi",
        "\n  -t 0\nHi",
        "-m gpt-oss-120b Hi",
        '--system "be brief"\nHi',
        "--effort=low\n--raw\nHi",
        "-c\nWhy?",
        "--temprature 0\nHi",
        "–t 0\nHi",
        "--help\nHi",
    ],
)
def test_options_on_the_second_line_are_told(body: str) -> None:
    """They would be the prompt's first words."""
    assert "options go on the line of %%alcf" in complaint("-m x", body)
    assert taken("-m x --", body) == ("", body)


@pytest.mark.parametrize(
    "body",
    [
        "-t what does this option of tar mean?",
        "-c of gcc?",
        "- one\n- two",
        "--- a/file\n+++ b/file",
        "-- a comment of SQL",
        "--verbose is which option?",
        "-5 is a number",
        "-s is an option of curl",
        "The options:\n-t 0",
    ],
)
def test_what_only_looks_like_options_is_sent(body: str) -> None:
    """Lists, differences and questions about other tools' options."""
    assert taken("-m x", body) == ("", body)


def test_a_comment_is_told() -> None:
    """It would be the prompt, or its first line; a heading goes below, or behind `--`."""
    for line in ("-t 0  # comment", "# comment", "-t 0 #comment", "--raw #"):
        assert "takes no comment" in complaint(line, "Hi")
        assert "takes no comment" in complaint(line)
    for prompt in ("#include <stdio.h> is what?", "C# or F#?"):
        assert taken(prompt) == (prompt, None)
    assert taken("-- # A heading") == ("# A heading", None)
    assert taken("", "# A heading\ntext") == ("", "# A heading\ntext")


def test_parameters_as_python_has_them_are_told() -> None:
    """`temperature=0` alone is no question; an equation is one."""
    assert "--temperature 0 --max-tokens 5" in complaint("temperature=0 max_tokens=5", "Hi")
    assert taken("x=3") == ("x=3", None)
    assert taken("why is temperature=0 greedy?") == ("why is temperature=0 greedy?", None)


# In a shell


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%alcf –m gpt-oss-120b\nHi", "type -m"),
        ("%%alcf -s “two words”\nHi", 'type -s "two words"'),
        ("%%alcf -m gpt-oss-120b\n-t 0\nHi", "-t 0 would be sent"),
        ("%%alcf -t 0  # comment\nHi", "# comment would be sent"),
        ("%%alcf gpt-oss-120b\nHi", "type -m gpt-oss-120b."),
        ("%%alcf GPT-OSS-120b:\nHi", "type -m GPT-OSS-120b."),
        ("%%alcf metis:gpt-oss-120b\nHi", "type -m metis:gpt-oss-120b."),
        ("%%alcf openai/gpt-oss-120b -t 0\nHi", "type -m openai/gpt-oss-120b."),
        ("%alcf gpt-oss-120b", "type -m gpt-oss-120b."),
        ("%%alcf metis\nHi", "type --cluster metis."),
        ("%%alcf model=gpt-oss-120b\nHi", "type --model gpt-oss-120b."),
    ],
)
def test_a_near_miss_is_one_line_and_nothing_is_sent(
    shell: Shell, in_sandbox: Sandbox, cell: str, said: str
) -> None:
    """Of each kind one, as people type it."""
    done = shell.run(cell)
    assert done.ename == "UsageError"
    assert said in done.said
    assert len(done.said.strip().splitlines()) == 1
    assert prompts(in_sandbox) == []


def test_a_models_name_in_a_prompt_is_sent(shell: Shell, in_sandbox: Sandbox) -> None:
    """Only alone it is a near miss, and `--` sends it even so; one word may be a prompt, too."""
    for line in ("gpt-oss-120b what is MPI", "-- gpt-oss-120b", "Hello"):
        assert shell.run(f"%alcf -m gpt-oss-120b {line}").status == "ok"
    assert prompts(in_sandbox) == ["gpt-oss-120b what is MPI", "gpt-oss-120b", "Hello"]


def test_help_comes_without_a_body(shell: Shell) -> None:
    """IPython refuses a cell magic without a body before anybody sees `--help` in it."""
    for cell in ("%%alcf --help", "%%alcf -h\n", "%%alcf -m x --help\n\n"):
        done = shell.run(cell)
        assert done.status == "ok"
        assert "--max-tokens" in done.text
    assert shell.run("%%time --help").ename == "UsageError"
    shell.run("%unload_ext alcf_magics")
    assert "--max-tokens" not in shell.run("%%alcf --help").said


def test_an_alias_is_the_magic_under_another_name(shell: Shell, in_sandbox: Sandbox) -> None:
    """A question mark, help without a body, and one output; an alias of an alias, too."""
    shell.run("%alias_magic ai alcf")
    shell.run("%alias_magic -p '-m gpt-oss-120b' gpt ai")
    assert shell.run("%ai -m gpt-oss-120b what is MPI?").status == "ok"
    assert shell.run("a = %gpt what is it?").status == "ok"
    cell = shell.run("%%gpt\nand why?")
    assert prompts(in_sandbox) == ["what is MPI?", "what is it?", "and why?"]
    assert [output["output_type"] for output in cell.outputs] == ["execute_result"]
    assert "--max-tokens" in shell.run("%%ai --help").text


@pytest.mark.parametrize(
    "given", [{"model": 3}, {"cluster": 3}, {"system": 3}, {"model": None}, {"system": b"x"}]
)
def test_a_name_that_is_no_text_is_refused_in_python(
    shell: Shell, in_sandbox: Sandbox, given: dict[str, Any]
) -> None:
    """One sentence that names the argument, instead of what fails inside."""
    shell.ip.user_ns["given"] = given
    done = shell.run("import alcf_magics\nalcf_magics.session().ask('x', **given)")
    assert done.ename == "RequestRefused"
    assert "is a text, not" in done.said
    assert prompts(in_sandbox) == []


# Models by what they can do, and by names that are none


def test_models_are_found_by_what_they_can_do(shell: Shell) -> None:
    """A capability, as the table shows it, is a pattern like a name."""
    for word in ("vision", "Embeddings", "reasoning"):
        catalog = shell.run(f"%alcf_models {word}").value
        assert len(catalog)
        assert all(word.casefold() in model.capabilities.words for model in catalog)


def test_a_pattern_without_models_names_the_nearest(shell: Shell) -> None:
    """By word, and live ones first."""
    cell = shell.run("%alcf_models gtp-oss")
    assert len(cell.value) == 0
    assert "Nearest: openai/gpt-oss-120b" in cell.text
    missing = shell.run("%alcf -m nosuch hello").error_text
    named = missing.partition("Nearest: ")[2].partition(". ")[0].split(", ")
    live = {model.name for model in shell.run("%alcf_models").value if model.live}
    assert set(named) <= live


# The next cell


PYTHON = "```python\nx = 1\n```\n"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (PYTHON + "```bash\nls\n```\n", "x = 1"),
        (PYTHON + "which prints\n```\n1\n```\n", "x = 1"),
        (PYTHON + "```output\n1\n```\n" + PYTHON, "x = 1"),
        (PYTHON + "```{python}\ny\n```\n```py3\nz\n```\n", "x = 1\n\ny\n\nz"),
        ("```Python title=a\ns\n```\n", "s"),
        ("```\nx = 1\n```\n```sh\nls\n```\n", "x = 1"),
        ("```bash\nls\n```\n", ""),
        ("````markdown\n# T\n" + PYTHON + "````\n", "x = 1"),
        ("```markdown\n# T\n" + PYTHON + "done\n```\n", "x = 1"),
        ("- a\n\n  ```python\n  y = 2\n  ```\n", "y = 2"),
        ("no code", ""),
    ],
)
def test_the_next_cell_gets_what_the_notebook_can_run(answer: str, code: str) -> None:
    """Python, each block once: no shell, no output, and no fence around fences."""
    assert code_of(code_blocks(answer)) == code


def test_fences_in_fences_have_an_end() -> None:
    """However deep a model puts one into another."""
    text = "x = 1"
    for _ in range(300):
        text = f"```markdown\n{text}\n```\n"
    assert code_of([CodeBlock(text, "markdown")]) == ""


def test_an_answer_without_python_is_said(shell: Shell, in_sandbox: Sandbox) -> None:
    """Nothing goes into the next cell, and the reader hears why."""
    in_sandbox.answer = "```bash\nls\n```\n"
    cell = shell.run("%%alcf -m gpt-oss-120b --format code --next-cell\nx")
    assert cell.payload == []
    assert "no Python" in cell.html
