"""Recorded answers of the real gateway, and what the client makes of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECORDINGS = HERE / "recordings"


@dataclass(frozen=True)
class Recording:
    """One recorded answer: `body` if it came at once, `chunks` if it was a stream.

    `request` has the keys `method`, `path` and `body`. `chunks` are the bytes of each read,
    in order; a chunk may hold several events, or a part of one.
    """

    name: str
    request: dict[str, Any]
    status: int
    headers: dict[str, str]
    body: bytes | None
    chunks: tuple[bytes, ...] | None

    @property
    def content(self) -> bytes:
        """The whole answer, stream or not."""
        return self.body if self.body is not None else b"".join(self.chunks or ())


def names() -> list[str]:
    """The names of all recordings, sorted."""
    return sorted(path.stem for path in RECORDINGS.glob("*.json"))


def load(name: str) -> Recording:
    """The recording called `name`."""
    raw = json.loads((RECORDINGS / f"{name}.json").read_text("utf-8"))
    text, chunks = raw.get("body_text"), raw.get("chunks")
    return Recording(
        name=name,
        request=raw["request"],
        status=raw["status"],
        headers=raw["headers"],
        body=None if text is None else text.encode(),
        chunks=None if chunks is None else tuple(data.encode() for _, data in chunks),
    )


@cache
def _table() -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = json.loads((HERE / "expected.json").read_text("utf-8"))
    return table


def expected(name: str) -> str:
    """What the client makes of the recording, in words: "answer", or the error's class."""
    return str(_table()[name]["expected"])
