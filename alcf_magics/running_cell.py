"""Which execution of which cell runs now."""

from __future__ import annotations

import sys
from typing import Any

from .gateway.conversations import Execution


def execution() -> Execution | None:
    """The execution that runs on this thread; None where no cell is named."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    if not hasattr(shell, "kernel"):
        return None
    parent = shell.kernel.get_parent() or {}
    cell = parent.get("metadata", {}).get("cellId")
    if not cell:  # a notebook that runs without a person, a console
        return None
    run = parent.get("header", {}).get("msg_id") or shell.execution_count
    return Execution(str(cell), str(run))
