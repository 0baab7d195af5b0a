"""Schemas of Python's types and of JSON: what is sent, and what becomes of a value."""

from __future__ import annotations

import copy
import datetime
import enum
import sys
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import typing_extensions
from pydantic import BaseModel, field_validator

from alcf_magics.errors import RequestRefused
from alcf_magics.gateway.forms import Form
from alcf_magics.gateway.schemas import Invalid, Schema


class City(BaseModel):
    name: str
    population: int

    @field_validator("name")
    @classmethod
    def has_a_name(cls, name: str) -> str:
        if name == "boom":
            raise KeyError("no such city")
        return name


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Trip:
    start: datetime.date
    cities: list[City]
    colour: Colour = Colour.RED
    notes: str | None = field(default=None)


class Point(typing.TypedDict):
    x: int
    label: typing.NotRequired[Literal["a", "b"]]


class Line(typing.TypedDict):
    """A line of points."""

    points: list[Point]
    ends: Point | None


class Newer(typing_extensions.TypedDict, total=False):
    x: int


JSON_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "population": {"type": "integer", "minimum": 1}},
    "required": ["name"],
}


@pytest.mark.parametrize(
    ("source", "value", "made"),
    [
        (City, {"name": "Rome", "population": 3}, City(name="Rome", population=3)),
        (
            Trip,
            {"start": "2026-01-02", "cities": [], "colour": "red", "notes": None},
            Trip(datetime.date(2026, 1, 2), []),
        ),
        (Point, {"x": 1, "label": "a"}, {"x": 1, "label": "a"}),
        (Line, {"points": [{"x": 1}], "ends": None}, {"points": [{"x": 1}], "ends": None}),
        (Newer, {}, {}),
        (JSON_SCHEMA, {"name": "Rome"}, {"name": "Rome"}),
        (list[City], [{"name": "a", "population": 1}], [City(name="a", population=1)]),
        (list[City], {"value": []}, []),
        (list[Point], {"value": [{"x": 1}]}, [{"x": 1}]),
        (list[Trip], [], []),
        ({"type": "array", "items": JSON_SCHEMA}, {"value": [{"name": "a"}]}, [{"name": "a"}]),
    ],
)
def test_a_value_becomes_what_the_schema_stands_for(source: Any, value: Any, made: Any) -> None:
    """An instance, for pydantic and dataclasses; also where the root had to be wrapped."""
    found = Schema.of(source).validated(value)
    assert found == made
    assert type(found) is type(made)


@pytest.mark.parametrize(
    ("source", "value", "where"),
    [
        (City, {"name": "Rome", "population": "many"}, "at population: "),
        (City, {"name": "Rome"}, "at population: Field required"),
        (City, [], "object"),
        (City, {"name": "boom", "population": 1}, "KeyError"),
        (Trip, {"start": "x", "cities": [{"name": 1}]}, "at cities[0].name: "),
        (list[City], [{"name": "a", "population": 1}, {"name": "b"}], "at [1].population: "),
        (Point, {"x": 1, "label": "c"}, "at label: "),
        (JSON_SCHEMA, {"name": "a", "population": 0}, "at population: 0 is less"),
        (JSON_SCHEMA, {}, "'name' is a required property"),
    ],
)
def test_a_value_that_does_not_fit_says_where(source: Any, value: Any, where: str) -> None:
    """One line, with the place in it."""
    with pytest.raises(Invalid) as caught:
        Schema.of(source).validated(value)
    assert where in str(caught.value)
    assert "\n" not in str(caught.value)


def test_of_many_faults_the_first_are_named() -> None:
    """The line stays a line."""
    with pytest.raises(Invalid, match="and 7 more"):
        Schema.of(list[City]).validated([{}] * 5)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (dict[str, int], "any keys"),
        (list, "anything"),
        (City(name="a", population=1), "it is a City"),
        (len, "a schema is"),
        ("City", "it is a str"),
        (type("Plain", (), {}), "Plain"),
        ({"type": "nope"}, "is not valid"),
        ({"enum": [{1}]}, "JSON"),
        ({"enum": ["\ud800"]}, "no schema"),
        (typing.Any, "anything"),
    ],
)
def test_what_is_no_schema_is_said(source: Any, why: str) -> None:
    """Before anything is sent, in one line."""
    with pytest.raises(RequestRefused) as caught:
        Schema.of(source)
    assert why in str(caught.value)
    assert "Nothing was sent" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("missing", "source"), [("pydantic", City), ("jsonschema", JSON_SCHEMA)])
def test_what_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, missing: str, source: Any
) -> None:
    """With the line that installs it."""
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(RequestRefused) as caught:
        Schema.of(source)
    assert missing in str(caught.value)
    assert "%pip install 'alcf-magics[schema]'" in str(caught.value)


def test_a_schema_is_a_value() -> None:
    """Equal and hashed by what it asks for; copied; a schema of a schema is itself."""
    one, other = Schema.of(City), Schema.of(City)
    assert one == other
    assert hash(one) == hash(other)
    assert one != Schema.of(list[City])
    assert copy.deepcopy(one) == one
    assert Schema.of(one) is one


@pytest.mark.parametrize(
    "given",
    [
        {"name": "city", "schema": JSON_SCHEMA, "strict": True},
        {"type": "json_schema", "json_schema": {"name": "city", "schema": JSON_SCHEMA}},
    ],
)
def test_a_schema_as_openai_has_it_is_unwrapped(given: dict[str, Any]) -> None:
    """What people copy from elsewhere works, and keeps its name."""
    schema = Schema.of(given)
    assert schema.name == "city"
    assert schema.text == Schema.of(JSON_SCHEMA).text


def test_the_form_on_the_wire_and_in_words() -> None:
    """The field as OpenAI has it, under a name that it takes."""
    form = Form(Schema.of(list[City]))
    assert form.field["type"] == "json_schema"
    assert form.field["json_schema"]["name"] == "list_City"
    assert form.field["json_schema"]["strict"] is True
    assert form.schema is not None
    assert form.schema.text in form.words
    assert Form().field == {"type": "json_object"}
