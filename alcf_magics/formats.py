"""What `--format` makes of an answer: one table, one entry each. Pure.

A format reads the text into `Completion.parsed`, and says how it is shown.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import AnswerInvalid


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
    """Every fenced or indented code block of a Markdown text."""
    from markdown_it import MarkdownIt

    return tuple(
        CodeBlock(token.content, (token.info.split() or [""])[0])
        for token in MarkdownIt("commonmark").parse(text)
        if token.type in ("fence", "code_block")
    )


def read_json(text: str) -> Any:
    """The JSON value of an answer, alone or in its first code block. Raises AnswerInvalid."""
    candidates = [text, *(block.code for block in code_blocks(text))]
    for candidate in candidates:
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError) as error:
            trouble = str(error)
    raise AnswerInvalid(
        f"The answer is no valid JSON: {trouble}", "It is kept as it is; ask again, or say how."
    )


def _markdown(text: str, _: Any) -> str:
    from .markdown import to_html

    return to_html(text)


def _plain(text: str, _: Any) -> str:
    return f'<pre style="white-space:pre-wrap">{html.escape(text)}</pre>'


def _pretty(_: str, parsed: Any) -> str:
    return _fenced(json.dumps(parsed, indent=2, ensure_ascii=False), "json")


def _code(_: str, parsed: tuple[CodeBlock, ...]) -> str:
    return "".join(_fenced(block.code, block.language) for block in parsed) or (
        "<p>(the answer holds no code block)</p>"
    )


def _fenced(code: str, language: str) -> str:
    """A code block shown as any other; the fence is longer than any in it."""
    from .markdown import to_html

    fence = "`" * (3 + max((len(run) for run in re.findall("`+", code)), default=0))
    return to_html(f"{fence}{language}\n{code.rstrip()}\n{fence}\n")


FORMATS = {
    "markdown": Format("rendered (the default)", lambda text: None, _markdown),
    "text": Format("plain text", lambda text: text, _plain),
    "json": Format("checked, and printed prettily", read_json, _pretty),
    "code": Format("its code blocks alone", code_blocks, _code),
}
