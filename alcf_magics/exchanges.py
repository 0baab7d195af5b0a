"""An exchange: one prompt, from the request to the answer that is kept.

    with Exchange(connection, place, request) as exchange:
        for answer in exchange:
            view.draw(answer)
    exchange.completion

Whatever ends it is told, kept, bound and worded here and nowhere else. Several run at a time, on
one event loop; each is used by one thread or task.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, cast

from .errors import AlcfError, StreamBroken, in_one_line, interrupted_prompt
from .gateway.accumulator import Accumulator, Pieces
from .gateway.body_size import GREW, check_size
from .gateway.calls import Call
from .gateway.cassettes import Cassette
from .gateway.chat import ChatRequest
from .gateway.chunks import Chunk
from .gateway.completions import Completion
from .gateway.models import Model
from .gateway.places import Places
from .gateway.replaying import Replay
from .gateway.retries import Policy
from .gateway.rounds import Rounds
from .gateway.sending import Sending, Wait, no_wait
from .told import SILENT, Plain, Told
from .tools.toolbox import Toolbox

if TYPE_CHECKING:
    from .connection import Connection
    from .gateway.client import Gateway


class View(Protocol):
    """What shows an answer while it comes, and how it ended."""

    def draw(self, answer: Accumulator) -> None:
        """Show the answer so far, if it is time to."""

    def call(self, call: Call) -> None:
        """A tool is called, with its arguments; once more when it has its result."""

    def begin_again(self, why: str) -> None:
        """Another request of this prompt goes out; the answer so far is not the last."""

    def move(self, place: Model) -> None:
        """Another place is asked: nothing had come from the one before."""

    def finish(self, completion: Completion) -> None:
        """The answer is complete."""

    def fail(self, completion: Completion | None, why: str) -> None:
        """The answer ended early, if one began: keep what came, marked with what happened."""


class Asking(Protocol):
    """Where a prompt belongs: told when its answer begins, and what it became."""

    @property
    def session_id(self) -> str:
        """What requests of one chat have in common; empty where there is nothing."""

    def begin(self) -> None:
        """The answer begins: nothing was refused."""

    def about(self, completion: Completion) -> str:
        """What the line under the answer says of its place in a chat."""

    def keep(self, completion: Completion) -> None:
        """The answer has ended, whole or early, if it ever began."""


class Exchange:
    """One prompt. Leaving it keeps the completion once, in the session's history.

    `places` are where the prompt may go besides, with `request_for` that makes the request to
    one of them, and `wait` what comes when none of them runs; see sending.py. `asked` is the
    model's name as it was asked for. `format` reads the whole answer. `view` shows
    the answer, and `bind` gets the completion, however the answer ended; what goes wrong in a
    view costs nobody the answer. `asking` is where the prompt belongs, `key` that of what is asked,
    see answer_file.py; `toolbox` has the tools that the model may call. `gateway` is a client of
    the caller's own; what is not `kept` is left out of the history. `recorded` is the answer, where
    it is known: nothing is sent then. Others are kept in the `cassette`, where there is one.
    Whatever ends the answer early
    carries the part that came as `.completion`: an AlcfError, or KeyboardInterrupt.
    """

    def __init__(
        self,
        connection: Connection,
        place: Model,
        request: ChatRequest,
        *,
        asked: str = "",
        format: str = "markdown",
        view: View | None = None,
        bind: Callable[[Completion], None] = lambda completion: None,
        told: Told = SILENT,
        policy: Policy | None = None,
        asking: Asking | None = None,
        places: Places | None = None,
        request_for: Callable[[Model], ChatRequest] | None = None,
        wait: Wait = no_wait,
        key: str = "",
        toolbox: Toolbox | None = None,
        gateway: Gateway | None = None,
        kept: bool = True,
        cassette: Cassette | None = None,
        recorded: Completion | None = None,
    ) -> None:
        self.place = place
        #: The requests of this prompt; most have one.
        self.rounds = Rounds(request, format, toolbox)
        if toolbox is not None:
            toolbox.show = self._tell_call
        #: The answer so far.
        self.answer = Accumulator(request.model, time.monotonic())
        #: The answer as it was kept; None before the end, and where nothing came.
        self.completion: Completion | None = None
        self._connection = connection
        self._asked = asked
        self._key = key
        self._view = view
        self._bind = bind
        self._asking = asking
        self._begun = False
        self._draws = True
        self._told = told = Plain() if told is SILENT else told
        self._kept = kept
        self._cassette = cassette
        self._replay = None if recorded is None else Replay(recorded)
        self._sending = (
            cast(Sending, self._replay)
            if self._replay is not None
            else Sending(
                # Asked for here: an older client is closed on the event loop, and waited for.
                gateway or connection.gateway,
                places or Places.only(place),
                self.rounds,
                request_for or (lambda place: replace(request, model=place.name)),
                policy=policy or connection.policy,
                told=told,
                session_id=asking.session_id if asking is not None else "",
                wait=wait,
                turn=connection.prompt_turn,
            )
        )

    def run(self) -> Completion:
        """The whole exchange, on this thread: draws the answer while it comes, and returns it."""
        __tracebackhide__ = True
        try:
            with self:
                for answer in self:
                    self._draw(answer)
        except (AlcfError, KeyboardInterrupt) as error:
            # Raised anew, so that the reader does not get the inside of the event loop to read.
            raise error.with_traceback(None) from None
        assert self.completion is not None  # leaving kept it, or raised
        return self.completion

    async def arun(self) -> Completion:
        """The whole exchange, awaited; draws nothing."""
        async with self:
            async for _ in self:
                pass
        assert self.completion is not None
        return self.completion

    async def on_loop(self) -> Completion:
        """The whole exchange, for a task on the connection's own event loop; draws nothing.

        The request is one that asks for no stream.
        """
        async with self:
            while True:
                chunks = await self._sending.whole(self.answer.sent)
                self._with([(time.monotonic(), chunks)])
                if not (why := self._goes_on()):
                    break
                self._begin_round(why)
        assert self.completion is not None
        return self.completion

    @property
    def request(self) -> ChatRequest:
        """What was asked, as it is kept."""
        return self.rounds.request

    def _draw(self, answer: Accumulator) -> None:
        if self._draws:
            self._draws = self._show(lambda view: view.draw(answer))

    # How it goes

    def __iter__(self) -> Iterator[Accumulator]:
        """The answer so far, again and again, at least 20 times a second."""
        while True:
            for reads in self._connection.runtime.iterate(self._reads):
                yield self._with(reads)
            if not (why := self._goes_on()):
                return
            self._begin_round(why)

    async def __aiter__(self) -> AsyncIterator[Accumulator]:
        """The answer so far, whenever something came."""
        while True:
            arriving = self._connection.runtime.aiterate(self._reads)
            async with contextlib.aclosing(arriving) as all_reads:
                async for reads in all_reads:
                    yield self._with(reads)
            if self._replay is not None or not (why := await self.rounds.ago_on(self.answer)):
                return
            self._begin_round(why)

    def _with(self, reads: list[tuple[float, list[Chunk]]]) -> Accumulator:
        self._follow()
        for at, chunks in reads:
            for chunk in chunks:
                self.answer.add(chunk, at)
        if self.answer.began:
            self._begin()
        if self._view is None:  # else it is the view that says what is waited for
            self._told.tick()
        return self.answer

    def _follow(self) -> None:
        """Take over where the prompt is now."""
        place = self._sending.place
        if place is not self.place:
            self.place, self.answer.model = place, self.request.model
            self._show(lambda view: view.move(place))

    def _begin(self) -> None:
        """The answer begins, once."""
        if not self._begun and self._asking is not None:
            self._asking.begin()
        self._begun = True

    def _tell_call(self, call: Call) -> None:
        self._begin()
        self._show(lambda view: view.call(call))

    def _begin_round(self, why: str) -> None:
        """Another request goes out: what came is no refusal, and its answer comes anew."""
        self._begin()
        self._show(lambda view: view.begin_again(why))
        check_size(self.rounds.sending, self.place, GREW)
        self.answer = Accumulator(self.request.model, time.monotonic())

    def _goes_on(self) -> str:
        """Why there is another round, in words. A recorded answer is that of the last one."""
        return "" if self._replay is not None else self.rounds.go_on(self.answer)

    def _reads(self) -> AsyncGenerator[list[Chunk]]:
        return self._sending.reads(self.answer.sent)

    # How it ends

    def __enter__(self) -> Exchange:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._told.waiting("")  # what the event loop takes away later comes too late to be shown
        if isinstance(error, CancelledError):
            closed = AlcfError("The session was closed while it waited.")
            self._break_off(closed)
            raise closed from None
        last, late = error, self._end(error)
        while late is not None:  # whoever is impatient interrupts again and again
            last, late = late, self._end(late)
        if last is not None and last is not error:
            raise last

    def _end(self, error: BaseException | None) -> KeyboardInterrupt | None:
        """End it, well or early; the interrupt that came meanwhile, if one did."""
        try:
            if error is None:
                self._complete()
            else:
                self._break_off(error)
        except KeyboardInterrupt as interrupt:
            return interrupt
        return None

    async def __aenter__(self) -> Exchange:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _complete(self) -> None:
        """The answer is whole: read it, keep it, show it. Raises AnswerInvalid."""
        if self._replay is None:
            self._connection.account.note_answer()
        self._begin()  # also where nothing came, and that is the answer
        completion, unread = self.rounds.read(self._as_completion())
        self._keep(completion)
        if unread is None:
            self._show(lambda view: view.finish(completion))
            self._record(completion)
            return
        unread.completion = completion
        self._show(lambda view: view.fail(completion, unread.what))
        raise unread

    def _break_off(self, error: BaseException) -> None:
        """The answer ended early: keep what came, and let whatever ended it carry that."""
        self._follow()
        if isinstance(error, AlcfError):
            self._connection.note(error)
            if self._cassette is not None:
                self._cassette.note(error)
        began = self.answer.began or bool(self.rounds.past)
        if began or isinstance(error, StreamBroken | KeyboardInterrupt):
            self._keep(self._as_completion())
            with contextlib.suppress(AttributeError):  # what has no room for it
                error.completion = self.completion  # type: ignore[attr-defined]
        why = str(error)
        if isinstance(error, KeyboardInterrupt):
            why = "interrupted"
            in_one_line(error, interrupted_prompt(kept=began))
        self._show(lambda view: view.fail(self.completion, why))

    def _as_completion(self) -> Completion:
        rounds = self.rounds
        if self._replay is not None:
            completion = self._replay.so_far(self.answer)
        else:
            completion = self.answer.completion(self.request, self.place)
            completion = rounds.together(completion, self.answer)
        notes = rounds.notes
        if self._asking is not None and self._begun:
            notes = [self._asking.about(completion), *notes]
        noted = " · ".join(filter(None, notes))
        return replace(completion, asked=self._asked, key=self._key, noted=noted)

    def _record(self, completion: Completion) -> None:
        if self._cassette is not None and self._replay is None:
            self._cassette.keep(completion, self._told)

    def _keep(self, completion: Completion) -> None:
        """Keep the completion, once."""
        if self.completion is not None:
            return
        self.completion = completion
        if self._kept:
            self._connection.history.add(completion)
        if self._asking is not None and self._begun:
            self._asking.keep(completion)
        self._bind(completion)

    def _show(self, show: Callable[[View], None]) -> bool:
        """Let the view show something; whether it could. What it cannot show costs no answer."""
        if self._view is None:
            return False
        with contextlib.suppress(Exception):  # a full disk under stdout, a letter it has not
            show(self._view)
            return True
        return False


def pieces(exchange: Exchange) -> Iterator[str]:
    """The pieces of the answer's text as they come."""
    text = Pieces(exchange.rounds.may_replace)
    with exchange:
        for answer in exchange:
            if piece := text.new(answer):
                yield piece
    if exchange.completion is not None and (rest := text.rest(exchange.completion.text)):
        yield rest
