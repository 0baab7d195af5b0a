"""A value that fits a JSON schema, the same for the same schema: what the sandbox answers with."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

_FORMATS = {
    "date": "2026-11-26",
    "date-time": "2026-11-26T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "sandbox@example.org",
    "hostname": "sandbox.example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.org/",
}
#: Levels at which what may end does: a schema may hold itself.
_DEEP = 6


class NoSchema(ValueError):
    """What is asked for is no JSON schema that a server can follow."""


def instance(schema: Any, name: str = "sandbox") -> Any:
    """A value that fits a schema; texts repeat the name of their field. Raises NoSchema."""
    try:
        return _made(schema, schema, name, 0)
    except RecursionError:
        raise NoSchema("the schema has no end") from None


def _made(schema: Any, root: Any, name: str, depth: int) -> Any:
    if schema is True or schema == {}:
        return name
    if not isinstance(schema, Mapping):
        raise NoSchema(f"Unrecognized schema: {schema!r}")
    if "$ref" in schema:
        return _made(_target(schema["$ref"], root), root, name, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if options := schema.get(key):
            # The last one is null as a rule, and ends what holds itself.
            return _made(options[-1 if depth > _DEEP else 0], root, name, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind not in _KINDS:
        raise NoSchema(f"Unrecognized schema: {dict(schema)!r}")
    make: Callable[[Mapping[str, Any], Any, str, int], Any] = _KINDS[kind]
    return make(schema, root, name, depth)


def _target(ref: object, root: Any) -> Any:
    found = root
    for step in str(ref).split("/")[1:]:
        try:
            found = found[step.replace("~1", "/").replace("~0", "~")]
        except (KeyError, TypeError):
            raise NoSchema(f"Error resolving ref {ref}") from None
    return found


def _object(schema: Mapping[str, Any], root: Any, name: str, depth: int) -> Any:
    fields = schema.get("properties", {})
    return {field: _made(fields[field], root, field, depth + 1) for field in fields}


def _array(schema: Mapping[str, Any], root: Any, name: str, depth: int) -> Any:
    low, high = schema.get("minItems", 0), schema.get("maxItems", 2)
    count = low if depth > _DEEP else max(low, min(2, high))
    return [_made(schema.get("items", {}), root, name, depth + 1) for _ in range(count)]


def _string(schema: Mapping[str, Any], root: Any, name: str, depth: int) -> Any:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    if "pattern" in schema:
        return _matching(schema["pattern"])
    return name.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", len(name) + 64)]


def _number(schema: Mapping[str, Any], root: Any, name: str, depth: int) -> Any:
    low = schema.get("minimum", schema.get("exclusiveMinimum", -math.inf))
    high = schema.get("maximum", schema.get("exclusiveMaximum", math.inf))
    whole = schema.get("type") == "integer"
    value = min(max(1, low), high)
    step = schema.get("multipleOf", 1 if whole else 0)
    if step:
        value = math.ceil(value / step) * step
    if value == schema.get("exclusiveMinimum"):
        value += step or (min(high, value + 2) - value) / 2
    if value == schema.get("exclusiveMaximum"):
        value -= step or (value - max(low, value - 2)) / 2
    return int(value) if whole else value


def _matching(pattern: str) -> str:
    """A text that a pattern matches, as far as it is made of what most are made of."""
    parser = re._parser  # type: ignore[attr-defined]  # the only reader of patterns there is
    try:
        return _text_of(parser.parse(pattern))
    except (re.error, LookupError, TypeError):
        raise NoSchema(f"Unsupported pattern: {pattern}") from None


def _text_of(parts: Any) -> str:
    text = ""
    for part, value in parts:
        name = str(part)
        if name == "LITERAL":
            text += chr(value)
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            text += _text_of(value[2]) * max(value[0], min(1, value[1]))
        elif name == "SUBPATTERN":
            text += _text_of(value[-1])
        elif name == "BRANCH":
            text += _text_of(value[1][0])
        elif name == "IN":
            text += _one_of(value)
        elif name in ("ANY", "NOT_LITERAL"):
            text += "x" if value != ord("x") else "y"
    return text


def _one_of(options: Any) -> str:
    names = {str(option): value for option, value in reversed(options)}
    if "NEGATE" in names:
        return "_"
    if "RANGE" in names:
        return chr(names["RANGE"][0])
    if "LITERAL" in names:
        return chr(names["LITERAL"])
    return {"CATEGORY_DIGIT": "1", "CATEGORY_SPACE": " "}.get(str(names.get("CATEGORY")), "x")


_KINDS = {
    "object": _object,
    "array": _array,
    "string": _string,
    "number": _number,
    "integer": _number,
    "boolean": lambda schema, root, name, depth: True,
    "null": lambda schema, root, name, depth: None,
}
