"""What people see of our values: answers, tables, links, as safe HTML and plain text."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..gateway.catalog import COLUMNS, Catalog, Status, row_of
from ..gateway.completions import Completion, printable
from .formats import FORMATS
from .tables import html_table, shown

if TYPE_CHECKING:
    from ..history import History

#: Colours follow JupyterLab's theme; elsewhere the fallbacks are readable on light and dark.
_GREY = "color:var(--jp-ui-font-color2,#808080);font-size:0.85em"
#: Marked as a link also where the front end does not do it.
_LINK = "color:var(--jp-content-link-color,#1976d2);text-decoration:underline"
#: Not a code element: JupyterLab breaks those at every dash.
_CODE = "font-family:var(--jp-code-font-family,monospace)"
_DOTS = {
    Status.LIVE: "#2e9e4f",
    Status.STARTING: "#c98a00",
    Status.QUEUED: "#c98a00",
    Status.UNKNOWN: "#808080",
    Status.OFFLINE: "#808080",
    Status.MAINTENANCE: "#c0392b",
}
#: A long address is broken; the columns of a table keep their width.
_WRAP = "overflow-wrap:break-word"
_CELL_STYLE = ' style="text-align:left"'
_LIVE_STYLE = "<style>.alcf-answer[aria-live] :is(td,th){text-align:left}</style>"
#: Characters of a text that grows that go along as plain text.
PLAIN_CHARACTERS = 80
#: What to type where there is no box for the code.
NEXT = "Open the link, log in, copy the code, and type: %alcf_login CODE"


def catalog_html(catalog: Catalog) -> str:
    """The table of models, and what could not be read."""
    rows = [row_of(model) for model in catalog]
    decorated = []
    for model, row in zip(catalog, rows, strict=True):
        name, cluster, status, words, window = (html.escape(shown(cell)) for cell in row)
        dot = f'<span aria-hidden="true" style="color:{_DOTS[model.status]}">●</span> '
        decorated.append(
            [f'<span style="{_CODE}">{name}</span>', cluster, dot + status, words, window]
        )
    notes = "".join(line_html(note) for note in catalog.notes)
    if not rows:
        notes = line_html("no model matches; all of them: %alcf_models") + notes
    return html_table(COLUMNS, rows, decorated, unbroken=(0, 1)) + notes


def history_html(history: History) -> str:
    """The prompts of a session, and the tokens by model."""
    from .. import history as records

    totals = [
        line_html(f"{model}: {usage.prompt_tokens:,} tokens in, {usage.completion_tokens:,} out")
        for model, usage in history.totals().items()
    ]
    return html_table(records.COLUMNS, history.rows(), unbroken=(1, 2)) + "".join(totals)


def answer_html(
    text: str, reasoning: str = "", format: str = "markdown", parsed: Any = None
) -> str:
    """An answer as safe HTML, its reasoning folded in front."""
    folded = ""
    if reasoning:
        page = _readable("markdown", reasoning, None)
        folded = f"<details><summary>Reasoning</summary>{page}</details>"
    return boxed(folded + _readable(format, text, parsed))


def _readable(format: str, text: str, parsed: Any) -> str:
    """The text as its format shows it; as it is, should the renderer trip over it."""
    try:
        return FORMATS[format].show(text, parsed)
    except Exception:  # whatever a model wrote, nobody shall lose an answer to it
        return FORMATS["text"].show(text, None)


def completion_html(completion: Completion) -> str:
    """A completion as safe HTML: reasoning folded, the answer, and a grey line about it."""
    return answer_html(
        completion.text, completion.reasoning, completion.format, completion.parsed
    ) + line_html(about(completion))


def about(completion: Completion) -> str:
    """The line under an answer: where from, tokens, seconds, and how it ended if not by itself."""
    parts = [completion.model, completion.cluster]
    usage, first = completion.usage, completion.first_token_seconds
    if usage is not None:
        parts.append(f"{usage.prompt_tokens:,} tokens in, {usage.completion_tokens:,} out")
    if first is not None:
        parts.append(f"first token after {first:.1f} s")
        if usage is not None and completion.seconds - first > 0.05:
            rate = usage.completion_tokens / (completion.seconds - first)
            parts.append(f"{rate:,.0f} tokens/s")
    if completion.finish_reason == "length":
        parts.append("cut at the token limit: ask for more with --max-tokens")
    elif completion.finish_reason is None:
        parts.append("ended early")
    elif completion.finish_reason != "stop":
        parts.append(f"ended: {completion.finish_reason}")
    return printable(" · ".join(part for part in parts if part))


def boxed(page: str, *, live: bool = False) -> str:
    """Safe HTML in a container: right-to-left text finds its side, screen readers are told."""
    told = ' aria-live="polite"' if live else ""
    if live and _CELL_STYLE in page:
        # What is sent again and again says once what stands in each cell of the finished table.
        page = _LIVE_STYLE + page.replace(_CELL_STYLE, "")
    return f'<div class="alcf-answer" dir="auto" style="{_WRAP}"{told}>{page}</div>'


def line_html(text: str) -> str:
    """A small grey line."""
    return f'<div role="status" aria-live="polite" style="{_GREY}">{html.escape(text)}</div>'


def show_link(url: str, *lines: str) -> Any:
    """Show the link of a login and what to type next; the handle of that output.

    The first of `lines` says why to log in, the others what else to know.
    """
    why, *others = lines or [""]
    link = (
        f'<a href="{html.escape(url)}" target="_blank" rel="noopener" style="{_LINK}">'
        "Open Globus</a>"
    )
    page = [
        f"<p>{html.escape(why)}</p>" if why else "",
        f"<p>{link}, log in, copy the code that it shows, and paste it below "
        "(or type <code>%alcf_login CODE</code>).</p>",
        *(f"<p>{html.escape(line)}</p>" for line in others),
    ]
    bundle = {"text/plain": link_text(url, *lines), "text/html": "".join(page)}
    return publish(None, bundle)


def link_text(url: str, *lines: str) -> str:
    """The same as plain text."""
    why, *others = lines or [""]
    return "\n".join(filter(None, [why, f"Log in to ALCF: {url}", NEXT, *others]))


def publish(handle: Any, bundle: dict[str, str], metadata: dict[str, Any] | None = None) -> Any:
    """Display a bundle, or update the display that is there; returns its handle."""
    from IPython.display import display

    if handle is None:
        return display(  # type: ignore[no-untyped-call]
            bundle, raw=True, display_id=True, metadata=metadata or {}
        )
    handle.update(bundle, raw=True, metadata=metadata or {})
    return handle


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


class Formats:
    """How IPython shows our values while the extension is loaded, and never otherwise.

    An answer that stands on the screen already (in a terminal, or in a cell with other code) is
    not shown again as the cell's result.
    """

    #: By name, because the classes are imported only when somebody needs them.
    _BY_NAME = (("alcf_magics.history", "History", history_html),)

    def __init__(self, shell: Any, notices: Callable[[], list[str]] = list) -> None:
        self._shell = shell
        self._notices = notices
        self._on_screen: tuple[int, Completion] | None = None

    def install(self) -> None:
        formatter = self._shell.display_formatter
        pages = formatter.formatters["text/html"]
        pages.for_type(Catalog, catalog_html)
        for module, name, show in self._BY_NAME:
            pages.for_type_by_name(module, name, show)
        formatter.mimebundle_formatter.for_type(Completion, self._bundle)
        formatter.ipython_display_formatter.for_type(Completion, self._skip)

    def remove(self) -> None:
        formatter = self._shell.display_formatter
        for kind in (Catalog, *(f"{module}.{name}" for module, name, _ in self._BY_NAME)):
            formatter.formatters["text/html"].pop(kind, None)
        formatter.mimebundle_formatter.pop(Completion, None)
        formatter.ipython_display_formatter.pop(Completion, None)

    def _bundle(
        self, completion: Completion, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """A completion for a notebook: its HTML, and its record in the output's metadata.

        What there is to tell beside it stands below, because a cell holds one output.
        """
        page = completion_html(completion) + "".join(map(line_html, self._notices()))
        return {"text/html": page}, metadata_of(completion)

    def on_screen(self, completion: Completion) -> None:
        """This completion has been shown; this cell's result need not show it again."""
        self._on_screen = self._shell.execution_count, completion

    def _skip(self, completion: Completion) -> None:
        on_screen, self._on_screen = self._on_screen, None
        if on_screen is None or on_screen != (self._shell.execution_count, completion):
            raise NotImplementedError  # IPython's way of saying: show it as usual


def metadata_of(completion: Completion) -> dict[str, Any]:
    """The output's metadata: where the answer comes from."""
    return {"alcf_magics": completion.record.to_json()} if completion.record else {}
