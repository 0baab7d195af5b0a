"""How large a request is, and how large the gateway lets it be. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import RequestRefused

if TYPE_CHECKING:
    from .chat import ChatRequest
    from .models import Model

#: Bytes of a body that the gateway takes: it answers more with a 500 without a reason.
BODY_LIMIT = 2_621_440

SMALLER = "Nothing was sent. Send less at once: fewer or smaller images, less text."
#: Of a later request of a prompt: what tools gave, or an answer to be repaired, is in it.
GREW = "It was not sent; what came is kept. Let the tools return less, or allow fewer --rounds."
TRIM = (
    "Nothing was sent. Leave the oldest images and turns out of what is sent: --trim (in Python "
    "trim=True), or begin another chat."
)


def json_size(value: Mapping[str, Any]) -> int:
    """Bytes of a value as JSON in a body."""
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def too_many_bytes(request: ChatRequest, place: Model) -> int:
    """By how many bytes a request is too large for the gateway; 0 where it is not."""
    return max(0, json_size(request.to_json(place.refuses)) - BODY_LIMIT)


def check_size(request: ChatRequest, place: Model, next_step: str = SMALLER) -> None:
    """Raises RequestRefused, with its size, for a request that is too large."""
    if not (excess := too_many_bytes(request, place)):
        return
    images = sum(len(message.images) for message in request.messages)
    carried = f" with {images} image{'' if images == 1 else 's'}" if images else ""
    raise RequestRefused(
        f"The request would have {_megabytes(BODY_LIMIT + excess)}{carried}; the gateway takes "
        f"{_megabytes(BODY_LIMIT)}.",
        next_step,
    )


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.2f} MiB"
