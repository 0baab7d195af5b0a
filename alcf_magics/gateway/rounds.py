"""The requests of one prompt, one after another: what follows an answer, and what comes of all.

Most prompts are one request. Tools that an answer calls are run, and what they gave is sent. An
answer that does not fit its schema is asked for once more, with what is wrong. A server that does
not take the field for a form is asked in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import AlcfError, AnswerInvalid
from .accumulator import Accumulator
from .calls import Call
from .chat import ChatRequest, Message
from .completions import Choice, Completion
from .forms import may_be_form
from .reading import Read, noted, read

if TYPE_CHECKING:
    from ..tools.toolbox import Toolbox

_AGAIN = "That answer cannot be used. {what} Answer again, whole, with JSON alone."


class Rounds:
    """What one prompt sends. `request` is what is kept of it, `sending` what is sent now.

    Calls and their results are kept, a request for a repair is not: neither the record nor a chat
    shall hold it. While there are tools to call, no form is asked for.
    """

    def __init__(
        self, request: ChatRequest, format: str = "markdown", toolbox: Toolbox | None = None
    ) -> None:
        self._form, self._toolbox, self._format = request.form, toolbox, format
        self.request = self.sending = self._equipped(request)
        #: The answers of the rounds before this one.
        self.past: list[Accumulator] = []
        #: The calls that have ended.
        self.calls: list[Call] = []
        self._is_running = False
        self._followed = 0  # answers whose calls were run
        self._notes: list[str] = []
        self._before_repairs: Accumulator | None = None
        self._reads: list[Read] = []
        self._repairing: int | None = None
        self._repaired: list[int] = []

    def falls_back(self, error: AlcfError) -> bool:
        """Whether a refused request is to be sent again, with its form asked in words."""
        if self.sending.form is None or self.sending.in_words or not may_be_form(error):
            return False
        self.request = replace(self.request, in_words=True)
        self.sending = replace(self.sending, in_words=True)
        return True

    def move(self, request: ChatRequest) -> None:
        """The prompt goes to another place, with a request for that one."""
        self.request = self.sending = self._equipped(request)

    def _equipped(self, request: ChatRequest) -> ChatRequest:
        """A request with the tools; with them no form is asked for yet."""
        if self._toolbox is None:
            return request
        fields = {**request.fields, "tools": self._toolbox.fields}
        return replace(request, fields=fields, form=None)

    @property
    def may_replace(self) -> bool:
        """Whether an answer may give way to another one: that fits the schema, or has the form."""
        form = self._form
        return form is not None and (form.schema is not None or self._toolbox is not None)

    # What follows an answer

    def go_on(self, answer: Accumulator) -> str:
        """Run what an answer calls; why there is another round, in words; empty at the end."""
        if self._toolbox is None:
            return self._repairs(answer)
        done: list[Call] = []
        for call in self._called(answer):
            done.append(self._toolbox.run(call))
            self._ended(done[-1])
        return self._after(answer, done)

    async def ago_on(self, answer: Accumulator) -> str:
        """The same for a caller with an event loop of its own."""
        if self._toolbox is None:
            return self._repairs(answer)
        done: list[Call] = []
        for call in self._called(answer):
            done.append(await self._toolbox.arun(call))
            self._ended(done[-1])
        return self._after(answer, done)

    # Tools

    def _called(self, answer: Accumulator) -> list[Call]:
        """The calls of an answer that are to be run, each with an id of its own."""
        if self._is_held or not answer.choices:
            return []
        calls: list[Call] = []
        for value in answer.choices[0].tool_calls:
            call = Call.of(len(self.calls) + len(calls), value)
            taken = {other.id for other in (*self.calls, *calls)}
            if not call.id or call.id in taken:
                call = replace(call, id=f"call{call.number:05}")
            calls.append(call)
        self._is_running = bool(calls)
        return calls

    def _ended(self, call: Call) -> None:
        self.calls.append(call)

    @property
    def _is_held(self) -> bool:
        """Whether this round has to be the answer."""
        return self.request.fields.get("tool_choice") == "none"

    def _after(self, answer: Accumulator, done: list[Call]) -> str:
        """Another round with what the calls gave, one that is held to the form, or none."""
        assert self._toolbox is not None
        if not done:
            if self._is_held or self._form is None:
                return self._repairs(answer)
            self._hold(answer)
            return "Asking for the answer in its form"
        self._is_running = False
        self._followed += 1
        text = answer.choices[0].text
        said = Message("assistant", text or None, {"tool_calls": [c.to_json() for c in done]})
        gave = [Message("tool", call.result or "", {"tool_call_id": call.id}) for call in done]
        self.request = replace(self.request, messages=(*self.request.messages, said, *gave))
        if self._followed >= self._toolbox.rounds:
            self._notes.append(f"no tools after {self._followed} rounds (--rounds)")
            self._hold(answer)
        else:
            self.sending = self.request
            self.past.append(answer)
        return "Asking on, with what the tools gave"

    def _hold(self, answer: Accumulator) -> None:
        """The next round is the last: no tools, and the form."""
        fields = {**self.request.fields, "tool_choice": "none"}
        self.request = self.sending = replace(self.request, fields=fields, form=self._form)
        self.past.append(answer)

    # Repairs

    def _repairs(self, answer: Accumulator) -> str:
        if self.request.schema is None:
            return ""
        self._note(answer)
        for position, one in enumerate(self._reads):
            if one.error is not None and position not in self._repaired:
                self._repair(position, one.error)
                self._before_repairs = self._before_repairs or answer
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
        repaired = ["asked once more, because it did not fit"] if self._repaired else []
        return [*self._notes, *repaired]

    def together(self, completion: Completion, answer: Accumulator) -> Completion:
        """The completion of the last answer with what the rounds before it brought and took."""
        if not self.past and not self._is_running:
            return completion
        all_answers = (*self.past, answer)
        usages = [one.usage for one in all_answers if one.usage is not None]
        firsts = [one.first_token_seconds for one in all_answers]
        return replace(
            completion,
            choices=self._choices(answer),
            calls=tuple(self.calls),
            usage=sum(usages[1:], usages[0]) if usages else None,
            turn_usage=(self._before_repairs or answer).usage,
            started=completion.started - (answer.started - all_answers[0].started),
            seconds=round(sum(one.seconds for one in all_answers), 3),
            first_token_seconds=next((first for first in firsts if first is not None), None),
        )

    def _choices(self, answer: Accumulator) -> tuple[Choice, ...]:
        """The choices as they are now; of a round that broke off, what had come of it."""
        if not self._reads:
            if answer.choices and not self._is_running:
                return answer.choices
            came = answer if answer.choices else self.past[-1]
            return tuple(replace(one, finish_reason=None) for one in came.choices)
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
        has_schema = self.request.schema is not None
        for position, one in enumerate(reads if has_schema else reads[:1]):
            if one.error is not None and has_schema and len(reads) > 1:
                which = f"Choice {position + 1} of {len(reads)}: {one.error.what}"
                return AnswerInvalid(which, one.error.next_step)
            if one.error is not None:
                return one.error
        return None
