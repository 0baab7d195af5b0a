"""A prompt's request: every value checked before anything is sent, then fitted to one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import RequestRefused
from ..showing.formats import FORMATS
from ..told import Told, tell
from .chat import ChatRequest, Message
from .forms import FIELD, Form
from .models import Model
from .parameters import fitted as fields_fitted
from .schemas import Schema

if TYPE_CHECKING:
    from ..tools.toolbox import Toolbox

_NOTHING = "Nothing was sent."


def check_texts(**given: object) -> None:
    """Raises RequestRefused for a name or a system text that is no text."""
    for name, value in given.items():
        if not isinstance(value, str):
            what = type(value).__name__
            raise RequestRefused(f"{name} is a text, not {what}.", "Nothing was sent.")


def prepared(
    prompt: str | Sequence[Message | Mapping[str, Any]],
    system: str,
    format: str,
    parameters: Mapping[str, Any],
    schema: Any = None,
) -> ChatRequest:
    """A request to any model, with every value checked. Raises RequestRefused, TypeError.

    `schema` is whatever a Schema can be made of; None for none.
    """
    if format not in FORMATS:
        raise RequestRefused(
            f"format is one of {', '.join(FORMATS)}, not {format!r:.60}.", _NOTHING
        )
    if schema is not None and format != "json":
        raise RequestRefused(
            f"An answer with a schema has the format json, not {format}.", _NOTHING
        )
    request = ChatRequest.of("", prompt, system, **parameters)
    if schema is not None and FIELD in request.fields:
        raise RequestRefused(f"{FIELD} is given twice, by schema and by extra.", _NOTHING)
    form = Form(Schema.of(schema) if schema is not None else None) if format == "json" else None
    return replace(request, form=form)


def fitted(
    request: ChatRequest,
    given: Mapping[str, Any],
    defaults: Mapping[str, Any],
    place: Model,
    told: Told,
    toolbox: Toolbox | None = None,
) -> ChatRequest:
    """The request to one model: what was given, and the defaults that it takes; others are told.

    With tools there is one answer, whatever the default says.

    Where nobody listens they are warnings.

    Raises RequestRefused where the model does not take something that was given.
    """
    if toolbox is not None and "tools" in place.refuses:
        raise RequestRefused(f"{place.cluster} does not take tools.", _NOTHING)
    if toolbox is not None and given.get("n") is None:
        defaults = {name: value for name, value in defaults.items() if name != "n"}
    try:
        fields, notices = fields_fitted(given, defaults, place)
    except ValueError as error:
        wrong = str(error)
    else:
        for notice in notices:
            tell(told, notice)
        in_words = request.form is not None and not request.form.is_taken_by(place)
        return replace(request, model=place.name, fields=fields, in_words=in_words)
    raise RequestRefused(f"{wrong}.", "Nothing was sent; leave it out, or ask another model.")


def default_system(prompt: object, default: str) -> str:
    """The configured system text, for whoever does not say one, also among the messages."""
    if isinstance(prompt, str | bytes | Mapping) or not isinstance(prompt, Sequence):
        return default
    roles = [m.get("role") if isinstance(m, Mapping) else getattr(m, "role", "") for m in prompt]
    return "" if "system" in roles or "developer" in roles else default
