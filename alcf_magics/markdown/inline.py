"""Inline rules: addresses that stand bare, four tags, emphasis beside Chinese, Japanese and Korean
writing; and blocks that are left as text because parsing them would take too much. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Scanned
from markdown_it.token import Token

_MAX_OPEN_BRACKETS = 20
_MAX_LOOKS = 100_000
"""Characters that many open brackets may look at: enough for a hundred intervals `[0, 1)`."""
_MAX_DELIMITERS = 4_000
"""Signs of emphasis in a block."""
_MAX_DEPTH = 50
"""Emphasis in emphasis, tags in tags."""

#: Text in which no inline rule finds anything; most cells of a table are of this kind.
_PLAIN = re.compile(r"(?:[^\n\\`*_~\[\]!<>&^:]|:(?!//))*")
_BRACKET = re.compile(r"\\.|[\[\]]", re.S)
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)[^`]*\1(?!`)")
_DELIMITER = re.compile("[*_~]")

_SCHEME = re.compile(r"(?:^|[^A-Za-z0-9])(https?)\Z", re.I)
_ADDRESS = re.compile(
    r"://(?=[^\W_])[^\s<>\"`\\|^*\[\]“”‘’«»…\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\ufeff\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef]+"
)
_NOT_ITS_END = ".,;:!?'_~"
_TAG = re.compile(r"<(?:(br)[ \t]*/?|(/?)(sub|sup|kbd))>", re.I)


def parse_all(state: StateCore) -> None:
    """The core rule that parses what stands in the blocks."""
    for token in state.tokens:
        if token.type == "inline":
            token.children = state.md.inline.parse(token.content, state.md, state.env, [])


def parse(content: str, parser: MarkdownIt, env: Any, tokens: list[Token]) -> list[Token]:
    """Takes the place of the parser's own method: within limits, and with our kind of state."""
    if not _PLAIN.fullmatch(content) and not _is_too_much(content):
        state = _State(content, parser, env, tokens)
        parser.inline.tokenize(state)
        for rule in parser.inline.ruler2.getRules(""):
            rule(state)
        if _depth(tokens) <= _MAX_DEPTH:
            return tokens
    tokens[:] = [Token("text", "", 0, content=content)]
    return tokens


def _is_too_much(content: str) -> bool:
    return _has_many_delimiters(content) or _has_many_open_brackets(content)


def _has_many_delimiters(content: str) -> bool:
    return len(content) > _MAX_DELIMITERS and len(_DELIMITER.findall(content)) > _MAX_DELIMITERS


def _has_many_open_brackets(content: str) -> bool:
    """Each open bracket costs a look at the rest of the block."""
    if content.count("[") <= _MAX_OPEN_BRACKETS:
        return False
    depth = deepest = 0
    for bracket in _BRACKET.findall(_CODE_SPAN.sub("", content)):
        if len(bracket) == 1:
            depth = depth + 1 if bracket == "[" else max(depth - 1, 0)
            deepest = max(deepest, depth)
    return deepest > _MAX_OPEN_BRACKETS and deepest * len(content) > _MAX_LOOKS


def _depth(tokens: Iterable[Token]) -> int:
    depth = deepest = 0
    for token in tokens:
        depth += token.nesting
        deepest = max(deepest, depth)
    return deepest


class _State(StateInline):
    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803
        """As CommonMark has it, but that wide characters stand for the spaces which Chinese and
        Japanese do not write: `这是**重要。**所以`."""
        scanned = super().scanDelims(start, canSplitWord)
        end = start + scanned.length
        before, after = self.src[start - 1 : start], self.src[end : self.posMax][:1]
        if not canSplitWord or not (_is_wide(before) or _is_wide(after)):
            return scanned
        opens = scanned.can_open or (_is_wide(before) and _is_mark(after))
        closes = scanned.can_close or (_is_wide(after) and _is_mark(before))
        return Scanned(opens, closes, scanned.length)


def _is_wide(character: str) -> bool:
    return bool(character) and unicodedata.east_asian_width(character) in "WFH"


def _is_mark(character: str) -> bool:
    return bool(character) and unicodedata.category(character)[0] in "PS"


def address(state: StateInline, silent: bool) -> bool:
    """`https://x.y/` as a link, without the stop behind it or a bracket opened before it."""
    scheme = _SCHEME.search(state.src[max(state.pos - 6, 0) : state.pos])
    found = _ADDRESS.match(state.src, state.pos, state.posMax)
    if state.linkLevel or not scheme or not found:
        return False
    rest = _without_end(found.group())
    if len(rest) < len("://x"):
        return False
    if not silent:
        shown = scheme[1] + rest
        state.pending = state.pending[: -len(scheme[1])]
        state.push("link_open", "a", 1).attrs["href"] = state.md.normalizeLink(shown)
        state.push("text", "", 0).content = shown
        state.push("link_close", "a", -1)
    state.pos += len(rest)
    return True


def _without_end(found: str) -> str:
    """Without the marks of the sentence that stand behind an address."""
    surplus = found.count(")") - found.count("(")
    end = len(found)
    while found[end - 1] in _NOT_ITS_END or (found[end - 1] == ")" and surplus > 0):
        surplus -= found[end - 1] == ")"
        end -= 1
    return found[:end]


def tag(state: StateInline, silent: bool) -> bool:
    """`<br>`, and tags of `<sub>`, `<sup>` and `<kbd>` whose partners `pair_tags` finds. No other
    tag is one, and none has attributes."""
    found = _TAG.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        if found[1]:
            state.push("hardbreak", "br", 0)
        else:
            token = state.push("alcf_tag", found[3].lower(), 0)
            token.content, token.info = found.group(), "close" if found[2] else "open"
    state.pos = found.end()
    return True


def pair_tags(state: StateInline) -> None:
    """Make elements of the tags that have their partner in the same emphasis or link; the rest
    becomes text."""
    open_ones: list[list[Token]] = [[]]
    for token in state.tokens:
        if token.type == "alcf_tag":
            if token.info == "open":
                open_ones[-1].append(token)
            else:
                _pair(open_ones[-1], token)
            if token.nesting == 0:
                token.type = "text"
        elif token.nesting > 0:
            open_ones.append([])
        elif token.nesting < 0:
            open_ones.pop()


def _pair(open_ones: list[Token], closing: Token) -> None:
    if all(opening.tag != closing.tag for opening in open_ones[-_MAX_DEPTH:]):
        return
    opening = open_ones.pop()
    while opening.tag != closing.tag:
        opening = open_ones.pop()
    opening.type, opening.nesting = f"{opening.tag}_open", 1
    closing.type, closing.nesting = f"{closing.tag}_close", -1
