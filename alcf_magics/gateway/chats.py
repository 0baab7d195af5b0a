"""The chats of a session by name, and which of them a prompt goes on with. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import AlcfError
from ..showing.display import line_html
from ..showing.tables import text_lines
from ..text import line
from .asking import Alone, InChat, dropped_from
from .conversations import Chat, Execution, Send, Turn, kept_by, split

if TYPE_CHECKING:
    from .completions import Completion


@dataclass(frozen=True)
class Answered:
    """The last answer: its chat (None: it stood alone), and the execution that asked."""

    completion: Completion
    chat: Chat | None
    execution: Execution | None


class Chats(MutableMapping[str, Chat]):
    """Chats by name: `chats["physics"]`, `chats["physics"] = Chat.load("physics.jsonl")`, `del`.

    `send` sends a prompt in a chat, `running` says which execution of which cell runs.
    """

    def __init__(self, send: Send, running: Callable[[], Execution | None]) -> None:
        self._chats: dict[str, Chat] = {}
        self._send, self._running = send, running
        self._last: Answered | None = None

    def __getitem__(self, name: str) -> Chat:
        return self._chats[name]

    def __setitem__(self, name: str, chat: Chat) -> None:
        if not isinstance(chat, Chat):
            raise TypeError(f"a chat is a Chat, not {type(chat).__name__}")
        if not isinstance(name, str) or not name.strip():
            raise TypeError("a chat's name is a text, and not empty")
        chat.bind(name, self._send, self._fork)
        self._chats[name] = chat

    def __delitem__(self, name: str) -> None:
        del self._chats[name]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._chats))

    def __len__(self) -> int:
        return len(self._chats)

    def __repr__(self) -> str:
        return text_lines(self._titles()) or "(no chats yet)"

    def _repr_pretty_(self, printer: object, cycle: bool) -> None:
        printer.text(repr(self))  # type: ignore[attr-defined]

    def _repr_html_(self) -> str:
        return "".join(map(line_html, self._titles() or ["(no chats yet)"]))

    def _titles(self) -> list[str]:
        return [chat.title for chat in self._chats.values()]

    def _fork(self, chat: Chat, name: str) -> None:
        chat.made_by, taken = self._running(), self._chats.get(name)
        if taken is not None and not _made_before(taken, chat):
            raise AlcfError(
                f"There is a chat {line(name)} already.",
                f"Give the fork another name, or remove that one: del chats[{name!r}]",
            )
        self[name] = chat

    # Which one

    def named(self, name: str) -> Chat:
        """The chat of a name; one that is new is kept when its first answer begins."""
        chat = self._chats.get(name)
        if chat is None:
            chat = Chat()
            chat.bind(name, self._send, self._fork)
        return chat

    def continued(self) -> Chat:
        """The chat that goes on: where this cell has turns to replace, else the last answer's.

        An answer that stood alone becomes the first turn of a new chat; so does the next one,
        where there was no answer yet.
        """
        running = self._running()
        for chat in reversed(self._chats.values()):
            if kept_by(chat.turns, running) < len(chat):
                return chat
        last = self._last
        if last is None:
            return Chat()
        if last.chat is not None and self._chats.get(last.chat.name) is last.chat:
            return last.chat
        return Chat([_first_turn(last)])

    def asking(self, chat: Chat | None) -> Alone:
        """A prompt on its way in a chat, or on its own."""
        running = self._running()

        def enter() -> list[str]:
            """All that an earlier run of this cell has added goes, wherever that is."""
            if chat is not None:
                self._enter(chat)
            return dropped_from([c for c in self._chats.values() if c is not chat], running)

        def left(completion: Completion) -> None:
            self._last = Answered(completion, chat, running)

        if chat is None:
            return Alone(enter, left)
        return InChat(chat, running, enter, left)

    def _enter(self, chat: Chat) -> None:
        """Keep a chat whose answer begins, if it is new."""
        if not chat.name:
            names = (f"chat {number}" for number in itertools.count(1))
            self[next(name for name in names if name not in self._chats)] = chat
        elif chat.name not in self._chats:
            self[chat.name] = chat


def _made_before(old: Chat, new: Chat) -> bool:
    """Whether both are forks of one cell, which has run again."""
    was, now = old.made_by, new.made_by
    return was is not None and now is not None and was.cell == now.cell and was.run != now.run


def _first_turn(last: Answered) -> Turn:
    completion = last.completion
    _, question = split(completion.request.messages)
    return replace(Turn.of(completion, (), len(question)), owner=last.execution)
