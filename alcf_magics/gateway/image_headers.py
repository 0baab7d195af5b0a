"""What an image file is, and its size, told by its first bytes. Pure; no decoder is needed.

A name or a content type may say anything; the bytes of a PNG, JPEG, GIF or WebP do not.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: Bytes within which a text file says that it is SVG or a web page.
_HEAD = 1024


@dataclass(frozen=True)
class Header:
    """An image's format (`PNG`, …) and its size in pixels; 0 where that is not told."""

    format: str
    width: int = 0
    height: int = 0

    @property
    def mime(self) -> str:
        return f"image/{self.format.lower()}"


def header_of(data: bytes) -> Header | None:
    """The header of an image; None for what is none, or is cut within its header."""
    for applies, read in _FORMATS:
        if applies(data):
            try:
                return read(data)
            except (struct.error, IndexError, StopIteration):
                return None
    return None


def called(data: bytes) -> str:
    """What a file is that is no image, as people call it; empty where nobody can tell."""
    head = data[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((name for sign, name in _OTHERS if re.search(sign, head)), "")


#: Vector graphics and documents that people take for images, what telephones write, and what
#: servers send instead.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (rb"<svg", "SVG"),
    (rb"\A<(!doctype )?html", "a web page"),
    (rb"\A%pdf", "PDF"),
    (rb"\A%!ps", "PostScript"),
    (rb"(?s)\A.{4}ftyp(hei|hev|mif1|msf1)", "HEIC"),
    (rb"(?s)\A.{4}ftypavi", "AVIF"),
)


def _png(data: bytes) -> Header:
    return Header("PNG", *struct.unpack(">II", data[16:24]))


def _gif(data: bytes) -> Header:
    return Header("GIF", *struct.unpack("<HH", data[6:10]))


def _jpeg(data: bytes) -> Header:
    height, width = next(_frames(data))
    return Header("JPEG", width, height)


def _frames(data: bytes) -> Iterator[tuple[int, int]]:
    """Height and width of each frame header of a JPEG, behind its other segments."""
    at = 2
    while data[at] == 0xFF:
        mark = data[at + 1]
        if mark == 0xFF:  # filling
            at += 1
            continue
        # C4, C8 and CC stand among the frame headers, and are none.
        if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):
            yield struct.unpack(">HH", data[at + 5 : at + 9])
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]


def _webp(data: bytes) -> Header:
    """One of three kinds: lossy, lossless, extended."""
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return Header("WebP", width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L":
        bits = struct.unpack("<I", data[21:25])[0]
        return Header("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if len(data) < 30:
        raise IndexError
    return Header("WebP", *(int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27)))


_FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Header]], ...] = (
    (lambda data: data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR", _png),
    (lambda data: data[:3] == b"\xff\xd8\xff", _jpeg),
    (lambda data: data[:6] in (b"GIF87a", b"GIF89a"), _gif),
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _webp),
    (lambda data: data[:4] in (b"II*\0", b"MM\0*"), lambda data: Header("TIFF")),
    (lambda data: data[:2] == b"BM" and data[6:10] == b"\0\0\0\0", lambda data: Header("BMP")),
)
