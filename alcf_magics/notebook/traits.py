"""The session's settings as traits: `%config AlcfMagics` reads and writes the session itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from traitlets import TraitError, TraitType, Unicode

from .._session import session
from ..gateway.parameters import PARAMETERS, Parameter


class Setting(Unicode):  # type: ignore[type-arg]
    """A text setting. Nothing is kept here, so nothing has to be copied back."""

    def __init__(self, help: str) -> None:
        super().__init__(help=help)
        self.tag(config=True)

    def get(self, obj: Any, cls: Any = None) -> str:
        return str(getattr(session().unchecked_settings, str(self.name)))

    def set(self, obj: Any, value: Any) -> None:
        if not isinstance(value, str):
            raise TraitError(f"{self.name} is a text, not {value!r:.60}")
        session().choose(**{str(self.name): value})


class Number(TraitType):  # type: ignore[type-arg]
    """A setting that is a number, 0 or more."""

    info_text = "a number, 0 or more"

    def __init__(self, help: str) -> None:
        super().__init__(help=help)
        self.tag(config=True)

    def get(self, obj: Any, cls: Any = None) -> float:
        return float(getattr(session().unchecked_settings, str(self.name)))

    def set(self, obj: Any, value: Any) -> None:
        try:
            session().choose(**{str(self.name): value})
        except (TypeError, ValueError) as error:
            raise TraitError(str(error)) from None


class Aliases(TraitType):  # type: ignore[type-arg]
    """Names of a person's own for models: {"fast": "metis:gpt-oss-120b"}."""

    info_text = "a dict of names: {'fast': 'metis:gpt-oss-120b'}"

    def __init__(self, help: str) -> None:
        super().__init__(help=help)
        self.tag(config=True)

    def get(self, obj: Any, cls: Any = None) -> dict[str, str]:
        return dict(session().unchecked_settings.aliases)

    def set(self, obj: Any, value: Any) -> None:
        if not isinstance(value, Mapping) or not all(
            isinstance(text, str) and text for pair in value.items() for text in pair
        ):
            raise TraitError(f"{self.name} is {self.info_text}, not {value!r:.60}")
        session().choose(aliases=dict(value))


class Default(TraitType):  # type: ignore[type-arg]
    """The default of one parameter of requests; None where there is none."""

    default_value: Any = None

    def __init__(self, parameter: Parameter) -> None:
        super().__init__(
            help=f"The default of {parameter.flags[-1]}: {parameter.range}; None for none."
        )
        self.tag(config=True)

    def get(self, obj: Any, cls: Any = None) -> Any:
        return session().defaults.get(str(self.name))

    def set(self, obj: Any, value: Any) -> None:
        try:
            session().choose(**{str(self.name): value})
        except ValueError as error:
            raise TraitError(str(error)) from None


#: A trait for each number among the settings, under its name.
NUMBERS = {
    "wait": Number("For how many minutes a model that is not live is waited for; 0: not at all."),
    "prompts_per_minute": Number("How many prompts a minute may leave, for a class; 0: all."),
    "requests_per_second": Number("How many requests a second may leave; 0: no limit of ours."),
    "address_seconds": Number("How long an address that refuses, or is not known, is tried."),
    "fault_seconds": Number("How long a fault that may clear is tried again; 0: not at all."),
    "tokens_seconds": Number("How long is waited when the tokens of a minute are spent."),
    "outage_seconds": Number("How long is waited while the gateway cannot ask Globus."),
    "connect_seconds": Number("How long a connection may take to be made."),
    "first_token_seconds": Number("How long the first token of a live model may take."),
    "silence_seconds": Number("How long an answer may keep silent after its first token."),
}

#: A trait for each row of the table of parameters.
DEFAULTS = {parameter.name: Default(parameter) for parameter in PARAMETERS}
