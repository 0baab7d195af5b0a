"""Functions as tools: what a model is told of them, and what becomes of what it asks."""

from __future__ import annotations

import enum
import functools
import sys
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from alcf_magics.errors import RequestRefused
from alcf_magics.gateway.calls import Call
from alcf_magics.gateway.schemas import Invalid
from alcf_magics.tools.functions import Tool, tools_of


class Unit(enum.Enum):
    METRE = "m"


@dataclass
class Point:
    x: float
    y: float = 0


def everything(
    name: str,
    count: Annotated[int, Field(description="how many", ge=1)],
    where: Point,
    unit: Unit = Unit.METRE,
    mode: Literal["a", "b"] = "a",
    loose: Any = None,
    *rest: int,
    key: list[str] | None = None,
    **more: str,
) -> tuple[Any, ...]:
    """Do everything.

    name: whose
    """
    return name, count, where, unit, mode, loose, rest, key, more


def first(a: int, /, b: int) -> tuple[int, int]:
    return a, b


class Machine:
    def speed(self, nodes: int) -> int:
        """How fast."""
        return nodes

    def __call__(self, nodes: int) -> int:
        return -nodes


def test_signature_and_docstring_make_the_schema() -> None:
    """Names, types, defaults and descriptions; nothing of what takes anything."""
    function = Tool.of(everything).field["function"]
    assert function["name"] == "everything"
    assert function["description"] == "Do everything.\n\nname: whose"
    schema = function["parameters"]
    assert schema["type"] == "object"
    assert schema["required"] == ["name", "count", "where"]
    assert schema["additionalProperties"] is False
    fields = schema["properties"]
    assert list(fields) == ["name", "count", "where", "unit", "mode", "loose", "key"]
    assert fields["count"] == {"type": "integer", "minimum": 1, "description": "how many"}
    assert fields["mode"] == {"type": "string", "enum": ["a", "b"], "default": "a"}
    assert "title" not in str(schema)


def test_arguments_become_what_the_signature_says() -> None:
    """Instances of its types; what is not given is the function's own default."""
    made = Tool.of(everything).called('{"name": "n", "count": 2, "where": {"x": 1}, "key": ["k"]}')
    assert made == ("n", 2, Point(1), Unit.METRE, "a", None, (), ["k"], {})
    assert Tool.of(first).called('{"a": 1, "b": 2}') == (1, 2)


@pytest.mark.parametrize(
    ("function", "name", "result"),
    [
        (Machine().speed, "speed", 4),
        (Machine(), "Machine", -4),
        (functools.partial(Machine.speed, Machine()), "speed", 4),
        (functools.wraps(Machine().speed)(lambda *a, **k: Machine().speed(*a, **k)), "speed", 4),
    ],
)
def test_whatever_can_be_called_is_a_tool(function: Any, name: str, result: int) -> None:
    """Methods, objects, partials, and what is wrapped."""
    tool = Tool.of(function)
    assert tool.name == name
    assert tool.called('{"nodes": 4}') == result


def test_a_function_without_parameters_takes_none() -> None:
    """Its schema is an object without fields."""
    tool = Tool.of(lambda: 1, "one")
    assert tool.schema["properties"] == {}
    assert tool.called("{}") == 1
    with pytest.raises(Invalid):
        tool.called('{"a": 1}')


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("{", "no JSON"),
        ("[1]", "an object"),
        ("null", "an object"),
        ('{"a": 1}', "at b: "),
        ('{"a": "x", "b": 2}', "at a: "),
        ('{"a": 1, "b": 2, "c": 3}', "at c: "),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_wrong_arguments_are_said(arguments: str, why: str) -> None:
    """Where, and why; the function does not run."""
    with pytest.raises(Invalid, match=why):
        Tool.of(first).called(arguments)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (5, "A tool is a function, not 5"),
        ("speed", "A tool is a function, not 'speed'"),
        (Machine, "A tool is a function, not the class Machine"),
        ([], "No tool"),
        ([first, first], "Two tools are called first"),
        (lambda x: x, "no name for a tool"),
        ({"ä b": first}, "no name for a tool"),
        (max, "cannot be a tool"),
        ([_ := type("", (), {"__call__": lambda self, x: x})()], "no name"),
    ],
)
def test_what_cannot_be_a_tool_is_refused(given: Any, why: str) -> None:
    """In one line, before anything is sent."""
    with pytest.raises(RequestRefused) as caught:
        tools_of(given)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_annotations_that_lead_nowhere_are_said() -> None:
    """A name that is not there, or a type without a schema."""

    def lost(a: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821
    def odd(a: type[sys.stdin]) -> None: ...  # type: ignore[valid-type]

    for function in (lost, odd):
        with pytest.raises(RequestRefused, match="cannot be a tool"):
            Tool.of(function)


def test_pydantic_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that installs it."""
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(RequestRefused, match="alcf-magics\\[schema\\]"):
        Tool.of(first)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"function": None},
        {"function": {"name": 5, "arguments": {"a": 1}}},
        {"id": "x\u202e\n" * 99, "function": {"name": "a" * 999, "arguments": "\x00{"}},
    ],
)
def test_a_call_is_read_whatever_is_missing(value: dict[str, Any]) -> None:
    """As one line, and as JSON that servers take."""
    call = Call.of(0, value)
    assert "\n" not in str(call)
    assert call.to_json()["function"]["arguments"] == "{}"
    assert call.to_json()["function"]["name"]
