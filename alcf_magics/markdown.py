"""A model's Markdown to HTML that is safe to show: what a model writes is hostile input.

Raw HTML is off, links are http, https or mailto, images become text, and every piece of text is
escaped. Mathematics stays as it was typed, delimiters included, for Jupyter's typesetter.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin

_SAFE_LINK = re.compile(r"(?:https?://|mailto:)", re.I)


def to_html(text: str) -> str:
    """Safe HTML for a whole Markdown text."""
    return str(_renderer().render(text))


@functools.cache
def _renderer() -> MarkdownIt:
    renderer = MarkdownIt("commonmark", {"html": False, "highlight": _highlighted})
    renderer.enable(["table", "strikethrough"])
    renderer.use(dollarmath_plugin, allow_digits=False, double_inline=True)
    renderer.use(amsmath_plugin)
    renderer.validateLink = _is_safe_link  # type: ignore[method-assign]
    rules: dict[str, Any] = {
        "image": _image,
        "link_open": _link_open,
        "math_inline": lambda tokens, index, *_: _math(tokens[index], "$", "$"),
        "math_inline_double": lambda tokens, index, *_: _math(tokens[index], "$$", "$$"),
        "math_block": lambda tokens, index, *_: f"<p>{_math(tokens[index], '$$', '$$')}</p>\n",
        "amsmath": lambda tokens, index, *_: f"<p>{_math(tokens[index], '', '')}</p>\n",
    }
    renderer.renderer.rules.update(rules)  # type: ignore[attr-defined]
    return renderer


def _is_safe_link(url: str) -> bool:
    return bool(_SAFE_LINK.match(url.strip()))


def _image(tokens: Sequence[Token], index: int, *_: Any) -> str:
    """An image is never fetched: that alone could tell someone what the model saw."""
    token = tokens[index]
    address = str(token.attrs.get("src", ""))
    return f"[image: {html.escape(token.content)} {html.escape(address)}]"


def _link_open(tokens: Sequence[Token], index: int, *_: Any) -> str:
    address = html.escape(str(tokens[index].attrs.get("href", "")))
    return f'<a href="{address}" target="_blank" rel="noopener noreferrer">'


def _math(token: Token, before: str, after: str) -> str:
    return html.escape(f"{before}{token.content}{after}")


def _highlighted(code: str, language: str, _: str) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language) if language else None
    except ClassNotFound:
        lexer = None
    if lexer is None:
        return html.escape(code)
    return str(highlight(code, lexer, HtmlFormatter(nowrap=True, classprefix="tok-")))
