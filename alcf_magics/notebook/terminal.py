"""An answer in a terminal: plain text as it comes, and a line about it at the end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..gateway.accumulator import Follower
from ..text import line, words
from ..told import SILENT, Told
from .view import Live
from .wait_line import MovingLine, is_terminal

if TYPE_CHECKING:
    from ..gateway.accumulator import Accumulator
    from ..gateway.calls import Call
    from ..gateway.completions import Completion
    from ..gateway.models import Model

#: Seconds of silence after which it is said what is waited for, where it stays, and where not.
PATIENCE_SECONDS = 3.0
MOVING_SECONDS = 0.5


class TerminalLive(Live):
    """Prints the text as it comes: plain text, no control sequences, a line about it at the end."""

    def __init__(self, model: Model, told: Told = SILENT) -> None:
        super().__init__(model, told)
        self._text = Follower()
        self._line = MovingLine()

    def _show(self, answer: Accumulator) -> None:
        before = self._text.seen
        if not (before or answer.content.length):
            self._wait(answer)
            return
        self._line("")
        piece = self._text.new(answer)
        if self._text.seen < before:
            # A lone closing tag came: what was printed stays, and is told for what it is.
            _write("\n[the above was the model's reasoning]")
        self._print(piece)

    def _wait(self, answer: Accumulator) -> None:
        patience = MOVING_SECONDS if is_terminal() else PATIENCE_SECONDS
        if self._told.waiting_for or self._pace.seconds > patience:
            self._line(f"[{self._waiting(answer)}]")

    def call(self, call: Call) -> None:
        self._line("")
        if call.result is not None:
            self._print(f"[{call.name} → {line(call.result)}]", end="\n")
            return
        if self._answer is not None and (rest := self._text.new(self._answer)):
            self._print(rest)
        self._print(f"\n[{call}]", end="\n")

    def begin_again(self, why: str) -> None:
        super().begin_again(why)
        self._line("")
        _write(f"\n[{words(why)}]")  # what was printed stays
        self._text = Follower()

    def _print(self, piece: str, end: str = "") -> None:
        _write(words(piece), end)

    def finish(self, completion: Completion) -> None:
        self._line("")
        rest = self._text.rest(completion.text)
        self._print(rest if completion.text else completion.first_shown, end="\n")
        if completion.text and completion.tool_calls:
            self._print(completion.first_shown[len(completion.text) :].strip(), end="\n")
        self._print_others(completion)
        _write(f"[{completion.about}]")

    def fail(self, completion: Completion | None, why: str) -> None:
        self._line("")
        if completion is not None and completion.text:
            self._print(self._text.rest(completion.text), end="\n")
            self._print_others(completion)
            _write(f"[{completion.about}]")

    def _print_others(self, completion: Completion) -> None:
        if completion.others:
            self._print(completion.others, end="\n")


def _write(text: str, end: str = "\n") -> None:
    """Print it at once; what the terminal cannot write appears as a question mark."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), end=end, flush=True)
