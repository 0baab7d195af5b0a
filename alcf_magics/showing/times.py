"""Moments as a reader sees them: one format everywhere, in the reader's zone, which it names."""

from __future__ import annotations

import time


def moment(seconds: float) -> str:
    """A moment, counted in seconds since 1970: `Thu 26 Nov 2026 14:05 CST`."""
    return time.strftime("%a %d %b %Y %H:%M %Z", time.localtime(seconds)).rstrip()


def clock(seconds: float, now: float | None = None) -> str:
    """A moment near `now`, the present one: `14:05 CST`; on another day `Mon 2 Nov 14:05 CST`."""
    then, today = time.localtime(seconds), time.localtime(now)
    day = "" if then[:3] == today[:3] else time.strftime("%a ", then) + f"{then.tm_mday} "
    day += time.strftime("%b ", then) if day else ""
    day += f"{then.tm_year} " if then.tm_year != today.tm_year else ""
    return (day + time.strftime("%H:%M %Z", then)).rstrip()


def lasting(seconds: float) -> str:
    """How long something takes: `41 s`, `2 min 5 s`, `1 h 12 min`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
