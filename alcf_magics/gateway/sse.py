"""Server-sent events: bytes in, events out. Pure, incremental over any split of the bytes.

Follows the WHATWG specification (https://html.spec.whatwg.org/multipage/server-sent-events.html):
lines end with CR, LF or CRLF; a byte order mark may come first; `data` lines join with LF; a
comment is ignored; an event without a closing blank line is not given out before `end`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Bytes in one line, or in the data of one event. A chunk is some hundred bytes; with log
#: probabilities some ten thousand. More than this is not a stream of chunks.
MAX_LINE = 4 * 1024 * 1024

_LINE_END = re.compile(rb"\r\n|\r|\n")


class LineTooLong(ValueError):
    """A line, or the data of one event, went over the limit."""


@dataclass(frozen=True)
class Event:
    """One event; `data` without its final line end. `retry` is in milliseconds."""

    data: str
    event: str = "message"
    id: str = ""
    retry: int | None = None


class Decoder:
    """Feed it bytes as they arrive; it returns the events that became complete.

    Linear in the bytes, however they are split. Raises LineTooLong.
    """

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self._max_line = max_line
        self._pieces: list[bytes] = []  # the unfinished line
        self._pending = 0  # its length
        self._after_cr = False
        self._at_start = True
        self._data: list[str] = []
        self._data_size = 0
        self._event = ""
        self._id = ""
        self._retry: int | None = None

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        position = 0
        if self._after_cr and data:
            # The CR has already ended its line; this LF belongs to it.
            position = 1 if data[:1] == b"\n" else 0
            self._after_cr = False
        for match in _LINE_END.finditer(data, position):
            line = b"".join([*self._pieces, data[position : match.start()]])
            self._pieces.clear()
            self._pending = 0
            position = match.end()
            self._check(len(line))
            event = self._line(line)
            if event is not None:
                events.append(event)
        if position < len(data):
            rest = data[position:]
            self._pieces.append(rest)
            self._pending += len(rest)
            self._check(self._pending)
        elif data.endswith(b"\r"):
            self._after_cr = True
        return events

    def end(self) -> list[Event]:
        """The event that the body ended in, if it did.

        The specification drops it. But a server that forgets the last blank line has said all
        the same what it had to say, and `[DONE]` is the most frequent last word.
        """
        lines = [b"".join(self._pieces), b""]
        self._pieces.clear()
        self._pending = 0
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: bytes) -> Event | None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            return self._dispatch()
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data_size += len(value)
            self._check(self._data_size)
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self._retry = int(value)
        return None

    def _dispatch(self) -> Event | None:
        data, event = self._data, self._event
        self._data, self._data_size, self._event = [], 0, ""
        if not data:
            return None
        return Event("\n".join(data), event or "message", self._id, self._retry)

    def _check(self, size: int) -> None:
        if size > self._max_line:
            raise LineTooLong(f"a line of more than {self._max_line} bytes")
