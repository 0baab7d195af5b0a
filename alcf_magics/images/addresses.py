"""Addresses of images: which texts are some, and what is shown of one. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ..text import line

#: Characters of an address that are shown.
_SHOWN = 80


def is_address(text: str) -> bool:
    """Whether a text is an address rather than a path: `scheme://`, or `data:`."""
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]+://|data:", text))


def shown(address: str) -> str:
    """An address without what may let somebody in: a name, a password, a signature."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "the address"
    host = parts.netloc.rpartition("@")[2]
    more = "?…" if parts.query else ""
    return line(f"{parts.scheme}://{host}{parts.path}", _SHOWN) + more
