"""What `--format` makes of an answer: one table, one entry each. Pure.

A format reads the text into `Completion.parsed`, and says how it is shown.
"""

from __future__ import annotations

import contextlib
import html
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from ..errors import AnswerInvalid

#: Characters of an answer that are rendered; what comes behind them is shown as text. What a
#: browser is to typeset, and the memory that the parser takes (some hundred times the text), stay
#: bounded.
RENDERED = 200_000
#: Levels of JSON that are indented. How deep Python itself writes depends on its version.
MAX_DEPTH = 100

_IN_BLOCK = "a code block"
_BETWEEN = "between other words"
_OPENS = re.compile(r"[{\[]")
#: Brackets, and texts in quotes, in which they count for nothing.
_BRACKETS = re.compile(r'[{}\[\]]|"(?:[^"\\]|\\.)*"', re.S)


@dataclass(frozen=True)
class CodeBlock:
    """A code block of an answer, and the language that it names (empty if none)."""

    code: str
    language: str = ""

    def __str__(self) -> str:
        return self.code


@dataclass(frozen=True)
class Format:
    """How a text is read, and how that is shown as safe HTML."""

    help: str
    parse: Callable[[str], Any]
    show: Callable[[str, Any], str]


def code_blocks(text: str) -> tuple[CodeBlock, ...]:
    """Every code block that the rendered Markdown text shows, fenced or indented."""
    from ..markdown.parsing import code_of, normalise, parse

    return tuple(CodeBlock(code, language) for code, language in code_of(parse(normalise(text))))


@dataclass(frozen=True)
class FoundJson:
    """A JSON value of an answer, and where it stood if not alone, in words."""

    value: Any
    where: str = ""


def find_json(text: str) -> FoundJson:
    """The JSON value of an answer: alone, in its first code block with one, or between sentences.

    Raises AnswerInvalid.
    """
    places = [("", text), *((_IN_BLOCK, block.code) for block in code_blocks(text))]
    for where, candidate in places:
        try:
            return FoundJson(_loads(candidate.removeprefix("\ufeff")), where)
        except (ValueError, RecursionError) as error:
            trouble = str(error)
    if (found := longest_json(text)) is not None:
        return FoundJson(_loads(found), _BETWEEN)
    raise AnswerInvalid(
        f"The answer is no valid JSON: {trouble}", "It is kept as it is; ask again, or say how."
    )


def read_json(text: str) -> Any:
    """The same, without its place."""
    return find_json(text).value


def longest_json(text: str) -> str | None:
    """The longest object or array that stands whole between other words.

    What is inside of something broken is no answer, but a part of one.
    """
    longest, position = "", 0
    while match := _OPENS.search(text, position):
        end = _closed(text, match.start())
        if end is None:
            break
        piece, position = text[match.start() : end], end
        with contextlib.suppress(ValueError, RecursionError):
            _loads(piece)
            longest = max(longest, piece, key=len)
    return longest or None


def _closed(text: str, start: int) -> int | None:
    """Where the bracket closes that opens at `start`; None if it never does."""
    depth = 0
    for match in _BRACKETS.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(match.group(), 0)
        if not depth:
            return match.end()
    return None


def _loads(text: str) -> Any:
    """As RFC 8259 has it: Python's reader takes more."""
    return json.loads(text, parse_constant=_no_number, parse_float=_finite)


def _finite(written: str) -> float:
    number = float(written)
    return number if math.isfinite(number) else _no_number(written)


def _no_number(written: str) -> NoReturn:
    raise ValueError(f"{written[:40]} is no number of JSON")


def _markdown(text: str, _: Any) -> str:
    from ..markdown.long_texts import to_bounded_html

    page, left = to_bounded_html(text, RENDERED)
    if not left:
        return page
    return (
        f"{page}<p>(The last {left:,} characters are shown as they came: too much to render.)</p>"
    )


def _plain(text: str, _: Any) -> str:
    return f'<pre style="white-space:pre-wrap">{html.escape(text)}</pre>'


def _pretty(text: str, parsed: Any) -> str:
    code = text.strip()
    if not isinstance(parsed, dict | list):
        parsed = read_json(text)  # a schema may have made something else of it
    if not _is_deep(parsed):
        code = _indented(parsed, text)
    return _code(text, (CodeBlock(f"{code}\n", "json"),))


def _indented(value: Any, text: str) -> str:
    try:
        return json.dumps(value, indent=2, ensure_ascii=False)
    except TypeError:  # a list of instances
        return json.dumps(read_json(text), indent=2, ensure_ascii=False)


def _is_deep(value: Any) -> bool:
    """Whether a value is nested so deep that its indentation would be most of the page."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)


def _code(text: str, parsed: tuple[CodeBlock, ...]) -> str:
    if not parsed:
        return f"<p>(the answer holds no code block)</p>\n{_markdown(text, None)}"
    from ..markdown.highlighting import with_style
    from ..markdown.parsing import normalise
    from ..markdown.safe_html import code_block

    return with_style(
        "".join(code_block(normalise(block.code), block.language) for block in parsed)
    )


FORMATS = {
    "markdown": Format("rendered (the default)", lambda text: None, _markdown),
    "text": Format("plain text", lambda text: text, _plain),
    "json": Format("checked, and printed prettily", read_json, _pretty),
    "code": Format("its code blocks alone", code_blocks, _code),
}
