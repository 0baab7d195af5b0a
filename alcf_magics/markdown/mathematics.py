"""Which parts of a text are mathematics. Pure.

It is found before Markdown is parsed, outside of code: between delimiters, in environments, and
between dollars that are none of prices, variables or cells.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from . import dollars
from .tex import MAX_MATHEMATICS

if TYPE_CHECKING:
    from markdown_it.token import Token

_ENVIRONMENTS = frozenset(
    name + star
    for name in [
        *("align", "alignat", "aligned", "alignedat", "array", "bmatrix", "Bmatrix", "cases"),
        *("CD", "dcases", "eqnarray", "equation", "flalign", "gather", "gathered", "matrix"),
        *("multline", "multlined", "numcases", "pmatrix", "prooftree", "rcases", "smallmatrix"),
        *("split", "subarray", "subequations", "vmatrix", "Vmatrix", "xalignat"),
    ]
    for star in ("", "*")
)
"""Environments that MathJax knows."""

_GUARDED = re.compile(r"\$`[^`$\n]+`\$")
_MARK = re.compile(r"\\(?:(?P<env>begin|end)\{(?P<name>[A-Za-z]+\*?)\}|[^\n])|\$+|`+")
_BACKTICKS = re.compile("`+")
_AMOUNT_BEFORE = re.compile(r"[0-9][kKmMbB]?\Z")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_BAR = re.compile(r"(?<!\\)\|")
_ELLIPSIS = re.compile(r"[\s.…]*")
_TEX = re.compile(r"[\\^_{}]")
_QUOTE_PREFIX = re.compile(r"[ ]{0,3}(?:>[ ]?)+")


class Scan:
    """Finds the mathematics of a text in one pass; each lookup is a bisection."""

    def __init__(self, text: str, raw: Sequence[Token]) -> None:
        self._text = text
        lines = line_starts(text)
        self._lines = lines
        end = len(text)

        def offset(line: int) -> int:
            return lines[line] if line < len(lines) else end

        code: list[tuple[int, int]] = []
        self._code = code
        borders = {match.start() + 1 for match in re.finditer(r"\n(?=[ \t>]*(?:\n|\Z))", text)}
        self._fences: list[int] = []
        self._rows: dict[int, bool] = {}  # line: whether its bars make a full row
        for token in raw:
            if token.map is None:
                continue
            first, last = token.map
            borders.add(offset(first))
            if token.type == "table_open":
                self._rows.update((line, line in token.meta["full"]) for line in range(first, last))
            if token.type in ("fence", "code_block"):
                code.append((offset(first), offset(last)))
                if token.type == "fence":
                    self._fences.append(offset(first))
        if self._fences and text.find("\n", self._fences[-1]) < 0:
            self._fences.pop()  # the last line may still turn out to be no fence
        self._borders = sorted(borders)
        marks = list(_MARK.finditer(text))
        self._marks = marks
        self._runs: dict[int, list[int]] = {}
        for run in _BACKTICKS.finditer(text):
            self._runs.setdefault(len(run.group()), []).append(run.start())
        self._places: dict[str, list[int]] = {}
        outside = list(self._outside_code_spans())
        for mark in outside:
            what = mark.group()
            if what in ("\\(", "\\)", "\\[", "\\]", "$$"):
                self._places.setdefault(what, []).append(mark.start())
        self._ends = _environment_ends(outside)
        self.undecided: int | None = None

    def found(self) -> Iterable[tuple[int, int]]:
        """Where the pieces are, also those that are not for the typesetter: what stands between
        two of them must not be taken for one."""
        resume = 0
        code = iter([*self._code, (len(self._text) + 1, len(self._text) + 1)])
        code_start, code_end = next(code)
        for number, mark in enumerate(self._marks):
            start = mark.start()
            while start >= code_end:
                code_start, code_end = next(code)
            if start < resume or start >= code_start:
                continue
            what = mark.group()
            end = None
            if what[0] == "`":
                resume = self._after_code_span(mark)
            elif what in ("\\[", "$$"):
                end = self._display(start, what)
            elif what == "\\(":
                end = self._inline(start)
            elif what == "$":
                for formula in self._dollars(number):
                    resume = formula[1]
                    yield formula
                continue
            elif mark["env"] == "begin" and mark["name"] in _ENVIRONMENTS:
                end = self._environment(start)
            if end is not None:
                resume = end
                yield start, end

    def piece(self, start: int, end: int) -> str:
        """The piece without backticks that guard it, or marks of a quotation in its lines."""
        piece = self._text[start:end]
        if piece.startswith("$`"):
            return f"${piece[2:-2]}$"
        if "\n" not in piece:
            return piece
        line = self._lines[bisect.bisect_right(self._lines, start) - 1]
        prefix = _QUOTE_PREFIX.match(self._text, line, start)
        if prefix is None:
            return piece
        depth = prefix.group().count(">")
        mark = re.compile(rf"\n[ ]{{0,3}}(?:>[ ]?){{1,{min(depth, 1000)}}}")
        return mark.sub("\n", piece)

    def _next(self, places: Sequence[int], after: int) -> int | None:
        index = bisect.bisect_left(places, after)
        return places[index] if index < len(places) else None

    def _outside_code_spans(self) -> Iterable[re.Match[str]]:
        """The marks without those in code spans: there, nothing ends a formula."""
        resume = 0
        for mark in self._marks:
            if mark.start() >= resume:
                yield mark
                if mark.group()[0] == "`":
                    resume = self._after_code_span(mark)

    def _after_code_span(self, mark: re.Match[str]) -> int:
        start = self._next(self._runs.get(len(mark.group()), []), mark.end())
        if start is None or self._crosses_border(mark.start(), start):
            return mark.end()
        return start + len(mark.group())

    def _crosses_border(self, start: int, end: int) -> bool:
        border = self._next(self._borders, start + 1)
        return border is not None and border <= end

    def _open(self, start: int, limit: int) -> None:
        """Note a delimiter that text still to come may close."""
        if self.undecided is None and limit >= len(self._text):
            self.undecided = start

    def _limit(self, start: int) -> int:
        """Where a display ends at the latest: it never reaches over the start of a fence."""
        limit = start + MAX_MATHEMATICS
        fence = self._next(self._fences, start)
        return limit if fence is None else min(limit, fence)

    def _display(self, start: int, what: str) -> int | None:
        limit = self._limit(start)
        closing = "\\]" if what == "\\[" else "$$"
        end = self._next(self._places.get(closing, []), start + 2)
        again = self._next(self._places.get("\\[", []), start + 2) if what == "\\[" else None
        if again is not None and (end is None or again < end):
            return None
        if end is None:
            self._open(start, limit)
            return None
        if end + 2 > limit:
            return None
        content = self._text[start + 2 : end]
        if _ELLIPSIS.fullmatch(content):
            return None
        if what == "$$" and (
            dollars.reads_as_words(content) or self._is_money(start + 2, end, end + 2)
        ):
            return None
        return end + 2

    def _environment(self, start: int) -> int | None:
        limit = self._limit(start)
        end = self._ends.get(start)
        if end is None:
            self._open(start, limit)
            return None
        return end if end <= limit else None

    def _inline(self, start: int) -> int | None:
        end = self._next(self._places.get("\\)", []), start + 2)
        again = self._next(self._places.get("\\(", []), start + 2)
        if end is None or (again is not None and again < end) or self._crosses_border(start, end):
            return None
        return None if _ELLIPSIS.fullmatch(self._text, start + 2, end) else end + 2

    def _dollars(self, number: int) -> list[tuple[int, int]]:
        """The formula that a `$` opens, and those that follow it with nothing in between."""
        start = self._marks[number].start()
        if guarded := _GUARDED.match(self._text, start):
            return [guarded.span()]
        formulas: list[tuple[int, int]] = []
        while (closing := self._closing_dollar(start, number)) is not None:
            mark = self._marks[closing]
            formulas.append((start, mark.start() + 1))
            if mark.group() == "$":
                return formulas
            start, number = mark.start() + 1, closing
        return []

    def _closing_dollar(self, start: int, number: int) -> int | None:
        """The mark that closes what the `$` at `start` opens; `number` is that of its own mark."""
        text = self._text
        if not dollars.opens(text, start):
            return None
        for later in range(number + 1, len(self._marks)):
            mark = self._marks[later]
            what = mark.group()
            if what[0] == "`":
                return None
            if what[0] == "$":
                end = mark.start()
                closes = len(what) <= 2 and not self._crosses_border(start, end)
                return later if closes and self._holds_a_formula(start + 1, end) else None
        return None

    def _holds_a_formula(self, start: int, end: int) -> bool:
        """Whether a formula stands between single dollars."""
        content = self._text[start:end]
        following = self._text[end + 1 : end + 25]
        return (
            dollars.is_spaced_well(content)
            and not self._is_money(start, end, end + 1)
            and not dollars.ends_like_a_variable(content, following)
            and (
                "\\" in content or not (dollars.is_unbalanced(content) or dollars.has_bold(content))
            )
        )

    def _is_money(self, start: int, end: int, after: int) -> bool:
        """Whether dollars around a content are those of prices, or stand in two cells."""
        text = self._text
        content = text[start:end]
        if text[after : after + 1].isdigit() and (after == end + 1 or content[0].isdigit()):
            return not _COMMAND.fullmatch(content)  # `$\sim$5` is said of a number
        if dollars.reads_as_amount(content) or dollars.meets_amount(
            content, text[after : after + 3]
        ):
            return True
        before = text[max(start - 3, 0) : start - 1]
        if _AMOUNT_BEFORE.search(before) and _AMOUNT_BEFORE.search(content):
            return not _TEX.search(content)
        return _BAR.search(content) is not None and self._divides_cells(start, content)

    def _divides_cells(self, start: int, content: str) -> bool:
        """Whether bars in a content are those of a table. They are if that makes the row full."""
        row_is_full = self._rows.get(bisect.bisect_right(self._lines, start) - 1)
        return row_is_full or (row_is_full is not None and dollars.covers_cells(content))


def _environment_ends(marks: Iterable[re.Match[str]]) -> dict[int, int]:
    """Offset of each `\\begin{x}` to that after its `\\end{x}`."""
    open_ones: dict[str, list[int]] = {}
    ends: dict[int, int] = {}
    for mark in marks:
        if mark["env"] == "begin":
            open_ones.setdefault(mark["name"], []).append(mark.start())
        elif mark["env"] == "end" and open_ones.get(mark["name"]):
            ends[open_ones[mark["name"]].pop()] = mark.end()
    return ends


def line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", text))]
