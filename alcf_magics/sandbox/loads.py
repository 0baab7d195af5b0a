"""Models that are cold, and what those that a prompt has woken are by now."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from .clusters import Cluster, Model
from .settings import Settings


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
