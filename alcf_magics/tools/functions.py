"""Functions that a model may ask for: what it is told of them, and how they are called. Pure.

pydantic makes the schema of a signature, and checks what a model calls it with.
"""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import INSTALL_SCHEMA, RequestRefused
from ..gateway.schemas import Invalid, instance_of
from ..gateway.typed_dicts import made_of, readable
from ..text import line, why_of

#: What servers take as a name.
_NAME = re.compile("[a-zA-Z0-9_-]{1,64}")
_SKIPPED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True)
class Tool:
    """A function under the name that a model knows it by; `schema` is that of its parameters."""

    name: str
    function: Callable[..., Any]
    description: str
    schema: Mapping[str, Any]
    source: Any
    positional: tuple[str, ...] = ()

    @classmethod
    def of(cls, function: Any, name: str = "") -> Tool:
        """The tool that a function makes. Raises RequestRefused with the reason."""
        inner = getattr(function, "func", function)  # of a partial
        name = name or getattr(inner, "__name__", type(function).__name__)
        shown, step = line(name, 64), "Nothing was sent."
        if not callable(function) or isinstance(function, type):
            what = f"the class {shown}" if isinstance(function, type) else f"{function!r:.60}"
            wrong = f"A tool is a function, not {line(what)}"
        elif not _NAME.fullmatch(name):
            wrong = f"{shown} is no name for a tool: give the function one of letters, with def"
        else:
            try:
                return cls._of(function, name)
            except ImportError:
                wrong = "Tools need pydantic, which is not installed"
                step = INSTALL_SCHEMA
            except Exception as error:  # whatever annotations come up with
                wrong = f"{shown} cannot be a tool: {why_of(error).partition('. ')[0]}"
        raise RequestRefused(f"{wrong}.", step)

    @classmethod
    def _of(cls, function: Any, name: str) -> Tool:
        from pydantic import TypeAdapter

        parameters = {
            one.name: one
            for one in inspect.signature(function).parameters.values()
            if one.kind not in _SKIPPED
        }
        hints = _hints(function)
        source = made_of(
            name,
            {
                one.name: (readable(hints.get(one.name, Any)), one.default is one.empty)
                for one in parameters.values()
            },
        )
        source.__pydantic_config__ = {"extra": "forbid"}
        schema = _untitled(TypeAdapter(source).json_schema())
        for one in parameters.values():
            if isinstance(one.default, str | int | float | bool):
                schema["properties"][one.name].setdefault("default", one.default)
        json.dumps(schema, allow_nan=False).encode()
        first = tuple(n for n, one in parameters.items() if one.kind is one.POSITIONAL_ONLY)
        return cls(name, function, inspect.getdoc(function) or "", schema, source, first)

    @property
    def field(self) -> dict[str, Any]:
        """The tool as a request has it."""
        about = {"description": self.description} if self.description else {}
        function = {"name": self.name, **about, "parameters": dict(self.schema)}
        return {"type": "function", "function": function}

    def called(self, arguments: str) -> Any:
        """What the function returns for arguments in JSON. Raises Invalid, and what it raises."""
        try:
            value = json.loads(arguments)
        except (ValueError, RecursionError) as error:
            wrong = f"the arguments are no JSON: {why_of(error)}"
        else:
            given = instance_of(value, self.source)
            first = [given.pop(name) for name in self.positional if name in given]
            return self.function(*first, **given)
        raise Invalid(wrong)


def tools_of(value: Any) -> dict[str, Tool]:
    """Functions, or names and functions, as tools by name. Raises RequestRefused."""
    if isinstance(value, Mapping):
        tools = [Tool.of(function, str(name)) for name, function in value.items()]
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        tools = [one if isinstance(one, Tool) else Tool.of(one) for one in value]
    else:
        tools = [Tool.of(value)]
    names = [tool.name for tool in tools]
    if not tools or len(set(names)) < len(names):
        what = (
            f"Two tools are called {max(names, key=names.count)}" if tools else "No tool is given"
        )
        raise RequestRefused(f"{what}.", "Nothing was sent.")
    return dict(zip(names, tools, strict=True))


def _hints(function: Any) -> dict[str, Any]:
    """The annotations of a function, a method, a partial or an object that can be called."""
    inner = inspect.unwrap(getattr(function, "func", function))
    if not inspect.isroutine(inner):
        inner = type(inner).__call__
    return typing.get_type_hints(inner, include_extras=True)


def _untitled(schema: Any) -> Any:
    """A schema without titles: they repeat the names."""
    if isinstance(schema, list):
        return [_untitled(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _untitled(one) for name, one in value.items()}
        if key in ("properties", "$defs")
        else _untitled(value)
        for key, value in schema.items()
        if key != "title"
    }
