"""What people see: the table of models, an answer while it comes, and what stays of it."""

from __future__ import annotations

import abc
import html
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .catalog import COLUMNS, Catalog, Status, row_of
from .completions import Accumulator, Completion

if TYPE_CHECKING:
    from .catalog import Model
    from .login import LoginStatus

#: Seconds between two draws; longer when one draw takes a tenth of that or more.
DRAW_SECONDS = 0.1
MAX_DRAW_SECONDS = 2.0

#: Colours follow JupyterLab's theme; elsewhere the fallbacks are readable on light and dark.
_GREY = "color:var(--jp-ui-font-color2,#808080);font-size:0.85em"
#: Not a code element: JupyterLab breaks those at every dash.
_CODE = "font-family:var(--jp-code-font-family,monospace)"
#: Marked as a link also where the front end does not do it.
_LINK = "color:var(--jp-content-link-color,#1976d2);text-decoration:underline"
#: What to type where there is no box for the code.
NEXT = "Open the link, log in, copy the code, and type: %alcf_login CODE"
_COLUMN_STYLES = (
    *("text-align:left;white-space:nowrap",) * 2,
    *("text-align:left",) * 2,
    "text-align:right",
)
_DOTS = {
    Status.LIVE: "#2e9e4f",
    Status.STARTING: "#c98a00",
    Status.QUEUED: "#c98a00",
    Status.UNKNOWN: "#808080",
    Status.OFFLINE: "#808080",
    Status.MAINTENANCE: "#c0392b",
}


def catalog_html(catalog: Catalog) -> str:
    """The table of models as HTML, without scripts and without colours of its own for text."""

    rows = []
    for model in catalog:
        name, cluster, status, words, window = map(_cell, row_of(model))
        dot = f'<span aria-hidden="true" style="color:{_DOTS[model.status]}">●</span> '
        cells = (f'<span style="{_CODE}">{name}</span>', cluster, dot + status, words, window)
        rows.append(_row("td", cells))
    if not rows:
        rows.append(f'<tr><td colspan="{len(COLUMNS)}">no model matches</td></tr>')
    notes = "".join(f'<div style="{_GREY}">{html.escape(note)}</div>' for note in catalog.notes)
    head = _row("th", COLUMNS)
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>{notes}"


def _row(tag: str, cells: Sequence[str]) -> str:
    styled = zip(_COLUMN_STYLES, cells, strict=True)
    inner = "".join(f'<{tag} style="{style}">{cell}</{tag}>' for style, cell in styled)
    return f"<tr>{inner}</tr>"


def status_html(status: LoginStatus) -> str:
    """Who is logged in, as a table of two columns."""
    rows = "".join(
        f'<tr><th style="text-align:left">{_cell(name)}</th>'
        f'<td style="text-align:left">{_cell(value)}</td></tr>'
        for name, value in status.rows
    )
    return f"<table><tbody>{rows}</tbody></table>"


def completion_html(completion: Completion) -> str:
    """A completion as safe HTML: reasoning folded, the answer, and a grey line about it."""
    return _answer_html(completion.text, completion.reasoning) + _line(_about(completion))


def _answer_html(text: str, reasoning: str) -> str:
    from .markdown import to_html

    folded = (
        f"<details><summary>Reasoning</summary>{to_html(reasoning)}</details>" if reasoning else ""
    )
    return folded + to_html(text)


def _about(completion: Completion) -> str:
    parts = [completion.model, completion.cluster]
    usage = completion.usage
    if usage is not None:
        parts.append(f"{usage.prompt_tokens} tokens in, {usage.completion_tokens} out")
    if completion.first_token_seconds is not None:
        parts.append(f"first token after {completion.first_token_seconds:.1f} s")
    parts.append(f"{completion.seconds:.1f} s in all")
    if completion.finish_reason == "length":
        parts.append("cut at the token limit: ask for more with --max-tokens")
    elif completion.finish_reason not in (None, "stop"):
        parts.append(f"ended: {completion.finish_reason}")
    return " · ".join(part for part in parts if part)


def _line(text: str) -> str:
    return f'<div style="{_GREY}">{html.escape(text)}</div>'


def _cell(value: object) -> str:
    if value is None:
        return ""
    return html.escape(f"{value:,}" if isinstance(value, int) else str(value))


def show_link(url: str, *lines: str) -> Any:
    """Show the link of a login and what to type next; the handle of that output.

    The first of `lines` says why to log in, the others what else to know.
    """
    from IPython.display import display

    why, *others = lines or [""]
    escaped = html.escape(url)
    link = f'<a href="{escaped}" target="_blank" rel="noopener" style="{_LINK}">Open Globus</a>'
    page = [
        f"<p>{html.escape(why)}</p>" if why else "",
        f"<p>{link}, log in, copy the code that it shows, and paste it below "
        "(or type <code>%alcf_login CODE</code>).</p>",
        *(f"<p>{html.escape(line)}</p>" for line in others),
    ]
    bundle = {
        "text/plain": "\n".join(filter(None, [why, f"Log in to ALCF: {url}", NEXT, *others])),
        "text/html": "".join(page),
    }
    return display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]


class Live(abc.ABC):
    """The output of one running prompt, in the cell that runs it."""

    def __init__(self, model: Model, clock: Callable[[], float] = time.monotonic) -> None:
        self._model = model
        self._clock = clock
        self._started = clock()
        self._next = 0.0

    def draw(self, answer: Accumulator) -> None:
        """Show the answer so far, if it is time to."""
        now = self._clock()
        if now < self._next:
            return
        from . import markdown  # noqa: F401  (its import is not the cost of this draw)

        now = self._clock()
        self._show(answer)
        took = self._clock() - now
        self._next = now + min(max(DRAW_SECONDS, 10 * took), MAX_DRAW_SECONDS)

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
    """Draws HTML into one output of the cell, again and again.

    `alone` says that the cell holds nothing but this prompt: then the output makes room for the
    cell's result. Otherwise the output stays, and the result is not shown a second time.
    """

    def __init__(self, model: Model, *, alone: bool) -> None:
        super().__init__(model)
        self._alone = alone
        self._handle: Any = None
        self._shown = ""

    def _show(self, answer: Accumulator) -> None:
        if answer.began:
            self._publish(answer.text, _answer_html(answer.text, answer.reasoning))
        else:
            waiting = self._waiting()
            self._publish(waiting, _line(waiting))

    def _publish(self, text: str, page: str) -> None:
        from IPython.display import display

        if page == self._shown:
            return
        self._shown = page
        bundle = {"text/plain": text, "text/html": page}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)

    def finish(self, completion: Completion) -> None:
        from IPython.display import clear_output

        if self._alone:
            clear_output(wait=True)  # type: ignore[no-untyped-call]
        else:
            self._publish(completion.text, completion_html(completion))

    def fail(self, completion: Completion | None, why: str) -> None:
        from IPython.display import clear_output

        if completion is not None and (completion.text or completion.reasoning):
            page = _answer_html(completion.text, completion.reasoning) + _line(why)
            self._publish(f"{completion.text}\n[{why}]", page)
        elif self._alone:
            clear_output(wait=True)  # type: ignore[no-untyped-call]
        elif self._handle is not None:
            self._publish(why, _line(why))


class TerminalLive(Live):
    """Prints the text as it comes: plain text, nothing else."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._printed = 0

    def _show(self, answer: Accumulator) -> None:
        text = answer.text
        if len(text) > self._printed:
            print(text[self._printed :], end="", flush=True)
            self._printed = len(text)

    def finish(self, completion: Completion) -> None:
        print(completion.text[self._printed :], flush=True)

    def fail(self, completion: Completion | None, why: str) -> None:
        if completion is not None:
            print(completion.text[self._printed :])
        if self._printed:
            print(f"[{why}]", flush=True)


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

        bundle = {"text/plain": line, "text/html": _line(line)} if line else {}
        if self._handle is not None:
            self._handle.update(bundle, raw=True)
        elif line:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        if not line:
            self._handle = None


class Formats:
    """How IPython shows our values while the extension is loaded, and never otherwise.

    An answer that stands on the screen already (in a terminal, or in a cell with other code) is
    not shown again as the cell's result.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._on_screen: tuple[int, Completion] | None = None

    def install(self) -> None:
        formatters = self._shell.display_formatter.formatters
        formatters["text/html"].for_type(Completion, completion_html)
        formatters["text/html"].for_type(Catalog, catalog_html)
        # By name, because the class is imported only when somebody logs in.
        formatters["text/html"].for_type_by_name("alcf_magics.login", "LoginStatus", status_html)
        self._shell.display_formatter.ipython_display_formatter.for_type(Completion, self._skip)

    def remove(self) -> None:
        formatters = self._shell.display_formatter.formatters
        for kind in (Completion, Catalog, "alcf_magics.login.LoginStatus"):
            formatters["text/html"].pop(kind, None)
        self._shell.display_formatter.ipython_display_formatter.pop(Completion, None)

    def on_screen(self, completion: Completion) -> None:
        """This completion has been shown; this cell's result need not show it again."""
        self._on_screen = self._shell.execution_count, completion

    def _skip(self, completion: Completion) -> None:
        shown, self._on_screen = self._on_screen, None
        if shown is None or shown[0] != self._shell.execution_count or shown[1] is not completion:
            raise NotImplementedError  # IPython's way of saying: show it as usual
