"""What a format, and a schema, read out of the answers to a prompt. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..errors import AnswerInvalid
from ..showing.formats import FORMATS, find_json
from .completions import Choice
from .schemas import Invalid, Schema

_KEPT = "It is kept as it is; ask again, or say how."


@dataclass(frozen=True)
class Read:
    """One choice with its `parsed`; or why it cannot be read. `where` says where it was found."""

    choice: Choice
    error: AnswerInvalid | None = None
    where: str = ""


def read(choice: Choice, format: str, schema: Schema | None = None) -> Read:
    """What a choice's text is in a format."""
    try:
        if format != "json":
            return Read(replace(choice, parsed=FORMATS[format].parse(choice.text)))
        found = find_json(choice.text)
        value = found.value if schema is None else schema.validated(found.value)
        return Read(replace(choice, parsed=value), where=found.where)
    except AnswerInvalid as error:
        return Read(choice, error)
    except Invalid as error:
        name, where = schema.name if schema is not None else "", str(error)
    return Read(choice, AnswerInvalid(f"The answer does not fit {name}: {where}", _KEPT))


def noted(reads: Iterable[Read]) -> list[str]:
    """Where JSON was found that did not stand alone, in words."""
    places = dict.fromkeys(one.where for one in reads if one.where)
    return [f"JSON read from {' and '.join(places)}"] if places else []
