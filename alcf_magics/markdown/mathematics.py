"""The mathematics of a Markdown text, kept whole for Jupyter's typesetter. Pure.

It is found before Markdown is parsed, outside of code, and a word of letters and digits stands for
each piece meanwhile. Whatever is not mathematics is kept from the typesetter, which reads the whole
page: each literal dollar or backslash stands in an element of its own, across which MathJax never
matches.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import html
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin

MAX_MATHEMATICS = 10_000
"""Characters between delimiters; what is longer is text, so that one stray `\\[` ends somewhere."""
MAX_NESTING = 60
"""Blocks inside blocks that the parser follows."""

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

_WORD = re.compile(r"(?P<key>alcfm[0-9a-f]{32}x)(?P<number>[0-9]{1,6})z")
_GUARDED = re.compile(r"\$`[^`$\n]+`\$")
_MARK = re.compile(r"\\(?:(?P<env>begin|end)\{(?P<name>[A-Za-z]+\*?)\}|[^\n])|\$+|`+")
_HAS_MATHEMATICS = re.compile(r"\$|\\[(\[b]")
_BACKTICKS = re.compile("`+")
_TEX_SIGN = re.compile(r"[\\^_={}<>+*|]")
_PROSE = re.compile(r"[^\W\d_]{2,}")
_PROSE_WORDS = re.compile(r"\b[^\W\d_]{3,}+\W++[^\W\d_]{3}")
_NOT_AFTER_DOLLAR = frozenset("),.:;!?/'\"")
_NAME_START = re.compile(r"[A-Za-z_]")
_ENDS_BEFORE_NAME = re.compile(r"[0-9A-Za-z)\]}']\Z")
_AMOUNTS = re.compile(r"[0-9][0-9.,]*[kKmMbB]?\s*\|(?:.*\|)?\s*[0-9][0-9.,]*[kKmMbB]?", re.S)
_AMOUNT_BEFORE = re.compile(r"[0-9][kKmMbB]?\Z")
_TEX_CODE = re.compile(r"[\\^]")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_SPACED = re.compile(r" +(?! )(?=.*(?:\\[A-Za-z]|[\^_])).*[^ ] +")
_ELLIPSIS = re.compile(r"[\s.…]*")
_TEX = re.compile(r"[\\^_{}]")
_QUOTE_PREFIX = re.compile(r"[ ]{0,3}(?:>[ ]?)+")

# TeX that reaches out of a formula in a typesetter without its "safe" extension (JupyterLab's and
# nbconvert's): links, requests, styles, attributes; and what makes new names, for those or for the
# whole page. By name alone: what stands behind it may come out of a macro. A piece that holds any
# is shown as text.
_REACHES_OUT = re.compile(
    r"\\(?:href|url|class|style|cssId|data|require|autoload|mmlToken|includegraphics|html[A-Za-z]*"
    r"|csname|texttip|mathtip|toggle|enclose|unicode|bbox|[gex]?def|let|futurelet"
    r"|(?:re)?newcommand|providecommand|(?:re)?newenvironment|DeclareMathOperator|DeclarePaired\w*"
    r"|Newextarrow|definecolor|tooltip)(?![A-Za-z])"
)


@dataclass(frozen=True)
class Masked:
    """A text in which a word stands for each piece of mathematics."""

    text: str
    key: str
    pieces: list[str] = field(default_factory=list)
    shifts: list[tuple[int, int]] = field(default_factory=list)
    """Offsets after each piece: in the masked text, in the source."""
    undecided: int | None = None
    """Offset of the first delimiter whose end may still come."""
    raw: list[Token] | None = None
    """The blocks of the source itself, if it holds mathematics."""

    def source_offset(self, offset: int) -> int:
        index = bisect.bisect_right(self.shifts, (offset, len(self.text) + (1 << 60))) - 1
        if index < 0:
            return offset
        covered, source = self.shifts[index]
        return source + offset - covered

    def restored(self, body: str, escape: Callable[[str], str]) -> str:
        if not self.pieces:
            return body
        return _WORD.sub(lambda word: self._piece(word, escape), body)

    def word_for(self, piece: str) -> str:
        """A word for a piece that stands elsewhere and is used in this text."""
        self.pieces.append(piece)
        return f"{self.key}{len(self.pieces) - 1}z"

    def _piece(self, word: re.Match[str], escape: Callable[[str], str]) -> str:
        number = int(word["number"])
        if word["key"] != self.key or number >= len(self.pieces):
            return word.group()
        return escape(self.pieces[number])


def mask(text: str) -> Masked:
    """The text with a word in place of each piece of mathematics."""
    key = _key(text)
    if not _HAS_MATHEMATICS.search(text):
        return Masked(text, key)
    try:
        raw: list[Token] = _blocks().parse(text)
    except RecursionError:
        return Masked(text, key)
    scan = _Scan(text, raw)
    parts: list[str] = []
    pieces: list[str] = []
    shifts: list[tuple[int, int]] = []
    position = length = 0
    for start, end in scan.found():
        word = f"{key}{len(pieces)}z"
        parts += [text[position:start], word]
        length += start - position + len(word)
        position = end
        shifts.append((length, end))
        pieces.append(scan.piece(start, end))
    parts.append(text[position:])
    return Masked("".join(parts), key, pieces, shifts, scan.undecided, raw)


def _key(text: str) -> str:
    """A word that the text does not spell, not even by entities or escapes that are read later:
    it would have to hold its own hash. Letters and digits come through every rule of Markdown.
    """
    return f"alcfm{hashlib.sha256(text.encode()).hexdigest()[:32]}x"


class _Scan:
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
        for token in raw:
            if token.map is None:
                continue
            first, last = token.map
            borders.add(offset(first))
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
        if what == "$$" and (_reads_as_words(content) or self._is_money(start + 2, end, end + 2)):
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
        """`$` opens before a non-space, closes after one and not before a digit.

        `number` is that of the mark with the `$` at `start`; so is what is returned.
        """
        text = self._text
        following = text[start + 1 : start + 2]
        if not following or following in "\t\n" or following in _NOT_AFTER_DOLLAR:
            return None
        spaced = following == " "  # as in `$ \alpha $`: only if it looks like TeX
        for later in range(number + 1, len(self._marks)):
            mark = self._marks[later]
            what = mark.group()
            if what[0] == "`":
                return None
            if what[0] != "$":
                continue
            end = mark.start()
            if len(what) > 2 or text[end - 1].isspace() != spaced:
                return None
            content = text[start + 1 : end]
            if self._crosses_border(start, end) or (spaced and not _SPACED.fullmatch(content)):
                return None
            if (
                self._is_money(start + 1, end, end + 1)
                or _ends_like_a_variable(content, text[end + 1 : end + 2])
                or ("\\" not in content and (_is_unbalanced(content) or _has_bold(content)))
            ):
                return None
            return later
        return None

    def _is_money(self, start: int, end: int, after: int) -> bool:
        """Whether dollars around a content are those of prices."""
        text = self._text
        content = text[start:end]
        if text[after : after + 1].isdigit() and (after == end + 1 or content[0].isdigit()):
            return not _COMMAND.fullmatch(content)  # `$\sim$5` is said of a number
        if _reads_as_amount(content):
            return True
        before = text[max(start - 3, 0) : start - 1]
        if _AMOUNT_BEFORE.search(before) and _AMOUNT_BEFORE.search(content):
            return not _TEX.search(content)
        return "|" in content and _covers_cells(content) and self._is_in_row(start, end)

    def _is_in_row(self, start: int, end: int) -> bool:
        """Whether the line has bars outside of this part of it: it may be a row of a table."""
        line = self._lines[bisect.bisect_right(self._lines, start) - 1]
        line_end = self._text.find("\n", end)
        return (
            self._text.find("|", line, start) >= 0
            or self._text.find("|", end, line_end if line_end >= 0 else len(self._text)) >= 0
        )


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


def _reads_as_amount(content: str) -> bool:
    return (
        content[0].isdigit()
        and " " in content
        and _PROSE.search(content) is not None
        and not _TEX_SIGN.search(content)
    )


def _ends_like_a_variable(content: str, following: str) -> bool:
    """`$HOME/bin:$PATH`, `$A$B`, but not the `$n$th`."""
    if _TEX_CODE.search(content):
        return False
    if following in ("(", "{"):
        return content[-1] in ":/@"
    return _NAME_START.match(following) is not None and (
        not _ENDS_BEFORE_NAME.search(content) or _PROSE.search(content) is not None
    )


def _is_unbalanced(content: str) -> bool:
    """Whether a bracket is open at the end, or closed before; `[0, 1)` and `]0, 1[` are not."""
    depth = lowest = 0
    for bracket in re.findall(r"[()\[\]]", content):
        depth += 1 if bracket in "([" else -1
        lowest = min(lowest, depth)
    return depth != 0 or (lowest < 0 and content[0] != "]")


def _has_bold(content: str) -> bool:
    return "**" in content and "^" not in content


def _covers_cells(content: str) -> bool:
    """Whether bars in a content divide cells of a table, and are no sign of the mathematics."""
    if _AMOUNTS.fullmatch(content):
        return True
    if " | " not in content or re.search(r"[\\^{]", content):
        return False
    return not _is_unbalanced(content.split(" | ", 1)[0])


def _reads_as_words(content: str) -> bool:
    return (
        "\n" not in content
        and _PROSE_WORDS.search(content) is not None
        and not _TEX_SIGN.search(content)
    )


@functools.cache
def _blocks() -> MarkdownIt:
    """Finds blocks only."""
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": MAX_NESTING})
    parser.enable(["table"])
    parser.use(footnote_plugin)
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", text))]


def typeset(piece: str) -> str:
    """A piece as HTML: for the typesetter, or as text if it reaches out of itself."""
    if _REACHES_OUT.search(piece):
        return escaped(piece)
    return f"<span>{html.escape(piece)}</span>"


def escaped(content: str) -> str:
    """Escaped text that the typesetter takes for nothing but text."""
    shown = html.escape(content)
    if "\\" in shown:
        shown = shown.replace("\\", "<span>\\</span>")
    if "$" in shown:
        shown = shown.replace("$", "<span>$</span>")
    return shown
