"""What a person may set of a request: one table, read by the options, `ask` and the request. Pure.

A new field is one row. The names on the wire are OpenAI's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .kinds import Kind, Number, RawFields, Texts, Word

if TYPE_CHECKING:
    from .models import Model

#: The effort that asks for none, and so for nothing to be sent.
NO_EFFORT = "none"
#: Answers whose calls of tools are run, unless more or fewer are asked for.
ROUNDS = 8
#: Fields that a request sets itself.
_OWN_FIELDS = frozenset({"model", "messages", "stream", "stream_options"})


@dataclass(frozen=True)
class Parameter:
    """One thing to set of a chat request.

    `name` is what Python calls it, `flags` the options of the magic, `kind` what a value may be.
    It is sent as the field `wire`, or as the `fields` that it says. `needs` says why a model
    cannot take a value; an empty text where it can, or where that is not known.
    """

    name: str
    flags: tuple[str, ...]
    help: str
    kind: Kind
    wire: str = ""
    as_fields: Callable[[Any], dict[str, Any]] | None = None
    needs: Callable[[Any, Model], str] = lambda value, model: ""

    @property
    def range(self) -> str:
        """What a value may be, in words."""
        return self.kind.range

    def parsed(self, text: str) -> Any:
        """The value that a person typed. Raises ValueError with the range in words."""
        try:
            return self.kind.check(self.kind.read(text))
        except ValueError:
            raise ValueError(f"{self.range}, not {text!r:.60}") from None

    def checked(self, value: object) -> Any:
        """A value as it is sent. Raises ValueError with the range in words."""
        try:
            return self.kind.check(value)
        except ValueError:
            raise ValueError(f"{self.range}, not {value!r:.60}") from None

    def fields(self, value: object) -> dict[str, Any]:
        """The fields of the body for a value, which is checked. Raises ValueError."""
        checked = self.checked(value)
        return {self.wire: checked} if self.as_fields is None else self.as_fields(checked)

    def refusal(self, value: object, model: Model) -> str:
        """Why a model at its place does not take a value; empty where it does."""
        fields = self.fields(value)
        refused = sorted(model.refuses.intersection(fields))
        if refused:
            return f"{model.cluster} does not take {', '.join(refused)}"
        return self.needs(value, model) if fields else ""


def _needs_levels(effort: object, model: Model) -> str:
    levels = model.capabilities.reasoning_levels
    if not model.capabilities.levels_known or effort in levels:
        return ""
    name = f"{model.name} on {model.cluster}"
    return f"{name} has the levels {', '.join(levels)}" if levels else f"{name} has no such levels"


PARAMETERS = (
    Parameter(
        "temperature",
        ("-t", "--temperature"),
        "how freely it samples",
        Number(low=0, high=2),
        "temperature",
    ),
    Parameter(
        "max_tokens",
        ("--max-tokens",),
        "longest answer, in tokens",
        Number(int, low=1),
        "max_tokens",
    ),
    Parameter(
        "top_p",
        ("--top-p",),
        "sample among the likeliest tokens that make up this share",
        Number(low=0, high=1),
        "top_p",
    ),
    Parameter(
        "seed",
        ("--seed",),
        "the same seed, the same answer, as far as the server can",
        Number(int, -(2**63), 2**63 - 1, "a whole number of 64 bits"),
        "seed",
    ),
    Parameter(
        "stop",
        ("--stop",),
        "end the answer before this text; up to four times",
        Texts(most=4),
        "stop",
    ),
    Parameter(
        "presence_penalty",
        ("--presence-penalty",),
        "above 0: less of what has been said",
        Number(low=-2, high=2),
        "presence_penalty",
    ),
    Parameter(
        "frequency_penalty",
        ("--frequency-penalty",),
        "above 0: less of what has been said often",
        Number(low=-2, high=2),
        "frequency_penalty",
    ),
    Parameter(
        "effort",
        ("--effort",),
        "how much a reasoning model reasons",
        Word(("low", "medium", "high", NO_EFFORT)),
        as_fields=lambda effort: {} if effort == NO_EFFORT else {"reasoning_effort": effort},
        needs=_needs_levels,
    ),
    Parameter(
        "n",
        ("-n",),
        "how many answers",
        Number(int, 1, 128),
        "n",
    ),
    Parameter(
        "logprobs",
        ("--logprobs",),
        "log probabilities of each token, and of so many others",
        Number(int, 0, 20),
        as_fields=lambda count: {"logprobs": True} | ({"top_logprobs": count} if count else {}),
    ),
    Parameter(
        "extra",
        ("--extra",),
        "a field of the request as it is, such as 'user=\"me\"'; may be repeated",
        RawFields(_OWN_FIELDS),
        as_fields=dict,
    ),
)
BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}


def checked(name: str, value: object) -> Any:
    """A parameter's value as it is sent.

    Raises TypeError for a name that is none, ValueError for a value out of range: each says so.
    """
    if name not in BY_NAME:
        raise TypeError(f"no such parameter: {name} (there are {', '.join(BY_NAME)})")
    try:
        return BY_NAME[name].checked(value)
    except ValueError as error:
        raise ValueError(f"{name} is {error}") from None


def on_the_wire(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields to send for values by their Python names; what is None is not sent.

    Raises TypeError and ValueError as `checked` does, and for a field that is given twice.
    """
    fields: dict[str, Any] = {}
    for name, value in values.items():
        if value is not None or name not in BY_NAME:
            checked(name, value)
            more = BY_NAME[name].fields(value)
            if twice := set(fields).intersection(more):
                raise ValueError(f"{', '.join(sorted(twice))} is given twice")
            fields |= more
    return fields


def wanted(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are asked for, whatever a model takes of them. Raises as `on_the_wire`."""
    fields = on_the_wire(given)
    for name, value in defaults.items():
        if given.get(name) is None:
            fields = BY_NAME[name].fields(value) | fields
    return fields


def fitted(
    given: Mapping[str, Any], defaults: Mapping[str, Any], model: Model
) -> tuple[dict[str, Any], list[str]]:
    """The fields to send to a model, and a line for each default that it does not take.

    What is given goes before a default. Raises ValueError where the model does not take something
    that was given, and as `on_the_wire` does.
    """
    fields, notices = on_the_wire(given), []
    values = {name: value for name, value in given.items() if value is not None}
    for name, value in values.items():
        if refusal := BY_NAME[name].refusal(value, model):
            raise ValueError(f"{name} cannot be {value!r:.60}: {refusal}")
    for name, value in defaults.items():
        if name in values:
            continue
        if refusal := BY_NAME[name].refusal(value, model):
            notices.append(f"The default {name} = {value!r:.60} was left out: {refusal}.")
        else:
            fields = BY_NAME[name].fields(value) | fields
    return fields, notices
