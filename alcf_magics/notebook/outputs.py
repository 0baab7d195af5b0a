"""A cell's outputs: bundles that are shown and updated, widgets, and what waits for the cell's end.

The one place that asks IPython to display something.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

#: Characters of a text that grows that go along as plain text.
PLAIN_CHARACTERS = 80


def publish(handle: Any, bundle: dict[str, str], metadata: dict[str, Any] | None = None) -> Any:
    """Display a bundle, or update the display that is there; returns its handle."""
    from IPython.display import display

    if handle is not None:
        handle.update(bundle, raw=True, metadata=metadata or {})
        return handle
    if _in_output_widget():
        return _Nested(bundle, metadata or {})
    return display(  # type: ignore[no-untyped-call]
        bundle, raw=True, display_id=True, metadata=metadata or {}
    )


def settle(handle: Any, bundle: dict[str, str], metadata: dict[str, Any] | None = None) -> None:
    """Display a bundle for good, in place of the display that is there."""
    from IPython.display import display

    if handle is not None and not isinstance(handle, _Nested):
        publish(handle, bundle, metadata)
        return
    if handle is not None:
        handle.hide()
    display(bundle, raw=True, metadata=metadata or {})  # type: ignore[no-untyped-call]


class _Nested:
    """An output in an Output widget, where front ends take no update of a display.

    It is an Output of our own, whose content is set anew for each draw.
    """

    def __init__(self, bundle: dict[str, str], metadata: dict[str, Any]) -> None:
        import ipywidgets

        self._widget = ipywidgets.Output()
        self.update(bundle, metadata=metadata)
        show_widget(self._widget, "(while it came)")

    def update(
        self, bundle: dict[str, str], raw: bool = True, metadata: dict[str, Any] | None = None
    ) -> None:
        output = {"output_type": "display_data", "data": bundle, "metadata": metadata or {}}
        self._widget.outputs = (output,) if bundle else ()

    def hide(self) -> None:
        """Take no place any more. Not closed: a page that is loaded anew would look for it."""
        self._widget.outputs = ()
        self._widget.layout.display = "none"


def _in_output_widget() -> bool:
    """Whether what is displayed now goes into an ipywidgets Output: `with out:`, `interact`, …"""
    widgets: Any = sys.modules.get("ipywidgets")
    shell = _shell()
    if widgets is None or not hasattr(shell, "kernel"):
        return False
    try:
        request = shell.kernel.get_parent()["header"]["msg_id"]
    except (AttributeError, KeyError, TypeError):
        return False
    from ipywidgets.widgets.widget import _instances

    return any(
        isinstance(widget, widgets.Output) and widget.msg_id == request
        for widget in list(_instances.values())
    )


def is_captured() -> bool:
    """Whether displays are collected (`%%capture`): every draw would be one more of them."""
    from IPython.core.displaypub import CapturingDisplayPublisher

    return isinstance(getattr(_shell(), "display_pub", None), CapturingDisplayPublisher)


def _shell() -> Any:
    from IPython.core.getipython import get_ipython

    return get_ipython()


def clear() -> None:
    """Let what is shown next take the place of all outputs of the cell."""
    from IPython.display import clear_output

    clear_output(wait=True)  # type: ignore[no-untyped-call]


def show_widget(widget: Any, text: str) -> Any:
    """Display a widget; `text` stands for it where it is not shown. The handle of that output."""
    bundle = widget._repr_mimebundle_()
    # ipywidgets gives data alone, or data and metadata, by version.
    data = dict(bundle[0] if isinstance(bundle, tuple) else bundle)
    from IPython.display import display

    return display(  # type: ignore[no-untyped-call]
        {**data, "text/plain": text}, raw=True, display_id=True
    )


def after_cell(call: Callable[[], None]) -> None:
    """Do something once, when the cell that runs has ended and its result is shown."""
    shell = _shell()
    if shell is None:
        call()
        return

    def once(*_: object) -> None:
        shell.events.unregister("post_run_cell", once)
        call()

    shell.events.register("post_run_cell", once)


def discard(*widgets: Any) -> None:
    """Close widgets for good, here and in the page, with the models that each brought along."""
    for widget in widgets:
        for part in (widget, widget.layout, getattr(widget, "style", None)):
            if part is not None:
                part.close()
