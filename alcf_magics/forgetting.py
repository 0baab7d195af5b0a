"""Takes what should not be kept out of IPython's memory of inputs.

A code that a person types into a cell is single-use, but it need not stand in a database for
years. IPython stores inputs in the background, so both what is pending and what is stored goes.
"""

from __future__ import annotations

import contextlib
import linecache
import sqlite3
from typing import Any

HIDDEN = "%alcf_login …"


def forget(shell: Any, secret: str) -> None:
    """Replace every input of this session that holds `secret`, in memory and on disk."""
    manager = getattr(shell, "history_manager", None)
    if manager is None or not secret:
        return
    for inputs in (manager.input_hist_raw, manager.input_hist_parsed):
        inputs[:] = [HIDDEN if secret in text else text for text in inputs]
    names = shell.user_ns
    for name in [name for name in names if name.startswith("_i")]:
        if isinstance(names[name], str) and secret in names[name]:
            names[name] = HIDDEN
    for name in ("_i", "_ii", "_iii", "_i00"):
        if secret in getattr(manager, name, ""):
            setattr(manager, name, HIDDEN)
    # What a traceback shows of the cell comes from here.
    for name, entry in list(linecache.cache.items()):
        if len(entry) == 4 and any(secret in line for line in entry[2]):
            linecache.cache[name] = (entry[0], entry[1], [f"{HIDDEN}\n"], entry[3])
    _forget_stored(manager, secret)


def _forget_stored(manager: Any, secret: str) -> None:
    lock = getattr(manager, "db_input_cache_lock", None) or contextlib.nullcontext()
    with lock:
        cache = manager.db_input_cache
        # Rows are (number, transformed input, raw input).
        cache[:] = [row for row in cache if secret not in row[1] and secret not in row[2]]
    if not getattr(manager, "enabled", False):
        return
    with contextlib.suppress(sqlite3.Error, AttributeError), manager.db:
        manager.db.execute(
            "DELETE FROM history WHERE session = ? "
            "AND (instr(source, ?) > 0 OR instr(source_raw, ?) > 0)",
            (manager.session_number, secret, secret),
        )
