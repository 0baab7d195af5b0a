"""A prompt on its way, in a chat or on its own: what is sent along, and what comes of it. Pure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import RequestRefused
from ..text import line
from .body_size import SMALLER, TRIM, check_size, json_size, too_many_bytes
from .chat import ChatRequest, Message, estimate
from .conversations import Chat, Execution, Turn, kept_by, messages_of, split
from .image_parts import left_out as left_out_part
from .image_parts import tokens_of

if TYPE_CHECKING:
    from .completions import Completion
    from .models import Model


@dataclass(frozen=True)
class Fitted:
    """What goes along of a chat, and the tokens then.

    `left_out` is how many of the oldest turns stay out, `images` how many of the oldest images,
    those of these turns among them.
    """

    left_out: int
    tokens: int
    images: int = 0


def fit(
    turns: Sequence[Turn], new: Sequence[Message], answer: int, window: int, excess: int = 0
) -> Fitted:
    """Leave out as many of the oldest images, then turns, as it takes; all may not be enough.

    `answer` is how many tokens were asked of the answer, `window` how many there is room for,
    `excess` how many bytes there are too many.
    """
    tokens = (turns[-1].tokens if turns else 0) + estimate(new) + answer
    images = images_of(turns)
    left_out = count = 0
    while (tokens > window or excess > 0) and count < len(images):
        instead = left_out_part(images[count])
        tokens -= tokens_of(images[count]) - estimate([Message("user", (instead,))])
        excess -= json_size(images[count]) - json_size(instead)
        count += 1
    while (tokens > window or excess > 0) and left_out < len(turns):
        gone = [message.without_images() for message in turns[left_out].messages]
        tokens -= estimate(gone)
        excess -= sum(json_size(message.to_json()) for message in gone)
        left_out += 1
    return Fitted(left_out, tokens, count)


def images_of(turns: Sequence[Turn]) -> list[Mapping[str, Any]]:
    """The images of turns, oldest first."""
    return [part for message in messages_of(turns) for part in message.images]


def _going_along(turns: Sequence[Turn], out: Fitted) -> Iterator[Message]:
    """The messages of turns that are sent, with a text in the place of each image that is not."""
    images = out.images
    for number, turn in enumerate(turns):
        for message in turn.messages:
            if number >= out.left_out:
                yield message.without_images(images)
            images = max(0, images - len(message.images))


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
        out, their images first. Raises RequestRefused where it does not fit the window, or is
        larger than the gateway takes.
        """
        check_size(request, place)
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
        self._left_out = Fitted(0, 0)
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
        whole = replace(request, messages=(*system, *messages_of(self._turns), *question))
        excess = too_many_bytes(whole, place) if trim else 0
        self._left_out = self._too_much(new, answer, place, trim, excess)
        turns = _going_along(self._turns, self._left_out)
        request = replace(request, messages=(*system, *turns, *question))
        self._sent = len(request.messages)
        check_size(request, place, SMALLER if trim or not self._turns else TRIM)
        return request

    def _too_much(
        self, new: Sequence[Message], answer: int, place: Model, trim: bool, excess: int
    ) -> Fitted:
        """How much of the oldest stays out. Raises RequestRefused."""
        window = place.capabilities.context_window or sys.maxsize
        fitted = fit(self._turns, new, answer, window, excess)
        if fitted.tokens <= window and (trim or not (fitted.left_out or fitted.images)):
            return fitted
        tokens = fit(self._turns, new, answer, sys.maxsize).tokens
        what = (
            f"About {tokens:,} tokens do not fit the window of {place.name}, which has {window:,}."
        )
        if fitted.tokens > window or trim:
            raise RequestRefused(what, "Nothing was sent. Ask less at once.")
        raise RequestRefused(
            what,
            TRIM,
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
                *dropped(self._dropped, self._chat.name),
                *self._changed,
            ]
        )

    def keep(self, completion: Completion) -> None:
        self._chat.add(self._turn(completion))
        super().keep(completion)

    def _turn(self, completion: Completion) -> Turn:
        count = self._count + len(completion.request.messages) - self._sent
        turn = Turn.of(completion, self._unsent(), count)
        return replace(turn, owner=self._execution)

    def _unsent(self) -> list[Message]:
        """What was not sent of the turns before: turns but for their images, and images."""
        out = self._left_out
        texts = [m.without_images() for m in messages_of(self._turns[: out.left_out])]
        return [*texts, Message("user", tuple(images_of(self._turns)[: out.images]))]


def _not_sent(out: Fitted) -> list[str]:
    parts = []
    if out.images:
        parts.append("the oldest image" if out.images == 1 else f"the {out.images} oldest images")
    if out.left_out:
        parts.append("turn 1" if out.left_out == 1 else f"turns 1 to {out.left_out}")
    return [f"{' and '.join(parts)} left out of what was sent"] if parts else []


def _fullness(turn: Turn, window: int | None) -> list[str]:
    if not window:
        return []
    share = f"{turn.tokens / window:.0%}" if turn.tokens >= window / 100 else "under 1%"
    return [f"window {share} full ({turn.tokens:,} of {window:,} tokens)"]


def dropped(count: int, chat: str, where: str = "") -> list[str]:
    """How many turns of a chat were dropped, and what brings them back; nothing for none."""
    if not count:
        return []
    turns, them = ("1 turn", "it") if count == 1 else (f"{count} turns", "them")
    undo = f"session().chats[{line(chat)!r}].undo()"
    return [f"{turns}{where} dropped ({undo} brings {them} back)"]


def dropped_from(chats: Iterable[Chat], execution: Execution | None) -> list[str]:
    """Drop the turns that an execution's cell has in chats, and what came after; in words."""
    return [
        words
        for chat in chats
        for words in dropped(chat.drop(execution), chat.name, f" of {line(chat.name)}")
    ]
