"""A model's Markdown to HTML that is safe to show: what a model writes is hostile input.

Raw HTML is off, links are http, https or mailto, images become text, and every piece of text is
escaped. Mathematics stays as it was typed, delimiters included, for Jupyter's typesetter: it is
found before Markdown is parsed and stands in for itself as a word of letters and digits meanwhile.
Whatever is not mathematics is kept from the typesetter, which reads the whole page: each literal
dollar or backslash stands in an element of its own, across which MathJax never matches.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import html
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.tasklists import tasklists_plugin

MAX_HIGHLIGHTED = 50_000
"""Characters; longer code is shown without colours."""
MAX_MATHEMATICS = 10_000
"""Characters between delimiters; what is longer is text, so that one stray `\\[` ends somewhere."""
_MAX_HIGHLIGHTED_LINE = 500
_MAX_OPENINGS = 50
_MAX_NESTING = 60
_MAX_OPEN_BRACKETS = 20
_SHOWN_ADDRESS = 200

_SAFE_LINK = re.compile(r"(?:https?://|mailto:)", re.I)
_NEWLINE = re.compile(r"\r\n?")
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff]")


def to_html(text: str, *, highlight: bool = True) -> str:
    """Safe HTML for a whole Markdown text, with the style sheet in front if code has colours."""
    parsed = parse(normalise(text))
    body = parsed.html(highlight=highlight)
    return with_style(body)


def style_sheet() -> str:
    """The `<style>` element with the colours of code, from the variables of Jupyter's theme."""
    rules = "".join(
        f".alcf-code .alcf-{name}{{{declaration}}}" for name, (_, declaration) in _COLOURS.items()
    )
    return f"<style>{rules}</style>\n"


def with_style(body: str) -> str:
    """The body, with the style sheet in front if a code block in it has colours."""
    return style_sheet() + body if '<span class="alcf-' in body else body


def normalise(text: str) -> str:
    """The text with line ends of one kind and without lone surrogates, which no file can hold."""
    if "\r" in text:
        text = _NEWLINE.sub("\n", text)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = _SURROGATE_PAIR.sub(_joined_surrogates, text)
        text = _SURROGATE.sub("\ufffd", text)
    return text


def _joined_surrogates(match: re.Match[str]) -> str:
    return match.group().encode("utf-16", "surrogatepass").decode("utf-16")


# Parsing, in one step for `to_html`, and with the places of the blocks for `growing`.


@dataclass(frozen=True)
class Parsed:
    """A text as tokens, and where in it the top-level blocks start."""

    text: str
    tokens: list[Token] | None
    """None if the parser gave up: the text is shown as it is."""
    env: dict[str, Any]
    masked: Masked

    def html(self, *, highlight: bool) -> str:
        if self.tokens is None:
            return _code_box(_escaped(self.text), "")
        renderer = _renderer()
        env = self.env | {"highlight": highlight, "mathematics": self.masked}
        body = str(renderer.renderer.render(self.tokens, renderer.options, env))
        return self.masked.restored(body, html.escape)

    def starts(self) -> Iterable[tuple[int, str]]:
        """Offset of each top-level block, and the type of the one before it, in this text."""
        if self.tokens is None:
            return
        starts = _line_starts(self.masked.text)
        raw = None if self.masked.raw is None else dict(_top_level(self.masked.raw))
        raw_lines = _line_starts(self.text) if raw is not None else []
        for line, before in _top_level(self.tokens):
            offset = self.masked.source_offset(starts[line])
            if raw is None:
                yield offset, before
            else:
                raw_line = bisect.bisect_right(raw_lines, offset) - 1
                if raw_lines[raw_line] == offset and raw_line in raw:
                    is_list = "list" in before or "list" in raw[raw_line]
                    yield offset, "list" if is_list else before


def parse(text: str) -> Parsed:
    """Parse a normalised text."""
    masked = _masked(text)
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    env: dict[str, Any] = {"docId": digest, "mathematics": masked}
    tokens: list[Token] | None
    try:
        tokens = _renderer().parse(masked.text, env)
    except RecursionError:
        tokens = None
    return Parsed(text, tokens, env, masked)


def _top_level(tokens: Sequence[Token]) -> Iterable[tuple[int, str]]:
    """Line of each top-level block but the first, and the type of the block before it."""
    before = ""
    for token in tokens:
        if token.level == 0 and token.nesting >= 0 and token.map is not None:
            if before:
                yield token.map[0], before
            before = token.type


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", text))]


# Mathematics.

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

_MARK = re.compile(r"\\(?:(?P<env>begin|end)\{(?P<name>[A-Za-z]+\*?)\}|[^\n])|\$+|`+")
_HAS_MATHEMATICS = re.compile(r"\$|\\[(\[b]")
_BACKTICKS = re.compile("`+")
_TEX_SIGN = re.compile(r"[\\^_={}<>+*|]")
_PROSE = re.compile(r"[^\W\d_]{2,}")
_PROSE_WORDS = re.compile(r"\b[^\W\d_]{3,}+\W++[^\W\d_]{3}")
_QUOTE_PREFIX = re.compile(r"[ ]{0,3}(?:>[ ]?)+")

# TeX that reaches out of a formula in a typesetter without its "safe" extension (nbconvert's, for
# one): links, requests, styles, attributes. A piece that holds any is shown as text.
_REACHES_OUT = re.compile(
    r"\\(?:href|url|class|style|cssId|data|require|autoload|mmlToken|includegraphics|html[A-Za-z]*"
    r"|csname|texttip|mathtip)(?![A-Za-z])"
    r"|\\bbox\s{0,20}\[[^\]]{0,200}[:&]|\\unicode\s{0,20}\["
)


@dataclass(frozen=True)
class Masked:
    """A text in which a word stands for each piece of mathematics."""

    text: str
    pieces: list[str] = field(default_factory=list)
    key: str = ""
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
        masked, source = self.shifts[index]
        return source + offset - masked

    def restored(self, body: str, escape: Callable[[str], str]) -> str:
        if not self.pieces:
            return body
        pattern = f"{self.key}([0-9]+)z"
        return re.sub(pattern, lambda match: escape(self.pieces[int(match[1])]), body)


def _masked(text: str) -> Masked:
    if not _HAS_MATHEMATICS.search(text):
        return Masked(text)
    try:
        raw: list[Token] = _blocks().parse(text)
    except RecursionError:
        return Masked(text)
    scan = _Scan(text, raw)
    key = next(key for number in range(10**9) if (key := f"alcfm{number}x") not in text)
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
        pieces.append(scan.without_quote_marks(start, end))
    parts.append(text[position:])
    return Masked("".join(parts), pieces, key, shifts, scan.undecided, raw)


class _Scan:
    """Finds the mathematics of a text in one pass; each lookup is a bisection."""

    def __init__(self, text: str, raw: Sequence[Token]) -> None:
        self._text = text
        lines = _line_starts(text)
        self._lines = lines
        end = len(text)

        def offset(line: int) -> int:
            return lines[line] if line < len(lines) else end

        code: list[tuple[int, int]] = []
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
        self._code = code
        self._borders = sorted(borders)
        marks = list(_MARK.finditer(text))
        self._marks = marks
        self._places: dict[str, list[int]] = {}
        for mark in marks:
            what = mark.group()
            if what in ("\\(", "\\)", "\\[", "\\]", "$$"):
                self._places.setdefault(what, []).append(mark.start())
        self._runs: dict[int, list[int]] = {}
        for run in _BACKTICKS.finditer(text):
            self._runs.setdefault(len(run.group()), []).append(run.start())
        self._ends = _environment_ends(marks)
        self.undecided: int | None = None

    def found(self) -> Iterable[tuple[int, int]]:
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
                end = self._dollar(number)
            elif mark["env"] == "begin" and mark["name"] in _ENVIRONMENTS:
                end = self._environment(start)
            if end is not None and not _REACHES_OUT.search(self._text, start, end):
                resume = end
                yield start, end

    def without_quote_marks(self, start: int, end: int) -> str:
        """The piece; if it stands in a quotation, without the marks that start its lines."""
        piece = self._text[start:end]
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
        if not content.strip():
            return None
        if what == "$$" and _reads_as_words(content):
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
        return end + 2 if self._text[start + 2 : end].strip() else None

    def _dollar(self, number: int) -> int | None:
        """`$` opens before a non-space, closes after one and not before a digit."""
        text = self._text
        start = self._marks[number].start()
        following = text[start + 1 : start + 2]
        if not following or following.isspace():
            return None
        for later in range(number + 1, len(self._marks)):
            mark = self._marks[later]
            what = mark.group()
            if what[0] == "`":
                return None
            if what[0] != "$":
                continue
            end = mark.start()
            content = text[start + 1 : end]
            if what != "$" or content[-1].isspace() or self._crosses_border(start, end):
                return None
            if text[end + 1 : end + 2].isdigit() or _is_money(content):
                return None
            return end + 1
        return None


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


def _is_money(content: str) -> bool:
    return (
        content[0].isdigit()
        and " " in content
        and _PROSE.search(content) is not None
        and not _TEX_SIGN.search(content)
    )


def _reads_as_words(content: str) -> bool:
    return (
        "\n" not in content
        and _PROSE_WORDS.search(content) is not None
        and not _TEX_SIGN.search(content)
    )


# Markdown.


@functools.cache
def _blocks() -> MarkdownIt:
    """Finds blocks only."""
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _MAX_NESTING})
    parser.enable(["table"])
    parser.use(footnote_plugin)
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


@functools.cache
def _renderer() -> MarkdownIt:
    renderer = MarkdownIt("commonmark", {"html": False, "maxNesting": _MAX_NESTING})
    renderer.enable(["table", "strikethrough"])
    renderer.use(footnote_plugin)
    renderer.use(tasklists_plugin)
    # Unsafe ones are taken for links first and shown as text later, see `_unlinked`.
    renderer.validateLink = lambda url: True  # type: ignore[method-assign]
    renderer.core.ruler.after("block", "alcf_depth", _flatten_what_is_too_deep)
    renderer.core.ruler.at("inline", _inline)
    renderer.core.ruler.push("alcf_links", _unlinked)
    renderer.core.ruler.push("alcf_direction", _directions)
    rules: dict[str, Callable[..., str]] = {
        "text": lambda tokens, index, _, env: _text(tokens[index].content, env),
        "image": _image,
        "link_open": _link_open,
        "html_inline": _checkbox,
        "html_block": lambda tokens, index, _, env: _text(tokens[index].content, env),
        "fence": _fence,
        "code_block": _fence,
        "softbreak": lambda *_: "\n",
    }
    renderer.renderer.rules.update(rules)  # type: ignore[attr-defined]
    return renderer


def _flatten_what_is_too_deep(state: StateCore) -> None:
    """The parser drops what is nested too deep; show such a block as it was typed instead."""
    if not any(token.level >= _MAX_NESTING - 1 for token in state.tokens):
        return
    lines = state.src.split("\n")
    kept: list[Token] = []
    block: list[Token] = []
    for token in state.tokens:
        block.append(token)
        if token.level == 0 and token.nesting <= 0:
            place = block[0].map
            if place and any(token.level >= _MAX_NESTING - 1 for token in block):
                content = "\n".join(lines[place[0] : place[1]]) + "\n"
                block = [Token("code_block", "code", 0, content=content, map=place, block=True)]
            kept += block
            block = []
    state.tokens = kept + block


def _inline(state: StateCore) -> None:
    for token in state.tokens:
        if token.type != "inline":
            continue
        token.children = token.children or []
        if _many_open_brackets(token.content):
            token.children.append(Token("text", "", 0, content=token.content))
        else:
            state.md.inline.parse(token.content, state.md, state.env, token.children)


def _many_open_brackets(content: str) -> bool:
    """Whether to leave a block unparsed: each open bracket costs a look at the rest of it."""
    if content.count("[") <= _MAX_OPEN_BRACKETS:
        return False
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]]", content):
        depth = depth + 1 if bracket == "[" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest > _MAX_OPEN_BRACKETS


def _unlinked(state: StateCore) -> None:
    """Show the links that are not allowed much as they were typed, the address as text."""
    for token in state.tokens:
        opened: list[tuple[Token, bool]] = []
        for child in token.children or ():
            if child.type == "link_open":
                safe = _SAFE_LINK.match(str(child.attrs.get("href", ""))) is not None
                opened.append((child, safe))
            elif child.type == "link_close" and opened:
                opening, safe = opened.pop()
                if not safe:
                    before, after = "[", f"]({_address(opening.attrs.get('href', ''))})"
                    if opening.markup == "autolink":
                        before, after = "<", ">"
                    for end, content in ((opening, before), (child, after)):
                        end.type, end.tag, end.nesting, end.content = "text", "", 0, content


def _directions(state: StateCore) -> None:
    """Blocks with right-to-left text take their direction from their own first letter."""
    for index, token in enumerate(state.tokens):
        if token.type == "inline" and _RIGHT_TO_LEFT.search(token.content):
            parents = state.tokens[max(index - 2, 0) : index]
            for parent in reversed(parents):
                parent.attrSet("dir", "auto")
                if not parent.hidden:
                    break


def _address(address: object) -> str:
    shown = str(address)
    return shown if len(shown) <= _SHOWN_ADDRESS else shown[:_SHOWN_ADDRESS] + "…"


def _text(content: str, env: dict[str, Any]) -> str:
    masked: Masked = env["mathematics"]
    return masked.restored(_escaped(content), lambda piece: f"<span>{html.escape(piece)}</span>")


def _escaped(content: str) -> str:
    """Escaped text that the typesetter takes for nothing but text."""
    escaped = html.escape(content)
    if "\\" in escaped:
        escaped = escaped.replace("\\", "<span>\\</span>")
    if "$" in escaped:
        escaped = escaped.replace("$", "<span>$</span>")
    return escaped


def _image(tokens: Sequence[Token], index: int, options: Any, env: dict[str, Any]) -> str:
    """An image is never fetched: that alone could tell someone what the model saw."""
    token = tokens[index]
    renderer = _renderer().renderer
    alternative = renderer.renderInlineAsText(token.children or [], options, env)  # type: ignore[attr-defined]
    return _text(f"[image: {alternative} ({_address(token.attrs.get('src', ''))})]", env)


def _link_open(tokens: Sequence[Token], index: int, *_: Any) -> str:
    attributes = tokens[index].attrs
    address = html.escape(str(attributes.get("href", "")))
    title = attributes.get("title")
    named = f' title="{html.escape(str(title))}"' if title else ""
    return f'<a href="{address}"{named} target="_blank" rel="noopener noreferrer">'


def _checkbox(tokens: Sequence[Token], index: int, *_: Any) -> str:
    """Raw HTML is off: a token of it is the box that the task list plugin made."""
    checked = " checked" if 'checked="checked"' in tokens[index].content else ""
    return f'<input type="checkbox" disabled{checked}>'


# Code.

_BOX = (
    "background:var(--jp-cell-editor-background,rgba(128,128,128,.08));"
    "border:1px solid var(--jp-cell-editor-border-color,rgba(128,128,128,.4));"
    "border-radius:3px;margin:0 0 1em"
)
_HEADER = (
    "padding:2px 8px;font-size:smaller;color:var(--jp-ui-font-color2,#767676);"
    "border-bottom:1px solid var(--jp-cell-editor-border-color,rgba(128,128,128,.4))"
)
_PRE = "margin:0;padding:6px 8px;overflow-x:auto;background:none;border:0"

# Colours that are readable on white and on black stand in where there is no theme of Jupyter's.
_COLOURS: dict[str, tuple[str, str]] = {
    "c": (
        "Comment",
        "color:var(--jp-mirror-editor-comment-color,#6b7f80);font-style:italic",
    ),
    "s": ("Literal.String", "color:var(--jp-mirror-editor-string-color,#c0504d)"),
    "n": ("Literal.Number", "color:var(--jp-mirror-editor-number-color,#2e8555)"),
    "w": ("Operator.Word", "color:var(--jp-mirror-editor-keyword-color,#2f8a2f);font-weight:bold"),
    "o": ("Operator", "color:var(--jp-mirror-editor-operator-color,#a050c8)"),
    "k": ("Keyword", "color:var(--jp-mirror-editor-keyword-color,#2f8a2f);font-weight:bold"),
    "b": ("Name.Builtin", "color:var(--jp-mirror-editor-builtin-color,#2f8a2f)"),
    "d": ("Name.Function", "color:var(--jp-mirror-editor-def-color,#4070e0)"),
    "D": ("Name.Class", "color:var(--jp-mirror-editor-def-color,#4070e0)"),
    "m": ("Name.Decorator", "color:var(--jp-mirror-editor-meta-color,#a050c8)"),
    "t": ("Name.Tag", "color:var(--jp-mirror-editor-tag-color,#2f8a2f)"),
    "a": ("Name.Attribute", "color:var(--jp-mirror-editor-attribute-color,#4070e0)"),
    "v": ("Name.Variable", "color:var(--jp-mirror-editor-variable-2-color,#4070e0)"),
    "p": ("Comment.Preproc", "color:var(--jp-mirror-editor-meta-color,#a050c8)"),
}
"""Class: the token type of Pygments that has it, and its style."""


_LANGUAGES = frozenset(
    [
        *("python", "py", "python3", "ipython", "pycon", "bash", "sh", "shell", "zsh", "console"),
        *("c", "cpp", "c++", "cuda", "cu", "fortran", "f90", "julia", "jl", "r", "matlab"),
        *("octave", "json", "yaml", "yml", "toml", "ini", "cfg", "html", "xml", "css", "sql"),
        *("javascript", "js", "typescript", "ts", "go", "golang", "rust", "rs", "ruby", "rb"),
        *("perl", "php", "tex", "latex", "diff", "cmake", "make", "makefile", "docker"),
        *("dockerfile", "haskell", "lua", "awk", "lisp", "scheme", "clojure", "nasm"),
    ]
)
"""Languages with colours. The model picks the language, and some lexers (Java's, C#'s) take
minutes on what looks like nothing."""

_OPENINGS = (("/*", "*/"), ("<!--", "-->"), ("[=[", "]=]"), ('R"', "\0"))
"""What some lexers look for the end of, each time anew."""


def _may_hang(code: str) -> bool:
    if max(map(len, code.split("\n"))) > _MAX_HIGHLIGHTED_LINE:
        return True
    return any(
        code.count(opening, max(code.rfind(closing), 0)) > _MAX_OPENINGS
        for opening, closing in _OPENINGS
    )


def _fence(tokens: Sequence[Token], index: int, options: Any, env: dict[str, Any]) -> str:
    token = tokens[index]
    masked: Masked = env["mathematics"]
    code = masked.restored(token.content, str)
    words = token.info.split(maxsplit=1)
    language = masked.restored(words[0], str) if words else ""
    coloured = _highlighted(code, language) if env["highlight"] else None
    return _code_box(html.escape(code) if coloured is None else coloured, language)


def _code_box(escaped: str, language: str) -> str:
    name = language[:40]
    header = f'<div style="{_HEADER}">{_escaped(name)}</div>' if name else ""
    pre = f'<pre dir="ltr" style="{_PRE}"><code>{escaped}</code></pre>'
    return f'<div class="alcf-code" style="{_BOX}">{header}{pre}</div>\n'


def _highlighted(code: str, language: str) -> str | None:
    """The code in coloured spans, or None if there is no telling how."""
    if language.lower() not in _LANGUAGES or len(code) > MAX_HIGHLIGHTED:
        return None
    if _may_hang(code):
        return None
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None
    parts: list[str] = []
    length = 0
    run: list[str] = []
    current: str | None = None
    for kind, value in lexer.get_tokens(code):
        name = _class_of(kind)
        length += len(value)
        if name != current and not value.isspace():
            parts.append(_span(current, run))
            run = []
            current = name
        run.append(value)
    parts.append(_span(current, run))
    return "".join(parts) if length == len(code) else None


def _span(name: str | None, run: Sequence[str]) -> str:
    if not run:
        return ""
    escaped = html.escape("".join(run))
    return f'<span class="alcf-{name}">{escaped}</span>' if name else escaped


@functools.cache
def _class_of(kind: Any) -> str | None:
    from pygments.token import string_to_tokentype

    known = {string_to_tokentype(name): key for key, (name, _) in _COLOURS.items()}
    while kind is not None:
        if kind in known:
            return known[kind]
        kind = kind.parent
    return None
