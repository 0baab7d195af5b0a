"""Logging in from one shell: the panel, the prompt, a pasted code, the sandbox; and its words."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._session import session
from ..errors import LoginFailed, NotLoggedIn
from ..settings import TOKEN_VARIABLE
from ..told import SILENT, Told
from .local_sandbox import LocalSandbox
from .login_link import show_link
from .refused_cells import RefusedCells
from .shells import is_headless, is_kernel

if TYPE_CHECKING:
    from ..auth.account import Account
    from .panel import LoginPanel

NOBODY = (
    f"This notebook runs without a person (no input is allowed): log in once in a notebook or "
    f"a terminal with %alcf_login, or set {TOKEN_VARIABLE}."
)
TRIES = 3


class Logins:
    """The logins that one shell begins and ends; what they leave open is closed with it."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._sandbox = LocalSandbox()
        self._panel: LoginPanel | None = None
        self._refused = RefusedCells(shell)

    def install(self) -> None:
        """Begin to remember the cells that are refused."""
        self._refused.install()

    def log_in(self, code: str, options: argparse.Namespace, told: Told) -> str:
        """Log in as the options say; the line to show, empty where a panel or a link is shown."""
        account = session().account
        if options.sandbox:
            line = self._sandbox.start(told, scenario=options.scenario)
            self._close_panel("A login to a sandbox was made below.")
            return self._naming(line)
        if code:
            line = account.finish(code, take_over=options.replace, told=told)
        elif options.replace:
            line = account.replace(told)
        elif options.force or (state := account.state(told)) is None:
            return self.begin(told, prompted=options.prompt, fresh=options.force)
        else:
            line = state
        self._close_panel(line)
        return self._naming(line)

    def begin(
        self, told: Told, *, prompted: bool = False, fresh: bool = False, refused: bool = False
    ) -> str:
        """The panel in a notebook, a prompt in a terminal or on demand; headless, the link.

        `refused` says that the running cell was refused, and is to be run again.
        """
        account = session().account
        if is_headless(self._shell):
            if prompted:
                raise NotLoggedIn("Nobody is here to paste a code.", NOBODY)
            show_link(account.begin(fresh=fresh).authorize_url, account.why(), NOBODY)
            return ""
        if prompted or not is_kernel(self._shell):
            line = prompt(account, fresh=fresh, told=told)
            self._close_panel(line)
            return self._naming(line)
        from .panel import LoginPanel

        self._close_panel("Another login was begun below.")
        panel = LoginPanel(account, self._panel_done, fresh=fresh, refused=refused)
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
        self._refused.remove()

    def _panel_done(self, line: str) -> None:
        if self._panel is not None:
            self._close_panel(self._naming(line), done=True)

    def _close_panel(self, line: str, *, done: bool = False) -> None:
        panel, self._panel = self._panel, None
        if panel is not None:
            panel.close(line, done=done)

    def _naming(self, line: str) -> str:
        """The line of a login that was made, and which cells wait for it."""
        return f"{line} {self._refused.named()}".rstrip()


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
