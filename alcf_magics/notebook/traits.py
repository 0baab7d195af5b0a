"""The session's settings as traits: `%config AlcfMagics` reads and writes the session itself."""

from __future__ import annotations

from typing import Any

from traitlets import TraitError, Unicode

from .._session import session


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
