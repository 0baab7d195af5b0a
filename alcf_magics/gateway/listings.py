"""The bodies of `/status`, `/list-endpoints`, `/{cluster}/jobs` and `/{cluster}/models`. Pure.

No cluster or framework name stands here; routing is what the gateway lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from ..errors import CHECK_GATEWAY, GatewayError
from ..text import line
from .catalog import Catalog
from .descriptions import described, descriptions_by_name
from .families import capabilities_of, loads_on_demand, refused_by
from .jobs import all_put_down, free_nodes, states
from .models import Job, Model, Status

CHAT_ROUTE = "/v1/chat/completions"


def cluster_names(list_endpoints: object) -> tuple[str, ...]:
    """The clusters of a `/list-endpoints` body. Raises GatewayError when it is none."""
    clusters = list_endpoints.get("clusters") if isinstance(list_endpoints, Mapping) else None
    if not isinstance(clusters, Mapping):
        raise GatewayError(
            "The gateway's list of endpoints could not be understood.", CHECK_GATEWAY
        )
    return tuple(clusters)


def build_catalog(
    gateway_url: str,
    list_endpoints: Mapping[str, Any],
    status: Mapping[str, Any] | None,
    jobs: Mapping[str, Mapping[str, Any] | None],
    descriptions: Mapping[str, Sequence[Any] | None],
    notes: Sequence[str] = (),
    *,
    at: float = 0.0,
) -> Catalog:
    """Put the gateway's answers together; None stands for one that could not be read.

    `at` is when the answers came, in seconds since 1970.
    """
    models: list[Model] = []
    clusters = cluster_names(list_endpoints)
    notes = list(notes)
    for name in clusters:
        entry = list_endpoints["clusters"][name]
        if not isinstance(entry, Mapping) or not isinstance(entry.get("frameworks"), Mapping):
            notes.append(f"{name}: the gateway's entry could not be understood")
            continue
        cluster = _Cluster.read(
            name, status, jobs.get(name), descriptions_by_name(descriptions.get(name)), at
        )
        base = join_base(gateway_url, str(entry.get("base_url") or name))
        for framework, offer in entry["frameworks"].items():
            models += cluster.models(framework, f"{base}/{framework}/v1", offer)
    return Catalog(tuple(models), tuple(map(line, clusters)), tuple(map(line, notes)), at)


@dataclass(frozen=True)
class _Cluster:
    """What is known of one cluster: its states by model (None: not known), and descriptions."""

    name: str
    down: bool
    states: Mapping[str, tuple[Status, str, Job]] | None
    descriptions: Mapping[str, Mapping[str, Any]]
    free_nodes: int | None = None

    @classmethod
    def read(
        cls,
        name: str,
        status: Mapping[str, Any] | None,
        jobs: Mapping[str, Any] | None,
        descriptions: Mapping[str, Mapping[str, Any]],
        at: float,
    ) -> _Cluster:
        down = (status or {}).get(name) is False or (status is None and all_put_down(jobs))
        return cls(name, down, states(jobs, at), descriptions, free_nodes(jobs))

    def models(self, framework: str, base_url: str, offer: object) -> list[Model]:
        """What one framework of the cluster offers."""
        names, serves_chat = _offered(offer)
        return [self._model(name, framework, base_url, serves_chat) for name in names]

    def _model(self, name: str, framework: str, base_url: str, serves_chat: bool) -> Model:
        state, start, job = self._state(name)
        said = self.descriptions.get(name.casefold(), {})
        capabilities = described(capabilities_of(name), said)
        return Model(
            name=line(name),
            cluster=line(self.name),
            framework=line(framework),
            base_url=base_url,
            status=state,
            estimated_start=start,
            capabilities=capabilities if serves_chat else replace(capabilities, chat=False),
            description=line(said.get("description")),
            refuses=refused_by(self.name, framework),
            job=job,
            loads=self.free_nodes is not None or loads_on_demand(self.name, framework),
            free_nodes=self.free_nodes,
        )

    def _state(self, name: str) -> tuple[Status, str, Job | None]:
        if self.down:
            return Status.MAINTENANCE, "", None
        if self.states is None:
            return Status.UNKNOWN, "", None
        return self.states.get(name.casefold(), (Status.OFFLINE, "", None))


def _offered(offer: object) -> tuple[list[str], bool]:
    """The models that a framework offers, and whether it serves chats."""
    if not isinstance(offer, Mapping):
        return [], False
    names, routes = offer.get("models"), offer.get("endpoints")
    return (
        [name for name in names if isinstance(name, str)] if isinstance(names, list) else [],
        CHAT_ROUTE in routes if isinstance(routes, list) and routes else True,
    )


def join_base(gateway_url: str, base_url: str) -> str:
    """A cluster's address on the gateway's host, from the `base_url` that the gateway lists.

    It is a path from the host's root, used as it is. Where the gateway is reached through a
    prefix that it does not know of itself, the two overlap, and the prefix stays in front.
    """
    parts = urlsplit(gateway_url)
    origin, prefix = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    try:
        path = urlsplit(base_url).path.rstrip("/")
    except ValueError:
        path = ""
    if not path.startswith("/"):
        return f"{origin}{prefix}/{path}"
    steps = prefix.split("/")
    for start in range(1, len(steps)):
        tail = "/" + "/".join(steps[start:])
        if path == tail or path.startswith(tail + "/"):
            return origin + prefix[: len(prefix) - len(tail)] + path
    return origin + path
