"""Pillow, for what cannot be done without: opening, making plain, scaling, writing."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

from ..errors import RequestRefused
from ..gateway.image_headers import header_of
from .picture import Picture, Size

if TYPE_CHECKING:
    from PIL import Image

#: Pixels of the longer side of an image that is sent.
MOST_SIDE = 2048
#: Pixels of an image that is decoded: a small file may hold very many.
MOST_PIXELS = 100_000_000
#: Formats that are read: some others would start programs.
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP")
#: Modes of files that are sent as they are.
_PLAIN = ("1", "L", "LA", "P", "RGB", "RGBA")
_QUALITY = 85
_ORIENTATION = 0x0112

NOT_SENT = "Nothing was sent."
INSTALL = "Nothing was sent. Install it: pip install 'alcf-magics[images]'"


def pillow() -> ModuleType | None:
    """The module PIL.Image; None where Pillow is not installed."""
    try:
        from PIL import Image
    except ImportError:
        return None
    return Image


def needed(name: str, what: str) -> ModuleType:
    """The same. Raises RequestRefused where it is not installed."""
    module = pillow()
    if module is None:
        raise RequestRefused(f"{name}: {what} needs Pillow, which is not installed here.", INSTALL)
    return module


@contextmanager
def broken_is_said(name: str) -> Iterator[None]:
    """Whatever a decoder says of a file is one line."""
    try:
        yield
    except RequestRefused:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    else:
        return
    raise RequestRefused(f"{name} cannot be read as an image ({why}).", NOT_SENT)


def opened(name: str, data: bytes) -> Image.Image:
    """A file's first frame, decoded. Raises RequestRefused for a broken or a hostile one."""
    image_module = needed(name, "reading this kind of image")
    with broken_is_said(name), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes, which are looked at below
        image: Image.Image = image_module.open(io.BytesIO(data), formats=_FORMATS)
        check_pixels(name, image.size)
        image.draft(None, (MOST_SIDE, MOST_SIDE))  # a JPEG is decoded no larger than it takes
        image.load()
        return image


def check_pixels(name: str, size: Size) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        raise RequestRefused(
            f"{name} has {size[0]}×{size[1]} pixels; at most {MOST_PIXELS:,} are read.", NOT_SENT
        )


def is_plain(image: Image.Image) -> bool:
    """Whether a file can be sent as it is: every server reads it, and as people see it."""
    return (
        image.format in ("PNG", "JPEG")
        and image.mode in _PLAIN
        and max(image.size) <= MOST_SIDE
        and image.getexif().get(_ORIENTATION, 1) == 1
        and not getattr(image, "is_animated", False)
    )


def picture_of(
    name: str, image: Image.Image, *, full: Size | None = None, notes: tuple[str, ...] = ()
) -> Picture:
    """An image made plain, not too large, and written: as JPEG what was one, else as PNG.

    `full` is its size before, where it has been scaled already.
    """
    from PIL import ImageOps

    check_pixels(name, image.size)
    with broken_is_said(name):
        if getattr(image, "is_animated", False):
            notes = (*notes, "its first frame")
        format = "JPEG" if image.format in ("JPEG", "MPO") else "PNG"
        if image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8) and full is not None:
            full = full[1], full[0]
        upright = ImageOps.exif_transpose(image)
        full = full or upright.size
        eight, stretched = _eight_bits(name, upright)
        flat = _flat(eight)
        flat.thumbnail((MOST_SIDE, MOST_SIDE))
        return written(name, flat, format, full, (*notes, *stretched))


def written(
    name: str, image: Image.Image, format: str, full: Size, notes: tuple[str, ...] = ()
) -> Picture:
    """An image as a file."""
    file = io.BytesIO()
    image.save(file, format, **({"quality": _QUALITY} if format == "JPEG" else {}))
    data = file.getvalue()
    header = header_of(data)
    assert header is not None  # it was written here
    return Picture(name, data, header, full, notes)


def _eight_bits(name: str, image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """An image of 8 bits a channel; numbers of another range are stretched to it, which is said.

    Numbers between 0 and 255 are taken as they are, those of floats up to 1 as shares of white.
    """
    if not image.mode.startswith(("I", "F")):
        return image, ()
    floats = image.mode == "F"
    image = image if floats else image.convert("I").convert("F")
    extrema = image.getextrema()
    low, high = float(extrema[0]), float(extrema[1])  # type: ignore[arg-type]  # of one band
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RequestRefused(f"{name} holds numbers that are none.", NOT_SENT)
    scale, offset, note = stretch(low, high, floats and high <= 1)  # Pillow itself means bytes
    return image.point(lambda value: value * scale + offset).convert("L"), note


def stretch(low: float, high: float, floats: bool) -> tuple[float, float, tuple[str, ...]]:
    """Factor and summand that bring grey values to 0 to 255, and what is said of that.

    What lies in the usual range stays, but floats that would all be black.
    """
    if low >= 0 and not floats and high <= 255:
        return 1.0, 0.0, ()
    if low >= 0 and floats and (1 / 255 <= high <= 1 or high == 0):
        return 255.0, 0.0, ()
    scale = 255 / (high - low) if high > low else 0.0
    return scale, -low * scale, (f"black is {low:.4g}, white {high:.4g}",)


def _flat(image: Image.Image) -> Image.Image:
    """An image in grey or colour; what is transparent is white, as on paper."""
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return image.convert("L")
    if "A" not in image.mode.upper() and "transparency" not in image.info:
        return image.convert("RGB")
    from PIL import Image

    layered = image.convert("RGBA")
    paper = Image.new("RGBA", layered.size, "white")
    return Image.alpha_composite(paper, layered).convert("RGB")
