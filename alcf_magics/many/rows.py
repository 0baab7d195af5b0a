"""Rows of data as prompts, each made when it is needed. Pure.

    rows_of(["one prompt", "another"])
    rows_of(frame, "Classify: {{abstract}}")

A template names columns, and nothing else: never the notebook's names. No library is imported for
a table; one that comes has brought its library along.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from ..errors import RequestRefused
from ..gateway.chat import Message
from ..text import line

#: What one request asks: a text, or messages as OpenAI has them.
Prompt = str | Sequence[Message | Mapping[str, Any]]

#: Prompts that are on their way at once, unless it is said otherwise.
IN_FLIGHT = 64

_PLACE = re.compile(r"\{\{\s*(?P<inner>[^{}\n]+?)\s*\}\}")
#: What begins as a name does: whoever typed it meant a column.
_NAMED = re.compile(r"[^\W\d]")
_SHAPES = (
    "Give a list or Series of prompts or of message lists, or a table or a list of dicts and a "
    "template: map(frame, 'Classify: {{abstract}}')"
)


class Rows(Sequence[Prompt]):
    """The prompts of some data, in its order. `data_index` is the data's own, None for numbers.

    An item is made anew at each use. Raises RequestRefused for a row that has nothing to ask.
    """

    def __init__(self, prompts: Callable[[int], Prompt], count: int, index: Any = None) -> None:
        self._prompt = prompts
        self._count = count
        self.data_index = index

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, position: Any) -> Any:
        if isinstance(position, slice):
            return [self._prompt(n) for n in range(*position.indices(self._count))]
        if not -self._count <= position < self._count:
            raise IndexError(position)
        return self._prompt(position % self._count)


def rows_of(data: Any, template: str | None = None) -> Rows:
    """The prompts of data: as they are, or what a template makes of each row of a table.

    Raises UsageError for data and a template that do not go together, and for whatever is wrong
    with the template, of any row.
    """
    if isinstance(data, str | bytes | Mapping) or not isinstance(data, Iterable):
        raise _misuse(f"This is no list of prompts: {type(data).__name__}.", _SHAPES)
    if template is not None and not isinstance(template, str):
        raise _misuse(f"A template is a text, not {type(template).__name__}.", _SHAPES)
    frame: Any = data
    if hasattr(frame, "columns"):
        return _filled(_columns_of_frame(frame), len(frame), _index_of(frame), template)
    values = list(data)
    if values and all(isinstance(value, Mapping) for value in values):
        return _filled(_columns_of_dicts(values), len(values), _index_of(data), template, values)
    return _plain(values, _index_of(data), template)


def _index_of(data: Any) -> Any:
    return data.index if hasattr(data, "iloc") else None


# Prompts as they are


def _plain(values: list[Any], index: Any, template: str | None) -> Rows:
    if template is not None and values:
        raise _misuse(
            "A template goes with the columns of a table, and these are texts without any.",
            "Put them in yourself: map([f'Classify: {text}' for text in texts])",
        )
    for number, value in enumerate(values):
        if not (isinstance(value, str | list | tuple) or _is_gap(value)):
            raise _misuse(f"Number {number} is no prompt: {type(value).__name__}.", _SHAPES)

    def prompt(number: int) -> Prompt:
        value: Prompt = values[number]
        if _is_gap(value):
            raise RequestRefused(f"Number {number} has no prompt.", "Nothing was sent for it.")
        # An array's texts are of a type of their own.
        return str(value) if isinstance(value, str) else value

    return Rows(prompt, len(values), index)


# What a template makes of a table


@dataclass(frozen=True)
class _Place:
    """Where a column goes, and the format that its values get there."""

    column: str
    spec: str = ""


#: The values of a column, by its name.
_Columns = Mapping[str, Sequence[Any]]


def _filled(
    columns: _Columns, count: int, index: Any, template: str | None, dicts: Sequence[Any] = ()
) -> Rows:
    if template is None:
        raise _no_template(dicts)
    parts = _parts(template, columns) if columns or count else []
    used = {part.column: columns[part.column] for part in parts if isinstance(part, _Place)}

    def prompt(number: int) -> str:
        return "".join(
            part if isinstance(part, str) else _value(part, used[part.column][number], number)
            for part in parts
        )

    for number in range(count):
        _check(prompt, number)
    return Rows(prompt, count, index)


def _no_template(dicts: Sequence[Any]) -> Exception:
    if dicts and all("role" in row and "content" in row for row in dicts):
        what = "These are the messages of one chat, and a list of such lists is needed."
        return _misuse(what, "Put them in a list: map([messages])")
    return _misuse(
        "A table needs a template that says what to ask of each row.",
        "Give one, with columns by name: map(frame, 'Classify: {{abstract}}')",
    )


def _check(prompt: Callable[[int], str], number: int) -> None:
    """Whether a row can be filled in. A gap in it is the row's own trouble, not the template's."""
    try:
        prompt(number)
        return
    except RequestRefused:
        return
    except Exception as error:  # a format, a value's own text: whatever they raise
        wrong = f"{type(error).__name__}: {error}"
    raise _misuse(f"The template does not fit row {number}: {line(wrong, 200)}.", _AS_THEY_ARE)


_AS_THEY_ARE = "Nothing was sent. A list of finished prompts goes without a template."


def _parts(template: str, columns: _Columns) -> list[str | _Place]:
    """The template in pieces. Raises UsageError for a column that is none."""
    parts: list[str | _Place] = []
    end = 0
    for match in _PLACE.finditer(template):
        place = _place(match["inner"], columns)
        if place is not None:
            parts += [template[end : match.start()], place]
            end = match.end()
    if not any(isinstance(part, _Place) for part in parts):
        raise _misuse(
            "The template names no column, and would ask the same of every row.",
            f"Name one in double braces: {_names(columns)}",
        )
    return [*parts, template[end:]]


def _place(inner: str, columns: _Columns) -> _Place | None:
    """The column that is meant, and its format; None for what is no name at all."""
    if inner in columns:
        return _Place(inner)
    name, _, spec = inner.rpartition(":")
    if name.rstrip() in columns:
        return _Place(name.rstrip(), spec.strip())
    if not _NAMED.match(inner):
        return None
    raise _misuse(
        f"There is no column {line(inner, 80)!r}.",
        f"Columns: {_names(columns)}. {_AS_THEY_ARE}",
    )


def _names(columns: _Columns) -> str:
    return line(", ".join(f"{{{{{name}}}}}" for name in columns) or "none", 300)


def _value(place: _Place, value: Any, number: int) -> str:
    if _is_gap(value):
        raise RequestRefused(
            f"Row {number} has no value in {place.column}.", "Nothing was sent for it."
        )
    return format(value, place.spec) if place.spec else str(value)


def _columns_of_frame(frame: Any) -> _Columns:
    """The columns of a data frame; a name that stands there twice is nobody's."""
    names = list(frame.columns)
    return {str(name): _Column(frame, name) for name in names if names.count(name) == 1}


class _Column(Sequence[Any]):
    """The values of one column of a data frame, as Python has them, read at first use."""

    def __init__(self, frame: Any, name: Any) -> None:
        self._frame, self._name = frame, name
        self._values: list[Any] | None = None

    def __len__(self) -> int:
        return len(self._frame)

    def __getitem__(self, position: Any) -> Any:
        if self._values is None:
            # A copy: what the frame becomes later is no part of what was asked.
            self._values = self._frame[self._name].to_list()
        return self._values[position]


class _Key(Sequence[Any]):
    """The values of one key of dicts; what lacks it has a gap there, as in a table made of them."""

    def __init__(self, dicts: Sequence[Mapping[Any, Any]], name: Any) -> None:
        self._dicts, self._name = dicts, name

    def __len__(self) -> int:
        return len(self._dicts)

    def __getitem__(self, position: Any) -> Any:
        return self._dicts[position].get(self._name)


def _columns_of_dicts(dicts: Sequence[Mapping[Any, Any]]) -> _Columns:
    names = dict.fromkeys(name for row in dicts for name in row)
    return {str(name): _Key(dicts, name) for name in names}


def _is_gap(value: Any) -> bool:
    """Whether a table has nothing there: None, NaN, NaT, NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, Real) and bool(value != value)


def _misuse(what: str, next_step: str) -> Exception:
    from .misuse import UsageError

    return UsageError(what, next_step)
