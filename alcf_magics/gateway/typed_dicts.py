"""`typing.TypedDict` before Python 3.12, which pydantic refuses, as one that it reads. Pure."""

from __future__ import annotations

import operator
import sys
import types
import typing
from collections.abc import Mapping
from functools import reduce
from typing import Any

#: From here on pydantic reads them as they are.
_READ_FROM = (3, 12)


def readable(source: Any) -> Any:
    """The type, with each TypedDict in it, also in lists and unions, as pydantic reads them."""
    return source if sys.version_info >= _READ_FROM else _twin(source, {})


def made_of(name: str, fields: Mapping[str, tuple[Any, bool]]) -> Any:
    """A TypedDict of fields: each one's type, and whether it is required."""
    import typing_extensions

    make: Any = typing_extensions.TypedDict
    marked = {
        field: kind if required else typing.NotRequired[kind]
        for field, (kind, required) in fields.items()
    }
    made = make(name, marked)
    return made


def _twin(source: Any, made: dict[Any, Any]) -> Any:
    if type(source).__name__ == "_TypedDictMeta" and type(source).__module__ == "typing":
        return made[source] if source in made else _typed_dict(source, made)
    origin, arguments = typing.get_origin(source), typing.get_args(source)
    if not arguments or origin is typing.Literal:
        return source
    twins = tuple(_twin(argument, made) for argument in arguments)
    if twins == arguments:
        return source
    if origin in (typing.Union, types.UnionType):
        return reduce(operator.or_, twins)
    if origin is typing.Annotated:
        return typing.Annotated[(twins[0], *arguments[1:])]
    return origin[twins]


def _typed_dict(source: Any, made: dict[Any, Any]) -> Any:
    made[source] = source  # one that holds itself stays, and pydantic says so
    fields: dict[str, tuple[Any, bool]] = {}
    for name, hint in typing.get_type_hints(source, include_extras=True).items():
        # Of annotations that were texts, the class does not know which it wants.
        mark = typing.get_origin(hint)
        required = name in source.__required_keys__
        if mark in (typing.Required, typing.NotRequired):
            (hint,), required = typing.get_args(hint), mark is typing.Required
        fields[name] = _twin(hint, made), required
    twin = made[source] = made_of(source.__name__, fields)
    twin.__doc__, twin.__module__ = source.__doc__, source.__module__
    return twin
