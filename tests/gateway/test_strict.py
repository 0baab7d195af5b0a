"""JSON schemas as strict servers take them."""

from __future__ import annotations

import datetime
import decimal
import enum
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from alcf_magics.gateway.strict import Unfit, strict

STRING = {"type": "string"}


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema of an object in a schema, and the schema's other parts."""
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from objects(value)
    if isinstance(schema, list):
        for value in schema:
            yield from objects(value)


class Kind(enum.Enum):
    """What it is."""

    TOWN = "town"
    CITY = "city"


class Cat(BaseModel):
    pet: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    pet: Literal["dog"]


class Place(BaseModel):
    """A place, with all that pydantic says of fields."""

    title: str = Field("x", title="The title", description="its name", examples=["Rome"])
    default: float | None = None
    kind: Kind = Kind.TOWN
    founded: datetime.date = Field(description="when")
    area: decimal.Decimal
    code: str = Field(pattern=r"^[A-Z]+$", max_length=4)
    loose: str = Field(pattern=r"[A-Z]")
    pair: tuple[int, str]
    pet: Cat | Dog = Field(discriminator="pet")
    again: Kind = Field(description="a reference with a sibling")
    parts: list[Place] = []
    tags: set[str] = set()


def test_everything_strict_servers_want_of_a_pydantic_model() -> None:
    """Each object's fields are required, no others allowed; no default, title, or oneOf is left."""
    made, wrapped = strict(Place.model_json_schema())
    assert not wrapped
    assert made["type"] == "object"
    assert list(made["properties"]) == list(Place.model_fields)
    for part in objects(made):
        if part.get("type") == "object":
            assert part["additionalProperties"] is False
            assert part["required"] == list(part["properties"])
        if "$ref" in part:
            assert list(part) == ["$ref"]
            assert part["$ref"].removeprefix("#/$defs/") in made["$defs"]
        is_schema = not {"title", "lives", "name"} & part.keys() or "type" in part
        if is_schema and part is not made["properties"]:
            assert not {"oneOf", "discriminator", "examples", "uniqueItems"} & part.keys()
    assert made["properties"]["title"] == {"type": "string", "description": "its name"}
    assert made["properties"]["code"]["pattern"] == "^[A-Z]+$"
    assert "pattern" not in made["properties"]["loose"]  # a part of the text: servers read a whole
    assert made["properties"]["founded"]["format"] == "date"


def test_a_field_may_be_called_as_a_keyword_is() -> None:
    """`title` and `default` are left out as keywords, and stay as fields."""
    made, _ = strict({"type": "object", "properties": {"title": STRING, "default": STRING}})
    assert made["properties"] == {"title": STRING, "default": STRING}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": STRING},
        STRING,
        {"anyOf": [STRING, {"type": "null"}]},
        {"type": ["object", "null"], "properties": {"a": STRING}},
    ],
)
def test_a_root_that_is_no_object_is_wrapped(schema: dict[str, Any]) -> None:
    """It becomes the one field of an object."""
    made, wrapped = strict(schema)
    assert wrapped
    assert made["type"] == "object"
    assert list(made["properties"]) == made["required"] == ["value"]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/definitions/A", "definitions": {"A": {"properties": {"a": STRING}}}},
        {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"a": STRING}}}},
        {"allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"properties": {"a": STRING}}}},
        {"allOf": [{"properties": {"a": STRING}}]},
        {"allOf": [{"properties": {"a": STRING}}, {"required": ["a"]}]},
    ],
)
def test_a_root_that_points_elsewhere_is_that(schema: dict[str, Any]) -> None:
    """Servers want the object itself, under whichever keyword the definitions stood."""
    made, wrapped = strict(schema)
    assert not wrapped
    assert made["type"] == "object"
    assert made["properties"] == {"a": STRING}


def test_what_holds_itself_is_made_once() -> None:
    """The root itself may be pointed to, also where it is wrapped."""
    tree = {"type": "array", "items": {"$ref": "#"}}
    made, wrapped = strict(tree)
    assert wrapped
    assert made["$defs"] == {"root": {"type": "array", "items": {"$ref": "#/$defs/root"}}}


def test_a_tuple_is_a_list_of_its_length() -> None:
    """What each place holds is looked at afterwards."""
    made, _ = strict({"type": "array", "prefixItems": [STRING, STRING, {"type": "null"}]})
    assert made["properties"]["value"] == {
        "type": "array",
        "items": {"anyOf": [STRING, {"type": "null"}]},
        "minItems": 3,
        "maxItems": 3,
    }


@pytest.mark.parametrize(
    ("schema", "at", "why"),
    [
        ({"type": "object"}, "", "any keys"),
        ({"properties": {"a": {"additionalProperties": STRING, "type": "object"}}}, "a", "any key"),
        ({"properties": {"a": {"items": {}, "type": "array"}}}, "a[]", "anything"),
        ({"properties": {"a": {"properties": {"b": True}}}}, "a.b", "anything"),
        ({"properties": {"a": {"type": "array"}}}, "a[]", "anything"),
        ({}, "", "anything"),
        ({"properties": {"a": False}}, "a", "no schema"),
        ({"$ref": "https://example.org/x.json"}, "", "outside"),
        ({"properties": {"a": {"$ref": "#/$defs/A"}}}, "a", "nothing at"),
        ({"$ref": "#"}, "", "itself"),
        ({"properties": {"a": STRING}, "anyOf": [{"required": ["a"]}]}, "", "beside"),
        ({"allOf": [STRING, {"type": "null"}]}, "", "allOf"),
    ],
)
def test_what_cannot_be_made_strict_is_named(schema: dict[str, Any], at: str, why: str) -> None:
    """Where it is, and why."""
    with pytest.raises(Unfit) as caught:
        strict(schema)
    assert caught.value.args[0] == at
    assert why in caught.value.args[1]


def test_a_schema_without_end_is_refused() -> None:
    """Nested deeper than anybody reads."""
    schema: dict[str, Any] = STRING
    for _ in range(5000):
        schema = {"properties": {"a": schema}}
    with pytest.raises(Unfit, match="deep"):
        strict(schema)
