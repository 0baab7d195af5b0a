"""Waiting for coroutines on a thread whose own event loop runs already."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import Any


def awaited(awaitable: Any) -> Any:
    """The result of something to be awaited, on this thread.

    It gets a loop of its own: where this is a kernel's main thread, its loop runs this very cell.
    """

    async def wait() -> Any:
        return await awaitable

    with _no_running_loop(), asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(wait())


@contextmanager
def _no_running_loop() -> Any:
    """Let another loop run on a thread whose own waits meanwhile, as asyncio has it for loops."""
    running = asyncio._get_running_loop()
    swap = getattr(asyncio.tasks, "_swap_current_task", None)  # from Python 3.12 on
    task = swap(running, None) if swap and running is not None else None
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(running)
        if swap and running is not None:
            swap(running, task)
