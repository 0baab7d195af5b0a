"""What `--format` makes of an answer: one table, one entry each. Pure.

A format reads the text into `Completion.parsed`, and says how it is shown.
"""

from __future__ import annotations

import html
import json
import math
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


def read_json(text: str) -> Any:
    """The JSON value of an answer, alone or in its first code block. Raises AnswerInvalid."""
    candidates = [text, *(block.code for block in code_blocks(text))]
    for candidate in candidates:
        try:
            return _loads(candidate.removeprefix("\ufeff"))
        except (ValueError, RecursionError) as error:
            trouble = str(error)
    raise AnswerInvalid(
        f"The answer is no valid JSON: {trouble}", "It is kept as it is; ask again, or say how."
    )


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
    if not _is_deep(parsed):
        code = json.dumps(parsed, indent=2, ensure_ascii=False)
    return _code(text, (CodeBlock(f"{code}\n", "json"),))


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
