"""Images in a chat, as a model server reads them: how many, which kind, which size."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from dataclasses import dataclass

from .clusters import Model
from .envelopes import JSON

#: Pixels that make a token, and the fewest tokens of an image.
TOKEN_PIXELS = 28 * 28
LEAST_TOKENS = 64

_PNG = re.compile(rb"\x89PNG\r\n\x1a\n.{4}IHDR(.{8})", re.S)
_GIF = re.compile(rb"GIF8[79]a(.{4})", re.S)
_JPEG_FRAME = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))


class Unreadable(Exception):
    """The server cannot read an image; the text says why, in a server's words."""


@dataclass(frozen=True)
class Image:
    """An image that arrived: its type as it was sent, pixels, bytes."""

    mime: str
    width: int
    height: int
    size: int

    @property
    def tokens(self) -> int:
        return max(LEAST_TOKENS, self.width * self.height // TOKEN_PIXELS)

    def __str__(self) -> str:
        return f"{self.width}×{self.height} {self.mime} ({self.size:,} bytes)"


def images_of(body: JSON) -> list[Image]:
    """The images of all messages, in their order. Raises Unreadable."""
    contents = [m.get("content") for m in body.get("messages", ()) if isinstance(m, dict)]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return [_read(p) for p in parts if isinstance(p, dict) and p.get("type") == "image_url"]


def about_images(model: Model, body: JSON) -> str:
    """What is wrong with the images of a request, in words of vLLM's; empty if nothing is."""
    try:
        images = images_of(body)
    except Unreadable as error:
        return str(error)
    return f"{model.name} is not a multimodal model" if images and not model.vision else ""


def said(images: list[Image]) -> str:
    """What an answer says of them; empty where there are none."""
    if not images:
        return ""
    listed = "\n".join(f"{number}. {image}" for number, image in enumerate(images, 1))
    return f"\n\n{len(images)} image{'' if len(images) == 1 else 's'} arrived:\n\n{listed}"


def _read(part: JSON) -> Image:
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else None
    match = re.match(r"data:([\w/+.-]+);base64,", url) if isinstance(url, str) else None
    if match is None or not isinstance(url, str):
        raise Unreadable("Invalid 'image_url': a sandbox takes base64 data URLs only.")
    try:
        data = base64.b64decode(url[match.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unreadable(f"Invalid base64-encoded image: {error}") from None
    return Image(match[1], *_size(data), len(data))


def _size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels. Raises Unreadable for what is no image."""
    try:
        if match := _PNG.match(data):
            width, height = struct.unpack(">II", match[1])
        elif match := _GIF.match(data):
            width, height = struct.unpack("<HH", match[1])
        elif data.startswith(b"\xff\xd8"):
            height, width = _jpeg(data)
        elif data.startswith(b"RIFF") and data[8:15] == b"WEBPVP8":
            width, height = _webp(data)
        else:
            raise IndexError
    except (IndexError, struct.error):
        raise Unreadable("cannot identify image file") from None
    return width, height


def _jpeg(data: bytes) -> tuple[int, int]:
    at = 2
    while data[at + 1] not in _JPEG_FRAME:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    height, width = struct.unpack(">HH", data[at + 5 : at + 9])
    return height, width


def _webp(data: bytes) -> tuple[int, int]:
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", data[26:30])
    return width & 0x3FFF, height & 0x3FFF
