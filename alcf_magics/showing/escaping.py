"""Text as safe HTML that a typesetter leaves alone. Pure."""

from __future__ import annotations

import html

_MARKS = str.maketrans({"$": "<span>$</span>", "\\": "<span>\\</span>"})


def escaped(text: str) -> str:
    """Escaped, and no mathematics in it: what is not an answer is not typeset."""
    return html.escape(text).translate(_MARKS)
