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
from .errors import (
    AccessDenied,
    AlcfError,
    AnswerInvalid,
    GatewayError,
    GatewayUnreachable,
    LoginExpired,
    LoginFailed,
    Maintenance,
    ModelNotFound,
    ModelNotReady,
    NotLoggedIn,
    RateLimited,
    RequestRefused,
    StreamBroken,
)

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .gateway.catalog import Catalog
    from .gateway.chunks import Usage
    from .gateway.completions import Choice, Completion
    from .gateway.conversations import Chat
    from .gateway.models import Capabilities, Model, Status
    from .history import History
    from .many.batches import Batch

    __version__: str

#: Where the values are that `import alcf_magics` leaves for when somebody needs them.
_LATER = {
    "Batch": "many.batches",
    "Capabilities": "gateway.models",
    "Catalog": "gateway.catalog",
    "Chat": "gateway.conversations",
    "Choice": "gateway.completions",
    "Completion": "gateway.completions",
    "History": "history",
    "Model": "gateway.models",
    "Status": "gateway.models",
    "Usage": "gateway.chunks",
}

__all__ = [
    "AccessDenied",
    "AlcfError",
    "AnswerInvalid",
    "Batch",
    "Capabilities",
    "Catalog",
    "Chat",
    "Choice",
    "Completion",
    "GatewayError",
    "GatewayUnreachable",
    "History",
    "LoginExpired",
    "LoginFailed",
    "Maintenance",
    "Model",
    "ModelNotFound",
    "ModelNotReady",
    "NotLoggedIn",
    "RateLimited",
    "RequestRefused",
    "Session",
    "Status",
    "StreamBroken",
    "Usage",
    "__version__",
    "load_ipython_extension",
    "session",
    "unload_ipython_extension",
]


if not TYPE_CHECKING:  # which would take any name for one that is there

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from .gateway.records import version

            return version()
        if name in _LATER:
            from importlib import import_module

            return getattr(import_module(f".{_LATER[name]}", __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


def load_ipython_extension(shell: InteractiveShell) -> None:
    """`%load_ext alcf_magics`."""
    from .notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """`%unload_ext alcf_magics`: leaves no magic, no thread and no connection behind."""
    from .notebook.magics import unload

    unload(shell)
