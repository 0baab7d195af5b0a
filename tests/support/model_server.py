"""The real, small language model of the demo, in the real cache: the suite fetches it once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alcf_magics.sandbox import model_file as files
from alcf_magics.sandbox import model_server as servers
from support.downloads import user_cache

MODEL = files.NAME
CONTEXT = 2048
"""Tokens of prompt and answer together; a longer prompt is refused with status 400."""


def model_file() -> Path:
    """The model's file, fetched if it is not in the cache of who runs the tests."""
    return files.model_file(user_cache() / "alcf_magics")


@contextmanager
def model_server() -> Iterator[str]:
    """Serve the model in a process of its own; yields the base URL, which ends in `/v1`."""
    with servers.model_server(model_file(), CONTEXT) as url:
        yield url
