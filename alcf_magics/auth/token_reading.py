"""One reading of a token file, and what was found. Neither locks nor writes."""

from __future__ import annotations

import enum
import hashlib
import stat
from dataclasses import dataclass, field
from pathlib import Path

from ..settings import PRODUCTION_GLOBUS_AUTH
from .grants import Grant
from .hidden import Hidden, HiddenBytes, parsed
from .old_token_format import taken_over
from .token_format import grants_in, has_shape

#: Bytes that no token file has.
TOO_LARGE = 16 * 1024 * 1024


class State(enum.Enum):
    """What reading a token file found."""

    MISSING = enum.auto()
    UNDERSTOOD = enum.auto()
    #: It was read, and is no token file: it may be kept under another name.
    BROKEN = enum.auto()
    #: Nobody knows what it holds: it must stay as it is.
    UNREADABLE = enum.auto()


@dataclass(frozen=True)
class Found:
    """One reading of a token file. `digest` is of the bytes that were judged."""

    state: State
    content: Hidden = field(default_factory=Hidden)
    reason: str = ""
    digest: str = ""


def look(path: Path) -> Found:
    """Read a file once, and judge what was read."""
    try:
        status = path.stat()
        # Opening a pipe waits for its writer, and gigabytes are no tokens.
        if not stat.S_ISREG(status.st_mode):
            return Found(State.UNREADABLE, reason=f"{path} is no regular file")
        if status.st_size > TOO_LARGE:
            return Found(State.UNREADABLE, reason=f"{path} is too large for a token file")
        raw = HiddenBytes(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return Found(State.MISSING)
    except OSError as error:
        return Found(State.UNREADABLE, reason=f"{path} cannot be read ({why(error)})")
    digest = hashlib.sha256(raw).hexdigest()
    try:
        content = parsed(raw)
    except ValueError:
        content = None
    if not has_shape(content):
        return Found(State.BROKEN, reason=f"{path} cannot be understood", digest=digest)
    return Found(State.UNDERSTOOD, taken_over(content), digest=digest)


def sdk_grants(path: Path) -> dict[str, Grant]:
    """What another program of the SDK's keeps for the production server; nothing if none."""
    return grants_in(look(path).content, PRODUCTION_GLOBUS_AUTH)


def why(error: Exception) -> str:
    """What the operating system says, in its words."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
