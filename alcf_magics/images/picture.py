"""A picture: an image that can be sent, with what a reader is told of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..gateway.image_headers import Header
from ..gateway.image_parts import about, image_part

Size = tuple[int, int]


@dataclass(frozen=True, repr=False)
class Picture:
    """An image file in memory. `name` is what the reader calls it.

    `full` is its size in pixels before it was scaled. `notes` say what else was done to it.
    """

    name: str
    data: bytes
    header: Header
    full: Size
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, data: bytes, header: Header) -> Picture:
        """A file as it is."""
        return cls(name, data, header, (header.width, header.height))

    @property
    def size(self) -> Size:
        return self.header.width, self.header.height

    @property
    def part(self) -> dict[str, Any]:
        """It as a part of a message."""
        return image_part(self.data, self.header.mime)

    @property
    def changes(self) -> list[str]:
        """What was done to it, in words."""
        scaled = [f"scaled from {self.full[0]}×{self.full[1]}"] if self.full != self.size else []
        return [*scaled, *self.notes]

    @property
    def about(self) -> str:
        """What it is, and what was done to it: `image 640×480 PNG, 35 kB`."""
        return ", ".join([f"image {about(self.header, len(self.data))}", *self.changes])

    def named(self, name: str) -> Picture:
        return replace(self, name=name)

    def __repr__(self) -> str:
        return f"<{self.name}: {self.about}>"
