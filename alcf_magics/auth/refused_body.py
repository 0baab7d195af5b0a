"""The beginning of a refused answer's body: looked at, and left for whoever reads the answer.

The answer may be of somebody's own client, and its body without an end.
"""

from __future__ import annotations

import functools
import sys
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

import httpx

#: Bytes that are looked at: the gateway says in a few hundred why it refuses a token.
LOOKED_AT = 65536


class Begun:
    """A body whose first pieces have been read: gives them out again, then the others."""

    def __init__(self, stream: object) -> None:
        self._stream = stream
        self._sync: Iterator[bytes] = iter(stream) if isinstance(stream, Iterable) else iter(())
        self._async = aiter(stream) if isinstance(stream, AsyncIterable) else None
        self._pieces: list[bytes] = []
        self._size = 0
        #: Whether nothing is to be given out but what has been read.
        self.cut = False

    def look(self) -> bytes:
        """The first bytes of the body."""
        while self._size < LOOKED_AT and (piece := next(self._sync, None)) is not None:
            self._keep(piece)
        return b"".join(self._pieces)[:LOOKED_AT]

    async def alook(self) -> bytes:
        """The same of a body that is awaited."""
        if self._async is None:
            return self.look()
        while self._size < LOOKED_AT and (piece := await anext(self._async, None)) is not None:
            self._keep(piece)
        return b"".join(self._pieces)[:LOOKED_AT]

    def _keep(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        if not self.cut:
            yield from self._sync

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        if not self.cut and self._async is not None:
            async for piece in self._async:
                yield piece

    def close(self) -> None:
        if hasattr(self._stream, "close"):
            self._stream.close()

    async def aclose(self) -> None:
        if hasattr(self._stream, "aclose"):
            await self._stream.aclose()


def begun(response: httpx.Response) -> Begun:
    """The body of an answer, to be looked at; the answer itself can still be read."""
    stream = _kind(type(response).__module__.partition(".")[0])(response.stream)
    response.stream = stream  # type: ignore[assignment]
    return stream


@functools.cache
def _kind(package: str) -> type[Begun]:
    """What httpx takes for a body, or httpx2, whose client it is."""
    library = sys.modules[package]
    return type("Begun", (Begun, library.AsyncByteStream, library.SyncByteStream), {})


def give_up(response: httpx.Response, stream: Begun) -> None:
    """Nobody is to read this answer any more: httpx reads it to its end all the same."""
    stream.cut = True
    response.headers.pop("content-encoding", None)


def inflated(body: bytes, response: httpx.Response) -> bytes:
    """The first bytes of a body as they were before a person's own client asked for gzip."""
    if response.headers.get("content-encoding", "identity").casefold() not in ("gzip", "deflate"):
        return body
    try:
        return zlib.decompressobj(wbits=47).decompress(body, LOOKED_AT)
    except zlib.error:
        return b""
