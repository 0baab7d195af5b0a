"""The link that begins a login, and what to type next."""

from __future__ import annotations

import html
from typing import Any

from ..showing.display import LINK
from ..showing.escaping import escaped
from .outputs import publish

#: What to type where there is no box for the code.
NEXT = "Open the link, log in, copy the code, and type: %alcf_login CODE"


def show_link(url: str, *lines: str, box: bool = False) -> Any:
    """Show the link of a login and what to type next; the handle of that output.

    `box` says that a box for the code comes below. The first of `lines` says why to log in, the
    others what else to know.
    """
    why, *others = lines or [""]
    link = (
        f'<a href="{html.escape(url)}" target="_blank" rel="noopener" style="{LINK}">'
        "Open Globus</a>"
    )
    typed = "type <code>%alcf_login CODE</code>"
    next_step = f"paste it below (where there is no box, {typed})" if box else typed
    page = [
        f"<p>{escaped(why)}</p>" if why else "",
        f"<p>{link}, log in, copy the code that it shows, and {next_step}.</p>",
        *(f"<p>{escaped(line)}</p>" for line in others),
    ]
    bundle = {"text/plain": link_text(url, *lines), "text/html": "".join(page)}
    return publish(None, bundle)


def link_text(url: str, *lines: str) -> str:
    """The same as plain text."""
    why, *others = lines or [""]
    return "\n".join(filter(None, [why, f"Log in to ALCF: {url}", NEXT, *others]))
