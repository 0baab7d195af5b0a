"""Logging in from one shell: the panel, the prompt, a pasted code, the sandbox; and its words."""

from __future__ import annotations

import argparse
import getpass
import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._session import session
from ..errors import LoginFailed, NotLoggedIn
from ..settings import TOKEN_VARIABLE
from ..showing.display import LINK
from ..showing.escaping import escaped
from ..told import SILENT, Told
from .local_sandbox import LocalSandbox
from .outputs import publish
from .shells import is_headless, is_kernel

if TYPE_CHECKING:
    from ..auth.account import Account
    from .panel import LoginPanel

NOBODY = (
    f"This notebook runs without a person (no input is allowed): log in once in a notebook or "
    f"a terminal with %alcf_login, or set {TOKEN_VARIABLE}."
)
#: What to type where there is no box for the code.
NEXT = "Open the link, log in, copy the code, and type: %alcf_login CODE"
TRIES = 3


class Logins:
    """The logins that one shell begins and ends; what they leave open is closed with it."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._sandbox = LocalSandbox()
        self._panel: LoginPanel | None = None

    def log_in(self, code: str, options: argparse.Namespace, told: Told) -> str:
        """Log in as the options say; the line to show, empty where a panel or a link is shown."""
        account = session().account
        if options.sandbox:
            line = self._sandbox.start(told)
            self._close_panel("A login to a sandbox was made below.")
            return line
        if code:
            line = account.finish(code, take_over=options.replace, told=told)
        elif options.replace:
            line = account.replace(told)
        elif options.force or (state := account.state(told)) is None:
            return self.begin(told, prompted=options.prompt, fresh=options.force)
        else:
            line = state
        self._close_panel(line)
        return line

    def begin(self, told: Told, *, prompted: bool = False, fresh: bool = False) -> str:
        """The panel in a notebook, a prompt in a terminal or on demand; headless, the link."""
        account = session().account
        if is_headless(self._shell):
            if prompted:
                raise NotLoggedIn("Nobody is here to paste a code.", NOBODY)
            show_link(account.begin(fresh=fresh).authorize_url, account.why(), NOBODY)
            return ""
        if prompted or not is_kernel(self._shell):
            line = prompt(account, fresh=fresh, told=told)
            self._close_panel(line)
            return line
        from .panel import LoginPanel

        self._close_panel("Another login was begun below.")
        panel = LoginPanel(account, self._close_panel, fresh=fresh)
        panel.show()
        self._panel = panel  # one that could not be shown is none
        return ""

    def log_out(self, *, everywhere: bool, told: Told) -> str:
        """Log out; a sandbox of this kernel that is in force ends with its login."""
        in_sandbox = self._sandbox.in_force and not everywhere
        line = session().account.log_out(everywhere=everywhere, told=told)
        if in_sandbox or everywhere:
            self._sandbox.stop()
        return "Logged out of the sandbox, and stopped it." if in_sandbox else line

    def close(self) -> None:
        """Give up the login that is under way, and stop the sandbox."""
        self._close_panel("The login was given up: alcf_magics was unloaded.")
        self._sandbox.stop()

    def _close_panel(self, line: str) -> None:
        panel, self._panel = self._panel, None
        if panel is not None:
            panel.close(line)


def prompt(
    account: Account,
    *,
    fresh: bool = False,
    told: Told = SILENT,
    ask: Callable[[str], str] = getpass.getpass,
) -> str:
    """Ask for the code until it is right, three times at most; holds the cell meanwhile."""
    if why := account.why():
        print(why)
    print(f"Open this link and log in:\n\n{account.begin(fresh=fresh).authorize_url}\n", flush=True)
    for left in reversed(range(TRIES)):
        try:
            return account.finish(ask("Paste the code here: "), told=told)
        except LoginFailed as error:
            if account.question:
                print(account.question, flush=True)
                if ask("Take it over? Type yes: ").strip().casefold() in ("y", "yes"):
                    return account.replace(told)
                raise
            if not left or not error.another_code:
                raise
            print(error, flush=True)
    raise AssertionError("unreachable")


def show_link(url: str, *lines: str) -> Any:
    """Show the link of a login and what to type next; the handle of that output.

    The first of `lines` says why to log in, the others what else to know.
    """
    why, *others = lines or [""]
    link = (
        f'<a href="{html.escape(url)}" target="_blank" rel="noopener" style="{LINK}">'
        "Open Globus</a>"
    )
    page = [
        f"<p>{escaped(why)}</p>" if why else "",
        f"<p>{link}, log in, copy the code that it shows, and paste it below "
        "(or type <code>%alcf_login CODE</code>).</p>",
        *(f"<p>{escaped(line)}</p>" for line in others),
    ]
    bundle = {"text/plain": link_text(url, *lines), "text/html": "".join(page)}
    return publish(None, bundle)


def link_text(url: str, *lines: str) -> str:
    """The same as plain text."""
    why, *others = lines or [""]
    return "\n".join(filter(None, [why, f"Log in to ALCF: {url}", NEXT, *others]))
