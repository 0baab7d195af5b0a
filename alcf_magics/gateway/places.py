"""Where a prompt may go, and in which order. Pure.

A live place of the model, then the live ones of `--fallback`, then the model's own place, where it
has to be waited for. A state that cannot be read is no reason to wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import SEE_MODELS, RequestRefused
from .families import same_model
from .models import Model, Status

if TYPE_CHECKING:
    from .catalog import Catalog

#: The states in which a prompt is sent at once, best first.
_SENT = (Status.LIVE, Status.UNKNOWN)


@dataclass(frozen=True)
class Places:
    """The places of one prompt.

    `first` is what was asked for. `ready` are those that a prompt is sent to at once, in order,
    and may be none. `others` are live places of the same model to which it is not sent, because a
    cluster was named.
    """

    first: Model
    ready: tuple[Model, ...] = ()
    others: tuple[Model, ...] = ()

    @property
    def start(self) -> Model:
        """Where the prompt goes first."""
        return self.ready[0] if self.ready else self.first

    def seeing(self) -> Places:
        """Those that may take images, for a prompt that has some; its start is not in question."""
        seen = tuple(place for place in self.ready[1:] if not place.capabilities.is_blind)
        return replace(self, ready=self.ready[:1] + seen)

    @classmethod
    def only(cls, place: Model) -> Places:
        """One place, whatever its state."""
        return cls(place, (place,))


def places_of(
    catalog: Catalog, first: Model, *, named: bool = False, fallback: Sequence[str] = ()
) -> Places:
    """The places for a prompt to a model.

    `named` says that its cluster was named: then no other one serves. `fallback` names other
    models, each as `-m` does. Raises ModelNotFound for one that is none, RequestRefused for one
    that answers no prompts.
    """
    same = _of_model(catalog, first)
    # By name: the catalog may have been read anew since the first place was found.
    first = next((place for place in same if place.place == first.place), first)
    further = [place for place in same if place is not first]
    others = tuple(place for place in further if place.live)
    own = [first] if named else [first, *further]
    ready = _sent_at_once(own)
    for name in fallback:
        ready += _sent_at_once(_fallback(catalog, name))
    return Places(
        first if ready else _waited_for(own), tuple(dict.fromkeys(ready)), others if named else ()
    )


def _waited_for(own: Sequence[Model]) -> Model:
    """Where a model is waited for: the first place that loads it when it is asked for."""
    return next((place for place in own if place.loads and place.cold), own[0])


def names_of(fallback: str | Iterable[str] | None) -> tuple[str, ...]:
    """The names of `--fallback a,b`, or of a list. Raises RequestRefused for anything else."""
    listed = fallback.split(",") if isinstance(fallback, str) else fallback or ()
    if not isinstance(listed, Iterable):
        listed = (listed,)
    names = tuple(listed)
    if not all(isinstance(name, str) for name in names):
        raise RequestRefused(
            f"fallback names models, not {fallback!r:.60}.", "Nothing was sent; try fallback='a,b'."
        )
    return tuple(name.strip() for name in names if name.strip())


def _of_model(catalog: Catalog, model: Model) -> list[Model]:
    """Every place of a model, best state first."""
    return [
        place for place in catalog if place.capabilities.chat and same_model(model.name, place.name)
    ]


def _fallback(catalog: Catalog, name: str) -> list[Model]:
    first = catalog.resolve(name)
    if not first.capabilities.chat:
        raise RequestRefused(
            f"{first.name}, named as a fallback, answers no prompts.",
            f"Nothing was sent. {SEE_MODELS}",
        )
    if catalog.without_cluster(name) != name:
        return [first]
    return [first, *(place for place in _of_model(catalog, first) if place is not first)]


def _sent_at_once(places: Sequence[Model]) -> list[Model]:
    return [place for status in _SENT for place in places if place.status is status]
