"""One prompt of a cell: resolve the model, send the request, draw the answer, keep it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .completions import ChatRequest, Completion, Message
from .errors import AlcfError
from .rendering import Live, NotebookLive, TerminalLive

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .completions import Accumulator
    from .session import Session


def ask(
    shell: InteractiveShell,
    session: Session,
    options: argparse.Namespace,
    prompt: str,
    *,
    alone: bool,
) -> Completion:
    """Stream the answer to a prompt into the running cell, and return it.

    `alone` says that the cell holds nothing else. Whatever ends the answer early leaves what
    came on the screen, in `--out`, and on the exception as `.completion`.
    """
    __tracebackhide__ = True  # of an interrupt, a reader wants to see the cell
    model = session.resolve(options.model, options.cluster)
    messages = [Message("system", options.system)] if options.system else []
    request = ChatRequest(
        model=model.name,
        messages=(*messages, Message("user", prompt)),
        temperature=options.temperature,
        max_tokens=options.max_tokens,
        reasoning_effort=options.effort,
    )
    live: Live = (
        NotebookLive(model, alone=alone) if hasattr(shell, "kernel") else TerminalLive(model)
    )
    answer: Accumulator | None = None
    try:
        for answer in session.stream(model, request):
            live.draw(answer)
    except (AlcfError, KeyboardInterrupt) as error:
        completion = getattr(error, "completion", None)
        if completion is None and answer is not None and answer.began:
            # Interrupted while drawing: the stream itself knows nothing of it.
            completion = answer.completion()
            error.completion = completion  # type: ignore[union-attr]
        interrupted = isinstance(error, KeyboardInterrupt)
        live.fail(completion, "interrupted" if interrupted else str(error))
        _bind(shell, options.out, completion)
        # Raised anew, so that the reader does not get the inside of the event loop to read.
        raise error.with_traceback(None) from None
    assert answer is not None  # the stream yields before it ends
    completion = answer.completion()
    live.finish(completion)
    _bind(shell, options.out, completion)
    return completion


def _bind(shell: InteractiveShell, name: str, completion: Completion | None) -> None:
    if name and completion is not None:
        shell.user_ns[name] = completion
