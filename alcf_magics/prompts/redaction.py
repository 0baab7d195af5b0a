"""Tokens taken out of what a prompt brings along: files, cells and values may hold one."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from ..errors import AlcfError
from ..settings import TOKEN_VARIABLE

if TYPE_CHECKING:
    from .._session import Session

#: What stands where a token was.
PLACEHOLDER = "(token)"

_TOKEN_FIELDS = ("access_token", "refresh_token", "id_token")


class Redaction:
    """Takes tokens out of texts. Its repr does not show them, in a traceback with locals too."""

    __slots__ = ("_pattern",)

    def __init__(self, tokens: frozenset[str]) -> None:
        # The longest first: one may be the beginning of another.
        longest_first = sorted(filter(None, tokens), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    @classmethod
    def of(cls, session: Session) -> Redaction:
        """Of the bearer in force, of every grant that is stored, and of the environment's token."""
        return cls(frozenset({*_in_environment(), *_bearer(session), *_stored()}))

    def __call__(self, text: str) -> str:
        return self._pattern.sub(PLACEHOLDER, text)

    def __repr__(self) -> str:
        return "Redaction(…)"


def _in_environment() -> Iterator[str]:
    yield os.environ.get(TOKEN_VARIABLE, "").strip()


def _bearer(session: Session) -> Iterator[str]:
    """The token that the next request would carry: signed like one, and not sent."""
    with contextlib.suppress(AlcfError):
        request = httpx.Request("GET", session.settings.gateway_url)
        signing = session.auth.sync_auth_flow(request)
        try:
            yield next(signing).headers.get("authorization", "").removeprefix("Bearer ").strip()
        finally:
            signing.close()


def _stored() -> Iterator[str]:
    """Every token in the files of Globus programs: ours, and those of ALCF's other tools."""
    apps = Path(os.path.expanduser("~"), ".globus", "app")  # noqa: PTH111  (raises without a home)
    for path in apps.glob("*/*/*.json*"):
        with contextlib.suppress(OSError, ValueError, RecursionError):
            yield from _tokens_in(json.loads(path.read_bytes()))


def _tokens_in(content: Any) -> Iterator[str]:
    """The tokens of a JSON value, whatever format of the SDK's it has."""
    if isinstance(content, dict):
        for name, value in content.items():
            if name in _TOKEN_FIELDS and isinstance(value, str):
                yield value
            else:
                yield from _tokens_in(value)
    elif isinstance(content, list):
        for value in content:
            yield from _tokens_in(value)
