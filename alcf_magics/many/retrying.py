"""What failed in a batch, asked again as prompts of this kernel: at the same place, in a map."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..gateway.chat import ChatRequest, Message
from ..gateway.completions import Completion
from ..gateway.places import Places
from ..told import Told
from .answers import Answers
from .maps import Manner, Map
from .questions import Question, RequestFor
from .rows import IN_FLIGHT, Prompt, Rows

if TYPE_CHECKING:
    from .._session import Session
    from ..connection import Connection

Again = Callable[[Answers, list[int]], None]


def again_by(session: Session, connection: Connection) -> Again:
    """How a session asks rows of a batch again: the answers take the errors' places.

    Rows that have nothing to ask stay as they are.
    """

    def again(answers: Answers, places: list[int]) -> None:
        __tracebackhide__ = True
        for rows in _alike(answers, places):
            asked = [request for _, request in rows]
            map_ = Map(connection, _rows(asked), _question(session, answers, asked[0]), _MANNER)
            try:
                map_.run()
            finally:  # an interrupt leaves what came
                for (place, _), item in zip(rows, map_.results, strict=True):
                    if isinstance(item, Completion):
                        answers.later[place] = item

    return again


_MANNER = Manner(IN_FLIGHT)


def _alike(answers: Answers, places: list[int]) -> list[list[tuple[int, ChatRequest]]]:
    """The rows whose requests differ in their messages alone, together."""
    groups: dict[str, list[tuple[int, ChatRequest]]] = {}
    for place in places:
        request = answers.request(place)
        if request is not None:
            key = json.dumps(dict(request.fields), sort_keys=True)
            groups.setdefault(key, []).append((place, request))
    return list(groups.values())


def _rows(asked: list[ChatRequest]) -> Rows:
    return Rows(lambda number: asked[number].messages, len(asked))


def _question(session: Session, answers: Answers, request: ChatRequest) -> Question:
    about = answers.about

    def places(told: Told) -> tuple[Places, RequestFor]:
        found = session.resolve(about.model or request.model, about.cluster, told=told)
        whole = replace(request, form=answers.form)
        return Places.only(found), lambda place: replace(whole, model=place.name)

    return Question(
        asked=about.asked,
        named=session.named(about.asked),
        format=about.format,
        request=replace(request, form=answers.form),
        messages=_messages,
        places=places,
    )


def _messages(prompt: Prompt) -> tuple[Message, ...]:
    return tuple(map(Message.of, prompt))
