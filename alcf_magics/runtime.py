"""The background event loop of a kernel, and how the main thread waits for it.

The main thread's own loop is the kernel's and is never touched, so all of this works the same
in a kernel where nest_asyncio was applied. An interrupt arrives in the main thread, between
short waits; the task is then cancelled, and the gateway sees the connection close at once.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

import anyio
import anyio.to_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal

from .errors import AlcfError
from .text import line

T = TypeVar("T")

FREE = "Close what is open (files, threads), or restart the kernel."

#: Seconds between two looks at the queue: the main thread notices an interrupt within this.
POLL = 0.05
#: Items handed over at once, so that a fast stream cannot keep the main thread from drawing. An
#: item is a read of the network: some hundred chunks where they come fast.
BATCH = 100
#: Seconds that closing waits for what cannot be cancelled.
CLOSE_SECONDS = 2.0


class _Arrivals(Generic[T]):
    """What an async iterator on the event loop brings, for a thread that waits for it."""

    def __init__(self, function: Callable[[], AsyncIterator[T]]) -> None:
        self._function = function
        self._queue: queue.SimpleQueue[tuple[float, T] | None] = queue.SimpleQueue()
        #: Whether everything has been taken.
        self.ended = False

    async def pump(self) -> None:
        try:
            async for item in self._function():
                self._queue.put((time.monotonic(), item))
        finally:
            self._queue.put(None)

    def batch(self, timeout: float | None = None) -> list[tuple[float, T]]:
        """What came since, after waiting for something; empty after `timeout` seconds."""
        batch: list[tuple[float, T]] = []
        with contextlib.suppress(queue.Empty):
            item = self._queue.get(timeout=timeout)
            while item is not None:
                batch.append(item)
                if len(batch) == BATCH:
                    return batch
                item = self._queue.get_nowait()
            self.ended = True
        return batch


async def _named() -> None:
    """Give the loop's thread the name by which our requests are told from others."""
    threading.current_thread().name = "alcf_magics event loop"


class Runtime:
    """One event loop on one daemon thread, started at first use."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._portal: BlockingPortal | None = None
        self._lock = threading.Lock()

    def run(
        self, function: Callable[[], Awaitable[T]], poll: Callable[[], None] = lambda: None
    ) -> T:
        """Run a coroutine function there and wait for its result; an interrupt cancels it.

        `poll` is called again and again meanwhile, on the waiting thread.
        """
        future = self.spawn(function)
        try:
            while True:
                # Short waits, because a wait without end would not notice an interrupt.
                if wait([future], timeout=POLL).done:
                    return future.result()
                poll()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, function: Callable[[], AsyncIterator[T]]) -> Iterator[list[tuple[float, T]]]:
        """Run an async iterator there; yields what came since, each with its arrival time.

        An empty list comes when nothing did for a moment, so that the caller can draw. Leaving
        the loop, by an exception or by closing the iterator, cancels the task.
        """
        arrivals = _Arrivals(function)
        future = self.spawn(arrivals.pump)
        try:
            while not arrivals.ended:
                yield arrivals.batch(POLL)
            future.result()
        except BaseException:
            future.cancel()
            raise

    async def aiterate(
        self, function: Callable[[], AsyncIterator[T]]
    ) -> AsyncGenerator[list[tuple[float, T]]]:
        """The same for a caller with an event loop of its own, whichever that is."""
        arrivals = _Arrivals(function)
        future = self.spawn(arrivals.pump)
        # Its own limiter: what waits for one stream is not to hold up another.
        one_thread = anyio.CapacityLimiter(1)
        try:
            while not arrivals.ended:
                # A thread that is abandoned ends with the task: its last item is the end.
                yield await anyio.to_thread.run_sync(
                    arrivals.batch, abandon_on_cancel=True, limiter=one_thread
                )
            future.result()
        except BaseException:
            future.cancel()
            raise

    def start(self, function: Callable[[], T]) -> Future[T]:
        """Run a blocking function on a worker thread, without waiting for it."""

        async def work() -> T:
            return await anyio.to_thread.run_sync(function, abandon_on_cancel=True)

        return self.spawn(work)

    def close(self) -> None:
        """Stop the loop and its thread. The next use starts another."""
        with self._lock:
            portal, self._portal = self._portal, None
            stack, self._stack = self._stack, contextlib.ExitStack()
        if portal is None:
            return
        with contextlib.suppress(RuntimeError):
            portal.start_task_soon(portal.stop, True)
        # A look-up of a host name cannot be cancelled: it may end after us, on a daemon thread.
        ending = threading.Thread(target=stack.close, daemon=True)
        try:
            ending.start()
        except RuntimeError:  # the interpreter is ending, and starts no threads any more
            stack.close()
        else:
            ending.join(CLOSE_SECONDS)

    def _started(self) -> BlockingPortal:
        """The loop on its thread. Raises AlcfError where the system gives neither."""
        try:
            return self._stack.enter_context(start_blocking_portal("asyncio"))
        except (RuntimeError, OSError) as error:
            why = line(str(error), 80)
        raise AlcfError(
            f"No connection can be made: this kernel's limits are reached ({why}).", FREE
        )

    def spawn(self, function: Callable[[], Awaitable[T]]) -> Future[T]:
        """Run a coroutine function there without waiting; cancelling the future cancels it."""
        with self._lock:
            if self._portal is None:
                self._portal = self._started()
                self._portal.start_task_soon(_named)
            return self._portal.start_task_soon(function)
