"""A cell's outputs: bundles that are shown and updated, widgets, and what waits for the cell's end.

The one place that asks IPython to display something.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Characters of a text that grows that go along as plain text.
PLAIN_CHARACTERS = 80


def publish(handle: Any, bundle: dict[str, str], metadata: dict[str, Any] | None = None) -> Any:
    """Display a bundle, or update the display that is there; returns its handle."""
    from IPython.display import display

    if handle is None:
        return display(  # type: ignore[no-untyped-call]
            bundle, raw=True, display_id=True, metadata=metadata or {}
        )
    handle.update(bundle, raw=True, metadata=metadata or {})
    return handle


def clear() -> None:
    """Let what is shown next take the place of all outputs of the cell."""
    from IPython.display import clear_output

    clear_output(wait=True)  # type: ignore[no-untyped-call]


def show_widget(widget: Any, text: str) -> Any:
    """Display a widget; `text` stands for it where it is not shown. The handle of that output."""
    bundle = widget._repr_mimebundle_()
    # ipywidgets gives data alone, or data and metadata, by version.
    data = dict(bundle[0] if isinstance(bundle, tuple) else bundle)
    return publish(None, {**data, "text/plain": text})


def after_cell(call: Callable[[], None]) -> None:
    """Do something once, when the cell that runs has ended and its result is shown."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
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
