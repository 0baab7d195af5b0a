"""Which models take images. Pure."""

from __future__ import annotations

from ..errors import SEE_MODELS, RequestRefused
from .catalog import Catalog
from .models import Model

#: Models that a refusal names.
_MOST = 5


def check_vision(place: Model, catalog: Catalog) -> None:
    """Raises RequestRefused for a model that takes no images, with the live ones that do.

    `catalog` has what the clusters say of their models. Of a model of which nobody says anything,
    its server will.
    """
    there = next((model for model in catalog if model.place == place.place), place)
    if not there.capabilities.is_blind:
        return
    raise RequestRefused(f"{place.name} on {place.cluster} takes no images.", _others(catalog))


def _others(catalog: Catalog) -> str:
    seeing = [m.place for m in catalog if m.live and m.capabilities.chat and m.capabilities.vision]
    if not seeing:
        return f"Nothing was sent. No model that does is live just now. {SEE_MODELS}"
    more = f" and {len(seeing) - _MOST} more" if len(seeing) > _MOST else ""
    return f"Nothing was sent. Live ones that do: -m {', -m '.join(seeing[:_MOST])}{more}"
