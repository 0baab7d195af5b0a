"""What an answer has to be: a JSON schema, or a type of Python's that has one.

pydantic and jsonschema are the extra `schema`, and imported when somebody needs them.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_origin

from ..errors import INSTALL_SCHEMA, RequestRefused
from ..text import line, why_of
from .strict import VALUE, Unfit, strict
from .typed_dicts import readable

#: What a schema may be, in words.
KINDS = "a JSON schema, a pydantic model, a dataclass, a TypedDict, or list[…] of one of these"
#: Faults of a value that are named.
_MOST_FAULTS = 3


class Invalid(ValueError):
    """A value that does not fit; the text says where it fails."""


@dataclass(frozen=True)
class Schema:
    """A schema under its name. Two are equal, and hash alike, if they ask for the same.

    `text` is the JSON schema that servers are given; `wrapped` says that the value is the field
    `value` of it, because servers want an object. `source` is what a value is validated with.
    """

    name: str
    text: str
    wrapped: bool = False
    source: Any = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, value: Any, name: str = "") -> Schema:
        """The schema that a value of Python's stands for. Raises RequestRefused with the reason."""
        if isinstance(value, Schema):
            return value
        wrong, step = "", "Nothing was sent."
        try:
            if isinstance(value, Mapping):
                return cls._of_json(value, name)
            return cls._of_type(value, name or _type_name(value))
        except ImportError as error:
            wrong = f"A schema needs {error.name or 'pydantic'}, which is not installed"
            step = INSTALL_SCHEMA
        except Unfit as error:
            at, why = error.args
            wrong = f"{_called(name, value)} cannot be sent: {f'at {at} ' if at else ''}{why}"
        except Exception as error:  # whatever a type says of itself
            wrong = f"{_called(name, value)} is no schema: {why_of(error).partition('. ')[0]}"
        raise RequestRefused(f"{wrong}.", step)

    @classmethod
    def _of_json(cls, value: Mapping[str, Any], name: str) -> Schema:
        import jsonschema

        # As OpenAI has it around a schema, too.
        value = value.get("json_schema", value) if value.get("type") == "json_schema" else value
        if isinstance(value.get("schema"), Mapping) and not {"type", "properties"} & value.keys():
            name, value = str(value.get("name") or name), value["schema"]
        schema = json.loads(json.dumps(value, allow_nan=False))
        try:
            jsonschema.validators.validator_for(schema).check_schema(schema)
        except jsonschema.SchemaError as error:
            at = _place(error.absolute_path)
            wrong = f"{at}: {error.message}" if at else error.message
        else:
            return cls._of(schema, name or str(schema.get("title", "")), schema)
        raise ValueError(wrong)

    @classmethod
    def _of_type(cls, value: Any, name: str) -> Schema:
        if not isinstance(value, type) and get_origin(value) is None and not _is_alias(value):
            raise TypeError(f"it is {_article(type(value).__name__)}, and a schema is {KINDS}")
        from pydantic import TypeAdapter

        source = readable(value)
        return cls._of(TypeAdapter(source).json_schema(), name, source)

    @classmethod
    def _of(cls, schema: Mapping[str, Any], name: str, source: Any) -> Schema:
        made, wrapped = strict(schema)
        text = json.dumps(made, ensure_ascii=False, allow_nan=False)
        text.encode()  # no request could carry a lone surrogate
        return cls(line(name, 100) or "the schema", text, wrapped, source)

    @classmethod
    def restored(cls, name: str, text: str, wrapped: bool) -> Schema:
        """A schema that was kept: without its type, values are what JSON makes of them.

        Raises ValueError, KeyError, TypeError, AttributeError for what is none.
        """
        whole = json.loads(text)
        shared = {key: whole[key] for key in ("$defs", "definitions") if key in whole}
        source = {**shared, **(whole["properties"][VALUE] if wrapped else whole)}
        return cls(line(name, 100), text, wrapped, source)

    @property
    def wire_name(self) -> str:
        """Its name as servers take one: up to 64 letters, digits, dashes."""
        return re.sub(r"[^a-zA-Z0-9_-]+", "_", self.name).strip("_")[:64] or "answer"

    @property
    def json(self) -> dict[str, Any]:
        """The JSON schema that servers are given."""
        made: dict[str, Any] = json.loads(self.text)
        return made

    def validated(self, value: Any) -> Any:
        """A JSON value as what the schema makes of it: an instance, where it is of a type.

        Raises Invalid, which says where it fails.
        """
        if self.wrapped and isinstance(value, dict) and value.keys() == {VALUE}:
            value = value[VALUE]
        with _faults():
            if isinstance(self.source, Mapping):
                return _fits(value, self.source)
            return instance_of(value, self.source)


def _fits(value: Any, schema: Mapping[str, Any]) -> Any:
    """The value, which a JSON schema allows. Raises Invalid."""
    import jsonschema

    checks = jsonschema.validators.validator_for(schema)(
        schema, format_checker=jsonschema.FormatChecker()
    )
    faults = [(_place(e.absolute_path), e.message) for e in checks.iter_errors(value)]
    if faults:
        raise Invalid(_listed(faults))
    return value


def instance_of(value: Any, source: Any) -> Any:
    """What a type makes of a JSON value. Raises Invalid."""
    from pydantic import TypeAdapter, ValidationError

    try:
        # As JSON: a date is a text there, also where a model is strict.
        return TypeAdapter(source).validate_json(json.dumps(value))
    except ValidationError as error:
        faults = [
            (_place(fault["loc"]), _with_input(fault))
            for fault in error.errors(include_url=False, include_context=False)
        ]
    raise Invalid(_listed(faults))


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    """Whatever a validator of a person's own raises is a fault of the value."""
    wrong = ""
    try:
        yield
    except Invalid:
        raise
    except Exception as error:
        wrong = f"{type(error).__name__}: {why_of(error)}"
    if wrong:
        raise Invalid(wrong)


def _with_input(fault: Mapping[str, Any]) -> str:
    got = "" if fault["type"] == "missing" else f" (it is {fault['input']!r:.60})"
    return f"{fault['msg']}{got}"


def _listed(faults: list[tuple[str, str]]) -> str:
    """The first faults, each with its place."""
    shown = [
        f"at {place}: {line(what, 200)}" if place else line(what, 200)
        for place, what in faults[:_MOST_FAULTS]
    ]
    more = [f"and {len(faults) - _MOST_FAULTS} more"] if len(faults) > _MOST_FAULTS else []
    return "; ".join(shown + more)


def _place(steps: Any) -> str:
    """`cities[1].name`."""
    place = ""
    for step in steps:
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else str(step)
    return line(place, 100)


def _is_alias(value: Any) -> bool:
    return type(value).__name__ == "TypeAliasType"


def _type_name(value: Any) -> str:
    if isinstance(value, type) and get_origin(value) is None:
        return value.__name__
    return line(re.sub(r"[\w<>]+\.", "", str(value)), 100)


def _called(name: str, value: Any) -> str:
    return f"The schema {name or _type_name(value)}"


def _article(noun: str) -> str:
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"
