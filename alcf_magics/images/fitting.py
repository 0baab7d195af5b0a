"""All images of a prompt, made so small that the gateway takes them together."""

from __future__ import annotations

from collections.abc import Sequence

from .picture import Picture
from .pillow import opened, pillow, written

#: Bytes of all images of a prompt: in base64 a third more, with room for text and a chat.
MOST_BYTES = 1_400_000
#: What a step makes of a side, and the side that is not made smaller.
_STEP = 0.75
_LEAST_SIDE = 256


def fitted(pictures: Sequence[Picture]) -> list[Picture]:
    """The pictures as they are while they are small together, else as JPEG, else smaller.

    Without Pillow they stay as they are.
    """
    if _fit(pictures) or pillow() is None:
        return list(pictures)
    small = [_as_jpeg(picture) for picture in pictures]
    while not _fit(small):
        largest = max(
            (n for n, picture in enumerate(small) if max(picture.size) > _LEAST_SIDE),
            key=lambda n: len(small[n].data),
            default=None,
        )
        if largest is None:
            break
        small[largest] = _smaller(pictures[largest], small[largest])
    return small


def _fit(pictures: Sequence[Picture]) -> bool:
    return sum(len(picture.data) for picture in pictures) <= MOST_BYTES


def _as_jpeg(picture: Picture) -> Picture:
    """A picture as JPEG, if that is smaller."""
    if picture.header.format == "JPEG":
        return picture
    image = opened(picture.name, picture.data).convert("RGB")
    jpeg = written(picture.name, image, "JPEG", picture.full, picture.notes)
    return min(picture, jpeg, key=lambda one: len(one.data))


def _smaller(picture: Picture, now: Picture) -> Picture:
    """The picture a step smaller than it is now."""
    image = opened(picture.name, picture.data).convert("RGB")
    image.thumbnail((max(1, now.size[0] * _STEP), max(1, now.size[1] * _STEP)))
    return written(picture.name, image, "JPEG", picture.full, picture.notes)
