"""Asking the gateway what runs where: a few reads at once, put together as a catalog."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote

import anyio

from ..errors import AlcfError, Fault, GatewayError
from ..told import SILENT, Told
from .catalog import Catalog
from .client import CATALOG_TIMEOUT, Gateway
from .listings import build_catalog, cluster_names

#: For what the catalog can do without: one cluster's trouble is not to hold up the others.
PART_TIMEOUT = 10.0


class Discovery:
    """Reads the catalog of one gateway, and remembers what its clusters say of their models."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._descriptions: dict[str, list[Any] | None] = {}

    async def catalog(self, *, described: bool = True, told: Told = SILENT) -> Catalog:
        """What runs where. One cluster's trouble becomes a note, and hides nothing of the others.

        `described` asks each cluster once what it says of its models; else only what is known.
        Raises an AlcfError only when the list of endpoints itself cannot be had.
        """
        answers: dict[str, Any] = {}
        troubles: dict[str, AlcfError] = {}

        async def read(
            path: str, timeout: float = PART_TIMEOUT, only: Collection[Fault] = (Fault.RATE,)
        ) -> None:
            # Nothing is raised inside the group: it would come out wrapped in another error.
            try:
                answers[path] = await self.gateway.get(path, timeout, told=told, only=only)
            except AlcfError as error:
                troubles[path] = error

        async with anyio.create_task_group() as group:
            group.start_soon(read, "status")
            await read("list-endpoints", CATALOG_TIMEOUT, tuple(Fault))
            clusters = _clusters(answers.get("list-endpoints"))
            for cluster in clusters:
                group.start_soon(read, _path(cluster, "jobs"))
            for cluster in clusters:
                if described and cluster not in self._descriptions:
                    group.start_soon(read, _path(cluster, "models"))
        if "list-endpoints" in troubles:
            raise troubles["list-endpoints"]
        for cluster in clusters:
            self._learn(cluster, answers, troubles)
        return build_catalog(
            self.gateway.url,
            answers["list-endpoints"],
            _mapping(answers.get("status")),
            {name: _mapping(answers.get(_path(name, "jobs"))) for name in clusters},
            self._descriptions,
            notes=[
                f"{name}: states not known: {troubles[_path(name, 'jobs')].what}"
                for name in clusters
                if _path(name, "jobs") in troubles
            ],
        )

    def _learn(
        self, cluster: str, answers: Mapping[str, Any], troubles: Mapping[str, AlcfError]
    ) -> None:
        """Keep what a cluster says of its models; it does not change while a notebook runs.

        An older gateway has no such route, and need not be asked again.
        """
        path = _path(cluster, "models")
        if path in answers:
            said = answers[path]
            self._descriptions[cluster] = said if isinstance(said, list) else None
        elif path in troubles and troubles[path].status == 404:
            self._descriptions[cluster] = None


def _mapping(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None


def _clusters(endpoints: object) -> tuple[str, ...]:
    """The clusters listed; none where the list could not be had, which is told later."""
    try:
        return cluster_names(endpoints)
    except GatewayError:
        return ()


def _path(cluster: str, what: str) -> str:
    return f"{quote(cluster, safe='', errors='replace')}/{what}"
