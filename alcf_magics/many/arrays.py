"""Vectors as an array of numpy's. Imported where there is numpy. Pure."""

from __future__ import annotations

from typing import Any

import numpy

from ..gateway.chunks import Usage


class Embeddings(numpy.ndarray[Any, numpy.dtype[numpy.float32]]):
    """float32 of shape (texts, numbers): a row a text, in the texts' order.

    An array like any other, and `usage` counts tokens, `model` is the name as it was served,
    `cluster` where; what is made of it by numpy has none of these.
    """

    usage: Usage | None = None
    model: str = ""
    cluster: str = ""


def array_of(pieces: list[bytes], width: int) -> Embeddings:
    """The rows that stand in the pieces, little-endian, `width` numbers in each."""
    count = sum(map(len, pieces)) // (4 * width) if width else 0
    rows = numpy.empty((count, width), numpy.float32)
    flat, start = rows.reshape(-1), 0
    for piece in pieces:
        numbers = numpy.frombuffer(piece, "<f4")
        flat[start : start + len(numbers)] = numbers
        start += len(numbers)
    return rows.view(Embeddings)
