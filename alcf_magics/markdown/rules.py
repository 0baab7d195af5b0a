"""Core rules: what happens to the tokens of a text between parsing and rendering. Pure."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence

from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from .safe_html import shown_address

MAX_NESTING = 60
"""Blocks inside blocks that the parser follows."""
_MAX_OPEN_BRACKETS = 20
_MAX_LOOKS = 100_000
"""Characters that many open brackets may look at: enough for a hundred intervals `[0, 1)`."""

_SAFE_LINK = re.compile(r"(?:https?://|mailto:)", re.I)
#: Text in which no inline rule finds anything; most cells of a table are of this kind.
_PLAIN = re.compile(r"[^\n\\`*_~\[\]!<>&^]*")
_BRACKET = re.compile(r"\\.|[\[\]]", re.S)
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)[^`]*\1(?!`)")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff]")


def flatten_what_is_too_deep(state: StateCore) -> None:
    """The parser drops what is nested too deep; show such a block as it was typed instead."""
    if not any(token.level >= MAX_NESTING - 1 for token in state.tokens):
        return
    lines = state.src.split("\n")
    kept: list[Token] = []
    block: list[Token] = []
    for token in state.tokens:
        block.append(token)
        if token.level == 0 and token.nesting <= 0:
            place = block[0].map
            if place and any(token.level >= MAX_NESTING - 1 for token in block):
                content = "\n".join(lines[place[0] : place[1]]) + "\n"
                shown = Token("code_block", "code", 0, content=content, map=place, block=True)
                shown.meta["typed"] = True
                block = [shown]
            kept += block
            block = []
    state.tokens = kept + block


def parse_inline(state: StateCore) -> None:
    for token in state.tokens:
        if token.type != "inline":
            continue
        token.children = token.children or []
        if _PLAIN.fullmatch(token.content) or _many_open_brackets(token.content):
            token.children.append(Token("text", "", 0, content=token.content))
        else:
            state.md.inline.parse(token.content, state.md, state.env, token.children)


def footnotes(state: StateCore) -> None:
    """Note where the first footnote is, and show the definitions that nothing refers to as text."""
    footnotes = state.env.get("footnotes", {})
    if not footnotes.get("refs") and not footnotes.get("list"):
        return
    line = 0
    for token in state.tokens:
        if token.level == 0 and token.nesting >= 0 and token.map is not None:
            line = token.map[0]
        if token.type == "footnote_reference_open" or any(
            child.type == "footnote_ref" for child in token.children or ()
        ):
            state.env["footnote_line"] = line
            break
    defined = {
        token.meta["label"]: index
        for index, token in enumerate(state.tokens)
        if token.type == "footnote_reference_open"
    }
    used = {index for label, index in defined.items() if footnotes["refs"][f":{label}"] >= 0}
    state.tokens = list(_with_orphans_as_text(state.tokens, used))


def _with_orphans_as_text(tokens: Sequence[Token], used: Container[int]) -> Iterable[Token]:
    orphans: list[bool] = []
    label = ""
    for index, token in enumerate(tokens):
        if token.type == "footnote_reference_open":
            orphans.append(index not in used)
            if orphans[-1]:
                label = f"[^{token.meta['label']}]: "
                if tokens[index + 1].type != "paragraph_open":
                    yield from _paragraph(label, token.map)
                    label = ""
                continue
        elif token.type == "footnote_reference_close":
            if orphans.pop():
                continue
        elif label and token.type == "inline":
            token.children = [Token("text", "", 0, content=label), *(token.children or ())]
            label = ""
        token.level -= sum(orphans)
        yield token


def _paragraph(content: str, place: list[int] | None) -> Iterable[Token]:
    text = Token("text", "", 0, content=content)
    yield Token("paragraph_open", "p", 1, map=place, block=True)
    yield Token("inline", "", 0, content=content, children=[text], level=1, block=True)
    yield Token("paragraph_close", "p", -1, block=True)


def _many_open_brackets(content: str) -> bool:
    """Whether to leave a block unparsed: each open bracket costs a look at the rest of it."""
    if content.count("[") <= _MAX_OPEN_BRACKETS:
        return False
    depth = deepest = 0
    for bracket in _BRACKET.findall(_CODE_SPAN.sub("", content)):
        if len(bracket) == 1:
            depth = depth + 1 if bracket == "[" else max(depth - 1, 0)
            deepest = max(deepest, depth)
    return deepest > _MAX_OPEN_BRACKETS and deepest * len(content) > _MAX_LOOKS


def unlinked(state: StateCore) -> None:
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
                    before, after = "[", f"]({shown_address(opening.attrs.get('href', ''))})"
                    if opening.markup == "autolink":
                        before, after = "<", ">"
                    for end, content in ((opening, before), (child, after)):
                        end.type, end.tag, end.nesting, end.content = "text", "", 0, content


def directions(state: StateCore) -> None:
    """Blocks with right-to-left text take their direction from their own first letter."""
    for index, token in enumerate(state.tokens):
        if token.type == "inline" and _RIGHT_TO_LEFT.search(token.content):
            parents = state.tokens[max(index - 2, 0) : index]
            for parent in reversed(parents):
                parent.attrSet("dir", "auto")
                if not parent.hidden:
                    break
