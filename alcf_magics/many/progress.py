"""A bar that says how far many things have come: rate, failures, estimate; in page and terminal."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from types import TracebackType
from typing import Any

#: Seconds between two draws; where nothing comes; and where nobody looks on: a log keeps each.
DRAW_SECONDS = 0.2
IDLE_SECONDS = 1.0
LOG_SECONDS = 30.0


class Progress:
    """Drawn by the thread that uses it. What goes wrong with it costs nobody the work.

    `done` of `total` are behind us when it begins. Nothing is drawn where it is not `shown`, or
    nothing is left to be done.
    """

    def __init__(self, total: int, done: int = 0, unit: str = "prompt", *, shown: bool = True):
        self._seen = done
        self._refreshed = time.monotonic()
        self._bar: Any = None
        if shown and done < total:
            with contextlib.suppress(Exception):
                self._bar = _bar(total, done, unit)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            with contextlib.suppress(Exception):
                self._bar.close()

    def show(self, done: int, failed: int = 0, waiting: str = "") -> None:
        """So many are done by now, and so many of these failed; `waiting` says for what."""
        if self._bar is None:
            return
        parts = [f"{failed:,} failed"] if failed else []
        with contextlib.suppress(Exception):  # a closed stderr, a front end without widgets
            self._bar.set_postfix_str(", ".join([*parts, *filter(None, [waiting])]), refresh=False)
            self._bar.update(done - self._seen)
            self._seen = done
            self._refresh()

    def _refresh(self) -> None:
        """Draw the time and what is waited for also while nothing comes."""
        now = time.monotonic()
        if now - self._refreshed >= self._bar.idle_seconds:
            self._refreshed = now
            self._bar.refresh()


def _bar(total: int, done: int, unit: str) -> Any:
    from tqdm.auto import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        #: Zero starts no thread that watches bars: it would outlive the extension.
        monitor_interval = 0
        idle_seconds: float

        def __del__(self) -> None:  # also of one that broke while it was made
            with contextlib.suppress(Exception):
                super().__del__()

    # tqdm never lets go of the lock that all bars share where a screen breaks: this has its own.
    Bar.set_lock(threading.RLock())
    on_screen = "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())
    Bar.idle_seconds = IDLE_SECONDS if on_screen else LOG_SECONDS
    return Bar(
        total=total,
        initial=done,
        unit=f" {unit}",
        mininterval=DRAW_SECONDS if on_screen else LOG_SECONDS,
        miniters=1,  # else a burst makes it wait for as many more
        dynamic_ncols=True,
    )
