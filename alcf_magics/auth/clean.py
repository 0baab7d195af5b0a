"""Names and reasons that come from outside, as one clean line. Pure."""

from __future__ import annotations

import unicodedata

#: Format characters that words need: the joiners of Indic and Arabic scripts, and of emoji.
_JOINERS = frozenset("\u200c\u200d")


def line(text: object, limit: int = 200) -> str:
    """A text as one line of at most `limit` characters, without what acts on a screen.

    Control and direction characters are left out, lone surrogates become U+FFFD; what is no text
    is none.
    """
    if not isinstance(text, str):
        return ""
    # Bounded first: a server may send megabytes.
    words = " ".join(text[: 8 * limit].split())
    return "".join(map(_shown, words))[:limit].strip()


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cs":
        return "\ufffd"
    if category == "Cc" or (category == "Cf" and character not in _JOINERS):
        return ""
    return character
