"""Values that must not be seen: tokens, and the JSON that holds them. Pure.

A traceback with locals, a debugger and a repr show that something is there, and not what.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

#: What a token may be made of: anything else could not stand in a header.
_TOKEN = re.compile(r"[!-~]+")


class Secret:
    """A text that must not be seen: repr, str and format hide it; `reveal()` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


class Hidden(dict[str, Any]):
    """A JSON object that may hold tokens: its repr hides it, in a traceback with locals too."""

    def __repr__(self) -> str:
        return "Hidden(…)"

    __str__ = __repr__


class HiddenBytes(bytes):
    """Bytes that may hold tokens: their repr hides them."""

    def __repr__(self) -> str:
        return "HiddenBytes(…)"

    __str__ = __repr__


def parsed(raw: HiddenBytes) -> Any:
    """The JSON value in `raw`, each object of it Hidden. Raises ValueError when there is none."""
    try:
        return json.loads(raw, object_hook=Hidden)
    except (ValueError, RecursionError):
        pass  # raised anew below: these errors hold the document
    except BaseException as error:
        # An interrupt: the frames of the parser would show what it parses.
        raise error.with_traceback(None) from None
    raise ValueError("no JSON")


def dumped(content: Hidden) -> HiddenBytes:
    """`content` as JSON. Raises ValueError when it is nested too deeply."""
    try:
        return HiddenBytes(json.dumps(content).encode("ascii"))
    except RecursionError:
        pass
    except BaseException as error:
        raise error.with_traceback(None) from None
    raise ValueError("nested too deeply")


def token_in(fields: Mapping[str, Any], name: str) -> Secret | None:
    """The token of that name; None without one. Raises ValueError for what cannot be a token."""
    if fields.get(name) in (None, ""):
        return None
    if not isinstance(fields[name], str) or not _TOKEN.fullmatch(fields[name]):
        raise ValueError(f"{name} is no token")
    return Secret(fields[name])
