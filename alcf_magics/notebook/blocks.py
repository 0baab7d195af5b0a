"""What goes along with a prompt as labelled blocks: text files, and code with what it showed."""

from __future__ import annotations

import re
from pathlib import Path

from IPython.core.error import UsageError

#: Bytes of a file that may go along: no window holds more.
FILE_BYTES = 1_000_000


def block(label: str, text: str, language: str = "") -> str:
    """A text in a fence that nothing in it closes, below a line that says what it is."""
    ticks = max((len(run) for run in re.findall(r"`{3,}", text)), default=2) + 1
    fence = "`" * ticks
    end = "" if not text or text.endswith("\n") else "\n"
    return f"{label}:\n{fence}{language}\n{text}{end}{fence}"


def file_text(name: str) -> str:
    """A text file's text. Raises UsageError for what is none, is missing or is too large."""
    path = Path(name).expanduser()
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"--file {name}: not a file (of a folder, name the files)")
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"--file {name}: there is no such file (here is {Path.cwd()})") from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"--file {name}: it cannot be read ({reason})") from None
    if len(raw) > FILE_BYTES:
        raise UsageError(
            f"--file {name}: more than {FILE_BYTES:,} bytes; name a file with the part that matters"
        )
    return _decoded(raw, name)


def _decoded(raw: bytes, name: str) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UsageError(f"--file {name}: not a text file in UTF-8; only text can be sent")
    return text


def file_block(name: str, text: str) -> str:
    """A file's text under its name."""
    suffix = Path(name).suffix.removeprefix(".")
    return block(f"File {name}", text, suffix if suffix.isalnum() else "")
