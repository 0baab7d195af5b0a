"""Words that stand for pieces of mathematics while Markdown is parsed. Pure.

A word of letters and digits comes through every rule of Markdown, so the piece comes out whole.
"""

from __future__ import annotations

import bisect
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from markdown_it.token import Token

from .dialect import blocks
from .mathematics import Scan

_WORD = re.compile(r"(?P<key>alcfm[0-9a-f]{32}x)(?P<number>[0-9]{1,6})z")
_HAS_MATHEMATICS = re.compile(r"\$|\\[(\[b]")


@dataclass(frozen=True)
class Masked:
    """A text in which a word stands for each piece of mathematics."""

    text: str
    key: str
    pieces: list[str] = field(default_factory=list)
    shifts: list[tuple[int, int]] = field(default_factory=list)
    """Offsets after each piece: in the masked text, in the source."""
    undecided: int | None = None
    """Offset of the first delimiter whose end may still come."""
    raw: list[Token] | None = None
    """The blocks of the source itself, if it holds mathematics."""

    def source_offset(self, offset: int) -> int:
        index = bisect.bisect_right(self.shifts, (offset, len(self.text) + (1 << 60))) - 1
        if index < 0:
            return offset
        covered, source = self.shifts[index]
        return source + offset - covered

    def restored(self, body: str, escape: Callable[[str], str]) -> str:
        if not self.pieces:
            return body
        return _WORD.sub(lambda word: self._piece(word, escape), body)

    def word_for(self, piece: str) -> str:
        """A word for a piece that stands elsewhere and is used in this text."""
        self.pieces.append(piece)
        return f"{self.key}{len(self.pieces) - 1}z"

    def _piece(self, word: re.Match[str], escape: Callable[[str], str]) -> str:
        number = int(word["number"])
        if word["key"] != self.key or number >= len(self.pieces):
            return word.group()
        return escape(self.pieces[number])


def mask(text: str) -> Masked:
    """The text with a word in place of each piece of mathematics."""
    key = _key(text)
    if not _HAS_MATHEMATICS.search(text):
        return Masked(text, key)
    try:
        raw: list[Token] = blocks().parse(text)
    except RecursionError:
        return Masked(text, key)
    scan = Scan(text, raw)
    parts: list[str] = []
    pieces: list[str] = []
    shifts: list[tuple[int, int]] = []
    position = length = 0
    for start, end in scan.found():
        word = f"{key}{len(pieces)}z"
        parts += [text[position:start], word]
        length += start - position + len(word)
        position = end
        shifts.append((length, end))
        pieces.append(scan.piece(start, end))
    parts.append(text[position:])
    return Masked("".join(parts), key, pieces, shifts, scan.undecided, raw)


def _key(text: str) -> str:
    """A word that the text does not spell, not even by entities or escapes that are read later:
    it would have to hold its own hash. Letters and digits come through every rule of Markdown.
    """
    return f"alcfm{hashlib.sha256(text.encode()).hexdigest()[:32]}x"
