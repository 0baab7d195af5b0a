"""Server-sent events: bytes in, events out. Pure, incremental over any split of the bytes.

Follows the WHATWG specification (https://html.spec.whatwg.org/multipage/server-sent-events.html):
lines end with CR, LF or CRLF; a byte order mark may come first; `data` lines join with LF; a
comment is ignored; an event without a closing blank line is not given out before `end`. Beyond it,
a field `error` is an event of that name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Bytes in one line, or in the data of one event. A chunk is some hundred bytes; with log
#: probabilities some ten thousand. More than this is not a stream of chunks.
MAX_LINE = 4 * 1024 * 1024
#: More digits are no time to wait, and Python reads no number of some thousand.
_MILLISECONDS = re.compile("[0-9]{1,18}")


class LineTooLong(ValueError):
    """A line, or the data of one event, went over the limit."""


@dataclass(slots=True)
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
        self._data: list[bytes] = []
        self._data_size = 0
        self._event = ""
        self._id = ""
        self._retry: int | None = None

    def feed(self, data: bytes) -> list[Event]:
        if self._after_cr and data:
            # The CR has already ended its line; this LF belongs to it.
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._pieces and b"\n" in data:
            data = b"".join([*self._pieces, data])
            self._pieces.clear()
            self._pending = 0
        events, data = self._plain(data)
        *lines, rest = data.split(b"\n")
        if lines:
            self._read(lines, events)
        if rest:
            self._pieces.append(rest)
            self._pending += len(rest)
            self._check(self._pending)
        return events

    def _plain(self, data: bytes) -> tuple[list[Event], bytes]:
        """The events that a read begins with, if each is one line of data, and what is left.

        As nearly all events are: this costs a third of looking at each line.
        """
        cut = data.rfind(b"\n\n")
        if cut < 0 or self._data or self._event or self._at_start or len(data) > self._max_line:
            return [], data
        try:
            texts = data[:cut].decode().split("\n\n")
        except UnicodeDecodeError:
            return [], data
        if data.count(b"\n", 0, cut) != 2 * len(texts) - 2:
            return [], data
        last, retry = self._id, self._retry
        events = [Event(t[6:], "message", last, retry) for t in texts if t[:6] == "data: "]
        return (events, data[cut + 2 :]) if len(events) == len(texts) else ([], data)

    def end(self) -> list[Event]:
        """The event that the body ended in, if it did.

        The specification drops it. But a server that forgets the last blank line has said all
        the same what it had to say, and `[DONE]` is the most frequent last word.
        """
        events: list[Event] = []
        lines = [b"".join(self._pieces), b""]
        self._pieces.clear()
        self._pending = 0
        self._read(lines, events)
        return events

    def _read(self, lines: list[bytes], events: list[Event]) -> None:
        """Take whole lines in; `events` gets what they complete."""
        if self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
        for line in lines:
            if not line:
                if self._data:
                    events.append(self._dispatched())
                self._event, self._data_size = "", 0
            elif line.startswith(b"data:"):
                self._add(line[6:] if line[5:6] == b" " else line[5:])
            elif line == b"data":
                self._add(b"")
            else:
                self._check(len(line))
                self._field(line)

    def _add(self, value: bytes) -> None:
        # An empty line of data costs, too: there may be no end of them.
        self._data_size += len(value) + 1
        self._check(self._data_size)
        self._data.append(value)

    def _dispatched(self) -> Event:
        data = b"\n".join(self._data).decode("utf-8", "replace")
        self._data.clear()
        return Event(data, self._event or "message", self._id, self._retry)

    def _field(self, line: bytes) -> None:
        """Any field but data."""
        name, _, text = line.decode("utf-8", "replace").partition(":")
        value = text.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and _MILLISECONDS.fullmatch(value):
            self._retry = int(value)
        elif name == "error":
            self._event = name
            self._add(value.encode())

    def _check(self, size: int) -> None:
        if size > self._max_line:
            raise LineTooLong(f"a line of more than {self._max_line} bytes")
