"""A conversation: turns, each a question and its answer, and which cell owns which. Pure.

    chat = session.chats["physics"]
    chat.ask("And why is that?")
    chat.undo()

A cell owns the turns that it added: when it runs again, its new turns take the place of the old
ones and of what came after them. How a question is sent is given from outside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AlcfError
from ..showing.display import answer_html, line_html
from ..text import line
from .answer_file import AnswerFile, saved
from .calls import Call
from .chat import Message, estimate, new_session_id

if TYPE_CHECKING:
    from .completions import Completion

#: Roles of messages that say how to answer.
_SYSTEM = ("system", "developer")


@dataclass(frozen=True)
class Execution:
    """One run of one cell; both are opaque names."""

    cell: str
    run: str


@dataclass(frozen=True)
class Turn:
    """A question and its answer, as they were sent and as they came.

    `model` is where it was asked, `cluster:model`. `record` is the line that a file has of it.
    `tokens` is about how many all turns up to this one make. `owner` is the execution that added
    it, None where no cell is named.
    """

    system: tuple[Message, ...]
    question: tuple[Message, ...]
    answer: str
    model: str
    record: Mapping[str, Any]
    tokens: int = 0
    owner: Execution | None = None

    @classmethod
    def of(cls, completion: Completion, left_out: Sequence[Message], count: int) -> Turn:
        """The turn of a completion whose request ends with `count` messages of its own.

        `left_out` is what was not sent of the turns before.
        """
        system, others = split(completion.request.messages)
        usage = completion.turn_usage or completion.usage
        known = usage.prompt_tokens if usage else None
        sent = estimate(completion.request.messages) if known is None else known
        answer = (Message("assistant", completion.text),)
        return cls(
            system,
            others[len(others) - count :],
            completion.text,
            completion.place.place,
            saved(completion, texts=True),
            sent + estimate(left_out) + estimate(answer),
        )

    @property
    def messages(self) -> tuple[Message, ...]:
        return (*self.question, Message("assistant", self.answer))

    @property
    def interrupted(self) -> bool:
        """Whether the answer ended early."""
        return self.record.get("finish_reason") is None


def split(messages: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """The messages that say how to answer, and the others."""
    system = tuple(message for message in messages if message.role in _SYSTEM)
    return system, tuple(message for message in messages if message.role not in _SYSTEM)


def messages_of(turns: Sequence[Turn]) -> tuple[Message, ...]:
    return tuple(message for turn in turns for message in turn.messages)


def kept_by(turns: Sequence[Turn], execution: Execution | None) -> int:
    """How many turns stay when this execution adds one: those before its cell's older ones."""
    if execution is None:
        return len(turns)
    older = (
        position
        for position, turn in enumerate(turns)
        if turn.owner is not None
        and turn.owner.cell == execution.cell
        and turn.owner.run != execution.run
    )
    return next(older, len(turns))


#: Sends a prompt in a chat: the chat, the prompt, and what `Chat.ask` takes besides.
Send = Callable[..., "Completion"]
#: Keeps a chat under a name.
Register = Callable[["Chat", str], None]


class Chat:
    """Turns that build on each other. Its length is their number, its repr a transcript.

    Thread-safe. Kept under a name: `session().chats["physics"] = Chat()`.
    """

    def __init__(self, turns: Sequence[Turn] = (), session_id: str = "") -> None:
        self.name = ""
        #: What all requests of this chat and of its forks carry.
        self.session_id = session_id or new_session_id()
        #: The execution that forked it off, where a cell is named.
        self.made_by: Execution | None = None
        self._turns = tuple(turns)
        self._before: list[tuple[Turn, ...]] = []
        self._lock = threading.RLock()
        self._send: Send | None = None
        self._register: Register | None = None

    def bind(self, name: str, send: Send, register: Register) -> None:
        """Belong to a session from now on, under a name."""
        self.name, self._send, self._register = name, send, register

    # What is in it

    @property
    def turns(self) -> tuple[Turn, ...]:
        return self._turns

    def __len__(self) -> int:
        return len(self._turns)

    def __bool__(self) -> bool:
        return True  # also without a turn

    @property
    def messages(self) -> list[dict[str, Any]]:
        """All of it as OpenAI has it, the system text in force in front."""
        turns = self._turns
        system = turns[-1].system if turns else ()
        return [message.to_json() for message in (*system, *messages_of(turns))]

    @property
    def model(self) -> str:
        """The model that goes on answering, `cluster:model`; empty before the first turn."""
        return self._turns[-1].model if self._turns else ""

    @property
    def system(self) -> str:
        """The system text in force."""
        system = self._turns[-1].system if self._turns else ()
        return "\n".join(message.text for message in system)

    # What is done with it

    def ask(
        self,
        prompt: str | Sequence[Message | Mapping[str, Any]],
        model: str = "",
        *,
        trim: bool = False,
        **given: Any,
    ) -> Completion:
        """Go on with a prompt; takes what `session().ask` takes.

        `trim` leaves the oldest turns out of what is sent where all do not fit the window.
        """
        __tracebackhide__ = True
        if self._send is None:
            raise AlcfError(
                "This chat belongs to no session yet.",
                'Give it a name first: alcf_magics.session().chats["physics"] = chat',
            )
        return self._send(self, prompt, model, trim=trim, **given)

    def fork(self, name: str) -> Chat:
        """Another chat with the same turns, which goes its own way; kept under `name`."""
        # Cells own what they added here, and nothing of the fork.
        chat = Chat([replace(turn, owner=None) for turn in self._turns], self.session_id)
        if self._register is not None:
            self._register(chat, name)
        return chat

    def undo(self) -> None:
        """Take the last change back: the turn added last goes, what it had replaced returns."""
        with self._lock:
            if not self._before:
                raise AlcfError("There is nothing to undo in this chat.", "See it: print(chat)")
            self._turns = self._before.pop()

    def reset(self) -> None:
        """Begin anew, without turns, model or system text; `undo` brings them back."""
        self._change(())

    def drop(self, execution: Execution | None) -> int:
        """Drop the turns that this execution replaces, and what came after; how many."""
        with self._lock:
            turns = self._turns
            stay = kept_by(turns, execution)
            if stay < len(turns):
                self._change(turns[:stay])
            return len(turns) - stay

    def replace_from(self, execution: Execution | None) -> int:
        """Make room for a new turn; how many turns were dropped. `undo` goes back to here."""
        with self._lock:
            turns = self._turns
            stay = kept_by(turns, execution)
            self._change(turns[:stay])
            return len(turns) - stay

    def add(self, turn: Turn) -> None:
        """The turn that room was made for."""
        with self._lock:
            self._turns = (*self._turns, turn)

    def _change(self, turns: tuple[Turn, ...]) -> None:
        with self._lock:
            self._before.append(self._turns)
            self._turns = turns

    # Files

    def save(self, file: str | Path) -> int:
        """Write it to a file as JSON Lines, a line a turn, as `history.save`; how many turns."""
        turns = self._turns
        AnswerFile(file).replace(*(turn.record for turn in turns))
        return len(turns)

    @classmethod
    def load(cls, file: str | Path) -> Chat:
        """The chat of a file that `save`, or `history.save` with texts, has written."""
        turns: list[Turn] = []
        for number, value in enumerate(AnswerFile(file).values(), 1):
            try:
                turns.append(_read(value or {}, turns))
            except (ValueError, TypeError, KeyError, AttributeError, AlcfError):
                raise AlcfError(
                    f"Line {number} of {line(str(file))} is no turn of a chat.",
                    "A chat is saved with chat.save(FILE), or history.save(FILE, texts=True).",
                ) from None
        return cls(turns)

    # How it looks

    def __repr__(self) -> str:
        """The transcript."""
        return "\n\n".join(filter(None, [self.title, *map(_turn_text, self._turns)]))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def _repr_html_(self) -> str:
        """The transcript as safe HTML."""
        return line_html(self.title) + "".join(map(_turn_html, self._turns))

    @property
    def title(self) -> str:
        """Its name, how many turns it has, and the model."""
        count = len(self)
        turns = f"{count} turn{'' if count == 1 else 's'}" if count else "no turns yet"
        return " · ".join(filter(None, [line(self.name) or "a chat", turns, self.model]))


def _read(value: Mapping[str, Any], before: Sequence[Turn]) -> Turn:
    """A turn from a line of a file; of its messages, those of the turns before are not its own."""
    messages = tuple(map(Message.of, value["messages"]))
    system, others = split(messages)
    # The oldest turns may have been left out of what was sent, and the oldest images.
    earlier = (messages_of(before[start:]) for start in range(len(before) + 1))
    sent = next(said for said in earlier if _alike(others[: len(said)], said))
    text = value["text"]
    if not isinstance(text, str) or not others[len(sent) :]:
        raise ValueError(text)
    tokens = estimate((*system, *messages_of(before), *others[len(sent) :])) + len(text) // 4
    model = f"{value['cluster']}:{value['parameters']['model']}"
    record = {**value, "messages": [message.to_json() for message in messages]}
    return Turn(system, others[len(sent) :], text, model, record, tokens)


def _alike(sent: Sequence[Message], said: Sequence[Message]) -> bool:
    """Whether they are the same messages, whichever of their images were left out."""
    return [m.without_images() for m in sent] == [m.without_images() for m in said]


def _asked(turn: Turn) -> str:
    return "\n\n".join(map(_said, turn.question))


def _said(message: Message) -> str:
    """A message of a question as a reader sees it: calls of tools, and what they gave, as lines."""
    if message.role == "tool":
        return f"→ {line(message.text)}"
    calls = message.more.get("tool_calls", ()) if message.role == "assistant" else ()
    made = [str(Call.of(number, call)) for number, call in enumerate(calls)]
    return "\n".join(filter(None, [message.shown, *made]))


def _mark(turn: Turn) -> str:
    return "interrupted" if turn.interrupted else ""


def _turn_text(turn: Turn) -> str:
    mark = f"\n[{_mark(turn)}]" if _mark(turn) else ""
    return f"You:\n{_asked(turn)}\n\n{turn.model}:\n{turn.answer}{mark}"


def _turn_html(turn: Turn) -> str:
    page = line_html("You") + answer_html(_asked(turn), format="text")
    page += line_html(turn.model) + answer_html(turn.answer)
    return page + (line_html(_mark(turn)) if _mark(turn) else "")
