"""What the page says of a widget while the kernel is busy with the cell that shows it.

ipywidgets hears of it when the cell has ended, or on a thread beside it, depending on the kernel
and on the front end (JupyterLab asks ipykernel 7 for such a thread). Here it is heard at once, as
far as the kernel has it: ipykernel 7.4 asks a comm which thread is to read a message, ipykernel 6
keeps messages in a queue. Neither is promised anywhere: what cannot be heard is as if it had not
been said yet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

#: Messages that wait for the cell's end and are looked at.
MOST_WAITING = 1000


class EarlyWord:
    """The state of one widget as the page has it."""

    def __init__(self, widget: Any) -> None:
        self._widget = widget
        self._said: dict[str, Any] = {}
        if hasattr(widget.comm, "_reply_subshell_for"):
            # The thread that the page asks for, where it asks for one, is not this busy one.
            widget.comm._reply_subshell_for = self._note

    def _note(self, data: Any, thread: str | None) -> str | None:
        self._said.update(_state(data))
        return thread

    def value(self, name: str) -> Any:
        """The value of one of the widget's traits."""
        state = dict(self._said)
        with contextlib.suppress(Exception):  # another kernel, with other insides
            for message in _waiting():
                if message.get("comm_id") == self._widget.comm.comm_id:
                    state.update(_state(message.get("data")))
        return state.get(name, getattr(self._widget, name))


def _state(data: Any) -> Mapping[str, Any]:
    """The state in a message of a widget's; nothing in any other message."""
    state = data.get("state") if isinstance(data, Mapping) else None
    return state if isinstance(state, Mapping) else {}


def _waiting() -> Iterator[Mapping[str, Any]]:
    """The contents of the comm messages that ipykernel 6 has queued behind the running cell.

    They stay where they are. They are not read by the session, which refuses to read one twice.
    """
    from IPython.core.getipython import get_ipython

    kernel: Any = getattr(get_ipython(), "kernel", None)
    if not hasattr(kernel, "msg_queue"):
        return
    import zmq

    kernel.shell_stream.flush(zmq.POLLIN)  # from the socket into the queue
    for _, _, given in list(kernel.msg_queue._queue)[:MOST_WAITING]:
        if not given:
            continue
        session = kernel.session
        _, (_, header, _, _, content, *_) = session.feed_identities(given[0], copy=False)
        if session.unpack(header.bytes)["msg_type"] == "comm_msg":
            yield session.unpack(content.bytes)
