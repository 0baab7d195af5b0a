"""The background loop: results, streams, cancelling, and an end that leaves nothing."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator

import anyio
import pytest

from alcf_magics.runtime import BATCH, Runtime


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


def test_run_returns_and_raises(runtime: Runtime) -> None:
    """A coroutine's result or exception comes back to the caller."""

    async def work() -> int:
        await anyio.sleep(0)
        return 7

    async def fail() -> int:
        raise KeyError("x")

    assert runtime.run(work) == 7
    with pytest.raises(KeyError):
        runtime.run(fail)
    runtime.close()


def test_iterate_hands_over_everything_in_order(runtime: Runtime) -> None:
    """No item is lost or moved, also when there are more than one batch holds."""

    async def items() -> AsyncIterator[int]:
        for number in range(3 * BATCH + 5):
            yield number

    got = [item for batch in runtime.iterate(items) for _, item in batch]
    assert got == list(range(3 * BATCH + 5))
    runtime.close()


def test_iterate_raises_after_what_came(runtime: Runtime) -> None:
    """Items before an exception are handed over before it."""

    async def items() -> AsyncIterator[int]:
        yield 1
        raise KeyError("x")

    stream = runtime.iterate(items)
    got: list[int] = []
    with pytest.raises(KeyError):
        got.extend(item for batch in stream for _, item in batch)
    runtime.close()


def test_a_silent_stream_still_lets_the_caller_draw(runtime: Runtime) -> None:
    """While nothing comes, empty batches do; leaving the loop cancels the task."""
    cancelled = threading.Event()

    async def items() -> AsyncIterator[int]:
        try:
            await anyio.sleep(60)
        finally:
            cancelled.set()
        yield 1

    stream = runtime.iterate(items)
    assert next(stream) == []
    stream.close()  # type: ignore[attr-defined]
    assert cancelled.wait(2)
    runtime.close()


def test_an_exception_in_the_caller_cancels_the_task(runtime: Runtime) -> None:
    """An interrupt between two batches closes what runs in the background."""
    cancelled = threading.Event()

    async def items() -> AsyncIterator[int]:
        try:
            yield 1
            await anyio.sleep(60)
        finally:
            cancelled.set()

    stream = runtime.iterate(items)
    next(stream)
    with pytest.raises(KeyboardInterrupt):
        stream.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    assert cancelled.wait(2)
    runtime.close()


def test_close_leaves_no_thread_and_the_next_use_starts_again(runtime: Runtime) -> None:
    """Closing cancels what runs; the object stays usable."""
    before = threading.active_count()

    async def work() -> int:
        return 1

    assert runtime.run(work) == 1
    runtime.close()
    assert threading.active_count() == before
    assert runtime.run(work) == 1
    runtime.close()
    assert threading.active_count() == before


def test_start_does_not_wait(runtime: Runtime) -> None:
    """A blocking function runs elsewhere, and its future tells when it is done."""
    release = threading.Event()
    future = runtime.start(lambda: release.wait(5))
    assert not future.done()
    release.set()
    assert future.result(5)
    runtime.close()


def test_threads_that_begin_at_once_share_one_loop(runtime: Runtime) -> None:
    """The first use from several threads starts one loop."""
    import asyncio

    async def loop() -> int:
        return id(asyncio.get_running_loop())

    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(runtime.run(loop))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 8
    runtime.close()
