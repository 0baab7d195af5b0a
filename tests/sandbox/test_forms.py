"""The sandbox answers in the form that a request asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest

from alcf_magics._session import Session
from alcf_magics.sandbox import Sandbox
from alcf_magics.sandbox.instances import NoSchema, instance
from support.logins import logged_in

TREE = {
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "kids": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
            },
        }
    },
    "$ref": "#/$defs/Node",
}


@pytest.mark.parametrize(
    "schema",
    [
        TREE,
        {"type": "string", "minLength": 30},
        {"type": "string", "maxLength": 2},
        {"type": "string", "pattern": r"^[A-Z]{3}-\d+(a|b)$"},
        {"type": "string", "format": "date"},
        {"type": "integer", "exclusiveMinimum": 5, "multipleOf": 4},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5},
        {"type": "integer", "maximum": -3},
        {"type": "array", "items": {"enum": ["a", 1]}, "minItems": 3},
        {"anyOf": [{"type": "null"}, {"type": "string"}]},
        {"type": ["boolean", "null"]},
        {"const": {"a": 1}},
        {"properties": {"a": {"type": "object", "properties": {"b": {"type": "null"}}}}},
    ],
)
def test_an_instance_fits_its_schema(schema: dict[str, Any]) -> None:
    """And is the same each time."""
    made = instance(schema)
    jsonschema.validate(made, schema, format_checker=jsonschema.FormatChecker())
    assert instance(schema) == made


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nope"},
        False,
        {"$ref": "#/$defs/Missing"},
        {"$ref": "#"},
        {"type": "string", "pattern": "("},
    ],
)
def test_what_no_server_can_follow_is_refused(schema: Any) -> None:
    """As a model server refuses it."""
    with pytest.raises(NoSchema):
        instance(schema)


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[Session]:
    session = logged_in(sandbox)
    yield session
    session.close()


def asked(session: Session, sandbox: Sandbox, **fields: Any) -> httpx.Response:
    body = {"model": "gpt-oss-120b", "messages": [{"role": "user", "content": "hi"}], **fields}
    url = f"{sandbox.gateway_url}/metis/api/v1/chat/completions"
    return httpx.post(url, json=body, auth=session.auth)


@pytest.mark.parametrize("validation", ["current", "strict"])
def test_a_request_gets_the_form_that_it_asks_for(
    session: Session, sandbox: Sandbox, validation: str
) -> None:
    """JSON of the schema, any JSON, or text."""
    sandbox.validation = validation

    def text(form: Any) -> str:
        answer = asked(session, sandbox, response_format=form).raise_for_status().json()
        return str(answer["choices"][0]["message"]["content"])

    schema = {"type": "json_schema", "json_schema": {"name": "tree", "schema": TREE}}
    assert set(json.loads(text(schema))) == {"name", "kids"}
    assert isinstance(json.loads(text({"type": "json_object"})), dict)
    assert text({"type": "text"}).startswith("## A sandbox answered")


@pytest.mark.parametrize(
    "form",
    [
        {"type": "xml"},
        {"type": "json_schema"},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nope"}}},
    ],
)
def test_a_form_that_cannot_be_is_refused(
    session: Session, sandbox: Sandbox, form: dict[str, Any]
) -> None:
    """With the model server's status 400, which names the field."""
    answer = asked(session, sandbox, response_format=form)
    assert answer.status_code == 400
    assert "response_format" in answer.text


def test_a_server_may_refuse_fields(session: Session, sandbox: Sandbox) -> None:
    """Those that the sandbox is told to refuse, named."""
    sandbox.refuses = frozenset({"seed"})
    assert "seed" in asked(session, sandbox, seed=1).text
    assert asked(session, sandbox).status_code == 200
