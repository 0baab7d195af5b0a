"""Values of the notebook that options name: `--schema list[City]`, `--tools f,g`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from IPython.core.error import UsageError

from ..gateway.schemas import Schema
from ..text import line, why_of
from .expansion import resolve

#: What Tab offers as tools: also what is bound, or partly filled in.
_FUNCTIONS = (FunctionType, MethodType, partial)
#: Types that a list may be of, and whose names Python knows.
_PLAIN = {kind.__name__: kind for kind in (str, int, float, bool)}
_LIST = re.compile(r"list\[(.+)\]")


def named_value(option: str, name: str, variables: Mapping[str, Any]) -> Any:
    """What a name, with attributes and constant keys, leads to. Raises UsageError."""
    try:
        return resolve(name.strip(), variables)
    except Exception as error:  # whatever an attribute or a key raises
        why = why_of(error)
    raise UsageError(f"{option} {line(name, 80)}: {why}")


def named_schema(name: str, variables: Mapping[str, Any]) -> Schema:
    """The schema that a name means, or a list of it. Raises UsageError, RequestRefused."""
    return Schema.of(_schema_value(name, variables), name.strip())


def _schema_value(name: str, variables: Mapping[str, Any]) -> Any:
    match = _LIST.fullmatch(name.strip())
    if match is None or "list" in variables:
        return named_value("--schema", name, {**_PLAIN, **variables})
    inner = _schema_value(match[1], variables)
    if isinstance(inner, Mapping):
        return {"type": "array", "items": inner}
    return list[inner]  # type: ignore[valid-type]


def named_tools(names: Sequence[str], variables: Mapping[str, Any]) -> dict[str, Any]:
    """The functions that names mean, each under the last part of its name. Raises UsageError."""
    tools: dict[str, Any] = {}
    listed = ",".join(names).split(",")
    if not all(map(str.strip, listed)):
        raise UsageError("--tools: a name is missing; functions are named like --tools f,g")
    for name in listed:
        function, short = named_value("--tools", name, variables), name.rpartition(".")[2].strip()
        if not callable(function) or isinstance(function, type):
            what = line(type(function).__name__)
            raise UsageError(f"--tools {line(name, 80)}: a tool is a function, and this is {what}")
        if tools.setdefault(short, function) != function:
            raise UsageError(f"--tools {short}: two functions have this name")
    return tools


def tool_names(variables: Mapping[str, Any]) -> list[str]:
    """The names of the notebook's own functions."""
    return [name for name, value in variables.items() if isinstance(value, _FUNCTIONS)]


def schema_names(variables: Mapping[str, Any]) -> list[str]:
    """The names whose values may be schemas."""
    return [name for name, value in variables.items() if _may_be_schema(value)]


def _may_be_schema(value: Any) -> bool:
    """Told by its looks: nothing is imported, and nothing of the value runs."""
    if isinstance(value, Schema):
        return True
    if type(value) is dict:
        return bool({"type", "properties", "anyOf", "$ref", "json_schema"}.intersection(value))
    if not isinstance(value, type):
        return getattr(value, "__origin__", None) is list
    if value.__module__.startswith("pydantic."):
        return False  # what models are made of
    marks = ("__pydantic_core_schema__", "__dataclass_fields__", "__total__")
    return any(mark in vars(kind) for mark in marks for kind in value.__mro__)
