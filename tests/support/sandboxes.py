"""A sandbox that many tests share, each of which finds it as the first one did."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from alcf_magics.sandbox import Sandbox


@contextlib.contextmanager
def as_it_was(sandbox: Sandbox) -> Iterator[Sandbox]:
    """Nothing has been asked of it yet; what is set inside is set back at the end."""
    sandbox.requests.clear()
    sandbox.disconnects.clear()
    settings = dict(vars(sandbox))
    try:
        yield sandbox
    finally:
        vars(sandbox).update(settings)
        sandbox.loading.clear()
