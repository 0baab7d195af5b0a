"""Small tables, as aligned text and as HTML that follows the reader's theme. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from .escaping import escaped

Cell = str | int | float | None


def text_table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Aligned text, a line a row; numbers to the right."""
    numeric = _numeric(len(columns), rows)
    lines = [list(columns), *([shown(cell) for cell in row] for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    )


def html_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    decorate: Sequence[Sequence[str]] | None = None,
    unbroken: Sequence[int] = (),
) -> str:
    """A table without scripts and without colours of its own for text; every cell is escaped.

    `decorate` replaces a row's cells by HTML of the caller's; `unbroken` columns do not wrap.
    """
    numeric = _numeric(len(columns), rows)
    styles = [
        f"text-align:{'right' if right else 'left'}"
        + (";white-space:nowrap" if index in unbroken else "")
        for index, right in enumerate(numeric)
    ]

    def line(tag: str, cells: Sequence[str]) -> str:
        styled = zip(styles, cells, strict=True)
        inner = "".join(f'<{tag} style="{style}">{cell}</{tag}>' for style, cell in styled)
        return f"<tr>{inner}</tr>"

    body = decorate or [[escaped(shown(cell)) for cell in row] for row in rows]
    head = line("th", [escaped(column) for column in columns])
    inner = "".join(line("td", cells) for cells in body)
    return f"<table><thead>{head}</thead><tbody>{inner}</tbody></table>"


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
