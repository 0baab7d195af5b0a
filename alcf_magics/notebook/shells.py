"""What a shell is: a kernel's or a terminal's, with somebody there or not, running what cell."""

from __future__ import annotations

import sys
from typing import Any


def is_kernel(shell: Any) -> bool:
    """Whether outputs go to a notebook, and not to a terminal."""
    return hasattr(shell, "kernel")


def is_headless(shell: Any) -> bool:
    """Whether nobody can answer a question: nbclient, papermill, a batch job, a pipe."""
    if not is_kernel(shell):
        return not (sys.stdin and sys.stdin.isatty())
    try:
        return shell.kernel.get_parent()["content"].get("allow_stdin") is False
    except (AttributeError, KeyError, TypeError):
        return False


def is_whole_cell(shell: Any, magic: str) -> bool:
    """Whether the cell that runs is nothing but one line with this magic."""
    try:
        code = str(shell.kernel.get_parent()["content"]["code"])
    except (AttributeError, KeyError):
        return False
    if code.lstrip().startswith(f"%%{magic}"):
        return True
    lines = [line.strip() for line in code.splitlines()]
    statements = [line for line in lines if line and not line.startswith("#")]
    return len(statements) == 1 and statements[0].startswith(f"%{magic}")
