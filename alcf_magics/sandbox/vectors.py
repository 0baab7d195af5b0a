"""The sandbox's embeddings: near for texts of like words, the same for the same text."""

from __future__ import annotations

import base64
import functools
import hashlib
import math
import re
import struct
from typing import TypeGuard

from .clusters import Model
from .envelopes import JSON
from .responder import tokens

#: Numbers of an embedding; a real one has thousands.
DIMENSIONS = 64
_WORD = re.compile(r"\w+")


def embed(body: JSON, model: Model) -> JSON:
    """A small vector for each input: the same for the same text, near for texts of like words."""
    given = body.get("input")
    # One text or one list of token numbers is one input; a list of either is several.
    single = isinstance(given, str) or not given or (isinstance(given, list) and _numbers(given))
    inputs = given if isinstance(given, list) and not single else [given]
    as_base64 = body.get("encoding_format") == "base64"
    size = body.get("dimensions")
    size = size if _is_size(size) else DIMENSIONS
    count = sum(max(1, tokens(str(item))) for item in inputs)
    return {
        "model": model.name,
        "object": "list",
        "usage": {"prompt_tokens": count, "total_tokens": count},
        "data": [
            {
                "embedding": _vector(str(item), size, as_base64),
                "index": index,
                "object": "embedding",
                **({"encoding_format": "base64"} if as_base64 else {}),
            }
            for index, item in enumerate(inputs)
        ],
    }


def _numbers(values: list[object]) -> bool:
    return all(isinstance(value, int) for value in values)


def _is_size(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 4096


def _vector(text: str, size: int, as_base64: bool) -> list[float] | str:
    """The sum of its words' vectors, each drawn by the word's hash, and a little of its own."""
    values = _drawn(text, size, 0.1)
    for word in _WORD.findall(text.casefold()):
        # Long words tell texts apart; those that every text has are short.
        share = _drawn(word, size, min(len(word), 10) ** 2 / 25)
        values = [value + part for value, part in zip(values, share, strict=True)]
    norm = math.sqrt(sum(value * value for value in values)) or 1.0
    values = [value / norm for value in values]
    if as_base64:
        return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
    return values


@functools.lru_cache(4096)
def _drawn(text: str, size: int, weight: float) -> list[float]:
    """Numbers between -weight and weight, the same for the same text."""
    drawn = hashlib.shake_128(text.encode("utf-8", "surrogatepass")).digest(size)
    return [weight * (byte / 127.5 - 1) for byte in drawn]
