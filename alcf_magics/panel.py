"""The login panel: a link, a box for the code, a button, a line. It never blocks the kernel."""

from __future__ import annotations

import contextvars
import html
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from IPython.display import display

from .errors import AlcfError
from .login import NEXT, Login

if TYPE_CHECKING:
    from .session import Session

#: Inside a widget JupyterLab does not mark a link as one.
LINK = "color:var(--jp-content-link-color,#1976d2);text-decoration:underline"


class LoginPanel:
    """One login in one cell. Callbacks run after the cell, on whichever thread the kernel takes."""

    def __init__(self, session: Session, login: Login, why: str = "") -> None:
        self._session = session
        self._login = login
        self._pending = login.begin()
        self._busy = False
        url = html.escape(self._pending.authorize_url)
        self._link = widgets.HTML(
            f'<a href="{url}" target="_blank" rel="noopener" style="{LINK}">'
            "Open Globus to log in</a>, "
            "then copy the code that it shows, and paste it here."
        )
        self._box = widgets.Password(
            description="Code", placeholder="paste the code", continuous_update=False
        )
        self._button = widgets.Button(description="Log in", button_style="primary")
        self._status = widgets.HTML(html.escape(why))
        self._button.on_click(lambda _: self._submit())
        # Fires on Enter, and on leaving the box: Login exchanges each code once.
        self._box.observe(lambda change: self._submit(), names="value")
        self._view = widgets.VBox(
            [self._link, widgets.HBox([self._box, self._button]), self._status]
        )
        self._handle: Any = None
        self._context = contextvars.copy_context()

    def show(self) -> None:
        """Display the panel; its plain text holds the link and what to type next."""
        bundle = self._view._repr_mimebundle_()
        # ipywidgets gives data alone, or data and metadata, by version.
        data = dict(bundle[0] if isinstance(bundle, tuple) else bundle)
        data["text/plain"] = f"Log in to ALCF: {self._pending.authorize_url}\n{NEXT}"
        self._handle = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def _submit(self) -> None:
        typed = self._box.value
        if self._busy or (not typed and self._handle is None):
            return
        if not typed:
            self._say("There is no code yet: paste it into the box.")
            return
        self._busy = True
        self._button.disabled = True
        self._say("Asking Globus…")
        # The exchange may take seconds; the kernel stays free meanwhile.
        future = self._session.runtime.start(lambda: self._login.finish(typed, self._pending))
        future.add_done_callback(lambda done: self._context.copy().run(self._ended, done))

    def _ended(self, future: Future[str]) -> None:
        self._box.value = ""
        self._busy = False
        self._button.disabled = False
        try:
            line = future.result()
        except AlcfError as error:
            self._say(str(error))
        else:
            self._say(line)
            # From now on the cell, and the notebook that is saved, hold one line.
            self._handle.update({"text/plain": line}, raw=True)
            self._view.close_all()

    def _say(self, line: str) -> None:
        self._status.value = html.escape(line)
