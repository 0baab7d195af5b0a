"""Pictures in a prompt: where they stand among its texts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import RequestRefused
from ..gateway.chat import SHAPE, Message
from ..told import Told, tell
from .picture import Picture

if TYPE_CHECKING:
    from .loading import Fetch


def content(pieces: Iterable[str | Picture]) -> list[dict[str, Any]]:
    """The parts of a message, in order; texts without a letter are left out."""
    return [
        {"type": "text", "text": piece} if isinstance(piece, str) else piece.part
        for piece in pieces
        if not isinstance(piece, str) or piece.strip()
    ]


def with_pictures(
    prompt: str | Sequence[Message | Mapping[str, Any]], pictures: Sequence[Picture]
) -> str | Sequence[Message | Mapping[str, Any]]:
    """A prompt with pictures at its end: that of the last message of the person's."""
    if isinstance(prompt, str):
        if not prompt.strip():
            return prompt  # which is refused as any other without a word
        return [{"role": "user", "content": content([prompt, *pictures])}]
    if isinstance(prompt, bytes | Mapping) or not isinstance(prompt, Iterable):
        return prompt
    messages = list(map(Message.of, prompt))
    if not messages or messages[-1].role != "user":
        raise RequestRefused("Images go with a message of the role user, the last one.", SHAPE)
    last = messages[-1]
    before = last.content if isinstance(last.content, tuple) else content([last.text])
    return [*messages[:-1], replace(last, content=(*before, *content(pictures)))]


def with_images(
    prompt: str | Sequence[Message | Mapping[str, Any]], images: Any, fetch: Fetch, told: Told
) -> str | Sequence[Message | Mapping[str, Any]]:
    """The prompt with an image or a list of them at its end; what was done to them is told.

    Raises RequestRefused for what is no image.
    """
    if not isinstance(images, list | tuple) and images is not None:
        images = [images]
    if not images:
        return prompt
    from .loading import gathered

    pictures = gathered(images, fetch)
    for picture in pictures:
        if picture.changes:
            tell(told, f"{picture.name}: {picture.about}")
    return with_pictures(prompt, pictures)
