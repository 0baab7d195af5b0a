"""Where a completion comes from, without its texts. Pure."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .chunks import Usage


@functools.cache
def version() -> str:
    """The version of this package, which pyproject.toml alone states."""
    from importlib import metadata

    try:
        return metadata.version("alcf-magics")
    except metadata.PackageNotFoundError:  # a checkout that was put on the path as it is
        return "unknown"


@dataclass(frozen=True)
class Record:
    """How one completion came about.

    `asked` is the model as it was asked for (empty: the default), `model` as it was served.
    `parameters` is the request's body without the messages. `system_sha256` and `prompt_sha256`
    are of the texts in UTF-8 (empty where there is none). `started` is ISO 8601 in UTC;
    durations are in seconds. `finish_reason` is None for an answer that ended early. `recorded` is
    the day of an answer that came from a file; the record of others has none.
    """

    asked: str
    model: str
    cluster: str
    framework: str
    parameters: Mapping[str, Any]
    system_sha256: str
    prompt_sha256: str
    started: str
    seconds: float
    first_token_seconds: float | None
    usage: Usage | None
    finish_reason: str | None
    version: str
    recorded: str = ""

    def to_json(self) -> dict[str, Any]:
        value = asdict(self)
        if not self.recorded:
            del value["recorded"]
        return value
