"""Tools at work: the functions that a prompt named run on this thread, and no other ever does.

    toolbox = Toolbox(tools_of([speed]))
    toolbox.run(call).result

Whatever comes of a call is a text for the model; what goes wrong is a line for the person, too.
"""

from __future__ import annotations

import builtins
import inspect
import json
import sys
from asyncio import CancelledError
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from types import BuiltinFunctionType
from typing import Any

from ..errors import RequestRefused
from ..gateway.calls import Call
from ..gateway.chat import ChatRequest
from ..gateway.parameters import ROUNDS
from ..gateway.schemas import Invalid
from ..text import clean, line, said_by
from ..told import SILENT, Told
from .awaiting import awaited
from .functions import Tool, tools_of

#: Characters of a result that go to the model.
MOST_CHARACTERS = 50_000

#: What ends a tool and not the prompt. An interrupt is the person's, and ends both.
_FAILURES = (Exception, SystemExit, CancelledError)

_NOTHING = "Nothing was sent."

#: What a call's end is in a generator: it yields what has to be awaited, and returns the call.
Steps = Generator[Any, Any, Call]


def plain(value: Any) -> str:
    """What a function returned, as a model reads it: a text as it is, else JSON, else its repr."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def on_stderr(notice: str) -> None:
    """Say a line to a person who listens nowhere else."""
    print(notice, file=sys.stderr)


def confirmed(call: Call) -> str:
    """Ask the person whether a call may run; why it may not, in words."""
    nobody = "nobody is here to confirm it"
    # A kernel's front end puts a function of its own in this place; what is built in needs a
    # terminal.
    if isinstance(builtins.input, BuiltinFunctionType) and not (sys.stdin and sys.stdin.isatty()):
        return nobody
    try:
        said = input(f"Run {line(str(call), 2000)}? [y/N] ")
    except Exception:  # no input is allowed, or it has ended
        return nobody
    return "" if said.strip().casefold() in ("y", "yes") else "it was not confirmed"


@dataclass
class Toolbox:
    """The tools of one prompt, and how they are run.

    `rounds` is how many answers with calls are followed. `confirm` says why a call may not run
    (empty where it may), `tell` gets the lines for the person, `as_text` makes what is sent of a
    value.
    """

    tools: Mapping[str, Tool]
    rounds: int = ROUNDS
    confirm: Callable[[Call], str] = lambda call: ""
    tell: Callable[[str], None] = on_stderr
    as_text: Callable[[Any], str] = plain
    show: Callable[[Call], None] = field(default=lambda call: None)

    @property
    def fields(self) -> list[dict[str, Any]]:
        """The tools as a request has them."""
        return [tool.field for tool in self.tools.values()]

    def run(self, call: Call) -> Call:
        """Run a call on this thread; what it returns to be awaited is awaited here, too."""
        steps = self._steps(call)
        try:
            waited_for = next(steps)
            try:
                value = awaited(waited_for)
            except _FAILURES as error:
                steps.throw(error)
            else:
                steps.send(value)
        except StopIteration as end:
            return self._shown(end.value)
        raise AssertionError("unreachable")

    async def arun(self, call: Call) -> Call:
        """The same for a caller with an event loop: there it is awaited."""
        steps = self._steps(call)
        try:
            waited_for = next(steps)
            try:
                value = await waited_for
            except (Exception, SystemExit) as error:
                steps.throw(error)
            else:
                steps.send(value)
        except StopIteration as end:
            return self._shown(end.value)
        raise AssertionError("unreachable")

    def _shown(self, call: Call) -> Call:
        self.show(call)
        return call

    def _steps(self, call: Call) -> Steps:
        self.show(call)
        tool = self.tools.get(call.name)
        if tool is None:
            name = line(call.name) or "A tool without a name"
            self.tell(f"{name} was asked for and did not run: it is none of the tools.")
            return self._failed(call, f"There is no such tool. There are: {', '.join(self.tools)}.")
        if refusal := self.confirm(call):
            self.tell(f"{call} did not run: {refusal}.")
            return self._failed(call, f"This call was not allowed: {refusal}.")
        try:
            value = tool.called(call.arguments)
            if inspect.isawaitable(value):
                value = yield value
            text = clean(self.as_text(value))
        except Invalid as error:
            self.tell(f"{call.name} did not run: {error}")
            return self._failed(call, f"The arguments are wrong: {error}")
        except _FAILURES as error:
            text = ": ".join(filter(None, (type(error).__name__, said_by(error))))
            self.tell(f"{call.name} failed: {line(text)}")
            return self._failed(call, clean(self.as_text(text)))  # which hides what is to stay
        return replace(call, result=_cut(text))

    def _failed(self, call: Call, why: str) -> Call:
        return replace(call, result=_cut(why), failed=True)


def _cut(text: str) -> str:
    left = len(text) - MOST_CHARACTERS
    return text if left <= 0 else f"{text[:MOST_CHARACTERS]}\n({left:,} more characters left out)"


def equipped(
    request: ChatRequest,
    tools: Any,
    *,
    ask: bool = False,
    rounds: int | None = None,
    told: Told = SILENT,
    as_text: Callable[[Any], str] | None = None,
) -> Toolbox | None:
    """The tools of a request; None for none. Raises RequestRefused."""
    if tools is None:
        if ask or rounds is not None:
            raise RequestRefused("ask and rounds go with tools.", _NOTHING)
        return None
    if rounds is not None and (type(rounds) is not int or rounds < 1):
        raise RequestRefused(f"rounds is a whole number, 1 or more, not {rounds!r:.60}.", _NOTHING)
    if "tools" in request.fields:
        raise RequestRefused("tools is given twice, by itself and by extra.", _NOTHING)
    if request.fields.get("n", 1) != 1:
        raise RequestRefused("With tools there is one answer: n is 1.", _NOTHING)
    return Toolbox(
        tools_of(tools),
        rounds=ROUNDS if rounds is None else rounds,
        confirm=confirmed if ask else lambda call: "",
        tell=on_stderr if told is SILENT else told.notice,
        as_text=as_text or plain,
    )
