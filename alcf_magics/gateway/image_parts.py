"""Images within messages: parts with their data, as OpenAI has them. Pure.

    {"type": "image_url", "image_url": {"url": "data:image/png;base64,…"}}

A part is plain data, to be written as JSON. A reader sees `[image 640×480 PNG, 35 kB]` instead.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from ..text import line
from .image_headers import Header, header_of

#: Pixels that make a token, roughly, and the fewest tokens of an image.
TOKEN_PIXELS = 750
LEAST_TOKENS = 85


class DataUrl(str):
    """An image as it is sent. Its repr is what a reader wants to see of it.

    `DataUrl.of` gives the same object for the same text while one is in use: an image stands in
    every request of a chat, and once in memory.
    """

    @classmethod
    def of(cls, text: str) -> DataUrl:
        key = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
        with _LOCK:
            known = _KNOWN.get(key)
            if known is None:
                known = _KNOWN[key] = cls(text)
            return known

    @functools.cached_property
    def header(self) -> Header | None:
        """What it is, by its bytes; None where they are those of no image."""
        try:
            return header_of(base64.b64decode(self.partition(",")[2]))
        except (binascii.Error, ValueError):
            return None

    @property
    def size(self) -> int:
        """Bytes of the image, by the length of the text."""
        return (len(self) - self.find(",") - 1) * 3 // 4 - self[-2:].count("=")

    @property
    def mark(self) -> str:
        """What it is, how large in pixels and in bytes: `[image 640×480 PNG, 35 kB]`."""
        return f"[image {about(self.header, self.size)}]"

    @property
    def tokens(self) -> int:
        """About how many tokens it makes."""
        pixels = self.header.width * self.header.height if self.header else 0
        return max(LEAST_TOKENS, pixels // TOKEN_PIXELS)

    def __repr__(self) -> str:
        return repr(self.mark)

    def __reduce__(self) -> tuple[Callable[[str], DataUrl], tuple[str]]:
        return DataUrl.of, (str(self),)


_KNOWN: weakref.WeakValueDictionary[bytes, DataUrl] = weakref.WeakValueDictionary()
_LOCK = threading.Lock()


def about(header: Header | None, size: int) -> str:
    """An image in words: `640×480 PNG, 35 kB`."""
    what = f"{header.width}×{header.height} {header.format}, " if header else ""
    return f"{what}{max(1, round(size / 1000)):,} kB"


def image_part(data: bytes, mime: str) -> dict[str, Any]:
    """An image as a part of a message."""
    text = base64.b64encode(data).decode("ascii")
    return {"type": "image_url", "image_url": {"url": DataUrl.of(f"data:{mime};base64,{text}")}}


def kept(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part as it was, with data that is no more than a mark to a reader."""
    url, image = _url(part), part.get("image_url")
    if isinstance(url, DataUrl) or not url.startswith("data:"):
        return part
    data = DataUrl.of(url)
    return {**part, "image_url": {**image, "url": data} if isinstance(image, Mapping) else data}


def is_image(part: Mapping[str, Any]) -> bool:
    return part.get("type") == "image_url"


def mark_of(part: Mapping[str, Any]) -> str:
    """What a reader sees of a part that is no text."""
    if not is_image(part):
        return f"[{line(part.get('type'), 40)}]"
    url = _url(part)
    return url.mark if isinstance(url, DataUrl) else f"[image at {line(url, 80)}]"


def left_out(part: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in the place of an image that is not sent again."""
    return {"type": "text", "text": f"{mark_of(part)[:-1]}, left out]"}


def tokens_of(part: Mapping[str, Any]) -> int:
    """About how many tokens an image makes; 0 for a part that is none."""
    if not is_image(part):
        return 0
    url = _url(part)
    return url.tokens if isinstance(url, DataUrl) else LEAST_TOKENS


def _url(part: Mapping[str, Any]) -> str:
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, Mapping) else image  # as some servers have it
    return url if isinstance(url, str) else ""
