"""Core rules: what happens to the tokens of a text between parsing and rendering. Pure."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from typing import TYPE_CHECKING

from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from .safe_html import shown_address

if TYPE_CHECKING:
    from .masking import Masked

MAX_NESTING = 60
"""Blocks inside blocks that the parser follows."""

_ENCODED = 3
"""Characters of an address that a byte of the text becomes."""
_MAX_REPEATED = 100_000
"""Characters of addresses that were typed elsewhere; beyond them a link is its words."""
_ADDRESSES = ("link_open", "image")
_TASK = re.compile(r"\[([ xX])\] ")
_NOTES = {
    "[!NOTE]": ("Note", "var(--jp-info-color1,#4070e0)"),
    "[!TIP]": ("Tip", "var(--jp-success-color1,#2e8555)"),
    "[!IMPORTANT]": ("Important", "var(--jp-brand-color1,#a050c8)"),
    "[!WARNING]": ("Warning", "var(--jp-warn-color1,#b07800)"),
    "[!CAUTION]": ("Caution", "var(--jp-error-color1,#c0504d)"),
}
"""What a quotation begins with: the title of the note, and its colour."""

_SAFE_LINK = re.compile(r"(?:https?://|mailto:)", re.I)
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


def links(state: StateCore) -> None:
    """Show the links that are not allowed much as they were typed, the address as text.

    One address may be used again and again by its reference: what that adds is bounded.
    """
    for token in state.tokens:
        children = [child for child in token.children or () if child.type in _ADDRESSES]
        if not children:
            continue
        repeated = state.env.get("repeated", 0)
        surplus = _surplus(token.content, children, state.env["mathematics"], repeated)
        state.env["repeated"] = repeated + surplus
        if surplus and state.env["repeated"] > _MAX_REPEATED:
            for child in children:
                child.attrs = {}
        _unlink(token.children or ())


def _surplus(content: str, links: Iterable[Token], masked: Masked, repeated: int) -> int:
    """Characters of addresses and titles that were not typed in this block."""
    written = "\n".join(str(value) for link in links for value in link.attrs.values())
    if repeated <= _MAX_REPEATED:  # beyond that, the length of its mathematics does not matter
        written = masked.restored(written, str)
    elif masked.key in written:
        return _MAX_REPEATED
    typed = masked.restored(content, str)
    return max(len(written) - _ENCODED * len(typed.encode()), 0)


def _unlink(children: Iterable[Token]) -> None:
    opened: list[Token] = []
    for child in children:
        if child.type == "link_open":
            opened.append(child)
        elif child.type == "link_close" and opened:
            opening = opened.pop()
            address = str(opening.attrs.get("href", ""))
            if not _SAFE_LINK.match(address):
                before, after = "[", f"]({shown_address(address)})" if address else "]"
                if opening.markup == "autolink":
                    before, after = "<", ">"
                for end, content in ((opening, before), (child, after)):
                    end.type, end.tag, end.nesting, end.content = "text", "", 0, content


def tasks(state: StateCore) -> None:
    """A box in place of the `[ ]` or `[x]` that an item begins with, and no bullet beside it."""
    lists: list[Token] = []
    for index, token in enumerate(state.tokens):
        if token.type in ("bullet_list_open", "ordered_list_open"):
            lists.append(token)
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            lists.pop()
        elif token.type == "list_item_open":
            _box(token, lists[-1], state.tokens[index + 1 : index + 3])


def _box(item: Token, list_: Token, begin: Sequence[Token]) -> None:
    if [token.type for token in begin] != ["paragraph_open", "inline"] or not begin[1].children:
        return
    text = begin[1].children[0]
    task = _TASK.match(text.content)
    if task is None or text.type != "text":
        return
    text.content = text.content[3:]
    begin[1].content = begin[1].content[3:]
    begin[1].children.insert(0, Token("alcf_box", "input", 0, meta={"checked": task[1] != " "}))
    list_.attrs["class"] = "contains-task-list"
    item.attrs["class"] = "task-list-item"
    if list_.type == "bullet_list_open":
        item.attrs["style"] = "list-style-type:none"


def notes(state: StateCore) -> None:
    """A quotation that begins with `[!NOTE]` or one of its sisters, as a note with a title."""
    if not any(token.type == "blockquote_open" for token in state.tokens):
        return
    tokens: list[Token] = []
    for token in state.tokens:
        kinds = [before.type for before in tokens[-2:]]
        if token.type == "inline" and kinds == ["blockquote_open", "paragraph_open"]:
            tokens += _titled(tokens[-2], tokens[-1], token)
        else:
            tokens.append(token)
    state.tokens = tokens


def _titled(quotation: Token, paragraph: Token, inline: Token) -> list[Token]:
    first, *rest = inline.children or [inline]
    name = first.content.strip().upper() if first.type == "text" else ""
    if name not in _NOTES or (rest and rest[0].type not in ("softbreak", "hardbreak")):
        return [inline]
    title, colour = _NOTES[name]
    quotation.attrs["style"] = f"border-left:4px solid {colour};padding-left:1em"
    strong = [Token("strong_open", "strong", 1), Token("text", "", 0, content=title)]
    strong.append(Token("strong_close", "strong", -1))
    titled = Token("inline", "", 0, content=title, children=strong, level=inline.level, block=True)
    if not rest:
        return [titled]
    inline.children, inline.content = rest[1:], inline.content.partition("\n")[2]
    ends = [Token("paragraph_close", "p", -1, block=True), Token("paragraph_open", "p", 1)]
    for end in ends:
        end.block, end.level, end.map = True, paragraph.level, paragraph.map
    return [titled, *ends, inline]


def directions(state: StateCore) -> None:
    """Blocks with right-to-left text take their direction from their own first letter."""
    for index, token in enumerate(state.tokens):
        if token.type == "inline" and _RIGHT_TO_LEFT.search(token.content):
            parents = state.tokens[max(index - 2, 0) : index]
            for parent in reversed(parents):
                parent.attrSet("dir", "auto")
                if not parent.hidden:
                    break
