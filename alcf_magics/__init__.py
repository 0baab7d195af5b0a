"""IPython magics for the ALCF inference service.

In a notebook:

    %load_ext alcf_magics
    %alcf_login
    %alcf_models
    %%alcf -m gpt-oss-120b
    Explain the difference between MPI and OpenMP to a first-year student.

In Python: `alcf_magics.session()` is the same login and the same gateway client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._session import Session, session
from ._version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .gateway.completions import Completion

__all__ = [
    "Completion",
    "Session",
    "__version__",
    "load_ipython_extension",
    "session",
    "unload_ipython_extension",
]


def __getattr__(name: str) -> Any:
    if name == "Completion":
        from .gateway.completions import Completion

        return Completion
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: InteractiveShell) -> None:
    """`%load_ext alcf_magics`."""
    from .notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """`%unload_ext alcf_magics`: leaves no magic, no thread and no connection behind."""
    from .notebook.magics import unload

    unload(shell)
