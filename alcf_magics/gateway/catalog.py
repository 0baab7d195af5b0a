"""What runs where, and the model that a typed name means. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from ..errors import ModelNotFound, ModelNotReady
from ..showing.display import CODE, line_html
from ..showing.escaping import escaped
from ..showing.tables import html_table, shown, text_table
from .families import bare, family_rank, same_model
from .models import Model, Status

COLUMNS = ("model", "cluster", "status", "capabilities", "context window")

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
    Status.MAINTENANCE: "#c0392b",
}


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

    def _repr_html_(self) -> str:
        """The table of models, and what could not be read."""
        rows = [row_of(model) for model in self]
        decorated = []
        for model, row in zip(self, rows, strict=True):
            name, cluster, status, words, window = (escaped(shown(cell)) for cell in row)
            dot = f'<span aria-hidden="true" style="color:{_DOTS[model.status]}">●</span> '
            decorated.append(
                [f'<span style="{CODE}">{name}</span>', cluster, dot + status, words, window]
            )
        notes = "".join(line_html(note) for note in self.notes)
        if not rows:
            notes = line_html(_NO_MATCH) + notes
        return html_table(COLUMNS, rows, decorated, unbroken=(0, 1)) + notes

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
        the exact name before others, then the gateway's order. Without a name: the live chat model
        of the first family in models.yaml, with `vision` one that takes images. Raises
        ModelNotFound with the three nearest names, or ModelNotReady.
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
            return _default(models, cluster, vision)
        candidates = [model for model in models if same_model(name, model.name)]
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
        lines.append(f"({_NO_MATCH})")
    return "\n".join([*lines, *catalog.notes])


def _default(models: Sequence[Model], cluster: str, vision: bool) -> Model:
    chats = [model for model in models if model.live and model.capabilities.chat]
    if chats:
        chats = [m for m in chats if vision and m.capabilities.vision] or chats
        return min(chats, key=lambda model: family_rank(model.name))
    where = f" on {cluster}" if cluster else ""
    raise ModelNotReady(
        f"No chat model is live{where} just now.", "Name one with -m; see %alcf_models"
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
