"""`--schema` and `--format json`, typed into a shell in this process."""

from __future__ import annotations

import pytest

from alcf_magics.notebook.options import prompt_parser
from alcf_magics.sandbox import Sandbox
from support.shell import Shell

MODEL = "-m metis:gpt-oss-120b"
MODELS = """
import dataclasses, types, typing
from pydantic import BaseModel
class City(BaseModel):
    name: str
    population: int
@dataclasses.dataclass
class Trip:
    cities: list[City]
class Point(typing.TypedDict):
    x: int
cities = list[City]
schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
inside = types.SimpleNamespace(City=City)
number = 5
"""


@pytest.fixture
def ready(shell: Shell) -> Shell:
    assert shell.run(MODELS).status == "ok"
    return shell


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("City", "City"),
        ("Trip", "Trip"),
        ("Point", "dict"),
        ("schema", "dict"),
        ("cities", "list"),
        ("list[City]", "list"),
        ("'list[ Trip ]'", "list"),
        ("list[schema]", "list"),
        ("list[str]", "list"),
        ("inside.City", "City"),
    ],
)
def test_a_name_of_the_notebook_is_the_schema(ready: Shell, name: str, expected: str) -> None:
    """A model, dataclass, TypedDict, JSON schema, or a list of one."""
    cell = ready.run(f"%%alcf {MODEL} --schema {name} --out kept\nhi")
    assert cell.status == "ok", cell.said
    assert type(cell.value.parsed).__name__ == expected
    assert ready.names["kept"] is cell.value
    assert ready.names["_"] is cell.value
    assert "alcf-code" in cell.html


@pytest.mark.parametrize(
    ("options", "ename", "said"),
    [
        ("--schema Town", "UsageError", "there is no variable Town"),
        ("--schema inside.Town", "UsageError", "no attribute"),
        ("--schema City()", "UsageError", "no call"),
        ("--schema number", "RequestRefused", "it is an int"),
        ("--schema list[number]", "RequestRefused", "schema"),
        ("--schema City --format markdown", "UsageError", "do not go together"),
        ("--schema City --format code", "UsageError", "do not go together"),
        ("--schema City --next-cell", "UsageError", "--next-cell goes with --format code"),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_is_sent(
    ready: Shell, in_sandbox: Sandbox, options: str, ename: str, said: str
) -> None:
    """It says what was typed, and why not."""
    cell = ready.run(f"%%alcf {MODEL} {options}\nhi")
    assert cell.ename == ename
    assert said in cell.said
    assert not any(r.path.endswith("completions") for r in in_sandbox.requests)


def test_a_schema_goes_with_format_json(ready: Shell) -> None:
    """Which is what it means anyway."""
    cell = ready.run(f"%%alcf {MODEL} --schema City --format json\nhi")
    assert cell.value.parsed.population == 1


def test_the_value_is_shown_prettily(ready: Shell, in_sandbox: Sandbox) -> None:
    """As JSON, with where it was found in the line below."""
    in_sandbox.answer = 'So: {"name": "Rome", "population": 3}.'
    cell = ready.run(f"%%alcf {MODEL} --schema City\nhi")
    assert "JSON read from between other words" in cell.html
    assert "So:" not in cell.html
    assert "Rome" in cell.html


def test_what_fits_at_the_second_try_is_the_answer(ready: Shell, in_sandbox: Sandbox) -> None:
    """The first one goes from the screen; the cell's one output is the second."""
    texts = iter(['{"name": "Rome", "population": "unknown"}', '{"name": "Bonn", "population": 3}'])

    class Next:
        def __iter__(self) -> object:
            return iter([next(texts)])

    in_sandbox.answer = Next()  # type: ignore[assignment]
    cell = ready.run(f"%%alcf {MODEL} --schema City\nhi")
    assert cell.value.parsed.name == "Bonn"
    [output] = cell.outputs
    assert "unknown" not in output["data"]["text/html"]
    assert "asked once more" in output["data"]["text/html"]


def test_what_never_fits_is_one_line_and_stays_to_be_read(
    ready: Shell, in_sandbox: Sandbox
) -> None:
    """Where it failed is in the line; the text is in `--out`, on the screen, and on the error."""
    in_sandbox.answer = '{"name": "Rome", "population": "many"}'
    cell = ready.run(f"%%alcf {MODEL} --schema City --out kept\nhi")
    assert cell.ename == "AnswerInvalid"
    assert "at population: " in cell.error_text
    assert len(cell.error_text.strip().splitlines()) == 1
    assert "many" in cell.html
    assert ready.names["kept"].text == in_sandbox.answer
    assert cell.error.completion is ready.names["kept"]  # type: ignore[union-attr]


def test_a_terminal_shows_both_tries(terminal: Shell, in_sandbox: Sandbox) -> None:
    """What was printed stays; a line between says why it goes on."""
    terminal.run(MODELS)
    in_sandbox.answer = "no"
    cell = terminal.run(f"%%alcf {MODEL} --schema City\nhi")
    assert "Asking once more" in cell.text
    assert cell.ename == "AnswerInvalid"


def test_tab_offers_what_may_be_a_schema(ready: Shell) -> None:
    """The notebook's own names that fit, also inside of a list."""
    completions = ready.ip.magics_manager.registry["AlcfMagics"].completions
    offered = completions.offered(prompt_parser(), "--schema", "")
    assert offered == ["City", "Point", "Trip", "cities", "schema"]
    assert completions.offered(prompt_parser(), "--schema", "list[T") == ["list[Trip"]
