"""What a shell is: a kernel's or a terminal's, with somebody there or not, running what cell."""

from __future__ import annotations

import functools
import os
import re
import sys
from typing import Any

from IPython.core.magic import MagicAlias

PROMPT_MAGIC = "alcf"
_CONSOLES = ("jupyter-console", "jupyter-qtconsole", "jupyter_console", "qtconsoleapp")


def is_kernel(shell: Any) -> bool:
    """Whether outputs go to a notebook, and not to a terminal, or to a console of Jupyter's."""
    return hasattr(shell, "kernel") and not _is_console()


def _is_console() -> bool:
    """Whether this kernel belongs to a console, which has no pages, no widgets and no updates.

    No message says so; but it is the console that started the kernel.
    """
    return any(name in word for word in _parent_command()[:3] for name in _CONSOLES)


@functools.cache
def _parent_command() -> tuple[str, ...]:
    """The command line of the process that started this one; empty where that is not known."""
    try:
        import psutil  # comes with ipykernel

        return tuple(psutil.Process(os.getppid()).cmdline())
    except Exception:  # whatever a platform comes up with: then it is a notebook's
        return ()


def is_headless(shell: Any) -> bool:
    """Whether nobody can answer a question: nbclient, papermill, a batch job, a pipe."""
    if not hasattr(shell, "kernel"):
        return not (sys.stdin and sys.stdin.isatty())
    try:
        return shell.kernel.get_parent()["content"].get("allow_stdin") is False
    except (AttributeError, KeyError, TypeError):
        return False


def prompt_magics(shell: Any) -> frozenset[str]:
    """The names under which a prompt may be typed: our own, and what `%alias_magic` made of it."""
    names = {PROMPT_MAGIC}
    if shell is None:
        return frozenset(names)
    aliases = [
        (name, magic.magic_name)
        for magics in shell.magics_manager.magics.values()
        for name, magic in magics.items()
        if isinstance(magic, MagicAlias)
    ]
    for _ in aliases:  # of an alias, too
        names.update(name for name, means in aliases if means in names)
    return frozenset(names)


def is_whole_cell(shell: Any) -> bool:
    """Whether the cell that runs is nothing but one prompt, whose value it will show."""
    if getattr(shell, "ast_node_interactivity", "") == "none":
        return False
    try:
        code = str(shell.kernel.get_parent()["content"]["code"])
    except (AttributeError, KeyError):
        return False
    names = prompt_magics(shell)
    cell = re.match(r"\s*%%(\w+)", code)
    if cell is not None:
        return cell[1] in names
    lines = [line.strip() for line in code.splitlines()]
    statements = [line for line in lines if line and not line.startswith("#")]
    line = re.match(r"%(\w+)", statements[0]) if len(statements) == 1 else None
    return line is not None and line[1] in names
