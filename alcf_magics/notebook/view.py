"""What every view of a growing answer does: draw when it is time to, and can be afforded."""

from __future__ import annotations

import abc
import time
from typing import TYPE_CHECKING

from ..showing.times import lasting
from ..told import SILENT, Told
from .pacing import Pace

if TYPE_CHECKING:
    from ..gateway.accumulator import Accumulator
    from ..gateway.calls import Call
    from ..gateway.completions import Completion
    from ..gateway.models import Model


#: Characters of the end of an answer that is drawn where the whole costs too much.
END_CHARACTERS = 2000
#: Seconds without anything new after which a line under a text says so.
STALL_SECONDS = 3.0


class Live(abc.ABC):
    """The output of one running prompt. `told` knows what is waited for before it is sent."""

    def __init__(self, model: Model, told: Told = SILENT) -> None:
        self._model = model
        self._told = told
        self._pace = Pace()
        self._why_again = ""
        self._answer: Accumulator | None = None  # as it was drawn last

    def move(self, model: Model) -> None:
        """Another place is asked."""
        self._model = model

    def draw(self, answer: Accumulator) -> None:
        """Show the answer so far, if it is time to and can be afforded."""
        pace, self._answer = self._pace, answer
        if not pace.due:
            return
        with pace.preparing():
            self._prepare(answer)
        size = self._size(answer)
        if not answer.began:
            with pace.drawing(size):
                self._show(answer)
            return
        pace.begin()
        if pace.affords(size):
            with pace.drawing(size):
                self._show(answer)
        if pace.silent:
            with pace.drawing(END_CHARACTERS):
                self._show_end(answer)

    def _prepare(self, answer: Accumulator) -> None:  # noqa: B027  (a terminal needs nothing)
        """What is done once, most of it while the request is on its way."""

    def _size(self, answer: Accumulator) -> int:
        """Characters that a draw would have to read."""
        return answer.content.length + answer.reasoning.length

    @abc.abstractmethod
    def _show(self, answer: Accumulator) -> None:
        """Draw the answer so far."""

    def _show_end(self, answer: Accumulator) -> None:  # noqa: B027  (a terminal shows all)
        """Draw something new where the whole has cost too much for a while: the end alone."""

    @abc.abstractmethod
    def call(self, call: Call) -> None:
        """A tool is called; once more when it has its result."""

    def begin_again(self, why: str) -> None:
        """Another request goes out: its answer is shown anew."""
        self._why_again = why

    def _waiting(self, answer: Accumulator) -> str:
        """What is waited for while there is no text to show, and for how long."""
        if self._told.waiting_for and not answer.began:
            return self._told.waiting_for
        now, thought = time.monotonic(), answer.reasoning.length
        if answer.first_token is not None and thought:
            what = f"reasoning for {lasting(now - answer.first_token)} · {thought:,} characters"
        else:
            awaited = self._why_again or "waiting for the first token"
            what = f"{awaited} · {lasting(now - answer.started)}"
        return f"{self._model.name} · {self._model.cluster} · {what}"

    def _stalled(self, answer: Accumulator) -> str:
        """What is waited for in the middle of a text; empty while it comes."""
        silent = time.monotonic() - answer.last
        return f"waiting for more · {lasting(silent)}" if silent >= STALL_SECONDS else ""

    @abc.abstractmethod
    def finish(self, completion: Completion) -> None:
        """The answer is complete and about to become the cell's result."""

    @abc.abstractmethod
    def fail(self, completion: Completion | None, why: str) -> None:
        """The answer ended early: keep what came, marked with what happened."""
