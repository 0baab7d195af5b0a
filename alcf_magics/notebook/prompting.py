"""One prompt of a cell: resolve the model, send the request, draw the answer, keep it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import AlcfError, AnswerInvalid, in_one_line
from ..gateway.completions import ChatRequest, Completion
from ..showing.formats import FORMATS
from .live import Live, NotebookLive, TerminalLive

if TYPE_CHECKING:
    from .._session import Session
    from ..gateway.completions import Accumulator


def ask(
    shell: Any,
    session: Session,
    options: argparse.Namespace,
    prompt: str,
    *,
    alone: bool,
    widgets: bool,
) -> Completion:
    """Stream the answer to a prompt into the running cell, and return it.

    `alone` says that the cell holds nothing else. Whatever ends the answer early leaves what
    came on the screen, in `--out`, and on the exception as `.completion`.
    """
    __tracebackhide__ = True  # of an interrupt, a reader wants to see the cell
    model = session.resolve(options.model, options.cluster)
    request = ChatRequest.prompt(
        model.name,
        prompt,
        options.system,
        temperature=options.temperature,
        max_tokens=options.max_tokens,
        reasoning_effort=options.effort,
    )
    live: Live = (
        NotebookLive(model, alone=alone, format=options.format, widgets=widgets)
        if hasattr(shell, "kernel")
        else TerminalLive(model)
    )
    answer: Accumulator | None = None
    try:
        for answer in session.stream(model, request, asked=options.model):
            live.draw(answer)
    except (AlcfError, KeyboardInterrupt) as error:
        completion = getattr(error, "completion", None)
        if completion is None and answer is not None and answer.began:
            # Interrupted while drawing: the stream itself knows nothing of it.
            completion = session.keep(answer, model, request, options.model)
            error.completion = completion  # type: ignore[union-attr]
        if isinstance(error, KeyboardInterrupt):
            in_one_line(error, kept=answer is not None and answer.began)
            live.fail(completion, "interrupted")
        else:
            live.fail(completion, str(error))
        _bind(shell, options.out, completion)
        # Raised anew, so that the reader does not get the inside of the event loop to read.
        raise error.with_traceback(None) from None
    assert answer is not None  # the stream yields before it ends
    assert answer.kept is not None  # and keeps what came
    completion = _formatted(answer.kept, options.format, live, shell, options.out)
    live.finish(completion)
    _bind(shell, options.out, completion)
    if options.next_cell and completion.parsed:
        shell.set_next_input("\n\n".join(block.code.rstrip() for block in completion.parsed))
    return completion


def _formatted(completion: Completion, format: str, live: Live, shell: Any, out: str) -> Completion:
    """The completion with what its format reads; one that cannot be read stays on the screen."""
    try:
        return replace(completion, format=format, parsed=FORMATS[format].parse(completion.text))
    except AnswerInvalid as error:
        error.completion = completion
        live.fail(completion, error.what)
        _bind(shell, out, completion)
        raise


def _bind(shell: Any, name: str, completion: Completion | None) -> None:
    if name and completion is not None:
        shell.user_ns[name] = completion
