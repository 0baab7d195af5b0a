"""What is known of models and servers by name: the tables of models.yaml. Pure."""

from __future__ import annotations

import functools
from fnmatch import fnmatchcase
from importlib import resources
from typing import Any

from ..errors import AlcfError
from ..text import line
from .models import Capabilities


def capabilities_of(name: str) -> Capabilities:
    """What models.yaml says of a model's family; else a chat model of which no more is known."""
    families = _tables()["families"]
    if (rank := family_rank(name)) == len(families):
        return Capabilities()
    family = families[rank]
    return Capabilities(
        chat=family.get("chat", True),
        tools=family.get("tools", False),
        vision=family.get("vision", False),
        vision_known=True,
        embeddings=family.get("embeddings", False),
        reasoning="reasoning" in family,
        reasoning_levels=tuple(family.get("reasoning") or ()),
        levels_known=True,
        context_window=family.get("context"),
        max_output=family.get("output"),
    )


def family_rank(name: str) -> int:
    """The place of a model's family in models.yaml, from 0; their number for one of none."""
    short = bare(name)
    families = _tables()["families"]
    for rank, family in enumerate(families):
        if any(fnmatchcase(short, pattern) for pattern in family["match"]):
            return rank
    return len(families)


def same_model(typed: str, known: str) -> bool:
    """Whether two names mean one model: two organisations make two models, unless listed."""
    typed, known = typed.casefold(), known.casefold()
    if typed == known:
        return True
    names = _same_names()
    if "/" in typed and "/" in known and typed.split("/")[0] != known.split("/")[0]:
        return names.get(typed, typed) == names.get(known, known)
    bare_typed, bare_known = bare(typed), bare(known)
    return names.get(bare_typed, bare_typed) == names.get(bare_known, bare_known)


@functools.cache
def _same_names() -> dict[str, str]:
    """Every listed name, whole and bare, to the one that stands for its group."""
    return {
        form: bare(group[0])
        for group in _tables()["same"]
        for name in group
        for form in (name.casefold(), bare(name))
    }


def refused_by(cluster: str, framework: str) -> frozenset[str]:
    """The fields of a request that the server at a place does not take."""
    return frozenset(_endpoint(cluster, framework).get("refuses", ()))


def loads_on_demand(cluster: str, framework: str) -> bool:
    """Whether a place is known to load a model when it is asked for."""
    return bool(_endpoint(cluster, framework).get("loads", False))


def _endpoint(cluster: str, framework: str) -> dict[str, Any]:
    """The first row for a place; empty where there is none."""
    place = f"{cluster}/{framework}"
    for endpoint in _tables()["endpoints"]:
        if fnmatchcase(place, endpoint["match"]):
            row: dict[str, Any] = endpoint
            return row
    return {}


def bare(name: str) -> str:
    """A name without its organisation, in lower case."""
    return name.rpartition("/")[2].casefold()


@functools.cache
def _tables() -> dict[str, Any]:
    import yaml

    text = resources.files(__package__).joinpath("models.yaml").read_text(encoding="utf-8")
    if not hasattr(yaml, "safe_load"):  # another one was imported in its place
        where = line(str(getattr(yaml, "__file__", "") or "a folder"), 200)
        raise AlcfError(
            f"{where} has the name of a package that is needed, yaml, and stands in its way.",
            "Give it another name, and restart the kernel.",
        )
    tables: dict[str, Any] = yaml.safe_load(text)
    return tables
