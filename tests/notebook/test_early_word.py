"""What the page says of a widget is heard while its cell runs, on kernels of two kinds."""

from __future__ import annotations

import json
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from alcf_magics.notebook.early_word import EarlyWord

Frame = Any


class Comm:
    """The kernel's end of a widget's line, as ipykernel 7.4 has it."""

    comm_id = "ours"

    def _reply_subshell_for(self, data: Any, default: str | None) -> str | None:
        return "the busy one"


def frame(value: Any) -> Frame:
    return SimpleNamespace(bytes=json.dumps(value).encode())


def message(kind: str, **content: Any) -> tuple[int, None, tuple[list[Frame]]]:
    """An entry of ipykernel 6's queue."""
    parts = ["name", None, {"msg_type": kind}, {}, {}, content]
    return 0, None, ([frame(part) for part in parts],)


def update(**state: Any) -> dict[str, Any]:
    return {"method": "update", "state": state}


class Session:
    """Takes a message apart as Jupyter's does: the name of the sender, then the signed parts."""

    def feed_identities(self, frames: list[Frame], copy: bool) -> tuple[list[Frame], list[Frame]]:
        return frames[:1], frames[1:]

    def unpack(self, raw: bytes) -> Any:
        return json.loads(raw)


def kernel_of(*queued: Any) -> SimpleNamespace:
    """A kernel whose socket gives these messages when it is flushed, and not before."""
    queue = SimpleNamespace(_queue=deque([(0, None, ())]))
    stream = SimpleNamespace(flush=lambda flag: queue._queue.extend(queued))
    return SimpleNamespace(msg_queue=queue, shell_stream=stream, session=Session())


def in_kernel(monkeypatch: pytest.MonkeyPatch, kernel: object) -> None:
    shell = SimpleNamespace(kernel=kernel)
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: shell)


def test_a_kernel_that_asks_the_comm_tells_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last word counts, what else is said does no harm, and the page chooses the thread."""
    in_kernel(monkeypatch, object())
    widget = SimpleNamespace(comm=Comm(), selected_index=None)
    early = EarlyWord(widget)
    assert early.value("selected_index") is None
    for said in (update(selected_index=1), update(selected_index=0), update(other=2), None, {}, 5):
        assert widget.comm._reply_subshell_for(said, "the page's") == "the page's"
    assert early.value("selected_index") == 0


def test_what_a_kernel_has_queued_is_heard_and_left_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only what is said of this widget counts; every message waits for its turn as before."""
    queued = [
        message("execute_request", code="1"),
        message("comm_msg", comm_id="another", data=update(selected_index=7)),
        message("comm_msg", comm_id="ours", data=update(selected_index=0)),
        message("comm_msg", comm_id="ours", data={"method": "custom", "content": {}}),
    ]
    kernel = kernel_of(*queued)
    in_kernel(monkeypatch, kernel)
    widget = SimpleNamespace(comm=SimpleNamespace(comm_id="ours"), selected_index=None)
    assert EarlyWord(widget).value("selected_index") == 0
    assert list(kernel.msg_queue._queue)[1:] == queued


@pytest.mark.parametrize("kernel", [None, object(), SimpleNamespace(msg_queue=3), kernel_of((1,))])
def test_another_kernel_says_what_the_widget_has(
    monkeypatch: pytest.MonkeyPatch, kernel: object
) -> None:
    """Whatever its insides are like, nothing fails, and the widget's own value counts."""
    in_kernel(monkeypatch, kernel)
    widget = SimpleNamespace(comm=SimpleNamespace(comm_id="ours"), selected_index=4)
    assert EarlyWord(widget).value("selected_index") == 4
