"""Images for tests: files of every kind, figures, and what a request carries of them."""

from __future__ import annotations

import base64
import io
import random
from typing import Any

from matplotlib.figure import Figure
from PIL import Image


def file(
    format: str = "PNG",
    size: tuple[int, int] = (64, 48),
    mode: str = "RGB",
    color: Any = "teal",
    **more: Any,
) -> bytes:
    """An image file of one colour."""
    return encoded(Image.new(mode, size, color), format, **more)


def encoded(image: Image.Image, format: str = "PNG", **more: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **more)
    return out.getvalue()


def noise(size: tuple[int, int]) -> Image.Image:
    """What no format makes small; the same each time."""
    return Image.frombytes("RGB", size, random.Random(0).randbytes(size[0] * size[1] * 3))


def figure(inches: tuple[float, float] = (3, 2), dpi: float = 100) -> Figure:
    drawn = Figure(figsize=inches, dpi=dpi)
    drawn.subplots().plot([1, 4, 9])
    return drawn


def decoded(data: bytes) -> Image.Image:
    image: Image.Image = Image.open(io.BytesIO(data))
    image.load()
    return image


def sent(message: Any) -> list[Any]:
    """The parts of a message that was sent: texts, and images decoded."""
    parts: list[Any] = []
    for part in message["content"]:
        if part["type"] == "text":
            parts.append(part["text"])
        else:
            head, _, body = part["image_url"]["url"].partition(",")
            image = decoded(base64.b64decode(body, validate=True))
            assert head == f"data:image/{str(image.format).lower()};base64"
            parts.append(image)
    return parts
