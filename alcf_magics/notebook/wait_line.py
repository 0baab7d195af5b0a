"""One line that says what is being waited for, and goes away with it."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any

from ..showing.display import line_html
from ..text import words
from .outputs import is_captured, publish
from .shells import is_kernel

#: Seconds after which a line is printed anew where it cannot move; each time twice as many.
AGAIN_SECONDS = 5.0


class WaitLine:
    """Shows a line in the running cell; an empty one takes it away."""

    def __init__(self, shell: Any) -> None:
        self._in_notebook = is_kernel(shell)
        self._handle: Any = None
        self._moving = MovingLine()

    def __call__(self, line: str) -> None:
        if not self._in_notebook:
            self._moving(line)
            return
        bundle = {"text/plain": line, "text/html": line_html(line)} if line else {}
        if line and is_captured():
            return
        if line or self._handle is not None:
            self._handle = publish(self._handle, bundle)
        if not line:
            self._handle = None


class MovingLine:
    """The same in a terminal, where each line takes the place of the one before.

    Where what was printed stays (a file, a pipe) it is said again after a while, more and more
    rarely.
    """

    def __init__(self) -> None:
        self._width = 0
        self._next = 0.0
        self._pause = AGAIN_SECONDS

    def __call__(self, line: str) -> None:
        if not line:
            self._take_away()
        elif is_terminal():
            self._move(words(line))
        elif time.monotonic() >= self._next:
            print(words(line), flush=True)
            self._next = time.monotonic() + self._pause
            self._pause *= 2

    def _move(self, line: str) -> None:
        line = line[: shutil.get_terminal_size().columns - 1]
        print("\r" + line.ljust(self._width), end="", flush=True)
        self._width = len(line)

    def _take_away(self) -> None:
        if self._width:
            print("\r" + " " * self._width + "\r", end="", flush=True)
        self._width, self._next, self._pause = 0, 0.0, AGAIN_SECONDS


def is_terminal() -> bool:
    """Whether what is printed can be printed over."""
    try:
        return bool(sys.stdout.isatty())
    except (AttributeError, ValueError):  # whatever somebody put in its place; closed
        return False
