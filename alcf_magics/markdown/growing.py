"""A text that grows, rendered so that its finished parts are rendered once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .highlighting import with_style
from .parsing import Parsed, normalise, parse

# What a last line without its end may still become: any of these decides what is before it.
_MAYBE_LIST_ITEM = re.compile(r"(?:[-+*](?:[ \t]|$)|[0-9]{1,9}(?:[.)](?:[ \t]|$)|$))")


@dataclass(frozen=True)
class Piece:
    """A part of the text and its HTML, which can stand for itself."""

    markdown: str
    html: str


class Growing:
    """A Markdown text while it grows, cut before blocks where nothing to come changes the past.

    Only references and footnotes that are defined later change what was cut off before. What was
    cut off gives the references it defines to what comes; from its first footnote on, a text is
    not cut.
    """

    def __init__(self) -> None:
        self._taken: list[Piece] = []
        self._finished: list[Piece] = []
        self._finished_length = 0
        self._last = ""
        self._earlier: Parsed | None = None
        self._arrived: list[str] = []
        self._arrived_length = 0
        self._held = ""
        self._rest: Parsed | None = None
        self._drawn: tuple[Parsed, str] | None = None

    def add(self, piece: str) -> None:
        """Append what came; it may be split anywhere."""
        if not piece:
            return
        piece = self._held + piece
        self._held = ""
        # A line end or a character may be cut in two.
        if piece[-1] == "\r" or "\ud800" <= piece[-1] <= "\udbff":
            self._held = piece[-1]
            piece = piece[:-1]
        if piece:
            piece = normalise(piece)
            self._arrived.append(piece)
            self._arrived_length += len(piece)

    @property
    def text(self) -> str:
        """Everything so far, with line ends of one kind."""
        finished = [piece.markdown for piece in (*self._taken, *self._finished)]
        return "".join([*finished, self._pending(), normalise(self._held)])

    @property
    def unfinished(self) -> int:
        """Number of characters behind the last safe cut that is known: what the next draw costs."""
        return len(self._last) + self._arrived_length + len(self._held)

    @property
    def untaken(self) -> int:
        """Number of characters that the tail holds."""
        return self._finished_length + self.unfinished

    def take(self, minimum: int) -> Piece | None:
        """Remove what is finished and return it, if that is at least so many characters."""
        self._advance()
        if not self._finished or self._finished_length < minimum:
            return None
        markdown = "".join(piece.markdown for piece in self._finished)
        body = "".join(piece.html for piece in self._finished)
        self._finished = []
        self._finished_length = 0
        self._taken.append(Piece(markdown, body))
        return Piece(markdown, with_style(body))

    def tail(self) -> Piece:
        """All that is not taken; code in its unfinished part has no colours yet."""
        rest = self._parsed_rest()
        if self._drawn is None or self._drawn[0] is not rest:
            self._drawn = (rest, rest.html(highlight=False))
        markdown = "".join([*(piece.markdown for piece in self._finished), rest.text])
        body = "".join([*(piece.html for piece in self._finished), self._drawn[1]])
        return Piece(markdown, with_style(body))

    def whole(self) -> str | None:
        """The HTML of everything, as if it were rendered at once; what is finished is not again.

        None where something in it may have changed what came before it.
        """
        last = self._parsed_rest()
        if last.reaches_back or (self._earlier is not None and self._earlier.reaches_back):
            return None
        bodies = [piece.html for piece in (*self._taken, *self._finished)]
        return with_style("".join([*bodies, last.html(highlight=True)]))

    def _parsed_rest(self) -> Parsed:
        """All that is not finished, parsed once however often it is asked for."""
        parsed = self._advance()
        text = self._last + normalise(self._held)
        if parsed is not None and parsed.text == text:
            self._rest = parsed
        elif self._rest is None or self._rest.text != text:
            self._rest = parse(text, self._earlier)
        return self._rest

    def _pending(self) -> str:
        if self._arrived:
            self._last = "".join([self._last, *self._arrived])
            self._arrived = []
            self._arrived_length = 0
        return self._last

    def _advance(self) -> Parsed | None:
        """Move what is finished out of the pending text; the latter parsed, if it was."""
        if not self._arrived:
            return None
        pending = self._pending()
        parsed = parse(pending, self._earlier)
        cut = _safe_cut(parsed)
        if not cut:
            return parsed
        self._last = pending[cut:]
        self._rest = self._drawn = None
        finished = pending[:cut]
        # What is counted through a text must be counted up to the cut, and not beyond it.
        counted = bool(parsed.env.get("repeated"))
        self._earlier = parse(finished, self._earlier) if counted else parsed.before(cut)
        self._finished.append(Piece(finished, self._earlier.html(highlight=True)))
        self._finished_length += cut
        return None


def _safe_cut(parsed: Parsed) -> int:
    """The last offset before which nothing can change any more, or 0."""
    text = parsed.text
    undecided = parsed.masked.undecided
    cut = 0
    for offset, before in parsed.starts():
        if undecided is not None and offset > undecided:
            break
        if _is_safe(text, offset, before):
            cut = offset
    return cut


def _is_safe(text: str, offset: int, before: str) -> bool:
    end = text.find("\n", offset)
    line = text[offset : end if end >= 0 else len(text)]
    if not line or line[0] in " \t" or text[offset - 1] != "\n":
        return False
    previous = text.rfind("\n", 0, offset - 1) + 1
    if text[previous : offset - 1].strip(" \t"):
        return False
    return not ("list" in before or end < 0) or not _MAYBE_LIST_ITEM.match(line)
