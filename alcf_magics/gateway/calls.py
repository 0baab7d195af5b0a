"""Calls of functions that a model asked for, and what came of them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..text import line, words


@dataclass(frozen=True)
class Call:
    """One call that a model asked for; `result` is None before it has ended.

    `number` counts the calls of one prompt. `failed` says that it did not run, or not to its end.
    """

    number: int
    id: str
    name: str
    arguments: str
    result: str | None = None
    failed: bool = False

    @classmethod
    def of(cls, number: int, value: Mapping[str, Any]) -> Call:
        """A call as an answer has it, whatever is missing."""
        function = value.get("function")
        function = function if isinstance(function, Mapping) else {}
        arguments = words(function.get("arguments")) or "{}"
        return cls(number, line(value.get("id"), 64), line(function.get("name"), 64), arguments)

    def __str__(self) -> str:
        return line(f"{self.name}({self.arguments})")

    def to_json(self) -> dict[str, Any]:
        """The call as a message has it; arguments that are none are left out."""
        try:
            readable = isinstance(json.loads(self.arguments), dict)
        except (ValueError, RecursionError):
            readable = False
        function = {"name": self.name or "unknown", "arguments": self.arguments}
        if not readable:
            function["arguments"] = "{}"
        return {"id": self.id, "type": "function", "function": function}
