"""A model's Markdown to HTML that is safe to show: what a model writes is hostile input.

Raw HTML is off, links are http, https or mailto, images become text, and every piece of text is
escaped. Mathematics stays as it was typed, delimiters included, for Jupyter's typesetter.
"""

from __future__ import annotations

import bisect
import hashlib
import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markdown_it.token import Token

from .dialect import whole
from .highlighting import with_style
from .masking import Masked, mask
from .mathematics import line_starts
from .safe_html import code_and_language, code_box, escaped, is_formula

_NEWLINE = re.compile(r"\r\n?")
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def to_html(text: str, *, highlight: bool = True) -> str:
    """Safe HTML for a whole Markdown text, with the style sheet in front if code has colours."""
    parsed = parse(normalise(text))
    body = parsed.html(highlight=highlight)
    return with_style(body)


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
            return code_box(escaped(self.text), "")
        parser = whole()
        env = self.env | {"highlight": highlight, "mathematics": self.masked}
        body = str(parser.renderer.render(self.tokens, parser.options, env))
        return self.masked.restored(body, html.escape)

    def starts(self) -> Iterable[tuple[int, str]]:
        """Offset of each top-level block, and the type of the one before it, in this text.

        None behind the first block with a footnote: the notes of a text stand together at its end.
        """
        if self.tokens is None:
            return
        starts = line_starts(self.masked.text)
        raw = None if self.masked.raw is None else dict(_top_level(self.masked.raw))
        raw_lines = line_starts(self.text) if raw is not None else []
        for line, before in _top_level(self.tokens):
            if line > self.env.get("footnote_line", line):
                return
            offset = self.masked.source_offset(starts[line])
            if raw is None:
                yield offset, before
            else:
                raw_line = bisect.bisect_right(raw_lines, offset) - 1
                if raw_lines[raw_line] == offset and raw_line in raw:
                    is_list = "list" in before or "list" in raw[raw_line]
                    yield offset, "list" if is_list else before

    def before(self, offset: int) -> Parsed:
        """The part of this text in front of the top-level block that starts at an offset."""
        assert self.tokens is not None  # there is such a block
        starts = line_starts(self.masked.text)
        for index, token in enumerate(self.tokens):
            if (
                token.level == 0
                and token.nesting >= 0
                and token.map is not None
                and self.masked.source_offset(starts[token.map[0]]) >= offset
            ):
                return replace(self, text=self.text[:offset], tokens=self.tokens[:index])
        return self

    @property
    def reaches_back(self) -> bool:
        """Whether something in it may change what stands before it: references, footnotes."""
        return bool(self.env.get("references") or any(self.env.get("footnotes", {}).values()))


def parse(text: str, earlier: Parsed | None = None) -> Parsed:
    """Parse a normalised text, which may use the references that an earlier part defines."""
    masked = mask(text)
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    env: dict[str, Any] = {"docId": digest, "mathematics": masked}
    if earlier is not None:
        env["references"] = _references(earlier, masked)
        env["repeated"] = earlier.env.get("repeated", 0)
    tokens: list[Token] | None
    try:
        tokens = whole().parse(masked.text, env)
    except RecursionError:
        tokens = None
    return Parsed(text, tokens, env, masked)


def _references(earlier: Parsed, masked: Masked) -> dict[str, Any]:
    """What is defined in and before an earlier part, its mathematics in words of this one."""
    known: dict[str, Any] = earlier.env.get("references", {})
    if not earlier.masked.pieces:
        return dict(known)

    def translated(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return earlier.masked.restored(value, masked.word_for)

    return {
        label: {name: translated(value) for name, value in reference.items()}
        for label, reference in known.items()
    }


def _top_level(tokens: Sequence[Token]) -> Iterable[tuple[int, str]]:
    """Line of each top-level block but the first, and the type of the block before it."""
    before = ""
    for token in tokens:
        if token.level == 0 and token.nesting >= 0 and token.map is not None:
            if before:
                yield token.map[0], before
            before = token.type


def code_of(parsed: Parsed) -> Iterable[tuple[str, str]]:
    """The code blocks, each with the language that it names, as they are shown."""
    for token in parsed.tokens or ():
        if token.type in ("fence", "code_block") and not token.meta.get("typed"):
            code, language = code_and_language(token, parsed.masked)
            if not is_formula(token, code, language):
                yield code, language
