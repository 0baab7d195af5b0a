"""Asking the gateway what runs where: a few reads at once, put together as a catalog."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import anyio

from ..errors import AlcfError, Fault, GatewayError, Maintenance
from ..told import SILENT, Told
from .catalog import Catalog
from .chat import one_token
from .client import CATALOG_TIMEOUT, Gateway
from .jobs import states
from .listings import build_catalog, cluster_names
from .models import Model, Status

#: For what the catalog can do without: one cluster's trouble is not to hold up the others.
PART_TIMEOUT = 10.0
#: Seconds for which an answer is used again, as the gateway itself does with its jobs, unless it
#: says otherwise.
CACHE_SECONDS = 60.0

_MAX_AGE = re.compile(r"max-age=(\d{1,6}(?:\.\d{1,3})?)")


@dataclass(frozen=True)
class _Read:
    """What one path answered: a value or an error, when, and for how many seconds it counts.

    A failed read does not count, but for those who waited for it.
    """

    at: float
    value: Any = None
    error: AlcfError | None = None
    seconds: float = CACHE_SECONDS

    def counts(self, asked: float, max_age: float) -> bool:
        """Whether it is new enough for somebody who asked then, on the monotonic clock."""
        failed = self.error is not None and self.error.status != 404  # there is no such thing
        seconds = 0.0 if failed else min(max_age, self.seconds)
        return self.at >= asked - seconds


class Discovery:
    """Reads the catalog of one gateway for one login, and remembers what it answered.

    However many ask at once, each path is read once. Lives on the gateway's event loop, but for
    `known`, `last` and `forget`, which wait for nothing.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        #: The catalog as it was put together last, however old.
        self.last: Catalog | None = None
        self._reads: dict[str, _Read] = {}
        self._answered: dict[str, float] = {}
        self._descriptions: dict[str, list[Any] | None] = {}
        self._one_at_a_time: anyio.Lock | None = None  # made on the event loop

    def note_live(self, place: Model) -> None:
        """A model has answered: the jobs that the gateway uses again may not say so yet."""
        self._answered[place.place] = time.monotonic()
        if self.last is not None:
            self.last = self._with_what_else_is_known(self.last)

    def forget(self) -> None:
        """Something said otherwise: what was answered counts no longer."""
        self._reads, self._answered = {}, {}

    def known(
        self, *, max_age: float = CACHE_SECONDS, described: bool = True, noticed: bool = False
    ) -> Catalog | None:
        """What `catalog` would answer without asking anything; None if it had to ask."""
        asked = time.monotonic()
        if self.last is None or any(self._stale(asked, max_age, described)):
            return None
        return None if noticed and any(self._unnoticed(self.last, asked)) else self.last

    async def catalog(
        self,
        *,
        max_age: float = CACHE_SECONDS,
        described: bool = True,
        noticed: bool = False,
        told: Told = SILENT,
    ) -> Catalog:
        """What runs where, at most `max_age` seconds old.

        One cluster's trouble becomes a note, and hides nothing of the others. `described` asks
        each cluster once what it says of its models; else only what is known. `noticed` asks for
        the facility's notice where a cluster is under maintenance. Raises an AlcfError only when
        the list of endpoints itself cannot be had.
        """
        asked = time.monotonic()
        if self._one_at_a_time is None:
            self._one_at_a_time = anyio.Lock()
        async with self._one_at_a_time:
            await self._read_all(asked, max_age, described, told)
            if (error := self._reads["list-endpoints"].error) is not None:
                raise error
            catalog = self._together()
            if noticed:
                await self._read_notices(catalog, asked, told)
            seconds = min(map(self.seconds, catalog.clusters), default=CACHE_SECONDS)
            self.last = replace(self._with_what_else_is_known(catalog), counts_for=seconds)
            return self.last

    def seconds(self, cluster: str) -> float:
        """For how many seconds the jobs of a cluster count: looking more often shows nothing."""
        read = self._reads.get(_path(cluster, "jobs"))
        return read.seconds if read is not None and read.seconds else CACHE_SECONDS

    # What is read

    async def _read_all(self, asked: float, max_age: float, described: bool, told: Told) -> None:
        async def read(path: str) -> None:
            if not self._counts(path, asked, max_age):
                await self._read(path, told)

        async with anyio.create_task_group() as group:
            group.start_soon(read, "status")
            await read("list-endpoints")
            for path in list(self._paths(described)):
                group.start_soon(read, path)
        for cluster in self._clusters():
            self._learn(cluster)

    async def _read(self, path: str, told: Told) -> None:
        all_depends = path == "list-endpoints"
        timeout = CATALOG_TIMEOUT if all_depends else PART_TIMEOUT
        only = tuple(Fault) if all_depends else (Fault.RATE,)
        seconds = [CACHE_SECONDS]

        def seen(headers: Mapping[str, str]) -> None:
            if match := _MAX_AGE.search(headers.get("cache-control", "")):
                seconds[0] = float(match[1])

        # Nothing is raised inside a group of tasks: it would come out wrapped in another error.
        try:
            value = await self.gateway.get(path, timeout, told=told, only=only, seen=seen)
        except AlcfError as error:
            self._reads[path] = _Read(time.monotonic(), error=error)
            return
        # Jobs that tell nothing are those of a query that failed.
        failed = path.endswith("/jobs") and states(_mapping(value)) is None
        self._reads[path] = _Read(time.monotonic(), value, seconds=0.0 if failed else seconds[0])

    def _paths(self, described: bool) -> Iterator[str]:
        """What is to be read beside the status and the list of endpoints."""
        for cluster in self._clusters():
            yield _path(cluster, "jobs")
            if described and cluster not in self._descriptions:
                yield _path(cluster, "models")

    def _stale(self, asked: float, max_age: float, described: bool) -> Iterator[str]:
        for path in ("status", "list-endpoints", *self._paths(described)):
            if not self._counts(path, asked, max_age):
                yield path

    def _counts(self, path: str, asked: float, max_age: float) -> bool:
        read = self._reads.get(path)
        if read is not None and read.error is not None and path == "list-endpoints":
            max_age = 0.0
        return read is not None and read.counts(asked, max_age)

    def _value(self, path: str) -> Any:
        read = self._reads.get(path)
        return None if read is None else read.value

    def _clusters(self) -> tuple[str, ...]:
        """The clusters listed; none where the list could not be had, which is told later."""
        try:
            return cluster_names(self._value("list-endpoints"))
        except GatewayError:
            return ()

    def _learn(self, cluster: str) -> None:
        """Keep what a cluster says of its models; it does not change while a notebook runs.

        An older gateway has no such route, and need not be asked again.
        """
        read = self._reads.get(_path(cluster, "models"))
        if read is None or cluster in self._descriptions:
            return
        if read.error is None:
            self._descriptions[cluster] = read.value if isinstance(read.value, list) else None
        elif read.error.status == 404:
            self._descriptions[cluster] = None

    # What becomes of it

    def _together(self) -> Catalog:
        clusters = self._clusters()
        jobs = {name: self._reads[_path(name, "jobs")] for name in clusters}
        came = [read.at for read in jobs.values() if read.error is None]
        age = time.monotonic() - min(came, default=self._reads["list-endpoints"].at)
        return build_catalog(
            self.gateway.url,
            self._value("list-endpoints"),
            _mapping(self._value("status")),
            {name: _mapping(read.value) for name, read in jobs.items()},
            self._descriptions,
            notes=[
                f"{name}: states not known: {read.error.what}"
                for name, read in jobs.items()
                if read.error is not None
            ],
            at=time.time() - age,
        )

    # Notices of maintenance: they come with a refusal alone

    def _unnoticed(self, catalog: Catalog, asked: float) -> Iterator[Model]:
        """A model of each cluster under maintenance whose notice is not known."""
        down = {m.cluster: m for m in catalog.models if m.status is Status.MAINTENANCE}
        for cluster, model in down.items():
            if not self._counts(_notice(cluster), asked, CACHE_SECONDS):
                yield model

    async def _read_notices(self, catalog: Catalog, asked: float, told: Told) -> None:
        async with anyio.create_task_group() as group:
            for model in list(self._unnoticed(catalog, asked)):
                group.start_soon(self._read_notice, model, told)

    async def _read_notice(self, model: Model, told: Told) -> None:
        """Ask for a token: under maintenance nothing is sent on, and the refusal says why."""
        error: AlcfError | None = None
        notice = ""
        try:
            path = f"{model.base_url}/chat/completions"
            await self.gateway.post(path, one_token(model.name), PART_TIMEOUT, told=told)
        except Maintenance as refusal:
            notice = refusal.what
        except AlcfError as trouble:
            error = trouble
        self._reads[_notice(model.cluster)] = _Read(time.monotonic(), notice, error)

    def _with_what_else_is_known(self, catalog: Catalog) -> Catalog:
        """The same with the notices, and with models live that have just answered."""

        def known(model: Model) -> Model:
            if model.status is Status.MAINTENANCE:
                return replace(model, notice=self._value(_notice(model.cluster)) or "")
            answered = self._answered.get(model.place, -math.inf)
            just_now = time.monotonic() - answered < CACHE_SECONDS
            return replace(model, status=Status.LIVE) if model.cold and just_now else model

        return replace(catalog, models=tuple(map(known, catalog.models)))


def _mapping(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None


def _path(cluster: str, what: str) -> str:
    return f"{quote(cluster, safe='', errors='replace')}/{what}"


def _notice(cluster: str) -> str:
    """Where the notice of a cluster is kept; no path of the gateway's begins so."""
    return f" {cluster}"
