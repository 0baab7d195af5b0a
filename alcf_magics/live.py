"""An answer while it comes, in the cell that asked for it.

In a notebook the answer grows as a row of outputs: finished parts are committed and never sent
again, only the last output is redrawn. How often depends on what a draw costs: kernel time is kept
below that of reading the stream, and all that is sent to a multiple of the text, however long a
part without a safe cut becomes. When the answer is complete, one output holds it.
"""

from __future__ import annotations

import abc
import html
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .completions import Accumulator, Completion, printable
from .rendering import about, answer_html, boxed, line_html, metadata_of

if TYPE_CHECKING:
    from .catalog import Model

#: Seconds between two draws at least.
DRAW_SECONDS = 0.1
#: CPU seconds for drawing, for each that reading the stream takes, or for each that passes,
#: after a first allowance. The whole is drawn once more in the end.
DRAW_PER_READ = 0.6
DRAW_PER_SECOND = 0.015
ALLOWANCE_SECONDS = 0.04
#: Characters that are committed at once, at least; and at least this part of what is committed,
#: because JupyterLab folds a cell's outputs away beyond 50.
COMMIT_CHARACTERS = 2000
COMMIT_SHARE = 1 / 6
#: Bytes sent for each character of the text, at most, after a first allowance.
BYTES_PER_CHARACTER = 7
ALLOWANCE_BYTES = 8_000
#: What a message costs beside its content: headers and signature.
MESSAGE_BYTES = 1000
#: Characters of the growing part that go along as plain text.
PLAIN_CHARACTERS = 300


class Live(abc.ABC):
    """The output of one running prompt."""

    def __init__(self, model: Model, clock: Callable[[], float] = time.monotonic) -> None:
        self._model = model
        self._clock = clock
        self._started = clock()
        self._next = 0.0
        self._cpu_before = time.process_time()
        self._spent = self._cost = 0.0
        self._length = 1

    def draw(self, answer: Accumulator) -> None:
        """Show the answer so far, if it is time to and can be afforded."""
        if self._clock() < self._next:
            return
        self._prepare()
        # Everything else that the process does meanwhile is reading and parsing, or as little.
        read = time.process_time() - self._cpu_before - self._spent
        length = len(answer.text)
        expected = self._cost * max(1.0, length / self._length)
        share = max(DRAW_PER_READ * read, DRAW_PER_SECOND * (self._clock() - self._started))
        if answer.began and self._spent + expected > share + ALLOWANCE_SECONDS:
            return
        now, cpu = self._clock(), time.thread_time()
        self._show(answer)
        self._cost = time.thread_time() - cpu
        self._length = max(1, length)
        self._spent += self._cost
        self._next = now + DRAW_SECONDS

    def _prepare(self) -> None:  # noqa: B027  (only a notebook has something to prepare)
        """What is done once, while the request is on its way, and is no cost of a draw."""

    @abc.abstractmethod
    def _show(self, answer: Accumulator) -> None:
        """Draw the answer so far."""

    def _waiting(self) -> str:
        model = self._model
        seconds = self._clock() - self._started
        what = (
            "waiting for the first token"
            if model.live
            else f"the model is {model.status}: loading takes 10 to 15 minutes"
        )
        return f"{model.name} · {model.cluster} · {what} · {seconds:.0f} s"

    @abc.abstractmethod
    def finish(self, completion: Completion) -> None:
        """The answer is complete and about to become the cell's result."""

    @abc.abstractmethod
    def fail(self, completion: Completion | None, why: str) -> None:
        """The answer ended early: keep what came, marked with what happened."""


class NotebookLive(Live):
    """Draws HTML into the running cell.

    `alone` says that the cell holds nothing but this prompt: then its outputs make room for the
    cell's result. Otherwise there is one output, which stays. `format` other than markdown is
    shown as plain text while it comes. `widgets` says that a front end with widgets is there.
    """

    def __init__(
        self, model: Model, *, alone: bool, format: str = "markdown", widgets: bool = False
    ) -> None:
        super().__init__(model)
        self._alone = alone
        self._format = format
        self._reasoning = _Reasoning(widgets)
        self._growing: Any = None
        self._seen = 0
        self._committed = 0
        self._handle: Any = None
        self._drawn = ""
        self._sent = 0

    def _prepare(self) -> None:
        if self._growing is None:
            from .growing import Growing
            from .markdown import to_html

            self._growing = Growing()
            to_html("```python\n0\n```\n")  # builds the renderer, and loads the highlighter

    def _show(self, answer: Accumulator) -> None:
        if not answer.began:
            waiting = self._waiting()
            self._publish(waiting, line_html(waiting))
            return
        if answer.reasoning:
            self._sent += self._reasoning.show(answer.reasoning, self._left(answer))
        text = answer.text
        if not text:
            return
        self._growing.add(text[self._seen :])
        self._seen = len(text)
        if self._format != "markdown" or not self._alone:
            self._draw_whole(text, self._left(answer))
            return
        self._commit()
        if self._growing.unfinished + MESSAGE_BYTES > self._left(answer):
            return
        tail = self._growing.tail()
        if tail.html:
            self._publish(tail.markdown[-PLAIN_CHARACTERS:], boxed(tail.html, live=True))

    def _commit(self) -> None:
        """Leave finished parts in the output that is there, and go on in a new one."""
        piece = self._growing.take(max(COMMIT_CHARACTERS, int(self._committed * COMMIT_SHARE)))
        if piece is not None:
            self._publish(piece.markdown, boxed(piece.html))
            self._committed += len(piece.markdown)
            self._handle, self._drawn = None, ""

    def _draw_whole(self, text: str, left: int) -> None:
        """One output with everything: as text while it comes, for formats that read it later."""
        if len(text) + MESSAGE_BYTES > left:
            return
        if self._format == "markdown":
            page = self._growing.tail().html
        else:
            page = f'<pre style="white-space:pre-wrap">{html.escape(text)}</pre>'
        self._publish(text[-PLAIN_CHARACTERS:], boxed(page, live=True))

    def _left(self, answer: Accumulator) -> int:
        """Bytes that may be sent now."""
        characters = len(answer.text) + len(answer.reasoning)
        return ALLOWANCE_BYTES + BYTES_PER_CHARACTER * characters - self._sent

    def _publish(self, text: str, page: str, metadata: dict[str, Any] | None = None) -> None:
        from IPython.display import display

        if page == self._drawn:
            return
        self._drawn = page
        self._sent += len(text) + len(page) + MESSAGE_BYTES
        bundle = {"text/plain": text, "text/html": page}
        if self._handle is None:
            self._handle = display(  # type: ignore[no-untyped-call]
                bundle, raw=True, display_id=True, metadata=metadata or {}
            )
        else:
            self._handle.update(bundle, raw=True, metadata=metadata or {})

    def finish(self, completion: Completion) -> None:
        self._reasoning.close()
        if self._alone:
            _clear()
        else:
            from .rendering import completion_html

            self._publish(completion.text, completion_html(completion), metadata_of(completion))

    def fail(self, completion: Completion | None, why: str) -> None:
        self._reasoning.close()
        if self._alone:
            _clear()
            self._handle, self._drawn = None, ""
        if completion is not None and (completion.text or completion.reasoning):
            page = answer_html(completion.text, completion.reasoning) + line_html(why)
            text = f"{completion.text}\n[{why}]"
            self._publish(text, page, metadata_of(completion))
        elif self._handle is not None:
            self._publish(why, line_html(why))


class _Reasoning:
    """A model's reasoning while it comes, folded until somebody opens it.

    A redrawn output would close again, so where widgets are shown it is one, whose content alone
    changes. Elsewhere it is redrawn now and then.
    """

    def __init__(self, widgets: bool) -> None:
        self._widgets = widgets
        self._view: Any = None
        self._content: Any = None
        self._handle: Any = None
        self._shown = 0

    def show(self, text: str, left: int) -> int:
        """Show the reasoning so far; the bytes that it took (none if there were too few left)."""
        if len(text) == self._shown or len(text) + MESSAGE_BYTES > left:
            return 0
        # What grows is sent whole each time: more rarely as it grows.
        if self._shown and len(text) < self._shown * 1.1:
            return 0
        self._shown = len(text)
        page = f'<div dir="auto" style="white-space:pre-wrap">{html.escape(text)}</div>'
        if self._widgets:
            self._show_widget(page)
        else:
            self._show_output(text, page)
        return len(page) + MESSAGE_BYTES

    def _show_widget(self, page: str) -> None:
        if self._content is None:
            import ipywidgets
            from IPython.display import display

            self._content = ipywidgets.HTML(page)
            self._view = ipywidgets.Accordion(
                children=[self._content], titles=("Reasoning",), selected_index=None
            )
            display(self._view)  # type: ignore[no-untyped-call]
        else:
            self._content.value = page

    def _show_output(self, text: str, page: str) -> None:
        from IPython.display import display

        bundle = {
            "text/plain": text[-PLAIN_CHARACTERS:],
            "text/html": f"<details><summary>Reasoning</summary>{page}</details>",
        }
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)

    def close(self) -> None:
        if self._view is not None:
            self._content.close()
            self._view.close()
            self._view = self._content = None


class TerminalLive(Live):
    """Prints the text as it comes: plain text, no control sequences, a line about it at the end."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._printed = 0

    def _show(self, answer: Accumulator) -> None:
        self._print(answer.text)

    def _print(self, text: str, end: str = "") -> None:
        print(printable(text[self._printed :]), end=end, flush=True)
        self._printed = len(text)

    def finish(self, completion: Completion) -> None:
        self._print(completion.text, end="\n")
        print(f"[{about(completion)}]", flush=True)

    def fail(self, completion: Completion | None, why: str) -> None:
        if completion is not None and completion.text:
            self._print(completion.text, end="\n")
            print(f"[{about(completion)}]", flush=True)


class WaitLine:
    """One line that says what is being waited for, and goes away with it."""

    def __init__(self, shell: Any) -> None:
        self._in_notebook = hasattr(shell, "kernel")
        self._handle: Any = None
        self._printed = False

    def __call__(self, line: str) -> None:
        if not self._in_notebook:
            # A terminal keeps what was printed: the first line of a countdown is enough.
            if line and not self._printed:
                print(line, flush=True)
            self._printed = bool(line)
            return
        from IPython.display import display

        bundle = {"text/plain": line, "text/html": line_html(line)} if line else {}
        if self._handle is not None:
            self._handle.update(bundle, raw=True)
        elif line:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        if not line:
            self._handle = None


def _clear() -> None:
    from IPython.display import clear_output

    clear_output(wait=True)  # type: ignore[no-untyped-call]
