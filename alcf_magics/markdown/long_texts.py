"""A text that is too long to be rendered whole: its beginning rendered, its rest as it is."""

from __future__ import annotations

from .growing import Growing
from .parsing import normalise, to_html
from .safe_html import code_box, escaped

#: Characters that are parsed at once, and those that may come without a place to cut.
_STEP = 20_000
_UNCUT = 100_000


def to_bounded_html(text: str, limit: int) -> tuple[str, int]:
    """Safe HTML for a text of any length; and how many of its characters are not rendered.

    Up to some `limit` characters are.
    """
    if len(text) <= limit:
        return to_html(text), 0
    text = normalise(text)
    growing, pages = Growing(), []
    rendered = 0
    for start in range(0, limit, _STEP):
        growing.add(text[start : start + _STEP])
        piece = growing.take(1)
        if piece is not None:
            pages.append(piece.html)
            rendered += len(piece.markdown)
        if growing.untaken > _UNCUT:
            break
    rest = text[rendered:]
    return "".join(pages) + code_box(escaped(rest), ""), len(rest)
