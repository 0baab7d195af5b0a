"""The requests of one prompt, one after another: what follows an answer, and what comes of all.

Most prompts are one request. An answer that does not fit its schema is asked for once more, with
what is wrong; a server that does not take the field for a form is asked in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import AlcfError, AnswerInvalid
from .accumulator import Accumulator
from .chat import ChatRequest, Message
from .completions import Choice, Completion
from .forms import is_against_form
from .reading import Read, noted, read

_AGAIN = "That answer cannot be used. {what} Answer again, whole, with JSON alone."


class Rounds:
    """What one prompt sends. `request` is what is kept of it, `sending` what is sent now.

    A request for a repair is not kept: neither the record nor a chat shall hold it.
    """

    def __init__(self, request: ChatRequest, format: str = "markdown") -> None:
        self.request = self.sending = request
        self._format = format
        #: The answers of the rounds before this one.
        self.past: list[Accumulator] = []
        self._reads: list[Read] = []
        self._repairing: int | None = None
        self._repaired: list[int] = []

    def falls_back(self, error: AlcfError) -> bool:
        """Whether a refused request is to be sent again, with its form asked in words."""
        if self.sending.form is None or self.sending.in_words or not is_against_form(error):
            return False
        self.request = replace(self.request, in_words=True)
        self.sending = replace(self.sending, in_words=True)
        return True

    def move(self, request: ChatRequest) -> None:
        """The prompt goes to another place, with a request for that one."""
        self.request = self.sending = request

    def go_on(self, answer: Accumulator) -> str:
        """What follows an answer: why there is another round, in words; empty at the end."""
        if self.request.schema is None:
            return ""
        self._note(answer)
        for position, one in enumerate(self._reads):
            if one.error is not None and position not in self._repaired:
                self._repair(position, one.error)
                self.past.append(answer)
                return f"{one.error.what} Asking once more"
        return ""

    def _note(self, answer: Accumulator) -> None:
        """Read what came: all choices, or the one that was asked for once more."""
        choices = answer.choices or (Choice(0, ""),)
        if self._repairing is None:
            self._reads = [self._read(choice) for choice in choices]
        else:
            again = replace(choices[0], index=self._reads[self._repairing].choice.index)
            self._reads[self._repairing] = self._read(again)

    def _read(self, choice: Choice) -> Read:
        return read(choice, self._format, self.request.schema)

    def _repair(self, position: int, error: AnswerInvalid) -> None:
        self._repairing = position
        self._repaired.append(position)
        text = self._reads[position].choice.text
        said = (Message("assistant", text),) if text else ()
        again = Message("user", _AGAIN.format(what=error.what))
        self.sending = replace(
            self.request,
            messages=(*self.request.messages, *said, again),
            fields={name: v for name, v in self.request.fields.items() if name != "n"},
        )

    # What comes of all

    @property
    def notes(self) -> list[str]:
        """What the line under the answer says of the rounds."""
        return ["asked once more, because it did not fit"] if self._repaired else []

    def together(self, completion: Completion, answer: Accumulator) -> Completion:
        """The completion of the last answer with what the rounds before it brought and took."""
        if not self.past:
            return completion
        all_answers = (*self.past, answer)
        usages = [one.usage for one in all_answers if one.usage is not None]
        firsts = [one.first_token_seconds for one in all_answers]
        return replace(
            completion,
            choices=self._choices(answer),
            usage=sum(usages[1:], usages[0]) if usages else None,
            started=completion.started - (answer.started - self.past[0].started),
            seconds=round(sum(one.seconds for one in all_answers), 3),
            first_token_seconds=next((first for first in firsts if first is not None), None),
        )

    def _choices(self, answer: Accumulator) -> tuple[Choice, ...]:
        """The choices as they are now; of a round that broke off, what had come of it."""
        choices = [one.choice for one in self._reads]
        if self._repairing is not None and answer.choices:
            index = choices[self._repairing].index
            choices[self._repairing] = replace(answer.choices[0], index=index)
        return tuple(choices)

    def read(self, completion: Completion) -> tuple[Completion, AnswerInvalid | None]:
        """The completion with what its format reads, and why it cannot be read."""
        reads = self._reads or [self._read(choice) for choice in completion.choices]
        first = reads[0] if reads else self._read(Choice(0, ""))
        notes = [completion.noted, *noted(reads or [first])]
        completion = replace(
            completion,
            choices=tuple(one.choice for one in reads),
            noted=" · ".join(filter(None, notes)),
        )
        if first.error is None:
            parsed = first.choice.parsed
            completion = replace(completion, format=self._format, parsed=parsed)
        return completion, self._failure(reads or [first])

    def _failure(self, reads: Sequence[Read]) -> AnswerInvalid | None:
        """What the first choice failed for; with a schema, any."""
        looked_at = reads if self.request.schema is not None else reads[:1]
        for position, one in enumerate(looked_at):
            if one.error is not None and len(reads) > 1 and self.request.schema is not None:
                which = f"Choice {position + 1} of {len(reads)}: {one.error.what}"
                return AnswerInvalid(which, one.error.next_step)
            if one.error is not None:
                return one.error
        return None
