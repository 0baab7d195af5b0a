"""The bodies of `/status`, `/list-endpoints`, `/{cluster}/jobs` and `/{cluster}/models`. Pure.

No cluster or framework name stands here; routing is what the gateway lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from ..errors import GatewayError
from .catalog import Catalog
from .families import capabilities_of, refused_by
from .models import Capabilities, Model, Status

CHAT_ROUTE = "/v1/chat/completions"


#: What a job says of itself goes before the list it stands in.
_BY_WORD = {
    "running": Status.LIVE,
    "live": Status.LIVE,
    "starting": Status.STARTING,
    "queued": Status.QUEUED,
    "stopped": Status.OFFLINE,
    "disconnected": Status.OFFLINE,
    "other": Status.OFFLINE,
}


_BY_LIST = {
    "running": Status.LIVE,
    "queued": Status.QUEUED,
    "others": Status.OFFLINE,
    "stopped": Status.OFFLINE,
}


#: How a capability is called in `/{cluster}/models`, and the field it sets.
_FLAGS = ("chat", "tools", "vision", "embeddings")


def cluster_names(list_endpoints: object) -> tuple[str, ...]:
    """The clusters of a `/list-endpoints` body. Raises GatewayError when it is none."""
    clusters = list_endpoints.get("clusters") if isinstance(list_endpoints, Mapping) else None
    if not isinstance(clusters, Mapping):
        raise GatewayError(
            "The gateway's list of endpoints could not be understood.",
            "Check the gateway's address: %config AlcfMagics.gateway_url",
        )
    return tuple(clusters)


def build_catalog(
    gateway_url: str,
    list_endpoints: Mapping[str, Any],
    status: Mapping[str, Any] | None,
    jobs: Mapping[str, Mapping[str, Any] | None],
    descriptions: Mapping[str, Sequence[Any] | None],
    notes: Sequence[str] = (),
) -> Catalog:
    """Put the gateway's answers together; None stands for one that could not be read."""
    models: list[Model] = []
    clusters = cluster_names(list_endpoints)
    notes = list(notes)
    for cluster in clusters:
        entry = list_endpoints["clusters"][cluster]
        frameworks = entry.get("frameworks") if isinstance(entry, Mapping) else None
        if not isinstance(frameworks, Mapping):
            notes.append(f"{cluster}: the gateway's entry could not be understood")
            continue
        states = _states(jobs.get(cluster))
        down = (status or {}).get(cluster) is False or (
            status is None and _all_put_down(jobs.get(cluster))
        )
        described = _descriptions(descriptions.get(cluster))
        base = join_base(gateway_url, str(entry.get("base_url") or cluster))
        for framework, offer in frameworks.items():
            names, serves_chat = _offered(offer)
            for name in names:
                state, start = (states or {}).get(name.casefold(), (Status.OFFLINE, ""))
                if down:
                    state, start = Status.MAINTENANCE, ""
                elif states is None:
                    state = Status.UNKNOWN
                said = described.get(name.casefold(), {})
                capabilities = _overridden(capabilities_of(name), said)
                models.append(
                    Model(
                        name=name,
                        cluster=cluster,
                        framework=framework,
                        base_url=f"{base}/{framework}/v1",
                        status=state,
                        estimated_start=start,
                        capabilities=capabilities
                        if serves_chat
                        else replace(capabilities, chat=False),
                        description=str(said.get("description") or ""),
                        refuses=refused_by(cluster, framework),
                    )
                )
    return Catalog(tuple(models), clusters, tuple(notes))


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


def _overridden(known: Capabilities, said: Mapping[str, Any]) -> Capabilities:
    """The server's own list of capabilities is complete; what it leaves out is not there."""
    words = said.get("capabilities")
    if not isinstance(words, list) or not words:
        return known
    named = {str(word).casefold() for word in words}
    reasons = "reasoning" in named
    return replace(
        known,
        **{flag: flag in named for flag in _FLAGS},
        reasoning=reasons,
        reasoning_levels=known.reasoning_levels if reasons else (),
    )


def _states(jobs: Mapping[str, Any] | None) -> dict[str, tuple[Status, str]] | None:
    """Best state and estimated start by model name; None when the jobs tell nothing.

    Lists that are all empty are what a failed query of the scheduler looks like.
    """
    states: dict[str, tuple[Status, str]] = {}
    for name, default in _BY_LIST.items():
        for job in _list(jobs, name):
            word = str(job.get("Model Status") or "").casefold()
            state = (_BY_WORD.get(word, default), str(job.get("Estimated Start Time") or ""))
            for model in str(job.get("Models") or "").split(","):
                key = model.strip().casefold()
                if key:
                    states[key] = min(state, states.get(key, state))
    return states or None


def _all_put_down(jobs: Mapping[str, Any] | None) -> bool:
    """Under maintenance every model stands under `stopped`, without a state of its own."""
    stopped = _list(jobs, "stopped")
    return (
        bool(stopped)
        and not any(_list(jobs, name) for name in ("running", "queued", "others"))
        and not any(job.get("Model Status") for job in stopped)
    )


def _list(jobs: Mapping[str, Any] | None, name: str) -> list[Mapping[str, Any]]:
    entries = jobs.get(name) if isinstance(jobs, Mapping) else None
    return (
        [entry for entry in entries if isinstance(entry, Mapping)]
        if isinstance(entries, list)
        else []
    )


def _descriptions(entries: Sequence[Any] | None) -> dict[str, Mapping[str, Any]]:
    return {
        entry["id"].casefold(): entry
        for entry in entries or ()
        if isinstance(entry, Mapping) and isinstance(entry.get("id"), str)
    }
