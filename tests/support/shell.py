"""An IPython shell in this process, typed into as people type: a notebook's, or a terminal's.

    with Shell(home) as shell:
        shell.run("%load_ext alcf_magics")
        assert "Log in" in shell.run("%alcf_login").text

The notebook's shell looks to the magics as a kernel's does (`shell.kernel`), and keeps outputs and
widgets as a notebook keeps them. The terminal's prints. Both run cells on this thread: nothing has
to be waited for, errors carry their tracebacks, and coverage sees everything.
"""

from __future__ import annotations

import atexit
import contextlib
import copy
import getpass
import io
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import comm
from comm.base_comm import BaseComm
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.page import as_hook
from traitlets.config import Config

from support.outputs import ANSI, Displays, Json, Outputs, Shown

Answer = str | Callable[[str], str]
"""The reply to every question, or a function of the question, which may raise."""

#: Seconds after which a cell that was to be interrupted is interrupted whatever it shows.
PATIENCE = 20.0


class Cell(Shown):
    """One cell that was run, and what it shows, also later."""

    def __init__(self, code: str, *, person: bool, id: str = "") -> None:
        self.code = code
        #: The name that the front end has for it; empty if none.
        self.id = id
        #: Whether somebody sits there who could be asked.
        self.person = person
        #: "ok" or "error"; None while it runs.
        self.status: str | None = None
        #: The exception that ended it.
        self.error: BaseException | None = None
        #: The value that it returned.
        self.value: Any = None
        #: What the front end is asked to do besides: show a page, fill the next cell.
        self.payload: list[Json] = []
        #: The questions it asked.
        self.questions: list[str] = []
        #: How many times an output was added or changed; what was printed does not count.
        self.drawn = 0
        self.held = Outputs()

    @property
    def outputs(self) -> list[Json]:
        return copy.deepcopy(self.held.items)

    @property
    def ename(self) -> str:
        """The exception's name, empty if there was none."""
        return "" if self.error is None else type(self.error).__name__

    @property
    def said(self) -> str:
        """What a person reads: text, result and error."""
        return "\n".join(filter(None, [self.text, self.error_text]))

    def __repr__(self) -> str:
        return f"<Cell {self.code!r} {self.status} outputs={self.outputs!r}>"


class Shell:
    """A shell and its front end; a context manager, because IPython has one shell a process.

    `home` is where IPython keeps its profile and history. `terminal` makes it a terminal's. A
    person sits there unless a cell is run with `person=False`.
    """

    def __init__(self, home: Path, *, terminal: bool = False) -> None:
        self.cells: list[Cell] = []
        #: The state of every open widget by its id.
        self.widgets: dict[str, Json] = {}
        #: IPython's own shell.
        self.ip: Any = None
        self._home = home
        self._terminal = terminal
        self._lock = threading.RLock()
        self._displays = Displays()
        self._comms: dict[str, _Comm] = {}
        self._ends = contextlib.ExitStack()

    # Life

    def __enter__(self) -> Shell:
        assert not InteractiveShell.initialized()
        config = Config()
        config.InteractiveShell.colors = "nocolor"
        config.InteractiveShell.ipython_dir = str(self._home / "ipython")
        kind = InteractiveShell if self._terminal else _NotebookShell
        self._ends.callback(sys.modules.__setitem__, "__main__", sys.modules["__main__"])
        self.ip = kind.instance(config=config)
        self._ends.callback(kind.clear_instance)
        self._ends.callback(self._end)
        if not self._terminal:
            for part in (self.ip, self.ip.display_pub, self.ip.displayhook):
                part.front_end = self
            self._ends.callback(setattr, comm, "create_comm", comm.create_comm)
            comm.create_comm = self._open
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ends.close()

    def _end(self) -> None:
        if "AlcfMagics" in self.ip.magics_manager.registry:
            self.run("%unload_ext alcf_magics")
        history = self.ip.history_manager
        # What IPython does when the process ends, of which there will be many shells.
        atexit.unregister(self.ip.atexit_operations)
        self.ip.atexit_operations()
        if history.save_thread is not None:
            history.save_thread.stop()
        history.db.close()
        self.ip.restore_sys_module_state()

    # Cells

    def run(
        self,
        code: str,
        *,
        person: bool = True,
        id: str = "",
        answer: Answer | None = None,
        interrupt: Callable[[Cell], object] | None = None,
    ) -> Cell:
        """Run a cell to its end.

        `answer` replies to what the cell asks. `interrupt` presses the stop button as soon as it
        is true of the cell. `id` names the cell, so that it can be run again.
        """
        cell = Cell(code, person=person, id=id)
        with self._lock:
            self.cells.append(cell)
        with contextlib.ExitStack() as ends:
            ends.enter_context(_streams(self, person))
            ends.enter_context(_answers(cell, answer))
            if interrupt is not None:
                ends.enter_context(_interrupting(cell, interrupt))
            done = self.ip.run_cell(code, store_history=True)
        cell.error = done.error_before_exec or done.error_in_exec
        cell.value = done.result
        cell.status = "error" if cell.error else "ok"
        return cell

    @property
    def names(self) -> dict[str, Any]:
        """The person's variables."""
        return dict(self.ip.user_ns)

    def remembered(self) -> str:
        """Every input that IPython remembers, in memory and in its database."""
        history = self.ip.history_manager
        history.writeout_cache()
        stored = [row[2] for row in history.get_range(raw=True)]
        kept = [value for name, value in self.ip.user_ns.items() if name.startswith("_i")]
        return repr([self.ip.user_ns["In"], history.input_hist_raw, stored, kept])

    # Widgets

    def find_widget(self, model_name: str = "", **state: object) -> str:
        """The newest widget with this `_model_name` (and these values in its state)."""
        wanted = {**state, "_model_name": model_name} if model_name else state
        for id, values in reversed(self.widgets.items()):
            if all(values.get(key) == value for key, value in wanted.items()):
                return id
        names = [values.get("_model_name") for values in self.widgets.values()]
        raise AssertionError(f"no widget with {wanted}; there are {names}")

    def set_widget(self, id: str, **state: object) -> None:
        """Set a widget's values as a person does."""
        self.widgets[id].update(state)
        self._tell(id, {"method": "update", "state": state, "buffer_paths": []})

    def press(self, id: str) -> None:
        """Click a button."""
        self._tell(id, {"method": "custom", "content": {"event": "click"}})

    def enter(self, id: str) -> None:
        """Press Enter in a box."""
        self._tell(id, {"method": "custom", "content": {"event": "submit"}})

    def widgets_say(self) -> str:
        """What the widgets say now."""
        return " ".join(str(s["value"]) for s in list(self.widgets.values()) if "value" in s)

    def wait_for(self, condition: Callable[[], object], seconds: float = 10) -> None:
        """Let the background go on until something is so."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain; the widgets say: {self.widgets_say()}")
            time.sleep(0.005)

    def _tell(self, id: str, data: Json) -> None:
        self._comms[id].handle_msg({"content": {"data": data}, "buffers": []})

    def _open(self, **given: Any) -> _Comm:
        return _Comm(self, **given)

    def on_comm(self, opened: _Comm, kind: str, data: Json) -> None:
        """The kernel's side of a widget says something."""
        with self._lock:
            id = opened.comm_id
            if kind == "comm_close":
                self.widgets.pop(id, None)
                self._comms.pop(id, None)
                return
            if kind == "comm_open":
                self._comms[id] = opened
                self.widgets[id] = {}
            if "state" in data:
                self.widgets[id].update(copy.deepcopy(data["state"]))

    # Messages of the shell

    def take(self, kind: str, content: Json) -> None:
        """An output of the cell that runs, or an update of an older one's."""
        with self._lock:
            cell = self.cells[-1]
            cell.drawn += kind not in ("stream", "clear_output")
            self._displays.update(content)
            if kind != "update_display_data":
                self._displays.note(content, cell.held.take(kind, content))

    def ask_for(self, payload: Json) -> None:
        """The cell that runs wants something of the front end."""
        self.cells[-1].payload.append(payload)

    def parent(self) -> Json:
        """The request that runs, as a kernel knows it."""
        cell = self.cells[-1]
        metadata = {"cellId": cell.id} if cell.id else {}
        return {"content": {"code": cell.code, "allow_stdin": cell.person}, "metadata": metadata}


class _Publisher(DisplayPublisher):
    front_end: Shell

    def publish(
        self,
        data: Json,
        metadata: Json | None = None,
        *_: object,
        transient: Json | None = None,
        update: bool = False,
        **more: object,
    ) -> None:
        content = {"data": data, "metadata": metadata or {}, "transient": transient or {}}
        self.front_end.take("update_display_data" if update else "display_data", content)

    def clear_output(self, wait: bool = False) -> None:
        self.front_end.take("clear_output", {"wait": wait})


class _Hook(DisplayHook):
    front_end: Shell

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: Json, md_dict: Json | None = None) -> None:
        if format_dict:
            content = {"data": dict(format_dict), "metadata": dict(md_dict or {})}
            self.front_end.take("execute_result", content)

    def finish_displayhook(self) -> None:
        self._is_active = False


class _Kernel:
    """What the magics ask a kernel for."""

    def __init__(self, shell: _NotebookShell) -> None:
        self._shell = shell

    def get_parent(self) -> Json:
        return self._shell.front_end.parent()


class _NotebookShell(InteractiveShell):
    front_end: Shell

    def __init__(self, **given: Any) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            displayhook_class=_Hook, display_pub_class=_Publisher, **given
        )
        self.kernel = _Kernel(self)
        self.set_hook("show_in_pager", as_hook(self._show_page), 99)  # type: ignore[no-untyped-call]

    def _show_page(self, data: Any, start: int = 0, **_: object) -> None:
        self.front_end.ask_for({"source": "page", "data": data, "start": start})

    def set_next_input(self, s: str, replace: bool = False) -> None:
        self.front_end.ask_for({"source": "set_next_input", "text": s, "replace": replace})

    def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
        content = {"ename": etype.__name__, "evalue": str(evalue), "traceback": list(stb)}
        self.front_end.take("error", content)


class _Comm(BaseComm):
    """The kernel's end of a widget's line to the page."""

    def __init__(self, front_end: Shell, **given: Any) -> None:
        self._front_end = front_end
        super().__init__(**given)

    def publish_msg(self, msg_type: str, data: Any = None, *_: object, **more: object) -> None:
        self._front_end.on_comm(self, msg_type, data or {})


class _Stream(io.TextIOBase):
    """Standard output or error of a cell."""

    def __init__(self, front_end: Shell, name: str) -> None:
        self._front_end = front_end
        self._name = name

    def write(self, text: str) -> int:
        if text:
            self._front_end.take("stream", {"name": self._name, "text": ANSI.sub("", text)})
        return len(text)


class _Keyboard(io.StringIO):
    """Standard input at which a person sits."""

    def isatty(self) -> bool:
        return True


@contextlib.contextmanager
def _streams(front_end: Shell, person: bool) -> Iterator[None]:
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = _Keyboard() if person else io.StringIO()
    sys.stdout, sys.stderr = _Stream(front_end, "stdout"), _Stream(front_end, "stderr")
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


@contextlib.contextmanager
def _answers(cell: Cell, answer: Answer | None) -> Iterator[None]:
    """Let getpass ask the cell's person."""

    def reply(question: str) -> str:
        cell.questions.append(question)
        if answer is None:
            raise EOFError("nobody answers")
        return answer(question) if callable(answer) else answer

    # Its code, because somebody may have taken hold of the function before.
    function: Any = getpass.getpass
    code, names = function.__code__, function.__globals__
    asking: Any = lambda prompt="", stream=None, **_: _reply(prompt)  # type: ignore[name-defined]  # noqa: E731, F821
    names["_reply"], function.__code__ = reply, asking.__code__
    try:
        yield
    finally:
        function.__code__ = code
        del names["_reply"]


@contextlib.contextmanager
def _interrupting(cell: Cell, condition: Callable[[Cell], object]) -> Iterator[None]:
    ended = threading.Event()
    person = threading.get_ident()

    def watch() -> None:
        end = time.monotonic() + PATIENCE
        while not ended.is_set():
            if condition(cell) or time.monotonic() > end:
                signal.pthread_kill(person, signal.SIGINT)
                return
            time.sleep(0.005)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()
        signal.signal(signal.SIGINT, before)
