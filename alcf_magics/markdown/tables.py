"""Tables of GitHub's Markdown as a block rule, no larger than what was typed. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it.rules_block import StateBlock

MAX_COLUMNS = 200
MAX_CELLS = 20_000
"""What goes beyond either is text."""

_DELIMITERS = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_DELIMITER = re.compile(r"(:?)-+(:?)")
_BAR = re.compile(r"(?<!\\)\|")
_ALIGNMENT = {
    (":", ":"): "text-align:center",
    (":", ""): "text-align:left",
    ("", ":"): "text-align:right",
}


def table(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """A head, a line of delimiters with as many cells, rows. A row's missing cells are one."""
    columns = _columns(state, first, last)
    if not columns:
        return False
    head = _cells(_line(state, first))
    if len(head) != len(columns):
        return False
    if not silent:
        _push(state, first, _end(state, first, last, len(columns)), columns)
    return True


def table_lines(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """Where a table may be, however many cells its head seems to have: bars that divide no cells
    may stand in mathematics."""
    columns = _columns(state, first, last)
    if not columns:
        return False
    if not silent:
        end = _end(state, first, last, len(columns))
        table = state.push("table_open", "table", 1)
        table.map = [first, end]
        table.meta["full"] = {
            line for line in range(first, end) if len(_cells(_line(state, line))) == len(columns)
        }
        state.push("table_close", "table", -1)
        state.line = end
    return True


def _columns(state: StateBlock, first: int, last: int) -> list[str | None]:
    """The style of each column, from the line below the head; none if there is no table here."""
    if first + 2 > last or state.sCount[first + 1] < state.blkIndent:
        return []
    if state.is_code_block(first) or state.is_code_block(first + 1):
        return []
    line = _line(state, first + 1)
    if line.startswith("- ") or len(line) < 2 or not _DELIMITERS.fullmatch(line):
        return []
    if "|" not in _line(state, first):
        return []
    found = _DELIMITER.findall(line)
    return [_ALIGNMENT.get(colons) for colons in found] if len(found) <= MAX_COLUMNS else []


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip(" \t")


def _end(state: StateBlock, first: int, last: int, columns: int) -> int:
    """The line behind the last row."""
    others = state.md.block.ruler.getRules("blockquote")
    for line in range(first + 2, min(last, first + 2 + MAX_CELLS // columns)):
        if (
            state.sCount[line] < state.blkIndent
            or state.isEmpty(line)
            or state.is_code_block(line)
            or any(rule(state, line, last, True) for rule in others)
        ):
            return line
    return min(last, first + 2 + MAX_CELLS // columns)


def _cells(line: str) -> list[str]:
    """What stands between the bars of a line; `\\|` is a bar in a cell."""
    cells = _BAR.split(line)
    if not cells[0]:
        cells.pop(0)
    if cells and not cells[-1]:
        cells.pop()
    return [cell.replace("\\|", "|").strip(" \t") for cell in cells]


def _push(state: StateBlock, first: int, end: int, columns: Sequence[str | None]) -> None:
    state.push("table_open", "table", 1).map = [first, end]
    for part, start, stop in (("thead", first, first + 1), ("tbody", first + 2, end)):
        if start < stop:
            state.push(f"{part}_open", part, 1).map = [start, stop]
            for line in range(start, stop):
                _push_row(state, line, "th" if part == "thead" else "td", columns)
            state.push(f"{part}_close", part, -1)
    state.push("table_close", "table", -1)
    state.line = end


def _push_row(state: StateBlock, line: int, tag: str, columns: Sequence[str | None]) -> None:
    cells = _cells(_line(state, line))[: len(columns)]
    missing = len(columns) - len(cells)
    state.push("tr_open", "tr", 1).map = [line, line + 1]
    for number, cell in enumerate([*cells, ""] if missing else cells):
        opening = state.push(f"{tag}_open", tag, 1)
        if (style := columns[number]) is not None:
            opening.attrs["style"] = style
        if missing > 1 and number == len(cells):
            opening.attrs["colspan"] = missing
        inline = state.push("inline", "", 0)
        inline.map, inline.content, inline.children = [line, line + 1], cell, []
        state.push(f"{tag}_close", tag, -1)
    state.push("tr_close", "tr", -1)
