"""The body of `/{cluster}/jobs`: the state of each model there, and the job behind it. Pure.

No cluster's name stands here: what decides is what the jobs say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate
from typing import Any
from zoneinfo import ZoneInfo

from ..text import line, words
from .models import Job, Status

#: What a job says of itself goes before the list it stands in.
_BY_WORD = {
    "running": Status.LIVE,
    "live": Status.LIVE,
    "starting": Status.STARTING,
    "queued": Status.QUEUED,
    "stopped": Status.OFFLINE,
    "disconnected": Status.DISCONNECTED,
    "other": Status.OFFLINE,
}


_BY_LIST = {
    "running": Status.LIVE,
    "queued": Status.QUEUED,
    "others": Status.OFFLINE,
    "stopped": Status.OFFLINE,
}

#: The time zones that schedulers name in words.
_ZONES = {"chicago time": "America/Chicago"}
#: Where the scheduler's own comment says when a job began, without a zone and a year.
_HOME = _ZONES["chicago time"]
_BEGAN = re.compile(r"Job run at (\w{3} \w{3} +\d+) at (\d+:\d+)")
_DAY = 86400.0


def states(
    jobs: Mapping[str, Any] | None, at: float = 0.0
) -> dict[str, tuple[Status, str, Job]] | None:
    """The best state, the estimated start as told, and the job, by a model's name in lower case.

    `at` is when the jobs were read, in seconds since 1970. None when they tell nothing: lists
    that are all empty are what a failed query of the scheduler looks like.
    """
    found: dict[str, tuple[Status, str, Job]] = {}
    for name, default in _BY_LIST.items():
        for entry in _list(jobs, name):
            state = _state(entry, default, at)
            named = entry.get("Models")
            for model in named.split(",") if isinstance(named, str) else ():
                if key := model.strip().casefold():
                    found[key] = min(state, found.get(key, state), key=lambda one: one[0])
    return found or None


def _state(entry: Mapping[str, Any], default: Status, at: float) -> tuple[Status, str, Job]:
    word = str(entry.get("Model Status") or "").casefold()
    estimate = words(entry.get("Estimated Start Time"))[:80]
    return _BY_WORD.get(word, default), estimate, _job(entry, estimate, at)


def _job(entry: Mapping[str, Any], estimate: str, at: float) -> Job:
    host, walltime = line(entry.get("Host Name"), 80), line(entry.get("Walltime"), 20)
    return Job(
        id=line(entry.get("Job ID"), 80),
        host="" if host == "N/A" else host.partition("/")[0],
        walltime=walltime,
        started=_started(walltime, words(entry.get("Job Comments"))[:200], at),
        starts=moment_of(estimate),
    )


def _started(walltime: str, comment: str, at: float) -> float | None:
    """When a job began: its walltime before it was read, or what its comment says."""
    if not at:
        return None
    if match := re.fullmatch(r"(\d{1,5}):(\d\d):(\d\d)", walltime):
        hours, minutes, seconds = map(int, match.groups())
        return at - 3600 * hours - 60 * minutes - seconds
    if match := _BEGAN.search(comment):
        year = datetime.fromtimestamp(at).year
        said = [_moment(f"{match[1]} {match[2]}:00 {y}", _HOME) for y in (year, year - 1)]
        return next((then for then in said if then is not None and then < at + _DAY), None)
    return None


def moment_of(text: str) -> float | None:
    """`Mon Nov  2 18:30:00 2026 (Chicago time)` in seconds since 1970; None for what says less."""
    match = re.fullmatch(r"(.+) \((.+)\)", text)
    zone = _ZONES.get(match[2].casefold(), "") if match else ""
    return _moment(match[1], zone) if match and zone else None


def _moment(text: str, zone: str) -> float | None:
    fields = parsedate(text)
    if fields is None:
        return None
    try:
        return datetime(*fields[:6], tzinfo=ZoneInfo(zone)).timestamp()
    except (ValueError, OverflowError, OSError, KeyError):  # no such day; no time zones here
        return None


def free_nodes(jobs: Mapping[str, Any] | None) -> int | None:
    """Nodes that nobody uses; None where the cluster does not know, or has no such thing."""
    status = jobs.get("cluster_status") if isinstance(jobs, Mapping) else None
    count = status.get("free_nodes") if isinstance(status, Mapping) else None
    return count if type(count) is int and 0 <= count < 10**6 else None


def all_put_down(jobs: Mapping[str, Any] | None) -> bool:
    """Under maintenance every model stands under `stopped`, without a state of its own."""
    stopped = _list(jobs, "stopped")
    return (
        bool(stopped)
        and not any(_list(jobs, name) for name in ("running", "queued", "others"))
        and not any(entry.get("Model Status") for entry in stopped)
    )


def _list(jobs: Mapping[str, Any] | None, name: str) -> list[Mapping[str, Any]]:
    entries = jobs.get(name) if isinstance(jobs, Mapping) else None
    return (
        [entry for entry in entries if isinstance(entry, Mapping)]
        if isinstance(entries, list)
        else []
    )
