"""The cells that were refused because nobody was logged in: a login that is made names them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any

from .._session import session
from ..errors import LoginExpired, NotLoggedIn
from ..text import line
from .shells import prompt_magics

#: Cells that are remembered, and named; and characters of a prompt that remind of it.
MOST_CELLS = 100
MOST_NAMED = 3
REMINDER_CHARACTERS = 40

_LOGIN = re.compile(r"\s*%alcf_log(in|out)\b")
_MAGIC = re.compile(r"\s*%{1,2}(\w+)([^\n]*)\n?")


class RefusedCells:
    """Those of one shell, in the order in which they ran last.

    A cell that runs again is no longer one, unless it is refused once more. In a notebook it is
    known by the name that the front end has for it, else by what stands in it.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._cells: dict[str, tuple[int | None, str]] = {}  # execution count, source

    def install(self) -> None:
        self._shell.events.register("post_run_cell", self._on_end)

    def remove(self) -> None:
        with contextlib.suppress(ValueError):  # not registered
            self._shell.events.unregister("post_run_cell", self._on_end)
        self._cells.clear()

    def _on_end(self, result: Any) -> None:
        source = str(result.info.raw_cell or "")
        key = getattr(result.info, "cell_id", None) or source
        self._cells.pop(key, None)
        refused = isinstance(result.error_in_exec, NotLoggedIn | LoginExpired)
        if refused and not _LOGIN.match(source) and len(self._cells) < MOST_CELLS:
            self._cells[key] = result.execution_count, source

    def named(self) -> str:
        """The sentence that names them and says what to do, once; empty if there are none."""
        cells, self._cells = list(self._cells.values()), {}
        if not cells:
            return ""
        from ..prompts.redaction import Redaction

        hide = Redaction.of(session())
        names = [self._name(count, source, hide) for count, source in cells[:MOST_NAMED]]
        if len(cells) == 1:
            return f"Cell {names[0]} was refused: run it again."
        left = len(cells) - len(names)
        last = f"{left} more" if left else names.pop()
        return f"Cells {', '.join(names)} and {last} were refused: run them again."

    def _name(self, count: int | None, source: str, hide: Callable[[str], str]) -> str:
        """`[5] “What is MPI?”`: of code that is no prompt, the number alone."""
        number = "[ ]" if count is None else f"[{count}]"
        magic = _MAGIC.match(source)
        if magic is None or magic[1] not in prompt_magics(self._shell):
            return number
        prompt = source[magic.end() :].strip() or magic[2]
        return f"{number} “{line(hide(prompt), REMINDER_CHARACTERS)}”"
