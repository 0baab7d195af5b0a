"""Which values are images, told by their classes: nothing is imported to find out. Pure."""

from __future__ import annotations

from typing import Any

#: Numbers of a pixel: grey, colour, colour with transparency.
CHANNELS = (1, 3, 4)


def figure_of(value: Any) -> Any:
    """The figure that a value of matplotlib's is or belongs to; None for other values."""
    if _is_of(value, "matplotlib", "Figure"):
        return value
    if _is_of(value, "matplotlib", "_AxesBase", "SubFigure") or _is_of(value, "seaborn", "Grid"):
        figure = value.figure
        return figure if _is_of(figure, "matplotlib", "Figure") else figure_of(figure)
    return None


def is_pil(value: Any) -> bool:
    """Whether a value is an image of Pillow's."""
    return _is_of(value, "PIL", "Image")


def is_array(value: Any) -> bool:
    """Whether a value is an array, of numpy or alike, whatever its shape."""
    return isinstance(getattr(value, "shape", None), tuple) and hasattr(value, "dtype")


def is_pixels(value: Any) -> bool:
    """Whether a value is an array of an image's shape."""
    if not is_array(value) or _is_of(value, "pandas", "DataFrame", "Series"):
        return False
    shape = value.shape
    flat = len(shape) == 2 or (len(shape) == 3 and shape[2] in CHANNELS)
    return flat and all(shape)


def is_drawn(value: Any) -> bool:
    """Whether a value in a prompt is an image rather than text: figures and Pillow's images."""
    return figure_of(value) is not None or is_pil(value)


def is_image(value: Any) -> bool:
    """Whether a value can be sent as an image."""
    return is_drawn(value) or is_pixels(value) or draws_itself(value)


def draws_itself(value: Any) -> bool:
    """Whether a value shows itself to notebooks as an image (IPython's Image, graphviz)."""
    kind = type(value)
    return any(callable(getattr(kind, name, None)) for name in ("_repr_png_", "_repr_jpeg_"))


def _is_of(value: Any, package: str, *names: str) -> bool:
    return any(
        kind.__name__ in names and kind.__module__.partition(".")[0] == package
        for kind in type(value).__mro__
    )
