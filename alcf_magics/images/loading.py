"""What a person gives as an image becomes a picture."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import RequestRefused
from ..gateway.image_headers import called, header_of
from ..text import line
from .addresses import is_address, shown
from .arrays import from_array
from .figures import from_figure
from .fitting import fitted
from .kinds import draws_itself, figure_of, is_array, is_pil
from .picture import Picture
from .pillow import (
    INSTALL,
    MOST_SIDE,
    NOT_SENT,
    broken_is_said,
    check_pixels,
    is_plain,
    opened,
    picture_of,
    pillow,
)

#: Bytes of a file that is read.
MOST_BYTES = 50_000_000
#: Characters of a path that are shown.
_PATH = 200
#: Formats that servers read themselves.
_SENDABLE = ("PNG", "JPEG", "GIF", "WebP")
KINDS = (
    "Nothing was sent. An image is a figure of matplotlib, an image of Pillow, an array (H×W, "
    "H×W×3 or 4), a file, or an http(s) address."
)

#: The bytes at an address.
Fetch = Callable[[str], bytes]


def loaded(value: Any, name: str, fetch: Fetch) -> Picture:
    """A value, a path or an address as a picture. Raises RequestRefused for what is no image."""
    if isinstance(value, str | Path):
        return _named(value, fetch)
    return from_value(value, name)


def from_value(value: Any, name: str) -> Picture:
    """A value as a picture; no text. Raises RequestRefused."""
    if isinstance(value, Picture):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return from_bytes(name, bytes(value))
    if (figure := figure_of(value)) is not None:
        return from_figure(name, figure)
    if is_pil(value):
        return picture_of(name, value)
    if draws_itself(value):
        return _from_display(value, name)
    if is_array(value):
        return from_array(name, value)
    raise RequestRefused(f"{name} ({type(value).__name__}) is no image.", KINDS)


def several(images: Any) -> list[Any]:
    """One image or a list of them as a list."""
    if images is None:
        return []
    return list(images) if isinstance(images, list | tuple) else [images]


def gathered(images: Any, fetch: Fetch) -> list[Picture]:
    """One image or a list of them, made so small that they can be sent together."""
    given = several(images)
    return fitted([loaded(value, called_here(n, given), fetch) for n, value in enumerate(given)])


def snapshots(images: Any) -> list[Any]:
    """Images as they are now, on the thread of whoever made them; texts are left as they are."""
    given = several(images)
    return [
        value if isinstance(value, str | Path) else from_value(value, called_here(n, given))
        for n, value in enumerate(given)
    ]


def called_here(position: int, images: Sequence[Any]) -> str:
    """What an image without a name is called."""
    return "the image" if len(images) == 1 else f"image {position + 1}"


def from_bytes(name: str, data: bytes) -> Picture:
    """An image file's bytes as a picture: as they are where any server takes them so."""
    header = header_of(data)
    if header is None:
        raise _no_image(name, called(data))
    check_pixels(name, (header.width, header.height))
    if pillow() is None:
        if header.format in _SENDABLE and max(header.width, header.height) <= MOST_SIDE:
            return Picture.of(name, data, header)
        raise RequestRefused(
            f"{name} ({header.width}×{header.height} {header.format}) has to be made smaller, or "
            "another format, which needs Pillow.",
            INSTALL,
        )
    image = opened(name, data)
    full = (header.width, header.height) if header.width else image.size
    if is_plain(image) and image.size == full:
        return Picture.of(name, data, header)
    return picture_of(name, image, full=full)


def _no_image(name: str, kind: str) -> RequestRefused:
    if kind == "a web page":
        return RequestRefused(f"{name} is a web page, no image.", "Nothing was sent.")
    what = f"is {kind}, which models do not take" if kind else "is no image that can be read"
    return RequestRefused(f"{name} {what}.", "Nothing was sent. Save it as PNG or JPEG.")


def _named(value: str | Path, fetch: Fetch) -> Picture:
    text = str(value)
    if not text.strip():
        raise RequestRefused("The name of an image is empty.", KINDS)
    if isinstance(value, Path) or not is_address(text):
        return from_bytes(line(text, _PATH), _file(Path(text)))
    if text.startswith("data:"):
        return from_bytes("the image", _data(text))
    scheme = text.partition(":")[0].casefold()
    if scheme not in ("http", "https"):
        raise RequestRefused(
            f"{shown(text)} is no http(s) address.", "Nothing was sent. Save it as a file."
        )
    return from_bytes(shown(text), fetch(text))


def _data(text: str) -> bytes:
    with broken_is_said("the image"):
        head, _, body = text.partition(",")
        if not head.endswith(";base64"):
            raise ValueError("data that is not in base64")
        return base64.b64decode(body)


def _file(path: Path) -> bytes:
    """A file's bytes. Raises RequestRefused for what is none, is missing or is too large."""
    name = line(str(path), _PATH)
    try:
        path = path.expanduser()
        if not path.exists():
            raise RequestRefused(f"There is no file {name} (here is {Path.cwd()}).", NOT_SENT)
        if not path.is_file():
            raise RequestRefused(f"{name} is not a file.", NOT_SENT)
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:
        data, reason = b"", getattr(error, "strerror", None) or error
    else:
        if len(data) <= MOST_BYTES:
            return data
        raise RequestRefused(f"{name} has more than {MOST_BYTES // 10**6} MB.", NOT_SENT)
    raise RequestRefused(f"{name} cannot be read ({reason}).", NOT_SENT)


def _from_display(value: Any, name: str) -> Picture:
    """What a value shows of itself to a notebook."""
    for method in ("_repr_png_", "_repr_jpeg_"):
        with broken_is_said(name):
            given = getattr(value, method, lambda: None)()
        data = given[0] if isinstance(given, tuple) else given
        if isinstance(data, str):
            data = base64.b64decode(data)
        if data:
            return from_bytes(name, data)
    raise RequestRefused(f"{name} ({type(value).__name__}) shows no image of itself.", KINDS)
