"""A real IPython kernel, driven as a notebook front end drives it.

Messages are handled as JupyterLab handles them: what a cell holds in the end is in
`Cell.outputs`, what a widget shows is in `Kernel.widgets`.
"""

from __future__ import annotations

import ast
import copy
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import zmq
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager

from support.downloads import cache_directory, fetch_once, pip
from support.outputs import OUTPUTS, Displays, Json, Outputs, Shown

PROXY = re.compile(r"\w+_proxy", re.IGNORECASE)
# Settings that would lead a kernel out of its home, or tell it that pytest runs it: under
# PYTEST_CURRENT_TEST, ipykernel handles the kernel's own stdout and stderr differently.
FOREIGN = re.compile(r"(ALCF_|PYTEST_|XDG_|JPY_|JUPYTER_|IPYTHON)\w*")

Answer = str | Callable[[str], str | None] | None
"""The reply to every prompt, or a quick function of the prompt; if it returns None, no reply."""


def is_foreign(variable: str) -> bool:
    """Whether a kernel under test must not inherit this environment variable."""
    return bool(PROXY.fullmatch(variable) or FOREIGN.fullmatch(variable))


def older_ipykernel(cache: Path | None = None) -> Path:
    """A folder with ipykernel 6 and what it needs; put it first on a kernel's `pythonpath`.

    Raises DownloadError, most often because there is no network.
    """
    folder = (cache or cache_directory()) / f"ipykernel-6-{sys.implementation.cache_tag}"
    return fetch_once(
        folder, lambda scratch: pip("install", "--quiet", "--target", str(scratch), "ipykernel<7")
    )


@dataclass(frozen=True)
class Message:
    """A message from the kernel; `at` is the monotonic time of its arrival."""

    type: str
    content: Json
    metadata: Json
    at: float
    parent: str


@dataclass(frozen=True)
class Prompt:
    """A question of `input()` or, with `password`, of `getpass()`."""

    text: str
    password: bool


class Cell(Shown):
    """One request to the kernel and all that came of it, also after its end."""

    def __init__(self, kernel: Kernel, id: str, code: str, answer: Answer = None) -> None:
        self.code = code
        self._kernel = kernel
        self._id = id
        self._answer = answer
        self._messages: list[Message] = []
        self._prompts: list[Prompt] = []
        self._outputs = Outputs()
        self._reply: Json | None = None
        self._replied_at: float | None = None
        self._idle = False

    @property
    def status(self) -> str | None:
        """ "ok", "error" or "aborted"; None while the kernel has not replied."""
        return None if self._reply is None else str(self._reply["status"])

    @property
    def ename(self) -> str:
        """The exception's name, empty if there was none."""
        return str((self._reply or {}).get("ename", ""))

    @property
    def evalue(self) -> str:
        """The exception's text, empty if there was none."""
        return str((self._reply or {}).get("evalue", ""))

    @property
    def outputs(self) -> list[Json]:
        """A copy of the outputs as the notebook holds them now."""
        with self._kernel._changed:
            return copy.deepcopy(self._outputs.items)

    @property
    def messages(self) -> list[Message]:
        """The iopub messages so far, in order."""
        with self._kernel._changed:
            return list(self._messages)

    @property
    def prompts(self) -> list[Prompt]:
        """The questions the cell asked."""
        with self._kernel._changed:
            return list(self._prompts)

    @property
    def payload(self) -> list[Json]:
        """What the front end is asked to do besides: show a page, fill the next cell."""
        return list((self._reply or {})["payload"])

    @property
    def done(self) -> bool:
        """Whether the kernel replied and has no more output of the cell itself to send."""
        # An aborted request may lack its own idle status.
        return self._reply is not None and (self._idle or self.status == "aborted")

    def wait(self, timeout: float = 30) -> Cell:
        """Wait for the end of the cell."""
        self._kernel._wait(lambda: self.done, timeout, f"the end of {self.code!r}")
        return self

    def wait_for(self, predicate: Callable[[list[Message]], object], timeout: float = 30) -> Cell:
        """Wait until `predicate` of the cell's messages is true."""
        self._kernel._wait(
            lambda: predicate(list(self._messages)), timeout, f"a condition on {self.code!r}"
        )
        return self

    def __repr__(self) -> str:
        state = self.status or "running"
        return f"<Cell {self.code!r} {state} outputs={self.outputs!r} {self.error_text}>"


class _OneSpec(KernelSpecManager):
    """Knows one kernel: ipykernel of a given interpreter."""

    python = sys.executable

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(
            argv=[self.python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name=kernel_name,
            language="python",
        )


class Kernel:
    """A kernel process; a context manager that starts it and always stops it.

    The kernel has `home` as its HOME and working directory. It inherits the environment
    without the variables `is_foreign` names, and `env` on top.
    """

    def __init__(
        self,
        *,
        home: Path,
        env: Mapping[str, str] | None = None,
        python: str = sys.executable,
        pythonpath: Sequence[str | Path] = (),
        timeout: float = 30,
    ) -> None:
        self.cells: list[Cell] = []
        self.widgets: dict[str, Json] = {}
        self._home = home
        self._timeout = timeout
        self._env = {k: v for k, v in os.environ.items() if not is_foreign(k)} | {"HOME": str(home)}
        if path := [*map(str, pythonpath), *filter(None, [os.environ.get("PYTHONPATH")])]:
            self._env["PYTHONPATH"] = os.pathsep.join(path)
        self._env |= env or {}
        self._python = python
        # One thread owns the sockets; everything below is guarded by this condition.
        self._changed = threading.Condition(threading.RLock())
        self._requests: dict[str, Cell] = {}
        self._outgoing: deque[tuple[str, Json]] = deque()
        self._displays = Displays()
        self._captures: dict[str, list[str]] = {}
        self._widget_outputs: dict[str, Outputs] = {}
        self._last_arrival = 0.0
        self._failure: BaseException | None = None
        self._closing = False

    # Life

    def __enter__(self) -> Kernel:
        # A short path of our own: Unix sockets allow about 100 characters, and no port can
        # be taken by someone else between choosing and binding it.
        self._folder = Path(tempfile.mkdtemp(prefix="kernel-"))
        self._log = (self._folder / "log").open("w+")
        self._wake_out, self._wake_in = os.pipe()
        specs = _OneSpec()
        specs.python = self._python
        self._manager = KernelManager(
            kernel_spec_manager=specs,
            connection_file=str(self._folder / "kernel.json"),
            transport="ipc",
            ip=str(self._folder / "s"),
            shutdown_wait_time=2.0,
        )
        self._thread = threading.Thread(target=self._serve, name="kernel messages", daemon=True)
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            self._manager.start_kernel(
                env=self._env, cwd=str(self._home), stdout=self._log, stderr=self._log
            )
            self._session = self._manager.session
            self._thread.start()
            self._await_ready()
        except BaseException as error:
            self._note_log(error)
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._note_log(error)
        self.close()

    def _note_log(self, error: BaseException) -> None:
        if log := self.log.strip():
            error.add_note(f"The kernel wrote:\n{log[-3000:]}")

    def close(self) -> None:
        """Ask the kernel to end as Jupyter does; kill it if a cell still runs or it stays."""
        with self._changed:
            busy = any(cell.status is None for cell in self.cells) or self._failure is not None
        try:
            if self._manager.has_kernel and busy:
                self._manager.shutdown_kernel(now=True)
            elif self._manager.has_kernel:
                self._manager.request_shutdown()
                self._manager.finish_shutdown(pollinterval=0.02)
        finally:
            self._closing = True
            self._wake()
            if self._thread.is_alive():
                self._thread.join(5)
            self._manager.cleanup_resources()
            os.close(self._wake_in)
            os.close(self._wake_out)
            self._log.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def log(self) -> str:
        """What the kernel process itself wrote to stdout and stderr."""
        return (self._folder / "log").read_text(errors="replace")

    def interrupt(self) -> None:
        """Interrupt the running cell, as the stop button does."""
        self._manager.interrupt_kernel()

    # Cells

    def start_cell(self, code: str, answer: Answer = None, id: str = "") -> Cell:
        """Send a cell and do not wait for it; `id` names it, so that it can be run again."""
        with self._changed:
            content = {
                "code": code,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": answer is not None,
                "stop_on_error": True,
            }
            cell = self._request("shell", "execute_request", content, code, answer, id)
            self.cells.append(cell)
            return cell

    def run(self, code: str, timeout: float = 30, answer: Answer = None, id: str = "") -> Cell:
        """Run a cell to its end."""
        return self.start_cell(code, answer, id).wait(timeout)

    def run_all(
        self, codes: Sequence[str], timeout: float = 60, answer: Answer = None
    ) -> list[Cell]:
        """Send all cells at once, as "Run All" does, and wait for the last."""
        with self._changed:
            cells = [self.start_cell(code, answer) for code in codes]
        end = time.monotonic() + timeout
        return [cell.wait(max(0.0, end - time.monotonic())) for cell in cells]

    def value(self, expression: str, timeout: float = 30) -> str:
        """The repr of an expression in the kernel; leaves no trace in history or outputs."""
        content = {
            "code": "",
            "silent": True,
            "store_history": False,
            "user_expressions": {"value": f"repr(({expression}))"},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        what = f"value of {expression}"
        reply = self._request("shell", "execute_request", content, what).wait(timeout)._reply
        value = (reply or {}).get("user_expressions", {}).get("value", {})
        if value.get("status") != "ok":
            self._fail(f"{what}: {value.get('ename')}: {value.get('evalue')}")
        return str(ast.literal_eval(value["data"]["text/plain"]))

    def complete(self, code: str, cursor: int | None = None, timeout: float = 30) -> list[str]:
        """What Tab offers at `cursor`, by default at the end."""
        content = {"code": code, "cursor_pos": len(code) if cursor is None else cursor}
        reply = self._request("shell", "complete_request", content, f"Tab in {code!r}")
        return list((reply.wait(timeout)._reply or {}).get("matches", []))

    def settle(self, quiet: float = 0.05, timeout: float = 30) -> None:
        """Wait until every request is done and nothing has come for `quiet` seconds."""
        end = time.monotonic() + timeout

        def at_rest() -> bool:
            return (
                not self._outgoing
                and all(cell.done for cell in self._requests.values())
                and time.monotonic() - self._last_arrival >= quiet
            )

        # The reply to a request sent now comes after the handling of all sent before, even of
        # comm messages, which have no reply; an Output widget's answer may be another round.
        while True:
            self._request("shell", "kernel_info_request", {}, "settle").wait(timeout)
            before = self._round()
            self._wait(at_rest, end - time.monotonic(), "the kernel to come to rest", step=0.01)
            if self._round() == before:
                return

    # Widgets

    def find_widget(self, model_name: str = "", **state: object) -> str:
        """The newest widget with this `_model_name` (and these values in its state)."""
        wanted: dict[str, object] = dict(state)
        if model_name:
            wanted["_model_name"] = model_name
        with self._changed:
            for id, values in reversed(self.widgets.items()):
                if all(key in values and values[key] == wanted[key] for key in wanted):
                    return id
            names = [w.get("_model_name") for w in self.widgets.values()]
        self._fail(f"no widget with {wanted}; there are {names}")

    def set_widget(self, id: str, **state: object) -> Cell:
        """Set a widget's values as a person does; returns what came of it, without waiting."""
        with self._changed:
            self.widgets[id].update(copy.deepcopy(state))
            return self._comm(id, {"method": "update", "state": state, "buffer_paths": []})

    def send_widget(self, id: str, content: Json) -> Cell:
        """A message of a widget's own, as its view in the page sends it."""
        return self._comm(id, {"method": "custom", "content": content})

    def press(self, id: str) -> Cell:
        """Click a button; returns what came of it, which no notebook shows, without waiting."""
        return self._comm(id, {"method": "custom", "content": {"event": "click"}})

    def _comm(self, id: str, data: Json) -> Cell:
        with self._changed:
            cell = self._request(
                "shell", "comm_msg", {"comm_id": id, "data": data}, f"comm_msg {data}"
            )
            cell._reply = {"status": "ok"}  # There is no reply to wait for, only the idle status.
            return cell

    # Waiting

    def _wait(
        self, condition: Callable[[], object], timeout: float, what: str, step: float = 0.2
    ) -> None:
        end = time.monotonic() + timeout
        with self._changed:
            while not condition():
                if self._failure is not None:
                    raise self._failure
                if not self._manager.is_alive():
                    self._fail(f"the kernel died while the test waited for {what}")
                if (left := end - time.monotonic()) <= 0:
                    self._fail(f"waited {timeout:g} s in vain for {what}")
                self._changed.wait(min(left, step))

    def _fail(self, reason: str) -> NoReturn:
        with self._changed:
            cells = "\n".join(map(repr, self.cells))
            last = "\n".join(
                f"  {m.type} {str(m.content)[:200]}"
                for cell in self.cells[-2:]
                for m in cell._messages[-10:]
            )
        raise AssertionError(f"{reason}\nCells:\n{cells}\nLast messages:\n{last}")

    def _await_ready(self) -> None:
        """Wait until the kernel answers and its iopub messages arrive."""
        end = time.monotonic() + self._timeout
        while True:
            # A kernel that answers may have spoken on iopub before we were connected: ask again.
            probe = self._request("shell", "kernel_info_request", {}, "kernel_info")
            self._wait(lambda: probe._reply, end - time.monotonic(), "the kernel to start", 0.05)  # noqa: B023 - called at once
            try:
                probe.wait(0.1)
                return
            except AssertionError:
                if time.monotonic() > end:
                    raise
            finally:
                with self._changed:
                    self._requests.clear()

    # Messages

    def _request(
        self,
        channel: str,
        kind: str,
        content: Json,
        what: str,
        answer: Answer = None,
        cell_id: str = "",
    ) -> Cell:
        metadata = {"cellId": cell_id} if cell_id else None
        with self._changed:
            message = self._session.msg(kind, content, metadata=metadata)
            cell = Cell(self, message["header"]["msg_id"], what, answer)
            self._requests[cell._id] = cell
            self._outgoing.append((channel, message))
        self._wake()
        return cell

    def _round(self) -> int:
        with self._changed:
            return sum(1 for cell in self._requests.values() if cell.code.startswith("comm_msg"))

    def _wake(self) -> None:
        os.write(self._wake_in, b"!")

    def _serve(self) -> None:
        manager, identity = self._manager, self._session.bsession
        sockets = {
            "shell": manager.connect_shell(identity=identity),
            "stdin": manager.connect_stdin(identity=identity),
            "iopub": manager.connect_iopub(),
        }
        channels = {socket: name for name, socket in sockets.items()}
        poller = zmq.Poller()
        for socket in sockets.values():
            socket.linger = 0
            poller.register(socket, zmq.POLLIN)
        poller.register(self._wake_out, zmq.POLLIN)
        try:
            while not self._closing:
                for ready, _ in poller.poll():
                    if ready == self._wake_out:
                        os.read(self._wake_out, 4096)
                    else:
                        self._receive(ready, channels[ready])
                with self._changed:
                    while self._outgoing:
                        channel, message = self._outgoing.popleft()
                        self._session.send(sockets[channel], message)
        except BaseException as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()
        finally:
            for socket in sockets.values():
                socket.close()

    def _receive(self, socket: zmq.Socket[bytes], channel: str) -> None:
        while True:
            _, raw = self._session.recv(socket, copy=True)
            if raw is None:
                return
            with self._changed:
                now = time.monotonic()
                if channel == "shell":
                    self._on_reply(raw)
                elif channel == "stdin":
                    self._on_prompt(raw)
                elif raw.get("parent_header") is not None:
                    self._last_arrival = now
                    self._on_iopub(raw, now)
                self._changed.notify_all()

    def _on_reply(self, raw: Json) -> None:
        if cell := self._requests.get(raw["parent_header"].get("msg_id")):
            cell._reply = raw["content"]

    def _on_prompt(self, raw: Json) -> None:
        cell = self._requests[raw["parent_header"]["msg_id"]]
        prompt = Prompt(raw["content"]["prompt"], raw["content"]["password"])
        cell._prompts.append(prompt)
        answer = cell._answer(prompt.text) if callable(cell._answer) else cell._answer
        if answer is not None:
            reply = self._session.msg("input_reply", {"value": answer, "status": "ok"}, raw)
            self._outgoing.append(("stdin", reply))

    def _on_iopub(self, raw: Json, now: float) -> None:
        kind, content = raw["header"]["msg_type"], raw["content"]
        parent = raw["parent_header"].get("msg_id", "")
        cell = self._requests.get(parent)
        if cell is not None:
            cell._messages.append(
                Message(kind, copy.deepcopy(content), raw.get("metadata", {}), now, parent)
            )
        if kind == "status" and content["execution_state"] == "idle" and cell is not None:
            cell._idle = True
        elif kind in ("comm_open", "comm_msg", "comm_close"):
            self._on_comm(kind, content, raw.get("buffers", []))
        elif kind == "update_display_data":
            self._displays.update(content)
        elif kind in OUTPUTS:
            self._on_output(cell, parent, kind, content)

    def _on_output(self, cell: Cell | None, parent: str, kind: str, content: Json) -> None:
        self._displays.update(content)
        widget = next(reversed(self._captures.get(parent, [])), None)
        if widget is not None:
            outputs = self._widget_outputs[widget]
        elif cell is not None:
            outputs = cell._outputs
        else:
            return
        added = outputs.take(kind, content)
        if widget is None:
            self._displays.note(content, added)
        else:  # whose outputs no update by display id reaches
            self._sync_output_widget(widget)

    def _on_comm(self, kind: str, content: Json, buffers: list[Any]) -> None:
        id, data = content["comm_id"], content.get("data", {})
        if kind == "comm_close":
            self.widgets.pop(id, None)
            self._widget_outputs.pop(id, None)
        elif kind == "comm_open" and content["target_name"] == "jupyter.widget":
            self.widgets[id] = {}
            self._update_widget(id, data, buffers)
        elif id in self.widgets and data.get("method") in ("update", "echo_update"):
            self._update_widget(id, data, buffers)

    def _update_widget(self, id: str, data: Json, buffers: list[Any]) -> None:
        state, known = copy.deepcopy(data["state"]), self.widgets[id]
        for path, buffer in zip(data.get("buffer_paths", []), buffers, strict=True):
            place = state
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = bytes(buffer)
        if (known | state).get("_model_name") == "OutputModel":
            outputs = self._widget_outputs.setdefault(id, Outputs())
            if "outputs" in state:
                outputs.items[:] = copy.deepcopy(list(state["outputs"]))
            if "msg_id" in state:
                self._capture(id, known.get("msg_id", ""), state["msg_id"])
        known.update(state)

    def _capture(self, id: str, before: str, now: str) -> None:
        """An Output widget catches the outputs of the request whose id is its `msg_id`."""
        if before == now:
            return
        if before and id in self._captures.get(before, []):
            self._captures[before].remove(id)
        if now:
            self._captures.setdefault(now, []).append(id)

    def _sync_output_widget(self, id: str) -> None:
        """Tell the kernel what an Output widget caught, as a front end does."""
        outputs = copy.deepcopy(self._widget_outputs[id].items)
        self.widgets[id]["outputs"] = outputs
        self._comm(id, {"method": "update", "state": {"outputs": outputs}, "buffer_paths": []})
