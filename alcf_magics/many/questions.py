"""What a map asks: the same question of each row, and the key under which its answer is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import AlcfError
from ..gateway.answer_file import form_of, key_of
from ..gateway.chat import ChatRequest, Message, default_system, messages_of
from ..gateway.models import Model
from ..gateway.parameters import wanted
from ..gateway.places import Places, names_of
from ..gateway.preparing import fitted, prepared
from ..told import Told
from .rows import Prompt, Rows

if TYPE_CHECKING:
    from .._session import Session

#: Model, cluster, system, format, schema, fallback and parameters, as `Session.map` has them.
Asked = tuple[str, str, str | None, str | None, Any, str | Sequence[str], dict[str, Any]]
#: What makes the request to one of some places.
RequestFor = Callable[[Model], ChatRequest]


@dataclass(frozen=True)
class Question:
    """What is the same for all rows.

    `asked` is the model as it was typed, `named` as it counts in a key. `request` is one to any
    model, with all the fields that are asked for; `messages` makes those of a prompt. `places`
    finds where they may go, and what makes the request with the fields that a place takes.
    """

    asked: str
    named: str
    format: str
    request: ChatRequest
    messages: Callable[[Prompt], tuple[Message, ...]]
    places: Callable[[Told], tuple[Places, RequestFor]]

    def key(self, prompt: Prompt, repetition: int = 0) -> str:
        return key_of(
            self.named,
            self.messages(prompt),
            self.request.fields,
            schema=form_of(self.request),
            repetition=repetition,
        )


def question_of(session: Session, asked: Asked) -> Question:
    """What is asked of every row. Raises RequestRefused, TypeError."""
    model, cluster, system, format, schema, fallback, parameters = asked
    others = names_of(fallback)
    format = format or ("markdown" if schema is None else "json")
    request = prepared("-", "", format, parameters, schema)
    default = session.unchecked_settings.system

    def messages(prompt: Prompt) -> tuple[Message, ...]:
        text = default_system(prompt, default) if system is None else system
        return messages_of(prompt, text)

    def places(told: Told) -> tuple[Places, RequestFor]:
        found = session.places(model, cluster, "", others, told=told)
        return found, lambda place: fitted(request, parameters, session.defaults, place, told)

    return Question(
        asked=model,
        named=session.named(model),
        format=format,
        request=replace(request, fields=wanted(parameters, session.defaults)),
        messages=messages,
        places=places,
    )


def keys_of(rows: Rows, question: Question) -> Iterator[str]:
    """The key of each row; of the same question the second one has another than the first.

    A row that cannot be asked has none.
    """
    seen: Counter[str] = Counter()
    for position in range(len(rows)):
        try:
            prompt: Any = rows[position]
            first = question.key(prompt)
        except AlcfError:
            yield ""
            continue
        repetition = seen[first]
        seen[first] += 1
        yield question.key(prompt, repetition) if repetition else first
