"""The login panel: a link, a box for the code, a button, a line. It never blocks the kernel.

It is two outputs: a text with the link, which reads well in a saved notebook and where widgets
are not shown, and the widgets. When the login is done the first is one line and the second gone.
"""

from __future__ import annotations

import contextvars
import html
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import anyio
import ipywidgets as widgets

from .._session import background
from ..auth.account import Account
from ..auth.authorization import PENDING_SECONDS
from ..errors import AlcfError
from ..told import Told
from .focus import hand_on
from .login_link import link_text, show_link
from .outputs import discard, show_widget

#: Seconds between two looks at the clock.
TICK_SECONDS = 5.0
#: Drawn by the browser itself: no script, no style sheet.
SPINNER = '<progress aria-label="asking Globus" style="width:6em"></progress> '


class LoginPanel:
    """One login in one cell. Callbacks run after the cell, on whichever thread the kernel takes.

    `done` gets the line of a login that was made: whoever shows the panel closes it with that.
    `refused` says that it stands below a cell that was refused, and is to be run again.
    """

    def __init__(
        self,
        account: Account,
        done: Callable[[str], None],
        *,
        fresh: bool = False,
        refused: bool = False,
    ) -> None:
        self._done = done
        self._refused = refused
        self._account = account
        self._pending = account.begin(fresh=fresh)
        self._why = account.why()
        # Asked now and then what is waited for: a panel may not print.
        self._told = Told()
        self._said = ""
        self._open = True
        self._busy = False
        self._context = contextvars.copy_context()
        self._text: Any = None
        self._widgets: Any = None
        self._clock: Future[None] | None = None
        # The value comes with every key, so the button can tell whether there is a code. Enter
        # arrives as a message of its own; leaving the box sends nothing.
        self._box = widgets.Password(description="Code", placeholder="paste the code here")
        self._button = widgets.Button(
            description="Log in", button_style="primary", disabled=True, tooltip="Log in"
        )
        self._replace = widgets.Button(description="Take it over", button_style="warning")
        self._replace.layout.display = "none"
        self._line = widgets.HTML()
        self._row = widgets.HBox([self._box, self._button, self._replace])
        self._view = widgets.VBox([self._row, self._line])
        self._name = f"alcf-login-{self._view.model_id}"
        self._view.add_class(self._name)
        self._box.observe(lambda change: self._enable(), names="value")
        self._box.on_msg(self._on_box_message)
        self._button.on_click(lambda button: self._submit())
        self._replace.on_click(lambda button: self._start(lambda: account.replace(self._told)))

    def show(self) -> None:
        """Display the panel in the running cell."""
        self._text = show_link(self._pending.authorize_url, self._why, box=True)
        self._say("")
        # A front end that shows no widgets, and whoever reads this output alone, gets the link.
        self._widgets = show_widget(self._view, link_text(self._pending.authorize_url))
        self._clock = background().spawn(self._count_down)

    def close(self, line: str, *, done: bool = False) -> None:
        """End the panel: from now on the cell, and the notebook that is saved, hold one line.

        When a login is `done`, a focus that would be lost goes on: to the refused cell, or to the
        next one.
        """
        if not self._open:
            return
        self._open = False
        if self._clock is not None:
            self._clock.cancel()
        self._box.value = ""
        self._line.value = f'<div role="status">{html.escape(line)}</div>'
        if done:
            script = hand_on(self._name, to_next=not self._refused)
            self._show(self._text, {"text/plain": line, "application/javascript": script})
        self._show(self._text, {"text/plain": line})
        self._show(self._widgets, {})
        discard(self._box, self._button, self._replace, self._row, self._line, self._view)

    def _show(self, output: Any, bundle: dict[str, str]) -> None:
        self._context.copy().run(output.update, bundle, raw=True)

    def _on_box_message(self, box: object, content: dict[str, Any], buffers: object) -> None:
        if content.get("event") == "submit":
            self._submit()

    def _submit(self) -> None:
        typed = self._box.value
        if not typed.strip():
            self._say("There is no code yet: paste it into the box.")
            return
        self._start(lambda: self._account.finish(typed, self._pending, told=self._told))

    def _start(self, work: Any) -> None:
        """Do something that asks Globus, which may take seconds: the kernel stays free."""
        if self._busy or not self._open:
            return
        self._busy = True
        self._enable()
        self._say("Asking Globus…")
        future = background().start(work)
        future.add_done_callback(lambda done: self._context.copy().run(self._ended, done))

    def _ended(self, future: Future[str]) -> None:
        self._busy = False
        self._box.value = ""
        self._enable()
        if future.cancelled():
            return
        try:
            line = " ".join([future.result(), *self._told.notices()])
        except AlcfError as error:
            self._refuse(error.what if self._account.question else str(error))
        except Exception as error:  # nothing may leave the panel waiting for ever
            self._refuse(f"The login failed ({type(error).__name__}). Try again.")
        else:
            # A panel that a newer one made quiet may still finish its login: the newer one tells.
            self._done(line)

    def _refuse(self, why: str) -> None:
        """Say why the login is not done, and be ready for another try."""
        self._replace.layout.display = "" if self._account.question else "none"
        self._say(why)
        self._box.focus()

    def _enable(self) -> None:
        """Nothing that cannot be pressed looks as if it could."""
        expired = not self._pending.alive(time.time())
        self._box.disabled = self._busy or expired
        self._button.disabled = self._busy or expired or not self._box.value.strip()
        self._replace.disabled = self._busy

    async def _count_down(self) -> None:
        while self._open:
            await anyio.sleep(TICK_SECONDS)
            self._context.copy().run(self._tick)

    def _tick(self) -> None:
        if self._busy and self._told.waiting_for:
            self._say(self._told.waiting_for)
        elif self._busy or self._pending.alive(time.time()):
            self._say(self._said)
        else:
            self.close("The link has expired. Log in again: %alcf_login")

    def _say(self, line: str) -> None:
        """What happened last, and for how long the link is good; polite to screen readers."""
        self._said = line
        left = PENDING_SECONDS - (time.time() - self._pending.begun_at)
        minutes = max(1, round(left / 60))
        good = f"The link is good for {minutes} more minute{'s' if minutes > 1 else ''}."
        said = f"{SPINNER if self._busy else ''}{html.escape(line)} " if line else ""
        value = f'<div role="status" aria-live="polite">{said}{good}</div>'
        if value != self._line.value:
            self._line.value = value
