"""A prompt's request: every value checked before anything is sent, then fitted to one model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .errors import RequestRefused
from .gateway.chat import ChatRequest, Message
from .gateway.forms import FIELD, Form
from .gateway.models import Model
from .gateway.parameters import ROUNDS
from .gateway.parameters import fitted as fields_fitted
from .gateway.schemas import Schema
from .gateway.tools import tools_of
from .showing.formats import FORMATS
from .told import SILENT, Told
from .tool_calls import Toolbox, confirmed, on_stderr, plain

_NOTHING = "Nothing was sent."

if TYPE_CHECKING:
    from .images.loading import Fetch


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


def with_images(
    prompt: str | Sequence[Message | Mapping[str, Any]], images: Any, fetch: Fetch, told: Told
) -> str | Sequence[Message | Mapping[str, Any]]:
    """The prompt with an image or a list of them at its end; what was done to them is told.

    Raises RequestRefused for what is no image.
    """
    if not isinstance(images, list | tuple) and images is not None:
        images = [images]
    if not images:
        return prompt
    from .images.loading import gathered
    from .images.prompts import with_pictures

    pictures = gathered(images, fetch)
    for picture in pictures:
        if picture.changes:
            _tell(told, f"{picture.name}: {picture.about}")
    return with_pictures(prompt, pictures)


def equipped(
    request: ChatRequest,
    tools: Any,
    *,
    ask: bool = False,
    rounds: int | None = None,
    told: Told = SILENT,
    as_text: Callable[[Any], str] | None = None,
) -> Toolbox | None:
    """The tools of a request; None for none. Raises RequestRefused."""
    if tools is None:
        if ask or rounds is not None:
            raise RequestRefused("ask and rounds go with tools.", _NOTHING)
        return None
    if rounds is not None and (type(rounds) is not int or rounds < 1):
        raise RequestRefused(f"rounds is a whole number, 1 or more, not {rounds!r:.60}.", _NOTHING)
    if "tools" in request.fields:
        raise RequestRefused("tools is given twice, by itself and by extra.", _NOTHING)
    if request.fields.get("n", 1) != 1:
        raise RequestRefused("With tools there is one answer: n is 1.", _NOTHING)
    return Toolbox(
        tools_of(tools),
        rounds=ROUNDS if rounds is None else rounds,
        confirm=confirmed if ask else lambda call: "",
        tell=on_stderr if told is SILENT else told.notice,
        as_text=as_text or plain,
    )


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
            _tell(told, notice)
        in_words = request.form is not None and not request.form.is_taken_by(place)
        return replace(request, model=place.name, fields=fields, in_words=in_words)
    raise RequestRefused(f"{wrong}.", "Nothing was sent; leave it out, or ask another model.")


def _tell(told: Told, notice: str) -> None:
    """Tell a notice; of a plain call of Python's, where nobody listens, Python says it, once."""
    told.notice(notice)
    if told is SILENT:
        warnings.warn(notice, stacklevel=5)
