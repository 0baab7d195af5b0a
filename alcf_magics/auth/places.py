"""Where Globus SDK programs keep their token files; HOME decides."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from ..settings import CLIENT_ID


def home() -> str:
    """The home directory; empty where there is none, or none that every folder sees alike."""
    found = os.path.expanduser("~")  # noqa: PTH111  (pathlib raises where there is no home)
    # With an empty HOME the answer is the root of all files.
    return found if Path(found).is_absolute() and os.environ.get("HOME") != "" else ""


def apps_directory() -> Path:
    """`~/.globus/app`; where there is no home, a place in which no file can be."""
    return _apps_in(home() or os.devnull)


def own_path() -> Path:
    """`~/.globus/app/<client id>/alcf_magics/tokens.json`."""
    return _own_in(apps_directory())


@lru_cache(maxsize=8)  # asked for before each request
def _apps_in(home: str) -> Path:
    return Path(home, ".globus", "app")


@lru_cache(maxsize=8)
def _own_in(apps: Path) -> Path:
    return apps / CLIENT_ID / "alcf_magics" / "tokens.json"
