"""How our values look: safe HTML that follows the reader's theme. Pure."""

from __future__ import annotations

from typing import Any, Protocol

from .escaping import escaped
from .formats import FORMATS

#: Characters of what goes into a tool, or comes out, that are shown.
MOST_SHOWN = 20_000
#: Colours follow JupyterLab's theme; elsewhere the fallbacks are readable on light and dark.
GREY = "color:var(--jp-ui-font-color2,#808080);font-size:0.85em"
#: Marked as a link also where the front end does not do it.
LINK = "color:var(--jp-content-link-color,#1976d2);text-decoration:underline"
#: Not a code element: JupyterLab breaks those at every dash.
CODE = "font-family:var(--jp-code-font-family,monospace)"
#: A long address is broken; the columns of a table keep their width.
_WRAP = "overflow-wrap:break-word"
#: Also in front ends that break lines within words.
_VERBATIM = "white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere"
_CELL_STYLE = ' style="text-align:left"'
_LIVE_STYLE = "<style>.alcf-answer[aria-live] :is(td,th){text-align:left}</style>"


def answer_html(
    text: str,
    reasoning: str = "",
    format: str = "markdown",
    parsed: Any = None,
    *,
    opened: bool = False,
    body: str | None = None,
) -> str:
    """An answer as safe HTML, its reasoning folded in front, or `opened`.

    `body` is the answer's own part, where that has been made already.
    """
    folded = ""
    if reasoning:
        page = _readable("markdown", reasoning, None)
        folded = f"<details{' open' if opened else ''}><summary>Reasoning</summary>{page}</details>"
    if body is None:
        body = _readable(format, text, parsed) if text else ""
    return boxed(folded + body)


def _readable(format: str, text: str, parsed: Any) -> str:
    """The text as its format shows it; as it is, should the renderer trip over it."""
    try:
        return FORMATS[format].show(text, parsed)
    except Exception:  # whatever a model wrote, nobody shall lose an answer to it
        return FORMATS["text"].show(text, None)


def boxed(page: str, *, live: bool = False) -> str:
    """Safe HTML in a container: right-to-left text finds its side, screen readers are told."""
    told = ' aria-live="polite"' if live else ""
    if live and _CELL_STYLE in page:
        # What is sent again and again says once what stands in each cell of the finished table.
        page = _LIVE_STYLE + page.replace(_CELL_STYLE, "")
    return f'<div class="alcf-answer" dir="auto" style="{_WRAP}"{told}>{page}</div>'


class ShownCall(Protocol):
    """A call of a tool: what it is called with, and what it gave (None: nothing yet)."""

    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> str: ...
    @property
    def result(self) -> str | None: ...
    @property
    def failed(self) -> bool: ...


def call_html(call: ShownCall) -> str:
    """A call of a tool in a folded block, its arguments before its result. Never typeset."""
    state = "…" if call.result is None else " failed" if call.failed else ""
    result = "" if call.result is None else f"{_label('Result')}{_verbatim(call.result)}"
    return (
        f'<details class="alcf-call" style="{_WRAP}"><summary>Tool '
        f'<span style="{CODE}">{escaped(call.name)}</span>{state}</summary>'
        f"{_label('Arguments')}{_verbatim(call.arguments)}{result}</details>"
    )


def _label(text: str) -> str:
    return f'<div style="{GREY}">{text}</div>'


def _verbatim(text: str) -> str:
    shown = text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
    return f'<pre style="{_VERBATIM}">{escaped(shown)}</pre>'


def line_html(text: str) -> str:
    """A small grey line. It is never typeset: no `$` in it is mathematics."""
    return f'<div role="status" aria-live="polite" style="{GREY};{_WRAP}">{escaped(text)}</div>'
