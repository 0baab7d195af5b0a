"""One prompt of a cell: the options become an exchange, and a view of the answer."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..prompts.redaction import Redaction
from ..tools.toolbox import plain
from . import next_cell
from .composing import Typed, compose
from .live import NotebookLive
from .names import named_schema, named_tools
from .options import PARAMETER_NAMES, minutes_to_wait
from .shells import is_kernel
from .terminal import TerminalLive
from .values import value_text

if TYPE_CHECKING:
    from .._session import Session
    from ..exchanges import View
    from ..gateway.completions import Completion
    from ..gateway.conversations import Chat
    from ..gateway.models import Model
    from ..told import Told
    from .cells_above import CellsAbove


def ask(
    shell: Any,
    session: Session,
    options: argparse.Namespace,
    prompt: str,
    *,
    alone: bool,
    widgets: bool,
    told: Told,
    made: Callable[[Completion, str], None],
    above: CellsAbove,
) -> Completion:
    """Stream the answer to a prompt into the running cell, and return it.

    `alone` says that the cell holds nothing else. Whatever ends the answer early leaves what
    came on the screen, in `--out`, and on the exception as `.completion`. `made` gets the page
    of a complete answer that need not be rendered again.
    """
    __tracebackhide__ = True  # of an interrupt, a reader wants to see the cell

    def view(model: Model) -> View:
        if not is_kernel(shell):
            return TerminalLive(model, told)
        return NotebookLive(
            model, alone=alone, format=options.format, widgets=widgets, made=made, told=told
        )

    def bind(completion: Completion) -> None:
        if options.out:
            shell.user_ns[options.out] = completion

    typed = Typed(
        prompt,
        options.system or "",
        tuple(options.file),
        options.cells,
        options.raw,
        tuple(options.image),
    )
    composed = compose(typed, shell, above, session, told)
    completion = session.exchange(
        composed.prompt,
        options.model,
        cluster=options.cluster,
        # A system text that is not given is the default's; one that is given empty is none.
        system=None if options.system is None else composed.system,
        format=options.format,
        schema=named_schema(options.schema, shell.user_ns) if options.schema else None,
        view=view,
        bind=bind,
        told=told,
        chat=_chat(session, options),
        trim=options.trim,
        wait=minutes_to_wait(options),
        fallback=options.fallback,
        fresh=options.fresh,
        tools=named_tools(options.tools, shell.user_ns) if options.tools else None,
        ask=options.ask,
        rounds=options.rounds,
        as_text=_for_the_model(session) if options.tools else None,
        **{name: getattr(options, name) for name in PARAMETER_NAMES},
    ).run()
    if options.next_cell and completion.parsed:
        if code := next_cell.code_of(completion.parsed):
            shell.set_next_input(code)
        else:
            told.notice("The answer has no Python: nothing was put into the next cell.")
    return completion


def _for_the_model(session: Session) -> Callable[[Any], str]:
    """What a tool returned, as text; tokens stay here, as in all that comes into a prompt."""
    hide = Redaction.of(session)

    def text(value: Any) -> str:
        if value is None or isinstance(value, dict | list | tuple | bool | int | float):
            return hide(plain(value))
        return value_text(value, hide).text

    return text


def _chat(session: Session, options: argparse.Namespace) -> Chat | None:
    """The chat that the options mean; None for a prompt that stands alone."""
    if options.chat is not None:
        return session.chats.named(options.chat)
    return session.chats.continued() if options.go_on else None
