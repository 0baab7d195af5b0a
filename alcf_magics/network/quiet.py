"""Keeps what httpx logs of our own requests out of a person's log; theirs stay in it.

Told apart by the thread that sends: ours carry a name, and nobody else's code runs on them. No
level is touched, so that `logging.basicConfig` means what it says.
"""

from __future__ import annotations

import logging
import threading

#: How the names of our threads begin: the event loop's, the login's, the sandbox's.
OURS = ("alcf_magics", "alcf-sandbox")
#: Every logger that httpx and its parts write to: a filter counts for one alone.
LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)


def _is_theirs(record: logging.LogRecord) -> bool:
    return not threading.current_thread().name.startswith(OURS)


def keep_quiet() -> None:
    """From now on. Costs nothing when it is done again."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_is_theirs)
