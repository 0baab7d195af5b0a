"""Texts in requests of a fair size, and the vectors in their answers. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import RUN_AGAIN, GatewayError, ModelNotFound, RequestRefused
from ..gateway.catalog import Catalog
from ..gateway.chat import clean_prompt
from ..gateway.chunks import Usage
from ..gateway.models import Model
from ..text import line

ROUTE = "embeddings"
#: Texts, and bytes of JSON, of one request: the gateway takes 2.5 MiB, and the answer to a text of
#: any length has some 20 kB.
MOST_TEXTS = 128
MOST_BYTES = 2**20
#: Bytes of JSON of one text: a request of its own, with room for the rest of the body.
LONGEST = 2_600_000
_FLOAT = 4  # bytes
_SHAPE = "Give a list or Series of texts: embed(frame['abstract'])"


class Vectors(list[list[float]]):
    """Vectors as lists, for a Python without numpy: one a text, in the texts' order.

    `usage` counts tokens, `model` is the name as it was served, `cluster` where.
    """

    usage: Usage | None = None
    model: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class Part:
    """The vectors of one request's texts: little-endian floats of four bytes, one after another."""

    vectors: tuple[bytes, ...]
    model: str = ""
    usage: Usage | None = None


def texts_of(texts: object) -> list[str]:
    """The texts of a list, a Series, or one alone. Raises UsageError for whatever is none."""
    from .misuse import UsageError

    if isinstance(texts, str):
        texts = [texts]
    if hasattr(texts, "columns"):
        raise UsageError("This is a table, and one column of texts is needed.", _SHAPE)
    if isinstance(texts, bytes | Mapping) or not isinstance(texts, Iterable):
        raise UsageError(f"This is no list of texts: {type(texts).__name__}.", _SHAPE)
    found = list(texts)
    for number, text in enumerate(found):
        if not isinstance(text, str):
            what = f"Number {number} is no text: {type(text).__name__} ({line(repr(text), 40)})."
            raise UsageError(what, "Nothing was sent; fill it in, or leave it out.")
        if not text.strip():
            raise UsageError(
                f"Number {number} is empty.", "Nothing was sent; fill it in, or leave it out."
            )
    return [clean_prompt(str(text)) for text in found]


def checked_dimensions(dimensions: object) -> int | None:
    """How many numbers are asked for; None for what the model makes. Raises UsageError."""
    if dimensions is None:
        return None
    if isinstance(dimensions, bool) or not isinstance(dimensions, int) or dimensions < 1:
        from .misuse import UsageError

        what = f"dimensions is a whole number, 1 or more, not {line(repr(dimensions), 40)}."
        raise UsageError(what, "Nothing was sent; give another value.")
    return dimensions


def packed(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in order, in as few requests as their size allows. Raises RequestRefused."""
    pack: list[str] = []
    size = 0
    for number, text in enumerate(texts):
        cost = len(json.dumps(text)) + 2
        if cost > LONGEST:
            raise RequestRefused(
                f"Number {number} is longer than a request may be ({cost:,} bytes).",
                "Nothing was sent; cut it into pieces.",
            )
        if pack and (len(pack) == MOST_TEXTS or size + cost > MOST_BYTES):
            yield pack
            pack, size = [], 0
        pack.append(text)
        size += cost
    if pack:
        yield pack


def request(model: Model, texts: list[str], dimensions: int | None) -> dict[str, Any]:
    """The body of one request; base64 takes a quarter of what written numbers take."""
    body: dict[str, Any] = {"model": model.name, "input": texts, "encoding_format": "base64"}
    return body if dimensions is None else body | {"dimensions": dimensions}


def part_of(answer: object, count: int) -> Part:
    """The vectors of an answer in the order of its texts. Raises GatewayError for any other."""
    if not isinstance(answer, Mapping):
        raise _unread("it is no object")
    entries = answer.get("data")
    if not isinstance(entries, list) or len(entries) != count:
        found = len(entries) if isinstance(entries, list) else 0
        raise _unread(f"{found} vectors for {count} texts")
    vectors: list[bytes] = [b""] * count
    for position, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise _unread("a vector is no object")
        index = entry.get("index", position)
        if type(index) is not int or not 0 <= index < count or vectors[index]:
            raise _unread("vectors without an order")
        vectors[index] = _floats(entry.get("embedding"))
    return Part(tuple(vectors), line(answer.get("model")), Usage.from_json(answer.get("usage")))


def joined(parts: Sequence[Part], model: Model) -> Any:
    """All vectors as one float32 array of shape (texts, numbers), or lists without numpy.

    Raises GatewayError where they are not all of one length.
    """
    lengths = {len(vector) for part in parts for vector in part.vectors}
    if len(lengths) > 1:
        raise _unread("vectors of several lengths")
    width = lengths.pop() // _FLOAT if lengths else 0
    pieces = [b"".join(part.vectors) for part in parts]
    found = _as_array(pieces, width)
    found.usage = sum((part.usage for part in parts if part.usage), Usage()) if parts else None
    found.model = next((part.model for part in parts if part.model), model.name)
    found.cluster = model.cluster
    return found


def _as_array(pieces: list[bytes], width: int) -> Any:
    try:
        from .arrays import array_of
    except ImportError:  # no numpy here
        rows = struct.iter_unpack(f"<{width}f", b"".join(pieces)) if width else ()
        return Vectors(list(row) for row in rows)
    return array_of(pieces, width)


def _floats(value: object) -> bytes:
    """A vector as it was sent: base64, or a list from a server that knows nothing else."""
    data = b""
    try:
        if isinstance(value, str):
            data = base64.b64decode(value, validate=True)
        elif isinstance(value, list):
            data = struct.pack(f"<{len(value)}f", *value)
    except (binascii.Error, ValueError, struct.error, OverflowError):
        pass
    if not data or len(data) % _FLOAT:
        raise _unread("a vector that holds no numbers")
    return data


def _unread(why: str) -> GatewayError:
    return GatewayError(f"The embeddings could not be read: {why}.", RUN_AGAIN)


def embedder(catalog: Catalog, name: str = "", cluster: str = "", default: str = "") -> Model:
    """The model that makes the embeddings: the one named, the default, or a live one.

    Raises RequestRefused for one that makes none, with those that do; ModelNotFound.
    """
    able = replace(catalog, models=tuple(m for m in catalog.models if m.capabilities.embeddings))
    for wanted in filter(None, (name, "" if name else default)):
        try:
            return able.resolve(wanted, cluster)
        except ModelNotFound:
            if name:
                place = catalog.resolve(name, cluster)  # raises for one that nobody knows
                raise RequestRefused(
                    f"{place.name} on {place.cluster} makes no embeddings.", _those(able)
                ) from None
    here = able.select(cluster=cluster)
    if not here.models:
        where = f" on {cluster}" if cluster else ""
        raise ModelNotFound(f"No model{where} makes embeddings.", _those(able))
    return here[0]


def _those(able: Catalog) -> str:
    names = ", ".join(dict.fromkeys(model.name for model in able))
    return f"Those that do: {names or 'none'}."
