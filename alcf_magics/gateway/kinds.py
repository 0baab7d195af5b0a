"""What the value of a parameter may be: read as a person types it, checked as Python has it. Pure.

Each kind says its range in words, for errors, and its `metavar`, for `--help`. `read` raises
ValueError for a text that is none; `check` returns the value to send, or raises ValueError.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Kind(Protocol):
    """One kind of value. `repeated` says that an option may be given again to add to it."""

    @property
    def repeated(self) -> bool: ...
    @property
    def range(self) -> str: ...
    @property
    def metavar(self) -> str: ...
    def read(self, text: str) -> Any: ...
    def check(self, value: Any) -> Any: ...
    def joined(self, before: Any, value: Any) -> Any: ...


class _Once:
    """Of an option that is given twice the last one counts."""

    repeated = False

    def joined(self, before: Any, value: Any) -> Any:
        return value


@dataclass(frozen=True)
class Number(_Once):
    """A number between `low` and `high`, whole where `type` is int. `words` say it otherwise."""

    type: type = float
    low: float = -math.inf
    high: float = math.inf
    words: str = ""

    @property
    def range(self) -> str:
        what = "a whole number" if self.type is int else "a number"
        if self.words or self.high == math.inf:
            return self.words or f"{what}, {self.low:g} or more"
        return f"{what} from {self.low:g} to {self.high:g}"

    @property
    def metavar(self) -> str:
        return "N" if self.words or self.high == math.inf else f"{self.low:g}..{self.high:g}"

    def read(self, text: str) -> Any:
        return self.type(text)

    def check(self, value: Any) -> Any:
        numbers = int if self.type is int else int | float
        if isinstance(value, bool) or not isinstance(value, numbers):
            raise ValueError
        if not self.low <= value <= self.high:
            raise ValueError
        return value


@dataclass(frozen=True)
class Word(_Once):
    """One of some words."""

    choices: tuple[str, ...]

    @property
    def range(self) -> str:
        return f"one of {', '.join(self.choices)}"

    @property
    def metavar(self) -> str:
        return "|".join(self.choices)

    def read(self, text: str) -> str:
        return text

    def check(self, value: Any) -> Any:
        if not isinstance(value, str) or value not in self.choices:
            raise ValueError
        return value


@dataclass(frozen=True)
class Texts:
    """A text, or up to `most` of them."""

    most: int
    repeated = True
    metavar = "TEXT"

    @property
    def range(self) -> str:
        return f"a text, or 1 to {self.most} texts, none of them empty"

    def read(self, text: str) -> list[str]:
        return [text]

    def check(self, value: Any) -> list[str]:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list | tuple) or not 1 <= len(texts) <= self.most:
            raise ValueError
        if not all(isinstance(text, str) and text for text in texts):
            raise ValueError
        return list(_sendable(list(texts)))

    def joined(self, before: Any, value: Any) -> Any:
        return [*(before or ()), *value]


@dataclass(frozen=True)
class RawFields:
    """Fields of the request's body as they are, but for those that the request sets itself."""

    reserved: frozenset[str]
    repeated = True
    metavar = "KEY=JSON"

    @property
    def range(self) -> str:
        return f"fields as key=json (none of {', '.join(sorted(self.reserved))})"

    def read(self, text: str) -> dict[str, Any]:
        name, equals, written = text.partition("=")
        if not equals:
            raise ValueError
        try:
            return {name: json.loads(written)}
        except RecursionError:
            raise ValueError from None

    def check(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not all(isinstance(n, str) and n for n in value):
            raise ValueError
        if self.reserved.intersection(value):
            raise ValueError
        fields: dict[str, Any] = _sendable(dict(value))
        return fields

    def joined(self, before: Any, value: Any) -> Any:
        before = before or {}
        if twice := set(before).intersection(value):
            raise ValueError(f"{', '.join(twice)} is given twice")
        return {**before, **value}


def _sendable(value: Any) -> Any:
    """A copy of the value as JSON carries it. Raises ValueError for what it cannot carry."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, RecursionError):
        raise ValueError from None
    text.encode()  # a lone surrogate is a ValueError, too
    return json.loads(text)
