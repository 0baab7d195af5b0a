"""Arrays as images: H×W in grey, H×W×3 in colour, H×W×4 with transparency.

Whole numbers are 0 to 255, floats 0 to 1, truths black and white. Grey values of another range are
stretched to it, which is said; in colour, where that would change the colours, they are refused.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..errors import RequestRefused
from .kinds import is_pixels
from .picture import Picture
from .pillow import MOST_SIDE, NOT_SENT, broken_is_said, needed, picture_of, stretch

if TYPE_CHECKING:
    import numpy

#: How far colours may be beyond their range, by rounding.
_SLACK = 1e-3


def from_array(name: str, value: Any) -> Picture:
    """An array as a picture. Raises RequestRefused for one that is no image."""
    if not is_pixels(value):
        shape = "×".join(map(str, value.shape)) or "no size"
        raise RequestRefused(
            f"{name} is an array of {shape}; an image is H×W, H×W×3 or H×W×4.", NOT_SENT
        )
    image_module = needed(name, "sending an array as an image")
    full = value.shape[1], value.shape[0]
    with broken_is_said(name):
        pixels, notes = _pixels(name, _thinned(value))
        return picture_of(name, image_module.fromarray(pixels), full=full, notes=notes)


def _thinned(value: Any) -> Any:
    """An array of at most some thousand rows and columns: more would only be scaled away."""
    step = max(1, max(value.shape[:2]) // (2 * MOST_SIDE))
    thin = value[::step, ::step]
    if "numpy" not in sys.modules:
        raise TypeError("it is no array of numpy's")
    return sys.modules["numpy"].asarray(thin)


def _pixels(name: str, array: numpy.ndarray) -> tuple[numpy.ndarray, tuple[str, ...]]:
    """An array of bytes, and what was done to it."""
    if array.dtype.kind not in "buif":
        raise RequestRefused(f"{name} is an array of {array.dtype}, which is no image.", NOT_SENT)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype.kind == "b":
        return array.astype("uint8") * 255, ()
    if array.dtype == "uint8":
        return array, ()
    return _floats(name, array) if array.dtype.kind == "f" else _stretched(name, array, False)


def _floats(name: str, array: numpy.ndarray) -> tuple[numpy.ndarray, tuple[str, ...]]:
    """Floats; what is no number is black."""
    numpy = sys.modules["numpy"]
    finite = numpy.isfinite(array)
    if finite.all():
        return _stretched(name, array, True)
    if not finite.any():
        raise RequestRefused(f"{name} holds no numbers.", NOT_SENT)
    filled = numpy.where(finite, array, array[finite].min())
    pixels, notes = _stretched(name, filled, True)
    pixels[~finite] = 0
    missing = array.size - int(finite.sum())
    return pixels, (*notes, f"{missing:,} of {array.size:,} numbers missing (black)")


def _stretched(
    name: str, array: numpy.ndarray, floats: bool
) -> tuple[numpy.ndarray, tuple[str, ...]]:
    low, high = float(array.min()), float(array.max())
    scale, offset, notes = stretch(low, high, floats)
    if array.ndim == 3 and notes:
        top = 1 if floats else 255
        if not (floats and low >= -_SLACK and high <= 1 + _SLACK):
            raise RequestRefused(
                f"{name} has colours from {low:.4g} to {high:.4g}; {array.dtype} goes from 0 to "
                f"{top}.",
                "Nothing was sent. Scale it, or make it whole: .astype('uint8')",
            )
        scale, offset, notes = 255.0, 0.0, ()
    pixels = array.astype("float64") * scale + offset
    return pixels.round().clip(0, 255).astype("uint8"), notes
