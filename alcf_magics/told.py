"""What a reader is told beside an answer: what is waited for, and notices. Pure.

One for each exchange or login, made where it is shown and handed down to whoever waits; several
live at a time, and none knows of another.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable


class Told:
    """One line that says what is waited for just now, and notices that each are told once.

    Thread-safe. `show` gets the waiting line on the thread that made this object, whoever waits:
    at once where that thread waits itself, else at its next `tick`. An empty line takes it away.
    """

    def __init__(self, show: Callable[[str], None] = lambda line: None) -> None:
        self._show = show
        self._shown = ""
        self._owner = threading.get_ident()
        self._notices: deque[str] = deque()
        #: What is waited for just now, in words; empty if nothing is.
        self.waiting_for = ""

    def waiting(self, line: str) -> None:
        """This is waited for from now on; nothing is when the line is empty."""
        self.waiting_for = line
        if threading.get_ident() == self._owner:
            self.tick()  # nobody else will, while this thread waits

    def tick(self) -> None:
        """Show what is waited for, if that has changed."""
        if self.waiting_for != self._shown:
            self._shown = self.waiting_for
            self._show(self._shown)

    def notice(self, line: str) -> None:
        """Something happened that the reader should know."""
        self._notices.append(line)

    def notices(self) -> list[str]:
        """The notices since this was asked last."""
        lines = []
        while self._notices:
            lines.append(self._notices.popleft())
        return lines


class Silent(Told):
    """For whoever has nobody to tell: what it is told is dropped."""

    def waiting(self, line: str) -> None:
        pass

    def notice(self, line: str) -> None:
        pass


class Plain(Silent):
    """For one plain call of Python's: what it waits for long, it says once, on standard error."""

    def __init__(self) -> None:
        super().__init__()
        self._since: float | None = None
        self._said = False

    def waiting(self, line: str) -> None:
        self.waiting_for = line

    def tick(self) -> None:
        if not self.waiting_for:
            self._since = None
            return
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since >= PATIENCE and not self._said:
            self._said = True
            with contextlib.suppress(Exception):  # a script may have closed it
                print(self.waiting_for, file=sys.stderr, flush=True)


#: Where nobody listens.
SILENT = Silent()
#: Seconds of waiting of which a plain call says nothing.
PATIENCE = 5.0


def tell(told: Told, notice: str) -> None:
    """Tell a notice; of a plain call of Python's, where nobody listens, Python says it, once."""
    told.notice(notice)
    if isinstance(told, Silent):
        warnings.warn(notice, stacklevel=_caller())


def _caller() -> int:
    """The level of whoever called this package, as warnings count for `tell`."""
    package = __name__.partition(".")[0]
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level
