"""Models that are cold, and what those that a prompt has woken are by now."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

from starlette.responses import Response

from .clusters import Cluster, Model
from .envelopes import JSON, Refusal, error, reply
from .settings import Settings

CODE = "internal_endpoint_error"
#: What Globus Compute says of a request that it kept waiting for too long.
TIMED_OUT = error(408, CODE, "Error: TimeoutError with result().")


class Loads:
    """The life of cold models. `since` is when the sandbox started, in seconds of the epoch."""

    def __init__(self, settings: Settings, since: float) -> None:
        self._settings = settings
        self._since = since

    def now(self, cluster: Cluster) -> Cluster:
        """The cluster with its models as they are at this moment."""
        if not self._settings.behaviour.cold:
            return cluster
        models = tuple(self._now(cluster, model) for model in cluster.models)
        return replace(cluster, models=models)

    def wake(self, cluster: Cluster, model: Model) -> bool:
        """Begin to load a model; whether it has not been loading before."""
        endpoint = cluster.endpoint(model.name)
        first = endpoint not in self._settings.loading
        self._settings.loading.setdefault(endpoint, time.time())
        return first

    def left(self, cluster: Cluster, model: Model) -> float:
        """Seconds until a model runs that was woken; infinite if it never will."""
        woken = self._settings.loading.get(cluster.endpoint(model.name), math.inf)
        return max(0.0, woken + self._seconds - time.time())

    @property
    def _seconds(self) -> float:
        own = self._settings.load_seconds
        return self._settings.behaviour.load_seconds if own is None else own

    def _now(self, cluster: Cluster, model: Model) -> Model:
        cold = self._settings.behaviour.cold
        if cold == "offline" and "chat" not in model.capabilities:
            return model  # so that the scheduler has something to tell
        woken = self._settings.loading.get(cluster.endpoint(model.name))
        if woken is None:
            return replace(model, state=cold)
        passed, starts = time.time() - woken, self._seconds / 3
        if passed >= self._seconds:
            return replace(model, state="running", job=0, age=self._since - woken)
        if cold == "starting" or passed >= starts:
            return replace(model, state="starting", job=0, age=self._since - woken - starts)
        return replace(model, state="queued", job=0, starts=woken + starts - self._since)


def not_ready(cluster: Cluster, model: Model) -> Refusal:
    """What the gateway says of a model that is being loaded."""
    text = f"Error: Endpoint {cluster.endpoint(model.name)} online but not ready to receive tasks. "
    return error(503, CODE, text + "Please try again later.")


def not_live(cluster: Cluster, model: Model) -> Refusal:
    """What the gateway says of a model at a direct endpoint, where nothing loads."""
    text = f"'{model.name}' is not currently live on {cluster.name.capitalize()}."
    return error(503, CODE, text)


class JobsCache:
    """Jobs that are used again for a while, by cluster, and are said to be."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._read: dict[str, tuple[float, str, JSON]] = {}

    def reply(self, cluster: str, read: Callable[[], JSON]) -> Response:
        own = self._settings.cache_seconds
        seconds = self._settings.behaviour.cache_seconds if own is None else own
        if seconds is None:  # the real gateway does not say for how long it uses them again
            return reply(read())
        at, scenario, jobs = self._read.get(cluster, (-math.inf, "", {}))
        if scenario != self._settings.scenario or time.monotonic() - at > seconds:
            jobs = read()
            self._read[cluster] = time.monotonic(), self._settings.scenario, jobs
        answer = reply(jobs)
        answer.headers["cache-control"] = f"max-age={seconds:g}"
        return answer
