"""The cells above: what ran in this kernel and what it showed, as a bounded log.

In a kernel, what cells show is taken from the messages to the front end, told apart by the id of
the request that they belong to: printed text comes on another thread, and also from children. In
a terminal nothing but results and errors can be seen. Cells that log in or out are never kept.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .blocks import block
from .values import Hide

#: Cells that are kept, outputs of one, characters of the beginning and of the end of an output.
MOST_CELLS = 200
MOST_OUTPUTS = 100
KEPT_CHARACTERS = 20_000
#: Characters that are sent of a cell's source, of what it showed, and of all cells together.
SOURCE_CHARACTERS = 10_000
SHOWN_CHARACTERS = 5_000
ALL_CHARACTERS = 50_000

_LOGIN = re.compile(r"alcf_log(in|out)\b")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
#: The part of a printed line that a carriage return let something else take the place of.
_OVERWRITTEN = re.compile(r"[^\n\r]*\r(?!\n|$)", re.M)
_GAP = "\n(… {count:,} characters left out …)\n"


@dataclass(eq=False)
class Output:
    """A text that a cell showed; of a long one the beginning and the end."""

    text: str = ""
    tail: str = ""
    left_out: int = 0
    stream: str = ""
    display_id: str = ""

    def add(self, text: str) -> None:
        if self.left_out or len(self.text) + len(text) > 2 * KEPT_CHARACTERS:
            whole = text if self.left_out else self.text + text
            if not self.left_out:
                self.text, whole = whole[:KEPT_CHARACTERS], whole[KEPT_CHARACTERS:]
            end = self.tail + whole
            self.tail = end[-KEPT_CHARACTERS:]
            self.left_out += len(end) - len(self.tail)
        else:
            self.text += text

    def replace(self, text: str) -> None:
        self.text, self.tail, self.left_out = "", "", 0
        self.add(text)

    def shown(self, hide: Hide) -> str:
        """The text. Where some was left out, no word that was cut is there: it may be a token's."""
        if not self.left_out:
            return hide(_read(self.text))
        head, tail = re.sub(r"\S*\Z", "", self.text), re.sub(r"\A\S*", "", self.tail)
        return hide(_read(head)) + _GAP.format(count=self.left_out) + hide(_read(tail))


@dataclass(eq=False)
class Cell:
    """One execution: its source, and what it has shown so far."""

    source: str
    id: str = ""
    request: str = ""
    outputs: list[Output] = field(default_factory=list)
    left_out: int = 0  # outputs
    ended: bool = False
    _clear_next: bool = False

    def take(self, kind: str, content: Mapping[str, Any]) -> None:
        """One message of this cell to the front end."""
        if kind == "clear_output":
            self._clear_next = True
            return
        display_id = str(content.get("transient", {}).get("display_id") or "")
        if kind == "update_display_data":
            self._update(display_id, _plain(content))
            return
        if self._clear_next:
            self.outputs.clear()
            self._clear_next = False
        last = self.outputs[-1] if self.outputs else None
        stream = str(content.get("name", "")) if kind == "stream" else ""
        if stream and last is not None and last.stream == stream:
            last.add(str(content.get("text", "")))
            return
        self._add(Output(stream=stream, display_id=display_id), _SHOWN[kind](content))

    def _add(self, output: Output, text: str) -> None:
        output.add(text)
        self.outputs.append(output)
        if len(self.outputs) > MOST_OUTPUTS:
            del self.outputs[MOST_OUTPUTS // 2]
            self.left_out += 1

    def _update(self, display_id: str, text: str) -> None:
        for output in self.outputs:
            if display_id and output.display_id == display_id:
                output.replace(text)

    def shown(self, hide: Hide) -> str:
        """All that it showed, without what must not be sent."""
        texts = [output.shown(hide).strip("\n") for output in self.outputs]
        if self.left_out:
            texts.insert(MOST_OUTPUTS // 2, f"(… {self.left_out:,} outputs left out …)")
        return "\n".join(filter(None, texts))


def _plain(content: Mapping[str, Any]) -> str:
    """A display as text; of a figure there is nothing but its kind."""
    data = content.get("data", {})
    if "application/vnd.jupyter.widget-view+json" in data:
        return "(a widget)"
    image = next((kind for kind in data if kind.startswith("image/")), "")
    text = str(data.get("text/markdown") or data.get("text/plain") or "")
    return f"{text} (a figure, {image})".strip() if image else text


#: What each kind of message that is an output shows.
_SHOWN: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "stream": lambda content: str(content.get("text", "")),
    "display_data": _plain,
    "execute_result": _plain,
    "error": lambda content: "\n".join(map(str, content.get("traceback", ()))),
}
_KINDS = {*_SHOWN, "clear_output", "update_display_data"}


def _read(text: str) -> str:
    """A text as somebody sees it: without colours, and what was printed over is gone."""
    return _OVERWRITTEN.sub("", _ANSI.sub("", text)).replace("\r", "")


@dataclass(frozen=True)
class CellsText:
    """Cells as one text for a prompt, and how many of how many those are."""

    text: str
    count: int
    asked: int


class CellsAbove:
    """The log of one shell's cells. Thread-safe; `remove` takes back what `install` did."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._cells: deque[Cell] = deque(maxlen=MOST_CELLS)
        self._lock = threading.Lock()
        self._send: Any = None
        self._send_before: Any = None

    # Life

    def install(self) -> None:
        """Begin to log. Of what ran before, the source alone is known."""
        history = getattr(self._shell, "history_manager", None)
        for source in list(getattr(history, "input_hist_raw", ()))[-MOST_CELLS:]:
            self._begin(Cell(source, ended=True))
        self._shell.events.register("pre_run_cell", self._on_begin)
        self._shell.events.register("post_run_cell", self._on_end)
        self._wrap()

    def remove(self) -> None:
        for event, call in (("pre_run_cell", self._on_begin), ("post_run_cell", self._on_end)):
            with contextlib.suppress(ValueError):
                self._shell.events.unregister(event, call)
        session = self._session
        if session is not None and vars(session).get("send") is self._send:
            if self._send_before is None:
                del session.send
            else:
                session.send = self._send_before
        self._send = None
        self._cells.clear()

    @property
    def _session(self) -> Any:
        """The kernel's line to its front end; None where there is none."""
        return getattr(getattr(self._shell, "kernel", None), "session", None)

    def _wrap(self) -> None:
        session = self._session
        if session is None:
            return
        self._send_before = vars(session).get("send")
        send = session.send

        def noted(
            stream: Any, message: Any, content: Any = None, parent: Any = None, *a: Any, **k: Any
        ) -> Any:
            with contextlib.suppress(Exception):  # whatever is wrong with the log, it is sent
                if self._send is noted:
                    self._note(message, content, parent)
            return send(stream, message, content, parent, *a, **k)

        session.send = self._send = noted

    # What happens

    def _on_begin(self, info: Any) -> None:
        if not getattr(info, "store_history", True) or getattr(info, "silent", False):
            return
        id = str(getattr(info, "cell_id", None) or "")
        self._begin(Cell(str(info.raw_cell), id, self._request()))

    def _begin(self, cell: Cell) -> None:
        """Keep a cell; run again, it is kept once, unless nothing tells that it is the same."""
        if _LOGIN.search(cell.source) or not cell.source.strip():
            return
        with self._lock:
            if cell.id:
                for old in [old for old in self._cells if old.id == cell.id]:
                    self._cells.remove(old)
            self._cells.append(cell)

    def _request(self) -> str:
        """The id of the request that runs."""
        try:
            return str(self._shell.kernel.get_parent()["header"]["msg_id"])
        except (AttributeError, KeyError, TypeError):
            return ""

    def _on_end(self, result: Any) -> None:
        request = self._request()
        with self._lock:
            cell = next((c for c in reversed(self._cells) if not c.ended), None)
            if cell is None or (request and cell.request != request):
                cell = next((c for c in self._cells if request and c.request == request), None)
            if cell is None:
                return
            cell.ended = True
            if self._session is None:
                for kind, content in _seen(result):
                    cell.take(kind, content)

    def _note(self, message: Any, content: Any, parent: Any) -> None:
        """A message that the kernel sends: as a whole, or as its kind with its content."""
        if isinstance(message, Mapping):
            kind = message["header"]["msg_type"]
            content, parent = message["content"], message.get("parent_header")
        else:
            kind = message
        if kind not in _KINDS or not parent:
            return
        request = parent.get("header", parent)["msg_id"]
        with self._lock:
            for cell in reversed(self._cells):
                if cell.request == request:
                    cell.take(kind, content)
                    return

    # What is sent

    def last(self, count: int, hide: Hide) -> CellsText:
        """The last `count` cells that have ended, oldest first, as far as there is room."""
        with self._lock:
            ended = [cell for cell in self._cells if cell.ended]
            wanted = ended[-count:]
            blocks: list[str] = []
            left = ALL_CHARACTERS
            for cell in reversed(wanted):
                text = _block(cell, hide)
                left -= len(text)
                if left < 0 and blocks:
                    break
                blocks.append(text)
        return CellsText(_together(blocks[::-1], len(wanted)), len(blocks), len(wanted))


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
    shown = _cut(cell.shown(hide), SHOWN_CHARACTERS)
    return f"{source}\n{block('It showed', shown)}" if shown else source


def _cut(text: str, most: int) -> str:
    """The beginning and the end of a text that is too long."""
    if len(text) <= most:
        return text
    half = most // 2
    return text[:half] + _GAP.format(count=len(text) - 2 * half) + text[-half:]


def _seen(result: Any) -> list[tuple[str, dict[str, Any]]]:
    """What a shell without a front end says of a cell that has ended: its result, its error."""
    error = result.error_before_exec or result.error_in_exec
    if error is not None:
        return [("error", {"traceback": [f"{type(error).__name__}: {error}"]})]
    if result.result is None:
        return []
    from IPython.lib.pretty import pretty

    try:
        text = pretty(result.result)  # type: ignore[no-untyped-call]
    except Exception:  # a repr of the person's own
        return []
    return [("execute_result", {"data": {"text/plain": text}})]
