"""A batch before it is submitted: its lines, how large it is, and the place that takes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import (
    NO_BATCHES,
    AlcfError,
    GatewayError,
    GatewayUnreachable,
    RequestRefused,
)
from ..gateway.batches import MOST_LINE, MOST_LINES, ROUTE, Listed, request_line, submitted
from ..gateway.chat import ChatRequest, Message, default_system, messages_of
from ..gateway.families import same_model
from ..gateway.models import Model
from ..gateway.preparing import fitted, prepared
from ..gateway.records import version
from ..gateway.schemas import Schema
from ..told import SILENT, Told
from .batches import listing
from .files import About, forget, new_input, write_input, written_index
from .rows import Rows, rows_of

if TYPE_CHECKING:
    from .._session import Session
    from ..connection import Connection

#: Characters of a prompt that make a token, about.
LETTERS = 4


@dataclass(frozen=True)
class Estimate:
    """What a batch would be, about.

    `tokens` are those of all prompts, `longest` those of the longest one; `size` is the input's,
    in bytes. `refused` rows have nothing to ask, and no line.
    """

    lines: int
    tokens: int
    size: int
    longest: int = 0
    refused: int = 0
    model: str = ""
    cluster: str = ""

    def __repr__(self) -> str:
        parts = [
            f"a batch of {self.lines:,} lines, {self.size:,} bytes",
            f"about {self.tokens:,} tokens in (the longest about {self.longest:,})",
            f"{self.model} on {self.cluster}",
        ]
        if self.refused:
            parts.append(f"{self.refused:,} rows have nothing to ask")
        return " · ".join(parts)


@dataclass(frozen=True)
class Plan:
    """What is asked of one place.

    `messages` makes a row's, or raises RequestRefused; `request` has all that is the same for
    every row.
    """

    place: Model
    rows: Rows
    messages: Callable[[int], tuple[Message, ...]]
    request: ChatRequest
    asked: str = ""
    format: str = "markdown"

    def lines(self, refused: dict[str, str]) -> Iterator[tuple[str, ChatRequest]]:
        """The lines of the input; rows with nothing to ask are put into `refused`."""
        for number in range(len(self.rows)):
            try:
                request = replace(self.request, messages=self.messages(number))
            except RequestRefused as error:
                refused[str(number)] = error.what
                continue
            yield request_line(str(number), request, self.place), request

    def estimate(self) -> Estimate:
        """How large it is. Raises RequestRefused for a line that is too large, or no line."""
        refused: dict[str, str] = {}
        lines = tokens = size = longest = 0
        for written, request in self.lines(refused):
            length = len(written.encode())
            if length > MOST_LINE:
                raise RequestRefused(
                    f"Line {lines} has {length:,} bytes, and {MOST_LINE:,} is the most.",
                    "Nothing was submitted; shorten it.",
                )
            share = sum(len(message.text) for message in request.messages) // LETTERS
            lines, tokens, size = lines + 1, tokens + share, size + length
            longest = max(longest, share)
        if not lines:
            raise RequestRefused(
                "No row has anything to ask.", f"The first of them: {refused['0']}"
            )
        place = self.place
        return Estimate(lines, tokens, size, longest, len(refused), place.name, place.cluster)


def submit(connection: Connection, plan: Plan, folder: Path, told: Told = SILENT) -> Listed:
    """Write the input, and submit it. Raises RequestRefused, and leaves no file then."""
    path = new_input(folder)
    refused: dict[str, str] = {}
    place = plan.place
    write_input(path, (written for written, _ in plan.lines(refused)))
    about = About(
        str(path),
        str(folder),
        len(plan.rows),
        asked=plan.asked,
        model=place.name,
        cluster=place.cluster,
        framework=place.framework,
        format=plan.format,
        submitted=time.time(),
        index=written_index(plan.rows.data_index),
        refused=refused,
        schema=_kept(plan.request.schema),
        version=version(),
    )
    about.save()
    try:
        found = _submitted(connection, about, place, told)
    except (GatewayError, GatewayUnreachable):
        raise  # it may begin yet, and read its input
    except AlcfError:
        forget(path)  # it was said that nothing began
        raise
    replace(about, batch_id=found.id).save()
    return found


def _submitted(connection: Connection, about: About, place: Model, told: Told) -> Listed:
    body = {
        "model": about.model,
        "input_file": about.input_file,
        # Without it the gateway answers with an error, although the batch began.
        "output_folder_path": about.output_folder,
    }
    asked = f"{about.model} on {about.cluster}"
    try:
        answer = connection.post(f"{place.base_url}/{ROUTE}", body, told, asked=asked)
        return Listed(
            submitted(answer), "pending", about.cluster, about.framework, about.input_file
        )
    except (GatewayError, GatewayUnreachable) as error:
        # It may have begun all the same: then it is in the list.
        found = [known for known in listing(connection) if known.input_file == about.input_file]
        if not found:
            raise error.with_traceback(None) from None
        return found[0]


def plans_of(
    session: Session,
    data: Any,
    template: str | None,
    *,
    asked: tuple[str, str, str | None, str | None, Any, dict[str, Any]],
    told: Told = SILENT,
) -> Iterator[Plan]:
    """What could be submitted: to the place that is meant, then to others of the same model.

    `asked` is model, cluster, system, format, schema and parameters. Raises UsageError,
    RequestRefused, TypeError, ModelNotFound.
    """
    model, cluster, system, format, schema, parameters = asked
    format = format or ("markdown" if schema is None else "json")
    rows = rows_of(data, template)
    _check_count(len(rows))
    request = prepared("-", "", format, parameters, schema)
    default = session.unchecked_settings.system

    def messages(number: int) -> tuple[Message, ...]:
        prompt = rows[number]
        text = default_system(prompt, default) if system is None else system
        return messages_of(prompt, text)

    for place in _places(session, model, cluster, told):
        whole = replace(fitted(request, parameters, session.defaults, place, told), stream=False)
        yield Plan(place, rows, messages, whole, model, format)


def submit_one(connection: Connection, plans: Iterator[Plan], folder: Path, told: Told) -> Listed:
    """Submit the first plan whose place takes batches. Raises an AlcfError."""
    tried: list[Model] = []
    for plan in plans:
        try:
            return submit(connection, plan, folder, told)
        except RequestRefused as error:
            if not error.no_batches:
                raise
            tried.append(plan.place)
    where = " and ".join(place.cluster for place in tried)
    raise RequestRefused(f"{tried[0].name} takes no batches on {where}.", NO_BATCHES)


def _kept(schema: Schema | None) -> dict[str, Any] | None:
    """What a later kernel needs to hold answers to a schema; the type itself stays here."""
    if schema is None:
        return None
    return {"name": schema.name, "text": schema.text, "wrapped": schema.wrapped}


def _places(session: Session, model: str, cluster: str, told: Told) -> list[Model]:
    """The place that is meant, and where else the same model is, unless a cluster was named."""
    place = session.resolve(model, cluster, told=told)
    catalog = session.catalog(described=False, told=told)
    wanted = session.settings.meant(model or session.settings.model)
    if cluster or catalog.without_cluster(wanted) != wanted:
        return [place]
    others = [m for m in catalog if same_model(place.name, m.name) and m.place != place.place]
    return [place, *others]


def _check_count(count: int) -> None:
    if not count:
        raise RequestRefused("There is nothing to ask.", "A batch needs a row with a prompt.")
    if count > MOST_LINES:
        raise RequestRefused(
            f"A batch has {MOST_LINES:,} lines at most, and this has {count:,}.",
            "Nothing was submitted; submit it in parts, one after another.",
        )
