"""Takes what should not be kept out of IPython's memory of inputs.

A code that a person types into a cell is single-use, but it need not stand in a database for
years. IPython stores inputs in the background, so both what is pending and what is stored goes.
Only inputs that hold one of the login's magics and the code are touched: a word like "status"
stands in many others.
"""

from __future__ import annotations

import contextlib
import linecache
import re
import sqlite3
from collections.abc import Callable, MutableMapping
from typing import Any

HIDDEN = "%alcf_login …"

_MAGIC = re.compile(r"alcf_log(in|out)\b")
#: The names under which IPython keeps inputs for the person.
_INPUT_NAME = re.compile(r"_i{1,3}|_i\d+")

_Holds = Callable[[object], bool]


def forget(shell: Any, secret: str) -> None:
    """Replace every input of this session that gave `secret` to a magic, in memory and on disk."""
    if not secret:
        return

    def holds(text: object) -> bool:
        return isinstance(text, str) and secret in text and _MAGIC.search(text) is not None

    for names in (shell.user_ns, getattr(shell, "user_ns_hidden", {})):
        _forget_names(names, holds)
    # What a traceback shows of the cell comes from here; real files are nobody's input.
    for name in getattr(shell.compile, "_filename_map", {}):
        entry = linecache.cache.get(name)
        if entry is not None and len(entry) == 4 and holds("".join(entry[2])):
            linecache.cache[name] = (entry[0], entry[1], [f"{HIDDEN}\n"], entry[3])
    _forget_result(shell, holds)
    manager = getattr(shell, "history_manager", None)
    if manager is not None:
        for inputs in (manager.input_hist_raw, manager.input_hist_parsed):
            inputs[:] = [HIDDEN if holds(text) else text for text in inputs]
        for name in ("_i", "_ii", "_iii", "_i00"):
            if holds(getattr(manager, name, "")):
                setattr(manager, name, HIDDEN)
        _forget_stored(manager, holds)


def _forget_names(names: MutableMapping[str, Any], holds: _Holds) -> None:
    for name in [name for name in names if _INPUT_NAME.fullmatch(name)]:
        if holds(names[name]):
            names[name] = HIDDEN


def _forget_result(shell: Any, holds: _Holds) -> None:
    """Once this cell has run, take its text out of what IPython remembers of the run."""

    def clean(result: Any) -> None:
        shell.events.unregister("post_run_cell", clean)
        info = getattr(result, "info", None)
        for name in ("raw_cell", "transformed_cell"):
            if holds(getattr(info, name, "")):
                setattr(info, name, HIDDEN)

    shell.events.register("post_run_cell", clean)


def _forget_stored(manager: Any, holds: _Holds) -> None:
    lock = getattr(manager, "db_input_cache_lock", None) or contextlib.nullcontext()
    with lock:
        cache = manager.db_input_cache
        # Rows are (number, transformed input, raw input).
        cache[:] = [row for row in cache if not any(map(holds, row))]
    if not getattr(manager, "enabled", False):
        return
    with contextlib.suppress(sqlite3.Error, AttributeError), manager.db:
        rows = manager.db.execute(
            "SELECT line, source, source_raw FROM history WHERE session = ?",
            (manager.session_number,),
        ).fetchall()
        # Deleted text would otherwise stay in the file until its page is used again.
        manager.db.execute("PRAGMA secure_delete = ON")
        manager.db.executemany(
            "DELETE FROM history WHERE session = ? AND line = ?",
            [(manager.session_number, row[0]) for row in rows if any(map(holds, row))],
        )
