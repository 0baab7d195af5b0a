"""How often an answer that grows is drawn: a budget of time, of CPU and of bytes. Pure.

A draw costs kernel time, and is sent to the browser whole. What a reader notices is whether the
text keeps coming; what the kernel and the network notice is the sum. So draws come ten times a
second as long as they are cheap, and more rarely the more each of them costs.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: Seconds between two draws at least, for each message that the first one took.
DRAW_SECONDS = 0.1
#: CPU seconds for drawing, for each that reading the stream takes, or for each that passes,
#: after a first allowance. The whole is drawn once more in the end.
DRAW_PER_READ = 0.15
DRAW_PER_SECOND = 0.015
ALLOWANCE_SECONDS = 0.04
#: Seconds after which something new is shown, whatever it costs.
SILENT_SECONDS = 1.5
#: What every draw costs, however little it draws: as much CPU as drawing so many characters.
BASE_CHARACTERS = 300
#: Bytes that may be sent for each character of the answer, or for each second that it comes,
#: whichever is more, after a first allowance. A model that writes slowly is still seen writing.
BYTES_PER_CHARACTER = 7
BYTES_PER_SECOND = 4000
ALLOWANCE_BYTES = 8000
#: What a message costs beside its content: headers and signature, measured at the web socket.
MESSAGE_BYTES = 650


@dataclass(frozen=True)
class Clocks:
    """Seconds that pass, CPU seconds of the process, and of the thread that draws."""

    wall: Callable[[], float] = time.monotonic
    process: Callable[[], float] = time.process_time
    thread: Callable[[], float] = time.thread_time


class Pace:
    """The budget of one answer. Waiting for it to begin uses none of it up."""

    def __init__(self, clocks: Clocks | None = None) -> None:
        self._clocks = clocks or Clocks()
        self._started = self._clocks.wall()
        self._cpu_before = self._clocks.process()
        self._next = 0.0
        self._began: float | None = None
        self._spent = 0.0
        self._drawn = 0  # characters
        self._sent = 0
        self._sent_at = self._started
        self._messages = 0

    @property
    def seconds(self) -> float:
        """Seconds since the prompt was sent."""
        return self._clocks.wall() - self._started

    @property
    def due(self) -> bool:
        """Whether it is time to draw."""
        return self._clocks.wall() >= self._next

    @property
    def silent(self) -> bool:
        """Whether nothing new was shown for so long that something is to be, whatever it costs."""
        return self._clocks.wall() - self._sent_at > SILENT_SECONDS

    def begin(self) -> None:
        """The answer begins: what was drawn while there was none is forgotten."""
        if self._began is None:
            self._began = self._sent_at = self._clocks.wall()
            self._sent = 0

    def affords(self, size: int) -> bool:
        """Whether the CPU for a draw of `size` characters is there, going by the draws so far.

        By all of them: one that a garbage collection made slow says little of the next.
        """
        # All else that the process does meanwhile is reading and parsing, or as little.
        read = self._clocks.process() - self._cpu_before - self._spent
        share = max(DRAW_PER_READ * read, DRAW_PER_SECOND * self.seconds)
        expected = self._spent / max(1, self._drawn) * (size + BASE_CHARACTERS)
        return self._spent + expected <= share + ALLOWANCE_SECONDS

    @contextlib.contextmanager
    def drawing(self, size: int) -> Iterator[None]:
        """Draw `size` characters inside; what it costs counts."""
        now, cpu = self._clocks.wall(), self._clocks.thread()
        self._messages = 0
        yield
        self._spent += self._clocks.thread() - cpu
        self._drawn += size + BASE_CHARACTERS
        self._next = now + DRAW_SECONDS * max(1, self._messages)

    @contextlib.contextmanager
    def preparing(self) -> Iterator[None]:
        """Do inside what is done once: it is neither drawing nor reading."""
        cpu = self._clocks.thread()
        yield
        self._cpu_before += self._clocks.thread() - cpu

    def left(self, characters: int) -> int:
        """Bytes that may be sent, when so many characters have come."""
        seconds = 0.0 if self._began is None else self._clocks.wall() - self._began
        allowed = max(BYTES_PER_CHARACTER * characters, int(BYTES_PER_SECOND * seconds))
        return ALLOWANCE_BYTES + allowed - self._sent

    def sent(self, content: int) -> None:
        """A message with so many bytes of content was sent."""
        self._sent += content + MESSAGE_BYTES
        self._sent_at = self._clocks.wall()
        self._messages += 1
