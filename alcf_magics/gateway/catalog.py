"""What runs where, and the model that a typed name means. Pure."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from ..errors import ModelNotFound, ModelNotReady
from ..showing.display import CODE, line_html
from ..showing.escaping import escaped
from ..showing.tables import html_table, shown, text_lines, text_table
from ..showing.times import lasting, moment
from .families import bare, capabilities_of, family_rank, same_model
from .models import Job, Model, Status

#: Models of a table at most for their descriptions to stand below it.
DESCRIBED = 3
COLUMNS = ("model", "cluster", "status", "capabilities", "context window")
JOB_COLUMNS = ("host", "job", "walltime")
#: The columns that are typed again: model and cluster.
UNBROKEN = (0, 1)

#: Letters of a name's beginning that may stand for it.
LEAST_LETTERS = 3
#: Seconds after which a table says how old it is.
FRESH_SECONDS = 5.0

#: How like a name another one is that may have been meant, from 0 to 1.
_NEAR = 0.6

_ALL = "all of them: %alcf_models"
_NO_MATCH = f"no model matches; {_ALL}"
_DOTS = {
    Status.LIVE: "#2e9e4f",
    Status.STARTING: "#c98a00",
    Status.QUEUED: "#c98a00",
    Status.UNKNOWN: "#808080",
    Status.OFFLINE: "#808080",
    Status.DISCONNECTED: "#c0392b",
    Status.MAINTENANCE: "#c0392b",
}


@dataclass(frozen=True)
class Catalog:
    """Models in the gateway's order. Iterates live ones first, as they are shown.

    `clusters` names every cluster listed; `notes` says, a line each, what could not be read.
    `read_at` is when it was read, in seconds since 1970 (0: not known), and `counts_for` the
    seconds in which looking again shows nothing new. `with_jobs` shows the jobs, too: host, id
    and the walltime used.
    """

    models: tuple[Model, ...]
    clusters: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    read_at: float = 0.0
    counts_for: float = 60.0
    with_jobs: bool = False

    def __iter__(self) -> Iterator[Model]:
        return iter(sorted(self.models, key=lambda model: model.status))

    def __len__(self) -> int:
        return len(self.models)

    def __getitem__(self, index: int) -> Model:
        return tuple(self)[index]

    def __repr__(self) -> str:
        return table_text(self)

    def _repr_html_(self) -> str:
        """The table of models, and what there is to say of it."""
        rows = [self._row(model) for model in self]
        decorated = []
        for model, row in zip(self, rows, strict=True):
            name, cluster, status, *rest = (escaped(shown(cell)) for cell in row)
            dot = f'<span aria-hidden="true" style="color:{_DOTS[model.status]}">●</span>&nbsp;'
            decorated.append([f'<span style="{CODE}">{name}</span>', cluster, dot + status, *rest])
        notes = "".join(map(line_html, self.remarks))
        if not rows:
            notes = line_html(_NO_MATCH) + notes
        return html_table(self.columns, rows, decorated, UNBROKEN) + notes

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table."""
        return COLUMNS + JOB_COLUMNS if self.with_jobs else COLUMNS

    def _row(self, model: Model) -> tuple[str | int | None, ...]:
        job = model.job or Job()
        jobs = (job.host, job.id, job.walltime) if self.with_jobs else ()
        return (*row_of(model), *jobs)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What stands below the table: of few models what they are, notices of maintenance, what
        could not be read, its age."""
        few = self.models if len(self.models) <= DESCRIBED else ()
        said = dict.fromkeys(f"{m.name}: {m.description}" for m in few if m.description)
        notices = dict.fromkeys(f"{m.cluster}: {m.notice}" for m in self.models if m.notice)
        return (*said, *notices, *self.notes, *filter(None, [self._age()]))

    def _age(self) -> str:
        age = time.time() - self.read_at
        if not self.read_at or age < FRESH_SECONDS:
            return ""
        return f"As of {moment(self.read_at)}, {lasting(age)} ago."

    def select(self, pattern: str = "", cluster: str = "", live: bool = False) -> Catalog:
        """The part whose names contain `pattern` (or match it, with * and ?), on one cluster.

        A capability that is called so counts, too; where nothing does, a note names the nearest.
        Raises ModelNotFound for a cluster that is not listed.
        """
        named = self.cluster(cluster) if cluster else ""
        there = [
            model
            for model in self.models
            if (not named or model.cluster == named) and (not live or model.live)
        ]
        found = tuple(model for model in there if _matches(model, pattern.casefold()))
        if found or not pattern:
            return replace(self, models=found)
        nothing = f"Nothing is called {pattern!r:.60}. {_nearest(pattern, there or self.models)}"
        return replace(self, models=(), notes=(nothing, *self.notes))

    def cluster(self, name: str) -> str:
        """A cluster's name as the gateway spells it. Raises ModelNotFound."""
        for cluster in self.clusters:
            if cluster.casefold() == name.casefold():
                return cluster
        raise ModelNotFound(
            f"There is no cluster {name!r}.", f"Clusters: {', '.join(self.clusters) or 'none'}"
        )

    def resolve(self, name: str = "", cluster: str = "", *, vision: bool = False) -> Model:
        """The model that a person means.

        A name counts without regard to case, with or without its organisation, and by the table
        of names that mean the same; `cluster:model` names one place. Live goes before not live,
        the exact name before others, then the gateway's order. A name that is none counts as the
        beginning of one, if of one model alone; and `cluster:name` as it was typed: the server
        knows aliases and reserved models that it lists nowhere. Without a name: the live chat
        model of the first family in models.yaml, with `vision` one that takes images, or where no
        states can be read, the first of those. Raises ModelNotFound with the three nearest names,
        or ModelNotReady.
        """
        named = bool(cluster)
        before, colon, after = name.partition(":")
        if colon and before.casefold() in {known.casefold() for known in self.clusters}:
            named = True
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
            return _default(models, cluster, vision)
        candidates = [model for model in models if same_model(name, model.name)]
        candidates = candidates or _begun_with(name, models)
        if not candidates and named and models and name.isprintable():
            return _as_typed(name, models)
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

    def at(self, place: Model) -> Model | None:
        """The model at the same place as another one, as it is now."""
        same = (m for m in self.models if m.place == place.place and m.framework == place.framework)
        return next(same, None)

    def without_cluster(self, name: str) -> str:
        """A model's name without the cluster in front of it, if it has one."""
        before, colon, after = name.partition(":")
        known = {cluster.casefold() for cluster in self.clusters}
        return after if colon and before.casefold() in known else name

    def to_pandas(self) -> Any:
        """The table as a pandas DataFrame. Raises ImportError where pandas is not installed."""
        import pandas

        return pandas.DataFrame(
            [dict(zip(self.columns, self._row(model), strict=True)) for model in self],
            columns=list(self.columns),
        )


def row_of(model: Model) -> tuple[str, str, str, str, int | None]:
    """One row of the table; the context window in tokens, None where not known."""
    words = ", ".join(model.capabilities.words)
    return model.name, model.cluster, model.state, words, model.capabilities.context_window


def table_text(catalog: Catalog) -> str:
    """The table as aligned text, and what there is to say of it."""
    rows = [catalog._row(model) for model in catalog]
    table = text_table(catalog.columns, rows, UNBROKEN)
    remarks = catalog.remarks if rows else (f"({_NO_MATCH})", *catalog.remarks)
    return "\n".join(filter(None, [table, text_lines(remarks)]))


def _default(models: Sequence[Model], cluster: str, vision: bool) -> Model:
    chats = [model for model in models if model.capabilities.chat]
    for status in (Status.LIVE, Status.UNKNOWN):
        if found := [model for model in chats if model.status is status]:
            found = [m for m in found if vision and m.capabilities.vision] or found
            return min(found, key=lambda model: family_rank(model.name))
    where = f" on {cluster}" if cluster else ""
    raise ModelNotReady(
        f"No chat model is live{where} just now.", "Name one with -m; see %alcf_models"
    )


def _begun_with(beginning: str, models: Sequence[Model]) -> list[Model]:
    """The places of the one model whose name begins so; none where that may mean several."""
    wanted = beginning.casefold()
    found = [
        model
        for model in models
        if model.name.casefold().startswith(wanted) or bare(model.name).startswith(wanted)
    ]
    alone = all(same_model(found[0].name, model.name) for model in found)
    return found if alone and len(wanted) >= LEAST_LETTERS else []


def _as_typed(name: str, models: Sequence[Model]) -> Model:
    """A place of this name where some models are: which of them is live says nothing of it."""
    beside = next((model for model in models if model.capabilities.chat), models[0])
    return Model(
        name=name,
        cluster=beside.cluster,
        framework=beside.framework,
        base_url=beside.base_url,
        status=Status.UNKNOWN,
        capabilities=capabilities_of(name),
        refuses=beside.refuses,
    )


def _matches(model: Model, wanted: str) -> bool:
    """Whether a model has a name with this in it, or is able to do what is called so."""
    glob = wanted if any(sign in wanted for sign in "*?[") else f"*{_escaped(wanted)}*"
    names = model.name.casefold(), bare(model.name)
    return any(fnmatchcase(name, glob) for name in names) or wanted in model.capabilities.words


def _nearest(name: str, models: Sequence[Model]) -> str:
    """The three names most like one: first those that share a word or are near, then live ones."""
    wanted = bare(name)
    words = _words(wanted)

    def distance(model: Model) -> tuple[bool, bool, float]:
        short = bare(model.name)
        likeness = difflib.SequenceMatcher(None, wanted, short).ratio()
        near = wanted in short or bool(words & _words(short)) or likeness > _NEAR
        return not near, not model.live, -likeness

    names = dict.fromkeys(model.name for model in sorted(models, key=distance))
    return f"Nearest: {', '.join(list(names)[:3]) or 'none'}. {_ALL.capitalize()}"


def _words(name: str) -> set[str]:
    """The words of a model's name. A single letter, or a number, is in too many to count."""
    return set(re.findall(r"[a-z]{2,}|\d+[a-z]+", name))


def _escaped(text: str) -> str:
    return text.replace("[", "[[]")
