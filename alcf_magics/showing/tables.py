"""Small tables, as aligned text and as HTML that follows the reader's theme. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest

from .escaping import escaped
from .widths import GAP, MOST_WIDTH, Column, fitted, folded, measured, width

Cell = str | int | float | None

#: The width of 700 pixels in JupyterLab, less the output's padding and what bold headings take
#: more; a cell's padding; and a letter's width: all in the size of the tables' letters.
PAGE_EMS = 50.0
PADDING_EMS = 1.0
LETTER_EMS = 0.57
#: Letters of a long word that are kept together, where a page is narrower than that.
LEAST_KEPT = 24


def text_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    unbroken: Sequence[int] = (),
    most: int = MOST_WIDTH,
) -> str:
    """Aligned text of at most `most` columns; numbers to the right.

    A row takes a line, or more where its texts have to be folded; those of the `unbroken` columns
    as a last resort. Nothing is cut.
    """
    numeric = _numeric(len(columns), rows)
    lines = [[shown(cell) for cell in row] for row in rows]
    measures = _measured(columns, lines, unbroken)
    gap = _gap(measures, most)
    widths = fitted(measures, most - len(gap) * (len(columns) - 1))
    table = [list(columns), *lines] if any(columns) else lines
    return "\n".join(text for line in table for text in _text_row(line, widths, numeric, gap))


def text_rows(rows: Sequence[tuple[str, str]]) -> str:
    """The same of names and their values, without a heading."""
    return text_table(("", ""), rows, unbroken=(0,))


def text_lines(lines: Iterable[str]) -> str:
    """Lines about a table, none wider than it."""
    return "\n".join(part for line in lines for part in folded(line))


def _gap(columns: Sequence[Column], most: int) -> str:
    """What stands between two columns: less where that saves a table from being folded."""
    texts, between = sum(column.natural for column in columns), len(columns) - 1
    return " " * (1 if texts + between <= most < texts + GAP * between else GAP)


def _text_row(
    cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool], gap: str
) -> list[str]:
    """A row as lines: each cell is folded into its column."""
    parts = [folded(cell, size) for cell, size in zip(cells, widths, strict=True)]
    return [
        gap.join(_padded(*cell) for cell in zip(line, widths, numeric, strict=True)).rstrip()
        for line in zip_longest(*parts, fillvalue="")
    ]


def _padded(text: str, size: int, right: bool) -> str:
    space = " " * (size - width(text))
    return space + text if right else text + space


def _measured(
    columns: Sequence[str], lines: Sequence[Sequence[str]], unbroken: Sequence[int]
) -> list[Column]:
    return [
        measured([heading, *(line[n] for line in lines)], whole=n in unbroken)
        for n, heading in enumerate(columns)
    ]


def html_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    decorate: Sequence[Sequence[str]] | None = None,
    unbroken: Sequence[int] = (),
) -> str:
    """A table without scripts and without colours of its own for text; every cell is escaped.

    `decorate` replaces a row's cells by HTML of the caller's; `unbroken` columns wrap after the
    others. It fits into an output of 700 pixels, and nothing is cut.
    """
    numeric = _numeric(len(columns), rows)
    texts = [[shown(cell) for cell in row] for row in rows]
    styles = _breaking(_measured(columns, texts, unbroken))

    def line(tag: str, cells: Sequence[str], styles: Sequence[str]) -> str:
        styled = zip(styles, cells, strict=True)
        inner = "".join(f'<{tag} style="{style}">{cell}</{tag}>' for style, cell in styled)
        return f"<tr>{inner}</tr>"

    aligned = [f"text-align:{'right' if right else 'left'}" for right in numeric]
    broken = [align + style for align, style in zip(aligned, styles, strict=True)]
    body = decorate or [[escaped(text) for text in row] for row in texts]
    head = line("th", [escaped(column) for column in columns], aligned)
    inner = "".join(line("td", cells, broken) for cells in body)
    return f"<table><thead>{head}</thead><tbody>{inner}</tbody></table>"


def _breaking(columns: Sequence[Column]) -> list[str]:
    """How each column's cells are broken, by the width that they would have as text.

    Where the page is wider, so is the column, and nothing is broken.
    """
    room = int((PAGE_EMS - PADDING_EMS * len(columns)) / LETTER_EMS)
    return [_style(*column) for column in zip(columns, fitted(columns, room), strict=True)]


def _style(column: Column, size: int) -> str:
    least = size if column.whole else min(size, column.word, LEAST_KEPT)
    anywhere = ";overflow-wrap:anywhere" if column.long or column.word > size else ""
    return f"{anywhere};min-width:{least * LETTER_EMS:.1f}em"


def shown(cell: Cell) -> str:
    """A cell as text: numbers with separators, nothing for None."""
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, int | float) else str(cell)


def _numeric(count: int, rows: Sequence[Sequence[Cell]]) -> list[bool]:
    """Which columns hold numbers (and perhaps gaps)."""
    return [
        any(row[index] is not None for row in rows)
        and all(row[index] is None or isinstance(row[index], int | float) for row in rows)
        for index in range(count)
    ]
