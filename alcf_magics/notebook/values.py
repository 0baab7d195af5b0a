"""A value of the notebook as text for a prompt.

No library is imported for it: a value that is a data frame's has brought pandas along.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import linecache
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any

#: Characters of a table, rows and columns of it that are looked at, characters of one cell.
TABLE_CHARACTERS = 8_000
MOST_ROWS = 500
MOST_COLUMNS = 50
CELL_CHARACTERS = 200
#: Numbers of an array that are written out; of a larger one, those at its edges.
MOST_NUMBERS = 60

Hide = Callable[[str], str]


@dataclass(frozen=True)
class ValueText:
    """A value as text, and how much of it that is, in words (`12 of 3,400 rows`)."""

    text: str
    extent: str

    @classmethod
    def of(cls, text: str) -> ValueText:
        """A text that is the whole value."""
        return cls(text, characters(text))


def characters(text: str) -> str:
    """How long a text is, in words."""
    return f"{len(text):,} character{'' if len(text) == 1 else 's'}"


def value_text(value: Any, hide: Hide = str) -> ValueText:
    """A value as a model reads it best.

    Strings as they are; data frames and series as Markdown tables, arrays as a summary,
    exceptions as their traceback, functions and classes as source; else what `str` makes of it.
    `hide` takes out what must not be sent, before anything is cut. Raises what the value raises.
    """
    for applies, shown in _FORMS:
        if applies(value):
            return shown(value, hide)
    return ValueText.of(hide(str(value)))


# Tables


def _is_of(value: Any, module: str, *names: str) -> bool:
    """Whether a value is of such a class, told by its name: nothing is imported."""
    return module in sys.modules and any(
        kind.__name__ in names and kind.__module__.partition(".")[0] == module
        for kind in type(value).__mro__
    )


def _is_frame(value: Any) -> bool:
    return _is_of(value, "pandas", "DataFrame", "Series")


def _table(value: Any, hide: Hide) -> ValueText:
    """A data frame's first rows as a Markdown table, and a line about what was left out."""
    frame = value.to_frame() if value.ndim == 1 else value
    count, width = frame.shape
    head = frame.iloc[:MOST_ROWS, :MOST_COLUMNS]
    # Rows that are only numbered say nothing with their numbers.
    numbered = getattr(frame.index, "start", None) == 0 and not frame.index.name

    def row(cells: Any) -> str:
        return f"| {' | '.join(_cell(cell, hide) for cell in cells)} |"

    names = [] if numbered else [frame.index.name or ""]
    top = [row([*names, *head.columns]), row(["---"] * (len(names) + head.shape[1]))]
    tuples = map(row, head.itertuples(index=not numbered, name=None))
    rows = list(_within(tuples, TABLE_CHARACTERS - sum(map(len, top))))
    extent = _part(len(rows), count, "row")
    if head.shape[1] < width:
        extent += f", {_part(head.shape[1], width, 'column')}"
    about = [f"\n({extent})"] if " of " in extent else []
    return ValueText("\n".join([*top, *rows, *about]), extent)


def _cell(value: Any, hide: Hide) -> str:
    text = " ".join(hide(str(value)).replace("|", "\\|").split())
    return text if len(text) <= CELL_CHARACTERS else f"{text[: CELL_CHARACTERS - 1]}…"


def _within(lines: Iterator[str], limit: int) -> Iterator[str]:
    """The first lines, as many as fit; one at least."""
    first = next(lines, None)
    if first is None:
        return
    yield first
    left = limit - len(first)
    for one in lines:
        left -= len(one) + 1
        if left < 0:
            return
        yield one


def _part(shown: int, there: int, what: str) -> str:
    whole = f"{there:,} {what}{'' if there == 1 else 's'}"
    return whole if shown == there else f"{shown:,} of {whole}"


# Arrays


def _is_array(value: Any) -> bool:
    """An array of numpy's, or one that looks so (torch, jax, xarray, h5py)."""
    shape = getattr(value, "shape", None)
    return isinstance(shape, tuple) and bool(shape) and hasattr(value, "dtype")


def _array(value: Any, hide: Hide) -> ValueText:
    """Shape, dtype, least, greatest and mean, and the numbers, of many those at the edges."""
    shape = " × ".join(f"{size:,}" for size in value.shape)
    about = f"{shape}, {value.dtype}"
    facts = [f"{type(value).__name__} of shape {shape}, dtype {value.dtype}", *_facts(value)]
    return ValueText(f"{'; '.join(facts)}\n{hide(_numbers(value))}", about)


def _facts(value: Any) -> Iterator[str]:
    if 0 in value.shape:
        return
    for name in ("min", "max", "mean"):
        with contextlib.suppress(Exception):  # texts have no mean
            yield f"{name} {getattr(value, name)():.6g}"


def _numbers(value: Any) -> str:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return str(value)
    with numpy.printoptions(threshold=MOST_NUMBERS, edgeitems=3):
        return str(value)


# Errors and code


def _is_error(value: Any) -> bool:
    return isinstance(value, BaseException)


def _error(value: BaseException, hide: Hide) -> ValueText:
    return ValueText.of(hide("".join(traceback.format_exception(value)).rstrip("\n")))


def _is_code(value: Any) -> bool:
    return isinstance(value, type | FunctionType | MethodType)


def _code(value: Any, hide: Hide) -> ValueText:
    """The source; where there is none, the value's name and what it says of itself."""
    source = ""
    with contextlib.suppress(OSError, TypeError):
        source = inspect.getsource(value)
    if not source and isinstance(value, type):
        source = _class_in_a_cell(value.__qualname__)
    return ValueText.of(hide(textwrap.dedent(source).rstrip("\n") or _described(value)))


def _class_in_a_cell(name: str) -> str:
    """The source of a class that a cell defined: `inspect` asks for a file, and there is none."""
    for file, entry in reversed(linecache.cache.items()):
        # Cells are kept without a time: nobody may look whether the file has changed.
        if len(entry) == 4 and entry[1] is None and f"class {name}" in "".join(entry[2]):
            source = "".join(linecache.getlines(file))
            with contextlib.suppress(SyntaxError):
                for node in ast.walk(ast.parse(source)):
                    if isinstance(node, ast.ClassDef) and node.name == name:
                        return ast.get_source_segment(source, node) or ""
    return ""


def _described(value: Any) -> str:
    signature = ""
    with contextlib.suppress(TypeError, ValueError):
        signature = str(inspect.signature(value))
    return f"{value.__qualname__}{signature}\n{inspect.getdoc(value) or ''}".rstrip("\n")


_Form = tuple[Callable[[Any], bool], Callable[[Any, Hide], ValueText]]
#: How values are shown that are no plain text: the first form that applies.
_FORMS: tuple[_Form, ...] = (
    (_is_frame, _table),
    (_is_error, _error),
    (_is_code, _code),
    (_is_array, _array),
)
