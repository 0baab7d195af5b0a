"""A model's reasoning while it comes: a block that is folded until somebody opens it."""

from __future__ import annotations

from typing import Any

from ..text import Text
from .early_word import EarlyWord
from .outputs import PLAIN_CHARACTERS, discard, publish, show_widget
from .pacing import MESSAGE_BYTES, Pace

#: Characters that one widget holds; one that is full is not sent again.
WIDGET_CHARACTERS = 2000
#: Widgets at most; of longer reasoning the last one shows the end. The whole comes at the end.
MOST_WIDGETS = 40
#: Characters of the end of the reasoning that an output holds while it comes.
OUTPUT_CHARACTERS = 20_000


class ReasoningWidgets:
    """Widgets, because a redrawn output would fold again; only the last one's text changes."""

    def __init__(self, pace: Pace, opened: bool = False) -> None:
        self._pace = pace
        self._opened = opened  # from the first on
        self._fold: Any = None
        self._early: EarlyWord | None = None
        self._lines: Any = None
        self._shown = 0  # characters
        self._full = 0  # characters, in all widgets but the last

    def prepare(self) -> None:
        """Show the block, empty. Importing widgets takes longer than many draws do."""
        if self._fold is None:
            import ipywidgets

            self._lines = ipywidgets.VBox([ipywidgets.HTML()])
            self._fold = ipywidgets.Accordion(
                children=[self._lines],
                titles=("Reasoning",),
                selected_index=0 if self._opened else None,
            )
            # A notebook that is saved now and opened without a kernel shows this line.
            show_widget(self._fold, "(the model's reasoning, while it came)")
            self._early = EarlyWord(self._fold)

    @property
    def opened(self) -> bool:
        """Whether the reader has opened it; what takes its place is then open, too."""
        if self._early is None:
            return self._opened
        return bool(self._early.value("selected_index") == 0)

    def show(self, text: Text, left: int) -> None:
        """Show the reasoning so far, if that can be sent with so many bytes left."""
        fresh = min(text.length - self._full, 2 * WIDGET_CHARACTERS)
        if text.length == self._shown or fresh + MESSAGE_BYTES > left:
            return
        self._shown = text.length
        if len(self._lines.children) == MOST_WIDGETS:
            self._full = max(self._full, text.length - WIDGET_CHARACTERS)
            self._fill("…" + text.since(self._full))
            return
        rest = text.since(self._full)
        end = rest.rfind("\n", WIDGET_CHARACTERS)
        if end >= 0:
            self._fill(rest[:end])
            self._full += end + 1
            self._add()
        self._fill(rest[end + 1 :])

    def _fill(self, text: str) -> None:
        page = _reasoning_html(text)
        self._lines.children[-1].value = page
        self._pace.sent(len(page))

    def _add(self) -> None:
        import ipywidgets

        self._lines.children = (*self._lines.children, ipywidgets.HTML())

    def close(self) -> None:
        if self._fold is not None:
            discard(*self._lines.children, self._lines, self._fold)
            self._fold = None


class ReasoningOutput:
    """The same block where no widgets are shown: an output, redrawn now and then."""

    def __init__(self, pace: Pace, opened: bool = False) -> None:
        self._pace = pace
        self._handle: Any = None
        self._shown = 0
        #: No page tells whether somebody opened it.
        self.opened = opened

    def prepare(self) -> None:
        pass

    def show(self, text: Text, left: int) -> None:
        if text.length + MESSAGE_BYTES > left:
            return
        # It is sent whole each time: more rarely as it grows.
        if text.length < self._shown * 1.1 or text.length == self._shown:
            return
        self._shown = text.length
        end = text.since(max(text.length - OUTPUT_CHARACTERS, 0))
        page = fold_html(end if len(end) == text.length else f"…{end}")
        self._pace.sent(len(page))
        bundle = {"text/plain": end[-PLAIN_CHARACTERS:], "text/html": page}
        self._handle = publish(self._handle, bundle)

    def close(self) -> None:
        pass


def fold_html(text: str) -> str:
    """Reasoning as text in a folded block."""
    return f"<details><summary>Reasoning</summary>{_reasoning_html(text)}</details>"


def _reasoning_html(text: str) -> str:
    from ..markdown.safe_html import escaped

    # Mathematics in it is not for the typesetter: that comes with the whole.
    return f'<div dir="auto" style="white-space:pre-wrap">{escaped(text)}</div>'
