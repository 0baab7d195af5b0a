"""A map: the same question of many rows, some of them at a time, each answer kept as it comes.

    results = Map(connection, rows, question, manner).run()

All prompts are exchanges on the one event loop, so that limit, retries and words are those of a
single prompt. Each of those in flight has a client of its own: many small pools of connections
cost a fraction of a large one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from ..errors import AlcfError, LoginExpired, ModelNotReady, NotLoggedIn, in_one_line
from ..exchanges import Exchange
from ..gateway.answer_file import AnswerFile, is_whole, saved
from ..gateway.cassettes import Cassette, replayed
from ..gateway.completions import Completion
from ..gateway.rounds import Rounds
from ..runtime import POLL
from ..told import Told
from .course import Course
from .progress import Progress
from .questions import Asked, Question, keys_of, question_of
from .results import Item, Results
from .rows import Rows, rows_of

if TYPE_CHECKING:
    from .._session import Session
    from ..connection import Connection
    from ..gateway.client import Gateway

#: Prompts on their way at once, at most: each has a connection.
MOST = 1000
#: More prompts than this are told what a batch would do.
MANY = 500
#: What stands in the place of a prompt that nobody has come to yet.
NOT_ASKED = AlcfError("This prompt was not asked yet.", "Ask what is missing: .retry()")


@dataclass(frozen=True)
class Manner:
    """How it is gone about: how many at a time, what is kept where, whether progress is shown.

    `wait` is for how many minutes a model is waited for, None as the settings have it. `cassette`
    counts where nothing is said of `save`.
    """

    in_flight: int
    save: str | Path | None = None
    fresh: bool = False
    shown: bool = True
    wait: float | None = None
    cassette: str | Path | None = None


class Map:
    """The rows of one call. `results` is there from the beginning, and fills.

    `run` and `arun` ask what is missing. An interrupt is raised again with the `results`.
    """

    def __init__(
        self,
        connection: Connection,
        rows: Rows,
        question: Question,
        manner: Manner,
        cassette: Cassette | None = None,
    ) -> None:
        self._connection = connection
        self._rows = rows
        self._question = question
        self._manner = manner
        self._items: list[Item] = [NOT_ASKED] * len(rows)
        self._cassette = cassette
        self._file = cassette.file if cassette is not None else None
        if manner.save is not None:
            self._file = AnswerFile(manner.save)
        self._keys = [] if self._file is None else list(keys_of(rows, question))
        self._told = _Once()
        self._done = self._failed = 0
        #: Why nothing more is asked: what has ended for one has ended for all.
        self._ended: AlcfError | None = None
        self._answered = False
        self.results = Results(self._items, rows.data_index, self._again)

    def run(self) -> Results:
        """Ask what is missing, and wait for it."""
        __tracebackhide__ = True
        with self._interrupted():
            self._wait_for(self._begin())
        return self.results

    async def arun(self) -> Results:
        """The same, awaited."""
        positions = await anyio.to_thread.run_sync(self._begin, abandon_on_cancel=True)
        with self._interrupted():
            await self._await(positions)
        return self.results

    def _again(self, positions: list[int]) -> None:
        """What `results.retry` does."""
        __tracebackhide__ = True
        self._ended = None
        with self._interrupted():
            self._wait_for(positions)

    # What is missing

    def _begin(self) -> list[int]:
        """Take what is in the file; the positions of what is not."""
        if self._file is None:
            return list(range(len(self._rows)))
        if self._cassette is None:  # of a cassette, reading may be all
            self._file.check()
        known = {} if self._manner.fresh else self._file.answers(set(self._keys))
        missing = []
        for position, key in enumerate(self._keys):
            item = self._read(known[key], position) if key in known else None
            item = item or (None if key else self._refusal(position))
            if item is None:
                missing.append(position)
            else:
                self._items[position] = item
        return missing

    def _refusal(self, position: int) -> AlcfError | None:
        """Why a row cannot be asked, whoever is asked."""
        try:
            self._question.messages(self._rows[position])
        except AlcfError as error:
            return error.with_traceback(None)
        return None

    def _read(self, completion: Completion, position: int) -> Item | None:
        """An answer of the file, read as it is to be read now; None where it cannot be."""
        request, format = self._question.request, self._question.format
        if self._cassette is not None:
            request = replace(request, messages=self._question.messages(self._rows[position]))
            found = replayed(completion, request, format)
            if found is None:
                return None
            completion = found
        completion, wrong = Rounds(request, format).read(completion)
        return completion if wrong is None else None

    # Waiting for it

    def _wait_for(self, positions: list[int]) -> None:
        if positions:
            self._find_place(len(positions))
            with self._progress(len(positions)) as progress:
                self._connection.runtime.run(
                    lambda: self._ask_all(positions), lambda: self._show(progress)
                )
                self._show(progress)

    async def _await(self, positions: list[int]) -> None:
        if not positions:
            return
        await anyio.to_thread.run_sync(self._find_place, len(positions), abandon_on_cancel=True)
        with self._progress(len(positions)) as progress:
            future = self._connection.runtime.spawn(lambda: self._ask_all(positions))
            try:
                while not future.done():
                    await anyio.sleep(POLL)
                    self._show(progress)
            except BaseException:
                future.cancel()
                raise
            future.result()

    def _find_place(self, count: int) -> None:
        with self._cassette.refusing() if self._cassette is not None else contextlib.nullcontext():
            places, request_for = self._question.places(self._told)
        if self._cassette is not None:
            self._cassette = self._cassette.ready()
        self._course = Course(places, request_for, self._connection.waiting(self._manner.wait))
        self._gateway, self._policy = self._connection.gateway, self._connection.policy
        self._told_of_batches(count)
        self._say_notices()

    def _told_of_batches(self, count: int) -> None:
        """Say of many prompts, once a session, what a batch would do with them."""
        if count <= MANY or not self._manner.shown or self._connection.knows_of_batches:
            return
        self._connection.knows_of_batches = True
        if said := _as_a_batch(self._question, self._rows, self._course):
            self._told.notice(said)

    def _progress(self, count: int) -> Progress:
        total = len(self._rows)
        self._done, self._failed = total - count, 0
        return Progress(total, self._done, shown=self._manner.shown)

    def _show(self, progress: Progress) -> None:
        progress.show(self._done, self._failed, self._told.waiting_for)

    @contextlib.contextmanager
    def _interrupted(self) -> Iterator[None]:
        """Whatever ends it early: an interrupt carries what came."""
        try:
            yield
        except KeyboardInterrupt as interrupt:
            count = sum(isinstance(item, Completion) for item in self._items)
            in_one_line(
                interrupt,
                f"The map was interrupted; {count:,} of {len(self._items):,} answers came, and "
                "are in session().last_map. The rest: .retry()",
            )
            interrupt.results = self.results  # type: ignore[attr-defined]
            raise interrupt.with_traceback(None) from None
        except CancelledError:
            raise AlcfError("The session was closed while it waited.") from None
        except AlcfError as error:
            raise error.with_traceback(None) from None
        finally:
            self._say_notices()

    def _say_notices(self) -> None:
        for line in self._told.notices():
            print(line)

    # On the event loop

    async def _ask_all(self, positions: list[int]) -> None:
        course = self._course
        if (place := course.places.start).cold:  # one wait for all
            course.learn(await course.wait(place, None, self._told), course.request)
        left = iter(positions)
        async with anyio.create_task_group() as group:
            for _ in range(min(self._manner.in_flight, len(positions))):
                group.start_soon(self._work, left)

    async def _work(self, left: Iterator[int]) -> None:
        """Take one prompt after another, as long as there are any."""
        async with self._client() as gateway:
            for position in left:
                item = await self._ask(gateway, position)
                self._items[position] = item
                self._done += 1
                if isinstance(item, AlcfError):
                    self._failed += 1
                else:
                    self._keep(item)

    @contextlib.asynccontextmanager
    async def _client(self) -> AsyncIterator[Gateway]:
        gateway = self._gateway.another()
        try:
            yield gateway
        finally:
            with anyio.CancelScope(shield=True):
                await gateway.aclose()

    async def _ask(self, gateway: Gateway, position: int) -> Item:
        """One answer, or the error in its place."""
        if self._ended is not None:
            return self._ended
        try:
            exchange = self._exchange(gateway, position)
            completion = await exchange.on_loop()
            self._answered = True
            self._course.learn(exchange.place, exchange.request)
            return completion
        except AlcfError as error:
            failure = error
            if isinstance(error, LoginExpired | NotLoggedIn) or self._is_cold(error):
                self._ended = error
        except Exception as error:  # one that fails stops nothing, whatever it fails for
            failure = AlcfError(f"It failed for a reason of its own ({type(error).__name__}).")
        return failure.with_traceback(None)

    def _exchange(self, gateway: Gateway, position: int) -> Exchange:
        messages, course = self._question.messages(self._rows[position]), self._course
        return Exchange(
            self._connection,
            course.places.start,
            replace(course.request, messages=messages),
            places=course.places,
            request_for=lambda place: replace(course.request_to(place), messages=messages),
            wait=course.wait,
            policy=self._policy,
            asked=self._question.asked,
            format=self._question.format,
            told=self._told,
            key=self._keys[position] if self._keys else "",
            gateway=gateway,
            kept=False,
        )

    def _is_cold(self, error: AlcfError) -> bool:
        """Whether a model is not ready that has answered nothing yet: no prompt finds it so."""
        return isinstance(error, ModelNotReady) and not self._answered

    def _keep(self, completion: Completion) -> None:
        """Add an answer to the file. One that cannot be added costs nobody the answer."""
        if self._file is None or not is_whole(completion):
            return
        try:
            line = saved(completion, texts=True)
            self._file.append(line if self._cassette is None else self._cassette.line(completion))
        except (OSError, AlcfError) as error:
            self._told.notice(f"No more answers are kept in {self._file.path}: {error}")
            self._file = None


class _Once(Told):
    """What many prompts find out alike is told once."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: set[str] = set()

    def notice(self, line: str) -> None:
        if line not in self._lines:
            self._lines.add(line)
            super().notice(line)


def map_of(
    session: Session,
    connection: Connection,
    data: Any,
    template: str | None,
    *,
    asked: Asked,
    manner: Manner,
) -> Map:
    """A map as `Session.map` is given it.

    Raises UsageError, RequestRefused, TypeError.
    """
    _check(manner)
    cassette = session.cassette(manner.cassette, manner.fresh) if manner.save is None else None
    rows = rows_of(data, template)
    return Map(connection, rows, question_of(session, asked), manner, cassette)


def _check(manner: Manner) -> None:
    """Whether it can be gone about so. Raises UsageError."""
    count, save = manner.in_flight, manner.save
    wrong = ""
    if not isinstance(count, Integral) or isinstance(count, bool) or not 1 <= count <= MOST:
        wrong = f"in_flight is a whole number from 1 to {MOST:,}, not {count!r:.60}."
    elif not (save is None or isinstance(save, str | os.PathLike)):
        wrong = f"save is the path of a file, not {type(save).__name__}."
    if wrong:
        from .misuse import UsageError

        raise UsageError(wrong, "Nothing was sent.")


def _as_a_batch(question: Question, rows: Rows, course: Course) -> str:
    """What a batch would do with the same arguments; empty where one could not be."""
    from .plan import Plan

    place = course.places.start
    plan = Plan(place, rows, lambda number: question.messages(rows[number]), course.request)
    try:
        size = plan.estimate()
    except AlcfError:
        return ""
    return (
        f"A batch would ask these {size.lines:,} prompts (about {size.tokens:,} tokens) as one job "
        "at the facility, at no limit of requests a second, and go on without this kernel: "
        "session().batch(…) with the same arguments and folder='/eagle/…'."
    )
