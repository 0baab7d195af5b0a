"""How wide texts and columns are in a terminal, and how they are made to fit. Pure.

Widths count the columns of a terminal: a Chinese character takes two, an accent none.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

#: Columns that a table, or a line about it, takes at most.
MOST_WIDTH = 100
#: Columns between two columns of a table.
GAP = 2
#: A word that is not longer is a word of a language, or a number; one that is may be broken.
LONG_WORD = 12
#: How narrow columns may become, step by step until all fit: those that are to stay whole, those
#: with long words, and all others.
STEPS = ((math.inf, 24, 12), (24, 24, 12), (24, 12, 12), (14, 8, 12), (9, 8, 12), (7, 7, 7))

#: Where a text may go on in the next line: behind a space, and behind what joins words.
_PIECES = re.compile(r"\s+|[^\s/_-]*[/_-]+|[^\s/_-]+")


def width(text: str) -> int:
    """The columns that a text takes in a line."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def folded(text: str, most: int = MOST_WIDTH) -> list[str]:
    """The text as lines of at most so many columns, broken between words where that is possible."""
    if width(text) <= most:
        return [text]
    lines = [""]
    for piece in _PIECES.findall(text):
        if width(lines[-1]) + width(piece.rstrip()) > most and lines[-1]:
            lines.append("")
        if lines[-1] or not piece.isspace():
            *full, rest = _cut(lines[-1] + piece, most)
            lines[-1:] = [*full, rest]
    return [line.rstrip() for line in lines]


def _cut(text: str, most: int) -> list[str]:
    """A text cut wherever a line is full; a space behind a full line stays there."""
    lines = [""]
    room = most
    for character in text:
        size = _width(character)
        if size > room and not character.isspace():
            lines.append("")
            room = most
        lines[-1] += character
        room -= size
    return lines


@dataclass(frozen=True)
class Column:
    """What a column holds: the width of its longest text, and that of its longest word.

    One that is `whole` gives way after all others.
    """

    natural: int
    word: int
    whole: bool = False

    @property
    def long(self) -> bool:
        """Whether it has words that are better broken than those of other columns."""
        return self.word > LONG_WORD

    def least(self, whole: float, long: int, other: int) -> int:
        """How narrow it may become in a step; see STEPS."""
        if self.whole:
            return int(min(self.natural, whole))
        return min(self.word, long if self.long else other)


def measured(texts: Sequence[str], *, whole: bool = False) -> Column:
    """A column of these texts, its heading among them."""
    words = [width(word) for text in texts for word in text.split()]
    return Column(max(map(width, texts)), max(words, default=0), whole)


def fitted(columns: Sequence[Column], room: int) -> list[int]:
    """A width for each column, in all so many at most, if that is possible.

    First columns lose room that no word needs, those that are to stay whole after the others;
    then long words are broken.
    """
    widths = [column.natural for column in columns]
    for step in STEPS:
        least = [min(w, c.least(*step)) for w, c in zip(widths, columns, strict=True)]
        _shrink(widths, least, room)
    return widths


def _shrink(widths: list[int], least: Sequence[int], room: int) -> None:
    """Take from the widest columns that have something to give, until all have room."""
    while (left := sum(widths) - room) > 0:
        giving = [n for n, size in enumerate(widths) if size > least[n]]
        if not giving:
            return
        widest = max(widths[n] for n in giving)
        most = [n for n in giving if widths[n] == widest]
        below = max((widths[n] for n in giving if widths[n] < widest), default=0)
        floor = max([below, *(least[n] for n in most)])
        for n in most:
            widths[n] = max(floor, widest - -(-left // len(most)))
