"""What a person may set of a request: one table, read by the options, `ask` and the request. Pure.

A new field is one row. The names on the wire are OpenAI's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Parameter:
    """One field of a chat request.

    `name` is what Python calls it, `wire` the field that is sent, `flags` the options of the
    magic, `kind` what the value is, between `low` and `high` or one of `choices`. `needs` is what
    a model must have for it to mean anything: a field of Capabilities.
    """

    name: str
    wire: str
    flags: tuple[str, ...]
    help: str
    kind: type = float
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    needs: str = ""

    @property
    def range(self) -> str:
        """What a value may be, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        what = "a whole number" if self.kind is int else "a number"
        if self.high == math.inf:
            return f"{what}, {self.low:g} or more"
        return f"{what} from {self.low:g} to {self.high:g}"

    @property
    def metavar(self) -> str:
        """The value in `--help`."""
        if self.choices:
            return "|".join(self.choices)
        return "N" if self.high == math.inf else f"{self.low:g}..{self.high:g}"

    def parsed(self, text: str) -> Any:
        """The value that a person typed. Raises ValueError with the range in words."""
        try:
            return self.checked(text if self.kind is str else self.kind(text))
        except ValueError:
            raise ValueError(f"{self.range}, not {text!r}") from None

    def checked(self, value: object) -> Any:
        """A value as it is sent. Raises ValueError with the range in words."""
        good = (
            value in self.choices
            if self.choices
            else isinstance(value, int if self.kind is int else int | float)
            and not isinstance(value, bool)
            and self.low <= value <= self.high
        )
        if not good:
            raise ValueError(f"{self.range}, not {value!r:.60}")
        return value


PARAMETERS = (
    Parameter(
        "temperature",
        "temperature",
        ("-t", "--temperature"),
        "sampling",
        low=0,
        high=2,
    ),
    Parameter(
        "max_tokens",
        "max_tokens",
        ("--max-tokens",),
        "longest answer, in tokens",
        kind=int,
        low=1,
    ),
    Parameter(
        "effort",
        "reasoning_effort",
        ("--effort",),
        "how much a reasoning model reasons",
        kind=str,
        choices=("low", "medium", "high"),
        needs="reasoning",
    ),
)
BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}


def on_the_wire(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields to send for values by their Python names; what is None is not sent.

    Raises TypeError for a name that is none, ValueError for a value out of range: each says so.
    """
    fields = {}
    for name, value in values.items():
        if name not in BY_NAME:
            raise TypeError(f"no such parameter: {name} (there are {', '.join(BY_NAME)})")
        if value is not None:
            try:
                fields[BY_NAME[name].wire] = BY_NAME[name].checked(value)
            except ValueError as error:
                raise ValueError(f"{name} is {error}") from None
    return fields
