"""One line that says what is being waited for, and goes away with it."""

from __future__ import annotations

from typing import Any

from ..showing.display import line_html
from .outputs import is_captured, publish
from .shells import is_kernel


class WaitLine:
    """Shows a line in the running cell; an empty one takes it away."""

    def __init__(self, shell: Any) -> None:
        self._in_notebook = is_kernel(shell)
        self._handle: Any = None
        self._printed = False

    def __call__(self, line: str) -> None:
        if not self._in_notebook:
            # A terminal keeps what was printed: the first line of a countdown is enough.
            if line and not self._printed:
                print(line, flush=True)
            self._printed = bool(line)
            return
        bundle = {"text/plain": line, "text/html": line_html(line)} if line else {}
        if line and is_captured():
            return
        if line or self._handle is not None:
            self._handle = publish(self._handle, bundle)
        if not line:
            self._handle = None
