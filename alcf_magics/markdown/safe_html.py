"""Tokens as HTML that is safe to show, and texts as HTML that no typesetter reads. Pure.

Every piece of text is escaped, images are text, and no attribute holds what was not checked.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .highlighting import highlighted
from .tex import MAX_MATHEMATICS, harmless

if TYPE_CHECKING:
    from markdown_it.token import Token

    from .masking import Masked

_SHOWN_ADDRESS = 200
# `{python}`, `{.python #id}`, `{code-cell} python`, `python:file.py`, `python title="x"`
_LANGUAGE = re.compile(r"\s*(?:\{code[\w-]*\}\s*|\{\s*\.?)?(?P<language>[^\s{}:,;=]+)?")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")

_PRE = "margin:0;padding:6px 8px;overflow-x:auto;background:none;border:0"
_HEADER = (
    "padding:2px 8px;font-size:smaller;color:var(--jp-ui-font-color2,#767676);"
    "border-bottom:1px solid var(--jp-cell-editor-border-color,rgba(128,128,128,.4))"
)
_BOX = (
    "background:var(--jp-cell-editor-background,rgba(128,128,128,.08));"
    "border:1px solid var(--jp-cell-editor-border-color,rgba(128,128,128,.4));"
    "border-radius:3px;margin:0 0 1em"
)


def typeset(piece: str) -> str:
    """A piece of TeX as HTML: for the typesetter, or as text if it is not harmless."""
    tex = harmless(piece)
    return escaped(piece) if tex is None else f"<span>{html.escape(tex)}</span>"


def escaped(content: str) -> str:
    """Escaped text that the typesetter takes for nothing but text."""
    shown = html.escape(content)
    if "\\" in shown:
        shown = shown.replace("\\", "<span>\\</span>")
    if "$" in shown:
        shown = shown.replace("$", "<span>$</span>")
    return shown


def shown_address(address: object) -> str:
    shown = str(address)
    return shown if len(shown) <= _SHOWN_ADDRESS else shown[:_SHOWN_ADDRESS] + "…"


def code_box(page: str, language: str) -> str:
    """A box around code that is HTML already."""
    name = language[:40]
    header = f'<div style="{_HEADER}">{escaped(name)}</div>' if name else ""
    pre = f'<pre dir="ltr" style="{_PRE}"><code style="background:none">{page}</code></pre>'
    return f'<div class="alcf-code" style="{_BOX}">{header}{pre}</div>\n'


def code_block(code: str, language: str, *, highlight: bool = True) -> str:
    """A box around code, in colours if the language has some."""
    coloured = highlighted(code, language) if highlight else None
    return code_box(html.escape(code) if coloured is None else coloured, language)


# Rules of the renderer.


def _text(content: str, env: dict[str, Any]) -> str:
    masked: Masked = env["mathematics"]
    return masked.restored(escaped(content), typeset)


def _shown(tokens: Sequence[Token], index: int, options: Any, env: dict[str, Any]) -> str:
    return _text(tokens[index].content, env)


def _image(tokens: Sequence[Token], index: int, options: Any, env: dict[str, Any]) -> str:
    """An image is never fetched: that alone could tell someone what the model saw."""
    token = tokens[index]
    alternative = _alternative(token.children or ())
    return _text(f"[image: {alternative} ({shown_address(token.attrs.get('src', ''))})]", env)


def _alternative(tokens: Iterable[Token]) -> str:
    """The words that stand for an image, as CommonMark has them."""
    return "".join(_words(token) for token in tokens)


def _words(token: Token) -> str:
    if token.type == "image":
        return _alternative(token.children or ())
    return {"text": token.content, "softbreak": "\n"}.get(token.type, "")


def _table_cell(tokens: Sequence[Token], index: int, *_: Any) -> str:
    """JupyterLab would push words to the right: a cell without an alignment is put to the left,
    one with right-to-left text to where that starts."""
    token = tokens[index]
    direction, style = "", "text-align:left"
    if "dir" in token.attrs:
        direction, style = f' dir="{token.attrs["dir"]}"', "text-align:start"
    if "colspan" in token.attrs:
        direction += f' colspan="{token.attrs["colspan"]}"'
    return f'<{token.tag}{direction} style="{token.attrs.get("style", style)}">'


def _link_open(tokens: Sequence[Token], index: int, *_: Any) -> str:
    attributes = tokens[index].attrs
    address = html.escape(str(attributes.get("href", "")))
    title = attributes.get("title")
    named = f' title="{html.escape(str(title))}"' if title else ""
    return f'<a href="{address}"{named} target="_blank" rel="noopener noreferrer">'


def _box(tokens: Sequence[Token], index: int, *_: Any) -> str:
    checked = " checked" if tokens[index].meta["checked"] else ""
    return f'<input type="checkbox" disabled{checked}>'


def _fence(tokens: Sequence[Token], index: int, options: Any, env: dict[str, Any]) -> str:
    token = tokens[index]
    code, language = code_and_language(token, env["mathematics"])
    if is_formula(token, code, language):
        return f"<p>{typeset(f'$${code}$$')}</p>\n"
    return code_block(code, language, highlight=env["highlight"])


def code_and_language(token: Token, masked: Masked) -> tuple[str, str]:
    code, info = masked.restored(token.content, str), masked.restored(token.info, str)
    found = _LANGUAGE.match(_ESCAPED.sub(r"\1", html.unescape(info)))
    return code, (found["language"] or "") if found else ""


def is_formula(token: Token, code: str, language: str) -> bool:
    """Whether a block is a fence of mathematics that has come to its end."""
    if language != "math" or token.map is None or not code.strip():
        return False
    lines = code.count("\n") + (code[-1] != "\n")
    ended = token.map[1] - token.map[0] == lines + 2
    return ended and "$" not in code and len(code) <= MAX_MATHEMATICS


RULES: dict[str, Callable[..., str]] = {
    "text": _shown,
    "image": _image,
    "link_open": _link_open,
    "alcf_box": _box,
    "html_inline": _shown,
    "html_block": _shown,
    "fence": _fence,
    "code_block": _fence,
    "softbreak": lambda *_: "\n",
    "th_open": _table_cell,
    "td_open": _table_cell,
}
"""Token type: its HTML. What is not in it has a tag of Markdown's own and nothing else."""
