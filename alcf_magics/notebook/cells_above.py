"""The cells above: what ran in this kernel and what it showed, as a bounded log.

In a kernel, what cells show is taken from the messages to the front end, told apart by the id of
the request that they belong to: printed text comes on another thread, and from child processes. In
a terminal nothing but results and errors can be seen. Cells that log in or out are never kept.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .blocks import block
from .cell_outputs import KINDS, Outputs, gap
from .values import Hide

#: Cells that are kept.
MOST_CELLS = 200
#: Characters that are sent of a cell's source, of what it showed, and of all cells together.
SOURCE_CHARACTERS = 10_000
SHOWN_CHARACTERS = 5_000
ALL_CHARACTERS = 50_000

_LOGIN = re.compile(r"alcf_log(in|out)\b")


@dataclass(eq=False)
class Cell:
    """One execution. `id` is the notebook's cell, `request` the request, where they are known."""

    source: str
    id: str = ""
    request: str = ""
    ended: bool = False
    outputs: Outputs = field(default_factory=Outputs)


@dataclass(frozen=True)
class CellsText:
    """Cells as one text for a prompt: `count` of the `asked` ones had room."""

    text: str
    count: int
    asked: int


class CellsAbove:
    """The log of one shell's cells. Thread-safe; `remove` takes back what `install` did."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._cells: deque[Cell] = deque(maxlen=MOST_CELLS)
        self._lock = threading.RLock()  # a finalizer may print while it is held
        self._wire = _Wire(getattr(getattr(shell, "kernel", None), "session", None), self._note)

    def install(self) -> None:
        """Begin to log. Of what ran before, the source alone is known."""
        history = getattr(self._shell, "history_manager", None)
        for source in list(getattr(history, "input_hist_raw", ()))[-MOST_CELLS:]:
            self._begin(Cell(source, ended=True))
        self._shell.events.register("pre_run_cell", self._on_begin)
        self._shell.events.register("post_run_cell", self._on_end)
        self._wire.tap()

    def remove(self) -> None:
        """Take back what `install` did, and forget all cells."""
        for event, call in (("pre_run_cell", self._on_begin), ("post_run_cell", self._on_end)):
            with contextlib.suppress(ValueError):  # not registered
                self._shell.events.unregister(event, call)
        self._wire.untap()
        with self._lock:
            self._cells.clear()

    def last(self, count: int, hide: Hide = str) -> CellsText:
        """The last `count` cells that have ended, oldest first, as far as there is room.

        `hide` takes out what must not be sent.
        """
        with self._lock:
            wanted = [cell for cell in self._cells if cell.ended][-count:]
            blocks: list[str] = []
            left = ALL_CHARACTERS
            for cell in reversed(wanted):
                text = _block(cell, hide)
                left -= len(text)
                if left < 0 and blocks:
                    break
                blocks.insert(0, text)
        return CellsText(_together(blocks, len(wanted)), len(blocks), len(wanted))

    # What happens

    def _on_begin(self, info: Any) -> None:
        if info.store_history:
            cell_id = str(getattr(info, "cell_id", None) or "")
            self._begin(Cell(str(info.raw_cell), cell_id, self._request()))

    def _begin(self, cell: Cell) -> None:
        """Keep a cell. One that is known to run again takes the place of its earlier run."""
        if _LOGIN.search(cell.source) or not cell.source.strip():
            return
        with self._lock:
            if cell.id:
                for old in [old for old in self._cells if old.id == cell.id]:
                    self._cells.remove(old)
            self._cells.append(cell)

    def _on_end(self, result: Any) -> None:
        if not result.info.store_history:  # a cell that a cell runs
            return
        request = self._request()
        with self._lock:
            cell = self._running(request)
            if cell is None:
                return
            cell.ended = True
            if not self._wire.there:
                for kind, content in _seen(result):
                    cell.outputs.take(kind, content)

    def _request(self) -> str:
        """The id of the request that runs; empty where there is none."""
        try:
            return str(self._shell.kernel.get_parent()["header"]["msg_id"])
        except (AttributeError, KeyError, TypeError):
            return ""

    def _running(self, request: str) -> Cell | None:
        cells = (c for c in reversed(self._cells) if not c.ended and c.request == request)
        return next(cells, None)

    def _note(self, kind: str, content: Mapping[str, Any], request: str) -> None:
        """The kernel says something to its front end; a thread may after the cell has ended."""
        with self._lock:
            cell = next((c for c in reversed(self._cells) if c.request == request), None)
            if cell is not None:
                cell.outputs.take(kind, content)


class _Wire:
    """A kernel's line to its front end (a jupyter_client Session), listened to while tapped."""

    def __init__(self, session: Any, heard: Callable[[str, Mapping[str, Any], str], None]) -> None:
        self._session = session
        self._heard = heard
        self._send: Any = None
        self._before: Any = None  # somebody else's, on the same session

    @property
    def there(self) -> bool:
        """Whether there is a front end."""
        return self._session is not None

    def tap(self) -> None:
        if self._session is None:
            return
        send = self._session.send
        self._before = vars(self._session).get("send")

        def noted(stream: Any, message: Any, *given: Any, **named: Any) -> Any:
            if self._send is noted:
                with contextlib.suppress(Exception):  # whatever goes wrong here, it is sent
                    self._hear(message, *given, **named)
            return send(stream, message, *given, **named)

        self._session.send = self._send = noted

    def untap(self) -> None:
        # Where somebody has wrapped it since, ours stays inside, and is deaf.
        if self._send is not None and vars(self._session).get("send") is self._send:
            del self._session.send
            if self._before is not None:
                self._session.send = self._before
        self._send = self._before = None

    def _hear(
        self, message: Any, content: Any = None, parent: Any = None, *_: Any, **__: Any
    ) -> None:
        """A message is sent as a whole, or as its kind with content and parent."""
        if isinstance(message, Mapping):
            kind, content = message["header"]["msg_type"], message["content"]
            parent = message["parent_header"]
        else:
            kind = message
        if kind in KINDS and parent:
            self._heard(kind, content, parent.get("header", parent)["msg_id"])


def _together(blocks: list[str], wanted: int) -> str:
    if not blocks:
        return ""
    about = f"The last {_cells(len(blocks))} of this notebook, oldest first"
    if older := wanted - len(blocks):
        about += f" ({_cells(older)} before them left out, for their size)"
    return "\n\n".join([f"{about}.", *blocks])


def _cells(count: int) -> str:
    return f"{count} cell{'' if count == 1 else 's'}"


def _block(cell: Cell, hide: Hide) -> str:
    source = block("Cell", _cut(hide(cell.source.strip("\n")), SOURCE_CHARACTERS), "python")
    shown = _cut(cell.outputs.text(hide), SHOWN_CHARACTERS)
    return f"{source}\n{block('It showed', shown)}" if shown else source


def _cut(text: str, most: int) -> str:
    """The beginning and the end of a text that is too long."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}{gap(len(text) - 2 * half)}{text[-half:]}"


def _seen(result: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a shell without a front end says of a cell that has ended: its result, its error."""
    error = result.error_before_exec or result.error_in_exec
    if error is not None:
        yield "error", {"traceback": [f"{type(error).__name__}: {error}"]}
    elif result.result is not None:
        from IPython.lib.pretty import pretty

        with contextlib.suppress(Exception):  # a repr of the person's own
            text = pretty(result.result)  # type: ignore[no-untyped-call]
            yield "execute_result", {"data": {"text/plain": text}}
