"""Schemas as a real small language model's server holds its model to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typing_extensions
from pydantic import BaseModel, Field, field_validator

from alcf_magics._session import Session
from alcf_magics.errors import AnswerInvalid
from alcf_magics.sandbox import Sandbox
from support.logins import logged_in

pytestmark = pytest.mark.real_model

#: A model whose cluster passes on why its server refused.
MODEL = "metis:gpt-oss-120b"
OPTIONS: dict[str, Any] = {"temperature": 0, "max_tokens": 120}
Word = Annotated[str, Field(max_length=12)]


class City(BaseModel):
    name: Word
    size: Literal["small", "large"]
    population: int | None = Field(ge=0, le=9_999)


@dataclass
class Trip:
    cities: Annotated[list[City], Field(min_length=1, max_length=2)]
    by: Literal["train", "ship"] = "train"


class Pair(typing_extensions.TypedDict):
    left: Word
    right: Word


SCHEMA = {
    "type": "object",
    "properties": {"code": {"type": "string", "pattern": "^[A-Z]{3}[0-9]{2}$"}},
}


@pytest.fixture
def sandbox(home: Path, model_url: str) -> Iterator[Sandbox]:
    with Sandbox(upstream=model_url) as sandbox:
        yield sandbox


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[Session]:
    session = logged_in(sandbox)
    yield session
    session.close()


def asked(sandbox: Sandbox) -> int:
    return sum(r.path.endswith("completions") for r in sandbox.requests)


@pytest.mark.parametrize(
    "schema", [City, Trip, Pair, SCHEMA, Annotated[list[City], Field(min_length=1, max_length=2)]]
)
def test_a_model_is_held_to_each_kind_of_schema(
    session: Session, sandbox: Sandbox, schema: object
) -> None:
    """The first answer fits, however small the model is."""
    answer = session.ask("Describe Rome.", MODEL, schema=schema, **OPTIONS)
    assert answer.parsed
    assert asked(sandbox) == 1


def test_json_is_what_comes(session: Session, sandbox: Sandbox) -> None:
    """`json_object` holds the model to JSON."""
    answer = session.ask("Give a city and its country as JSON.", MODEL, format="json", **OPTIONS)
    assert isinstance(answer.parsed, dict)


def test_a_value_that_a_validator_refuses_is_asked_for_again(
    session: Session, sandbox: Sandbox
) -> None:
    """What no schema can say is said in words: the model answers anew, or the line says where."""
    seen = []

    class Picky(BaseModel):
        size: Literal["small", "large"]

        @field_validator("size")
        @classmethod
        def at_the_second_try(cls, size: str) -> str:
            seen.append(size)
            if len(seen) == 1:
                raise ValueError("think again")
            return size

    answer = session.ask("How large is Rome?", MODEL, schema=Picky, **OPTIONS)
    assert answer.parsed.size == seen[1]
    assert asked(sandbox) == 2
    assert "think again" in sandbox.requests[-1].body["messages"][-1]["content"]


def test_a_model_that_is_asked_in_words_may_fail_in_one_line(
    session: Session, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the server takes no field, the schema goes along as words, and a repair follows."""
    refused = frozenset({"response_format"})
    monkeypatch.setattr("alcf_magics.gateway.listings.refused_by", lambda *_: refused)
    with pytest.raises(AnswerInvalid) as caught:
        session.ask("Describe Rome.", MODEL, schema=Trip, **OPTIONS)
    assert asked(sandbox) == 2
    assert "\n" not in str(caught.value)
    assert not any("response_format" in (r.body or {}) for r in sandbox.requests)
