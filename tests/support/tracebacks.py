"""What a traceback with locals would show."""

from __future__ import annotations

import traceback
from pathlib import Path

TESTS = Path(__file__).parents[1]


def locals_of(error: BaseException) -> str:
    """What a verbose traceback shows below the tests' own frames: every frame with its locals."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    shown.stack[:] = [frame for frame in shown.stack if TESTS not in Path(frame.filename).parents]
    return "".join(shown.format())
