"""A model's Markdown to HTML that is safe to show: what a model writes is hostile input.

Raw HTML is off, links are http, https or mailto, images become text, and every piece of text is
escaped. Mathematics stays as it was typed, delimiters included, for Jupyter's typesetter.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import html
import re
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.tasklists import tasklists_plugin

from .highlighting import code_block, code_box, with_style
from .mathematics import MAX_NESTING, Masked, escaped, line_starts, mask, typeset

_MAX_OPEN_BRACKETS = 20
_MAX_LOOKS = 100_000
"""Characters that many open brackets may look at: enough for a hundred intervals `[0, 1)`."""
_SHOWN_ADDRESS = 200

_SAFE_LINK = re.compile(r"(?:https?://|mailto:)", re.I)
#: Text in which no inline rule finds anything; most cells of a table are of this kind.
_PLAIN = re.compile(r"[^\n\\`*_~\[\]!<>&^]*")
_BRACKET = re.compile(r"\\.|[\[\]]", re.S)
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)[^`]*\1(?!`)")
_NEWLINE = re.compile(r"\r\n?")
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff]")


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
        renderer = _renderer()
        env = self.env | {"highlight": highlight, "mathematics": self.masked}
        body = str(renderer.renderer.render(self.tokens, renderer.options, env))
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


def parse(text: str, earlier: Parsed | None = None) -> Parsed:
    """Parse a normalised text, which may use the references that an earlier part defines."""
    masked = mask(text)
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    env: dict[str, Any] = {"docId": digest, "mathematics": masked}
    if earlier is not None:
        env["references"] = _references(earlier, masked)
    tokens: list[Token] | None
    try:
        tokens = _renderer().parse(masked.text, env)
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


# Rendering.


@functools.cache
def _renderer() -> MarkdownIt:
    renderer = MarkdownIt("commonmark", {"html": False, "maxNesting": MAX_NESTING})
    renderer.enable(["table", "strikethrough"])
    renderer.use(footnote_plugin)
    renderer.use(tasklists_plugin)
    # Unsafe ones are taken for links first and shown as text later, see `_unlinked`.
    renderer.validateLink = lambda url: True  # type: ignore[method-assign]
    renderer.core.ruler.after("block", "alcf_depth", _flatten_what_is_too_deep)
    renderer.core.ruler.at("inline", _inline)
    renderer.core.ruler.after("inline", "alcf_footnotes", _footnotes)
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
        "th_open": _table_cell,
        "td_open": _table_cell,
    }
    renderer.renderer.rules.update(rules)  # type: ignore[attr-defined]
    return renderer


def _flatten_what_is_too_deep(state: StateCore) -> None:
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


def _inline(state: StateCore) -> None:
    for token in state.tokens:
        if token.type != "inline":
            continue
        token.children = token.children or []
        if _PLAIN.fullmatch(token.content) or _many_open_brackets(token.content):
            token.children.append(Token("text", "", 0, content=token.content))
        else:
            state.md.inline.parse(token.content, state.md, state.env, token.children)


def _footnotes(state: StateCore) -> None:
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
    return masked.restored(escaped(content), typeset)


def _image(tokens: Sequence[Token], index: int, options: Any, env: dict[str, Any]) -> str:
    """An image is never fetched: that alone could tell someone what the model saw."""
    token = tokens[index]
    renderer = _renderer().renderer
    alternative = renderer.renderInlineAsText(token.children or [], options, env)  # type: ignore[attr-defined]
    return _text(f"[image: {alternative} ({_address(token.attrs.get('src', ''))})]", env)


def _table_cell(tokens: Sequence[Token], index: int, *_: Any) -> str:
    """JupyterLab would push words to the right: a cell without an alignment is put to the left,
    one with right-to-left text to where that starts."""
    token = tokens[index]
    direction, style = "", "text-align:left"
    if "dir" in token.attrs:
        direction, style = f' dir="{token.attrs["dir"]}"', "text-align:start"
    return f'<{token.tag}{direction} style="{token.attrs.get("style", style)}">'


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


def _fence(tokens: Sequence[Token], index: int, options: Any, env: dict[str, Any]) -> str:
    code, language = _code_and_language(tokens[index], env["mathematics"])
    return code_block(code, language, highlight=env["highlight"])


def _code_and_language(token: Token, masked: Masked) -> tuple[str, str]:
    words = token.info.split(maxsplit=1)
    language = masked.restored(words[0], str) if words else ""
    return masked.restored(token.content, str), language


def code_of(parsed: Parsed) -> Iterable[tuple[str, str]]:
    """The code blocks, each with the language that it names, as they are shown."""
    for token in parsed.tokens or ():
        if token.type in ("fence", "code_block") and not token.meta.get("typed"):
            yield _code_and_language(token, parsed.masked)
