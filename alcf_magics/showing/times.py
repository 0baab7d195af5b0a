"""Moments as a reader sees them: one format everywhere, in the reader's zone, which it names."""

from __future__ import annotations

import time


def moment(seconds: float) -> str:
    """A moment, counted in seconds since 1970: `Thu 26 Nov 2026 14:05 CST`."""
    return time.strftime("%a %d %b %Y %H:%M %Z", time.localtime(seconds)).rstrip()
