"""Foreign text, and numbers in it, made safe once, where they are read. Pure.

What comes from outside (answers, names, messages) passes here when it becomes one of our values;
after that no code needs to know. An answer keeps its bidi signs, which belong to its language and
stay inside its block; a name, a message or a line has none.
"""

from __future__ import annotations

import bisect
import re
import unicodedata

#: All control characters but tab and line feed.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LINE_END = re.compile("\r\n?")
#: Embeddings, overrides and isolates: they would turn what stands behind them.
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")

#: Format characters that words need: the joiners of Indic and Arabic scripts, and of emoji.
_JOINERS = frozenset("\u200c\u200d")

#: Characters of a line that is shown, and of a foreign text that is looked at for one.
LINE = 400
#: Pieces that are kept apart: each costs ten times the letters in it.
_MOST_PIECES = 4096
_LONGEST = 100_000
#: Digits of a whole number: beyond some thousand Python refuses to read one.
_MOST_DIGITS = 500


def clean(text: str) -> str:
    """A text without control characters but tab and line feed, and without lone surrogates.

    Line ends become line feeds; halves that belong together become their character, others the
    replacement character.
    """
    if text.isprintable():  # most pieces of an answer
        return text
    # First: what stands between two halves keeps them apart, in one piece as in several.
    if _SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if "\r" in text:
        text = _LINE_END.sub("\n", text)
    return _CONTROL.sub("", text)


def words(text: object) -> str:
    """A foreign text of any length, clean and without bidi controls; empty for what is none."""
    return _BIDI.sub("", clean(text)) if isinstance(text, str) else ""


def line(text: object, limit: int = LINE) -> str:
    """The same as one line of at most `limit` characters."""
    if not isinstance(text, str):
        return ""
    one = " ".join(words(text[:_LONGEST]).split())
    if not one.isprintable():
        one = "".join(filter(_is_shown, one))
    return one if len(one) <= limit else one[: limit - 1].rstrip() + "…"


def said_by(error: BaseException) -> str:
    """An exception's own words; empty where it has none, or cannot say them."""
    try:
        return clean(str(error))
    except Exception:  # of somebody else's class
        return ""


def why_of(error: BaseException) -> str:
    """The same as one line, or its class."""
    return line(said_by(error)) or type(error).__name__


def integer(written: str) -> int | None:
    """A whole number as JSON writes it; None for one without end, which says nothing.

    For `parse_int`: whoever sends such a number is not to cost what stands beside it.
    """
    return int(written) if len(written) <= _MOST_DIGITS else None


def _is_shown(character: str) -> bool:
    """Whether a line needs the character: format characters act on others, but for joiners."""
    return character in _JOINERS or unicodedata.category(character) != "Cf"


class Text:
    """A foreign text that grows piece by piece, clean at every moment.

    A character beyond the first 65,536 may come as two halves, in two pieces, and a line end as
    two characters: what may still go on waits for the next piece.
    """

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._starts: list[int] = []  # the offset of each block
        self._fresh: list[str] = []
        self._held = ""
        #: Characters so far.
        self.length = 0

    def add(self, piece: str) -> None:
        if self._held or not piece.isprintable():
            piece = self._held + piece
            self._held = ""
            last = piece[-1]
            if last == "\r" or "\ud800" <= last <= "\udbff":
                self._held = last
                piece = piece[:-1]
            piece = clean(piece)
        if piece:
            self._fresh.append(piece)
            self.length += len(piece)
            if len(self._fresh) >= _MOST_PIECES:
                self._settle()

    def since(self, start: int) -> str:
        """The text from offset `start` on; costs what it returns, not what there is."""
        self._settle()
        first = max(bisect.bisect_right(self._starts, start) - 1, 0)
        found = "".join(self._blocks[first:])
        return found[start - self._starts[first] :] if self._starts else ""

    def __str__(self) -> str:
        self._settle()
        if len(self._blocks) > 1:
            self._blocks, self._starts = ["".join(self._blocks)], [0]
        return self._blocks[0] if self._blocks else ""

    def whole(self) -> str:
        """The text when nothing more comes."""
        return str(self) + clean(self._held)

    def _settle(self) -> None:
        if self._fresh:
            block = "".join(self._fresh)
            self._fresh.clear()
            self._starts.append(self.length - len(block))
            self._blocks.append(block)
