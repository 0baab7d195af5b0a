"""A prompt on its way, in a chat or on its own: what is sent along, and what comes of it. Pure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import RequestRefused
from ..text import line
from .chat import ChatRequest, Message
from .conversations import Chat, Execution, Turn, estimate, kept_by, messages_of, split

if TYPE_CHECKING:
    from .completions import Completion
    from .models import Model


@dataclass(frozen=True)
class Fitted:
    """What goes into a window: how many of the oldest turns stay out, and the tokens asked."""

    left_out: int
    tokens: int


def fit(turns: Sequence[Turn], new: Sequence[Message], answer: int, window: int) -> Fitted:
    """Leave out as many of the oldest turns as it takes; all of them may not be enough.

    `answer` is how many tokens were asked of the answer, `window` how many there is room for.
    """
    tokens = (turns[-1].tokens if turns else 0) + estimate(new) + answer
    left_out = 0
    while tokens > window and left_out < len(turns):
        tokens -= estimate(turns[left_out].messages)
        left_out += 1
    return Fitted(left_out, tokens)


class Alone:
    """A prompt that stands alone, or the first one of a chat.

    `enter` is called when the answer begins, and says what that changed in chats. `left` gets the
    completion at the end.
    """

    #: What requests of one chat have in common.
    session_id = ""
    #: Whether turns go along.
    goes_on = False

    def __init__(
        self,
        enter: Callable[[], list[str]] = list,
        left: Callable[[Completion], None] = lambda completion: None,
    ) -> None:
        self._enter, self._left = enter, left
        self._changed: list[str] = []

    def model(self, cluster: str = "") -> str:
        """The model that goes on; empty where that is open. On `cluster` it is sought by name."""
        return ""

    def along(
        self, request: ChatRequest, place: Model, *, keeps_system: bool, trim: bool
    ) -> ChatRequest:
        """The request with the turns before it.

        `keeps_system` says that no system text was given, `trim` that the oldest turns may stay
        out. Raises RequestRefused where it does not fit the window.
        """
        return request

    def begin(self) -> None:
        """The answer begins: what it replaces goes, and not before."""
        self._changed = self._enter()

    def about(self, completion: Completion) -> str:
        """What the line under the answer says: of the chat, and of what was dropped."""
        return " · ".join(self._changed)

    def keep(self, completion: Completion) -> None:
        """The answer has ended, whole or early."""
        self._left(completion)


class InChat(Alone):
    """A prompt in a chat: the turns before it go along, and its answer becomes the next one."""

    def __init__(
        self,
        chat: Chat,
        execution: Execution | None,
        enter: Callable[[], list[str]] = list,
        left: Callable[[Completion], None] = lambda completion: None,
    ) -> None:
        super().__init__(enter, left)
        self._chat = chat
        self._execution = execution
        self._turns = chat.turns[: kept_by(chat.turns, execution)]
        self._count = 0  # messages of its own
        self._sent = 0  # messages of the first request: what tools gave comes behind them
        self._left_out = 0
        self._dropped = 0
        self.session_id = chat.session_id
        self.goes_on = bool(self._turns)

    def model(self, cluster: str = "") -> str:
        model = self._turns[-1].model if self._turns else ""
        return model.partition(":")[2] if cluster else model

    def along(
        self, request: ChatRequest, place: Model, *, keeps_system: bool, trim: bool
    ) -> ChatRequest:
        system, question = split(request.messages)
        if keeps_system and self._turns and not system:
            system = self._turns[-1].system
        new = question if self._turns else (*system, *question)
        answer = int(request.fields.get("max_tokens") or 0)
        self._count = len(question)
        self._left_out = self._too_much(new, answer, place, trim)
        turns = messages_of(self._turns[self._left_out :])
        self._sent = len(system) + len(turns) + len(question)
        return replace(request, messages=(*system, *turns, *question))

    def _too_much(self, new: Sequence[Message], answer: int, place: Model, trim: bool) -> int:
        """How many of the oldest turns stay out. Raises RequestRefused."""
        window = place.capabilities.context_window
        if not window:
            return 0
        fitted = fit(self._turns, new, answer, window)
        if fitted.tokens <= window and (trim or not fitted.left_out):
            return fitted.left_out
        tokens = fit(self._turns, new, answer, sys.maxsize).tokens
        what = (
            f"About {tokens:,} tokens do not fit the window of {place.name}, which has {window:,}."
        )
        if fitted.tokens > window or trim:
            raise RequestRefused(what, "Nothing was sent. Ask less at once.")
        raise RequestRefused(
            what,
            "Nothing was sent. Leave the oldest turns out of what is sent: --trim (in Python "
            "trim=True), or begin another chat.",
        )

    def begin(self) -> None:
        self._dropped = self._chat.replace_from(self._execution)
        super().begin()

    def about(self, completion: Completion) -> str:
        window = completion.place.capabilities.context_window
        return " · ".join(
            [
                line(self._chat.name),
                f"turn {len(self._chat) + 1}",
                *_fullness(self._turn(completion), window),
                *_not_sent(self._left_out),
                *dropped(self._dropped),
                *self._changed,
            ]
        )

    def keep(self, completion: Completion) -> None:
        self._chat.add(self._turn(completion))
        super().keep(completion)

    def _turn(self, completion: Completion) -> Turn:
        count = self._count + len(completion.request.messages) - self._sent
        turn = Turn.of(completion, self._turns[: self._left_out], count)
        return replace(turn, owner=self._execution)


def _not_sent(count: int) -> list[str]:
    if not count:
        return []
    which = "turn 1" if count == 1 else f"turns 1 to {count}"
    return [f"{which} left out of what was sent"]


def _fullness(turn: Turn, window: int | None) -> list[str]:
    if not window:
        return []
    share = f"{turn.tokens / window:.0%}" if turn.tokens >= window / 100 else "under 1%"
    return [f"window {share} full ({turn.tokens:,} of {window:,} tokens)"]


def dropped(count: int, where: str = "") -> list[str]:
    """How many turns were dropped, in words; nothing for none."""
    if not count:
        return []
    turns = f"{count} turn{'' if count == 1 else 's'}"
    return [f"{turns}{where} dropped (undo() brings {'it' if count == 1 else 'them'} back)"]


def dropped_from(chats: Iterable[Chat], execution: Execution | None) -> list[str]:
    """Drop the turns that an execution's cell has in chats, and what came after; in words."""
    return [
        words for chat in chats for words in dropped(chat.drop(execution), f" of {line(chat.name)}")
    ]
