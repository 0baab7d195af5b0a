"""What a map takes, and what it keeps of it: kinds of data, templates, indexes, gaps, files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest
from IPython.core.error import UsageError

from alcf_magics import Completion, Session
from alcf_magics.errors import RequestRefused
from alcf_magics.gateway.chat import Message
from alcf_magics.many.results import Results
from alcf_magics.sandbox import Sandbox
from support.logins import logged_in
from support.shell import Shell

MODEL = "gpt-oss-120b"
QUESTION = [{"role": "user", "content": "as messages"}]


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[Session]:
    sandbox.pace = 0
    session = logged_in(sandbox)
    yield session
    session.close()


def asked(results: Results) -> list[str]:
    """The prompts of the answers, and the names of the errors in their places."""
    return [one.prompt if isinstance(one, Completion) else type(one).__name__ for one in results]


def numbers() -> Iterator[str]:
    yield from ("1", "2")


@pytest.mark.parametrize(
    ("data", "template", "prompts"),
    [
        (["a", "b"], None, ["a", "b"]),
        (("a",), None, ["a"]),
        (numbers(), None, ["1", "2"]),
        (pandas.Series(["a", "b"]), None, ["a", "b"]),
        ([QUESTION, "a text"], None, ["as messages", "a text"]),
        (pandas.Series([QUESTION]), None, ["as messages"]),
        ([[Message("user", "one of ours")]], None, ["one of ours"]),
        (pandas.DataFrame({"x": ["a", "b"]}), "{{x}}?", ["a?", "b?"]),
        ([{"x": 1}, {"x": 2}], "{{x}}?", ["1?", "2?"]),
        ([{"x": 1}, {"y": 2}], "{{x}}?", ["1?", "RequestRefused"]),
        (pandas.Series([{"x": 1}]), "{{x}}?", ["1?"]),
        (["as {it} {{stands}}"], None, ["as {it} {{stands}}"]),
        (pandas.DataFrame({"x": [0.5, float("nan")]}), "{{x:.2f}}", ["0.50", "RequestRefused"]),
        (pandas.Series(["a", None, float("nan")]), None, ["a", *["RequestRefused"] * 2]),
        ([], None, []),
        (pandas.DataFrame({"x": []}), "{{x}}", []),
        (pandas.Series([], dtype=str), None, []),
    ],
)
def test_each_kind_of_data_is_asked(
    session: Session, sandbox: Sandbox, data: Any, template: Any, prompts: list[str]
) -> None:
    """A prompt a row, in order; what has nothing to ask is an error in its place."""
    results = session.map(data, template, model=MODEL, progress=False)
    assert asked(results) == prompts
    assert len(results.to_pandas()) == len(prompts)


@pytest.mark.parametrize(
    ("data", "template"),
    [
        (["plain"], "{{x}}"),
        (pandas.Series(["plain"]), "{{x}}"),
        ([QUESTION], "{{x}}"),
        (pandas.DataFrame({"x": ["a"]}), None),
        (pandas.DataFrame({"x": []}), None),
        ([{"x": "a"}], None),
        (pandas.DataFrame({"x": ["a"]}), "{{y}}"),
        (pandas.DataFrame({"x": ["a"]}), "no column"),
    ],
)
def test_data_and_template_have_to_go_together(
    session: Session, sandbox: Sandbox, data: Any, template: Any
) -> None:
    """Plain texts have no columns, and a table needs to be told what is asked of a row."""
    before = len(sandbox.requests)
    with pytest.raises(UsageError):
        session.map(data, template, model=MODEL)
    assert len(sandbox.requests) == before


@pytest.mark.parametrize(
    "index",
    [
        pandas.Index(["b", "a", "b"], name="id"),
        pandas.MultiIndex.from_tuples([("x", 1), ("x", 1), ("y", 2)], names=["site", "run"]),
        pandas.date_range("2026-01-01", periods=3, name="day"),
        pandas.Index([7, 3, 5]),
    ],
)
def test_the_index_of_the_data_is_kept(session: Session, index: pandas.Index) -> None:
    """Names that stand there twice, several levels, dates: of a table and of a Series."""
    frame = pandas.DataFrame({"x": ["1", None, "3"]}, index=index)
    for results in (
        session.map(frame, "{{x}}", model=MODEL, progress=False),
        session.map(frame["x"], model=MODEL, progress=False),
    ):
        table = results.to_pandas()
        pandas.testing.assert_index_equal(table.index, index)
        assert table["error"].notna().tolist() == [False, True, False]
        assert asked(results) == ["1", "RequestRefused", "3"]


def test_data_that_changes_meanwhile_is_asked_as_it_was(session: Session) -> None:
    """What is asked is what was given; the caller's own data stay as they are."""
    frame, texts = pandas.DataFrame({"x": ["a", None]}), ["a", None]
    results = [
        session.map(frame, "{{x}}", model=MODEL, progress=False),
        session.map(texts, model=MODEL, progress=False),
    ]
    frame["x"], texts[:] = ["b", "c"], ["b", "c"]
    for one in results:
        assert asked(one.retry()) == ["a", "RequestRefused"]
        assert isinstance(one.failed, list)
        assert isinstance(one.failed[0], RequestRefused)


@pytest.mark.parametrize("save", [5, ["a"], b"x"])
def test_a_file_has_a_path(session: Session, save: Any) -> None:
    """Anything else is a wrong argument, and said in a line."""
    with pytest.raises(UsageError, match="save is the path of a file"):
        session.map(["a"], save=save)


def test_columns_are_never_the_notebook_s_names(shell: Shell, sandbox: Sandbox) -> None:
    """A variable of a column's name changes nothing, and one without a column is no column."""
    sandbox.pace = 0
    shell.run("import alcf_magics; x = 'of the notebook'; other = 'of the notebook'")
    call = "alcf_magics.session().map([{'x': 'of the row'}], '%s', model='gpt-oss-120b')[0].prompt"
    assert shell.run(call % "Why {{x}}?").value == "Why of the row?"
    cell = shell.run(call % "Why {{other}}?")
    assert isinstance(cell.error, UsageError)
    assert "no column 'other'" in str(cell.error)


def test_a_shell_that_runs_a_loop_awaits_the_twin(shell: Shell, sandbox: Sandbox) -> None:
    """As a cell does, with `await` at its beginning; the plain call works there, too."""
    sandbox.pace = 0
    shell.run("import alcf_magics\nasync def ask(): return alcf_magics.session().map(['a'])")
    assert shell.run("len(await alcf_magics.session().amap(['a', 'b']))").value == 2
    assert shell.run("len(await ask())").value == 1
    assert shell.run("len(alcf_magics.session().history)").value == 0


def test_half_a_line_is_asked_again(session: Session, sandbox: Sandbox, tmp_path: Path) -> None:
    """What a killed process left of a line is no answer, and the next one has a line of its own."""
    file = tmp_path / "answers.jsonl"
    session.map(["a", "b", "c"], model=MODEL, save=file, in_flight=1, progress=False)
    whole = file.read_bytes()
    file.write_bytes(whole[: whole.rindex(b'"key"') + 20])
    sandbox.requests.clear()
    results = session.map(["a", "b", "c"], model=MODEL, save=file, progress=False)
    assert asked(results) == ["a", "b", "c"]
    sent = [r.body for r in sandbox.requests if r.path.endswith("/chat/completions")]
    assert [body["messages"][0]["content"] for body in sent] == ["c"]
    assert len(file.read_bytes().splitlines()) == 4
