"""What runs where: clusters, models and their states, and the model that a typed name means.

Pure: the bodies of `/status`, `/list-endpoints`, `/{cluster}/jobs` and `/{cluster}/models` go in.
No cluster or framework name stands here; routing is what the gateway lists.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from fnmatch import fnmatchcase
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from ..errors import GatewayError, ModelNotFound, ModelNotReady
from ..showing.tables import text_table

CHAT_ROUTE = "/v1/chat/completions"


class Status(IntEnum):
    """The state of a model on a cluster, best first."""

    LIVE = 0
    STARTING = 1
    QUEUED = 2
    UNKNOWN = 3
    OFFLINE = 4
    MAINTENANCE = 5

    def __str__(self) -> str:
        return self.name.lower()


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


@dataclass(frozen=True)
class Capabilities:
    """What a model can do. `reasoning_levels` are what `--effort` may ask for.

    `context_window` and `max_output` are in tokens, None where not known.
    """

    chat: bool = True
    tools: bool = False
    vision: bool = False
    embeddings: bool = False
    reasoning: bool = False
    reasoning_levels: tuple[str, ...] = ()
    context_window: int | None = None
    max_output: int | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The capabilities as a reader sees them."""
        return tuple(
            name
            for name in ("chat", "tools", "vision", "reasoning", "embeddings")
            if getattr(self, name)
        )


@dataclass(frozen=True)
class Model:
    """One model at one place. `name` is the wire name, as the catalog spells it.

    `base_url` is the OpenAI-compatible base on the gateway's host. `estimated_start` is the
    scheduler's own text. `accepts_chat_template_kwargs` is a property of the server there.
    """

    name: str
    cluster: str
    framework: str
    base_url: str
    status: Status = Status.UNKNOWN
    estimated_start: str = ""
    capabilities: Capabilities = field(default_factory=Capabilities)
    description: str = ""
    accepts_chat_template_kwargs: bool = False

    @property
    def live(self) -> bool:
        return self.status is Status.LIVE

    @property
    def place(self) -> str:
        """How to name exactly this one: `cluster:model`."""
        return f"{self.cluster}:{self.name}"


@dataclass(frozen=True)
class Catalog:
    """Models in the gateway's order. Iterates live ones first, as they are shown.

    `clusters` names every cluster listed; `notes` says, a line each, what could not be read.
    """

    models: tuple[Model, ...]
    clusters: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Model]:
        return iter(sorted(self.models, key=lambda model: model.status))

    def __len__(self) -> int:
        return len(self.models)

    def __getitem__(self, index: int) -> Model:
        return tuple(self)[index]

    def __repr__(self) -> str:
        return table_text(self)

    def select(self, pattern: str = "", cluster: str = "", live: bool = False) -> Catalog:
        """The part whose names contain `pattern` (or match it, with * and ?), on one cluster.

        Raises ModelNotFound for a cluster that is not listed.
        """
        named = self.cluster(cluster) if cluster else ""
        wanted = pattern.casefold()
        glob = wanted if any(sign in wanted for sign in "*?[") else f"*{_escaped(wanted)}*"
        return replace(
            self,
            models=tuple(
                model
                for model in self.models
                if (not named or model.cluster == named)
                and (not live or model.live)
                and (
                    not wanted
                    or fnmatchcase(model.name.casefold(), glob)
                    or fnmatchcase(_bare(model.name), glob)
                )
            ),
        )

    def cluster(self, name: str) -> str:
        """A cluster's name as the gateway spells it. Raises ModelNotFound."""
        for cluster in self.clusters:
            if cluster.casefold() == name.casefold():
                return cluster
        raise ModelNotFound(
            f"There is no cluster {name!r}.", f"Clusters: {', '.join(self.clusters) or 'none'}"
        )

    def resolve(self, name: str = "", cluster: str = "") -> Model:
        """The model that a person means.

        A name counts without regard to case, with or without its organisation, and by the table
        of names that mean the same; `cluster:model` names one place. Live goes before not live,
        the exact name before others, then the gateway's order. Without a name: the first live
        chat model. Raises ModelNotFound with the three nearest names, or ModelNotReady.
        """
        before, colon, after = name.partition(":")
        if colon and before.casefold() in {known.casefold() for known in self.clusters}:
            if cluster and cluster.casefold() != before.casefold():
                raise ModelNotFound(
                    f"{name!r} is on {before}, and {cluster} was asked for.", "Name one cluster."
                )
            cluster, name = before, after
        models = self.models
        if cluster:
            cluster = self.cluster(cluster)
            models = tuple(model for model in models if model.cluster == cluster)
        if not name:
            return _default(models, cluster)
        candidates = [model for model in models if _same_model(name, model.name)]
        if not candidates:
            where = f" on {cluster}" if cluster else ""
            raise ModelNotFound(f"There is no model {name!r}{where}.", _nearest(name, models))
        return min(
            candidates,
            key=lambda model: (
                not model.live,
                model.name != name,
                model.name.casefold() != name.casefold(),
            ),
        )

    def without_cluster(self, name: str) -> str:
        """A model's name without the cluster in front of it, if it has one."""
        before, colon, after = name.partition(":")
        known = {cluster.casefold() for cluster in self.clusters}
        return after if colon and before.casefold() in known else name

    def to_pandas(self) -> Any:
        """The table as a pandas DataFrame. Raises ImportError where pandas is not installed."""
        import pandas

        return pandas.DataFrame(
            [dict(zip(COLUMNS, row_of(model), strict=True)) for model in self],
            columns=list(COLUMNS),
        )


COLUMNS = ("model", "cluster", "status", "capabilities", "context window")


def row_of(model: Model) -> tuple[str, str, str, str, int | None]:
    """One row of the table; the context window in tokens, None where not known."""
    status = str(model.status)
    if model.estimated_start:
        status += f", estimated start {_short_start(model.estimated_start)}"
    words = ", ".join(model.capabilities.words)
    return model.name, model.cluster, status, words, model.capabilities.context_window


def _short_start(text: str) -> str:
    """`Mon Nov  2 18:30:00 2026 (Chicago time)` without seconds, year and spare spaces."""
    match = re.fullmatch(r"(\w+ \w+ +\d+) +(\d+:\d+)(?::\d+)?(?: \d{4})?( \(.*\))?", text)
    return " ".join(f"{match[1]} {match[2]}{match[3] or ''}".split()) if match else text


def table_text(catalog: Catalog) -> str:
    """The table as aligned text, a line a model, and what could not be read."""
    lines = [text_table(COLUMNS, [row_of(model) for model in catalog])]
    if not len(catalog):
        lines.append("(no model matches; all of them: %alcf_models)")
    return "\n".join([*lines, *catalog.notes])


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
                        accepts_chat_template_kwargs=_takes_kwargs(cluster, framework),
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


def capabilities_of(name: str) -> Capabilities:
    """What models.yaml says of a model's family; a chat model of unknown size otherwise."""
    bare = _bare(name)
    for family in _tables()["families"]:
        if any(fnmatchcase(bare, pattern) for pattern in family["match"]):
            return Capabilities(
                chat=family.get("chat", True),
                tools=family.get("tools", False),
                vision=family.get("vision", False),
                embeddings=family.get("embeddings", False),
                reasoning="reasoning" in family,
                reasoning_levels=tuple(family.get("reasoning") or ()),
                context_window=family.get("context"),
                max_output=family.get("output"),
            )
    return Capabilities()


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


def _default(models: Sequence[Model], cluster: str) -> Model:
    for model in models:
        if model.live and model.capabilities.chat:
            return model
    where = f" on {cluster}" if cluster else ""
    raise ModelNotReady(
        f"No chat model is live{where} just now.", "Name one with -m; see %alcf_models"
    )


def _nearest(name: str, models: Sequence[Model]) -> str:
    wanted = _bare(name)

    def distance(known: str) -> tuple[bool, float]:
        bare = _bare(known)
        return wanted not in bare, -difflib.SequenceMatcher(None, wanted, bare).ratio()

    names = dict.fromkeys(model.name for model in models)
    nearest = sorted(names, key=distance)[:3]
    return f"Nearest: {', '.join(nearest) or 'none'}. All of them: %alcf_models"


def _bare(name: str) -> str:
    """A name without its organisation, in lower case."""
    return name.rpartition("/")[2].casefold()


def _escaped(text: str) -> str:
    return text.replace("[", "[[]")


def _same_model(typed: str, known: str) -> bool:
    """Whether two names mean one model: two organisations make two models, unless listed."""
    typed, known = typed.casefold(), known.casefold()
    if typed == known:
        return True
    names = _same_names()
    if "/" in typed and "/" in known and typed.split("/")[0] != known.split("/")[0]:
        return names.get(typed, typed) == names.get(known, known)
    bare_typed, bare_known = _bare(typed), _bare(known)
    return names.get(bare_typed, bare_typed) == names.get(bare_known, bare_known)


@functools.cache
def _same_names() -> dict[str, str]:
    """Every listed name, whole and bare, to the one that stands for its group."""
    return {
        form: _bare(group[0])
        for group in _tables()["same"]
        for name in group
        for form in (name.casefold(), _bare(name))
    }


def _takes_kwargs(cluster: str, framework: str) -> bool:
    place = f"{cluster}/{framework}"
    for endpoint in _tables()["endpoints"]:
        if fnmatchcase(place, endpoint["match"]):
            return bool(endpoint.get("chat_template_kwargs", False))
    return False


@functools.cache
def _tables() -> dict[str, Any]:
    import yaml

    text = resources.files(__package__).joinpath("models.yaml").read_text(encoding="utf-8")
    tables: dict[str, Any] = yaml.safe_load(text)
    return tables
