"""The form that an answer is asked to have: JSON, of a schema or of any. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import AlcfError, RequestRefused, StreamBroken
from .schemas import Schema

if TYPE_CHECKING:
    from .models import Model

#: The field of a request that asks for a form.
FIELD = "response_format"
#: Words of a server that has something against that field.
_NAMED = re.compile(r"response_?format|json[_ ]schema|json_object", re.I)
_ALONE = "Answer with JSON alone: no words before or after it, no code fence."


@dataclass(frozen=True)
class Form:
    """JSON, of a `schema` where there is one."""

    schema: Schema | None = None

    @property
    def kind(self) -> str:
        return "json_object" if self.schema is None else "json_schema"

    @property
    def field(self) -> dict[str, Any]:
        """The value of `response_format`."""
        if self.schema is None:
            return {"type": self.kind}
        schema = {"name": self.schema.wire_name, "schema": self.schema.json, "strict": True}
        return {"type": self.kind, self.kind: schema}

    @property
    def words(self) -> str:
        """The same asked in words, for a server that has no such field."""
        if self.schema is None:
            return _ALONE
        return f"{_ALONE} It has to fit this JSON schema:\n{self.schema.text}"

    def is_taken_by(self, model: Model) -> bool:
        """Whether the server there takes the field; yes, where nobody knows."""
        return not model.refuses.intersection((FIELD, f"{FIELD}.{self.kind}"))


def may_be_form(error: AlcfError) -> bool:
    """Whether a request failed for the field: refused (4xx) in words that name it, or without any.

    Behind Globus Compute a model server's reason may be kept back.
    """
    if isinstance(error, StreamBroken):
        return error.reason_hidden
    said = f"{error.what} {error.detail}"
    return isinstance(error, RequestRefused) and _NAMED.search(said) is not None
