"""Logging in, as a person goes through it: begin, paste the code, be told who and until when."""

from __future__ import annotations

import contextlib
import getpass
import html
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .bearer import finish_login, revoke
from .errors import AlcfError, GatewayError, LoginExpired, LoginFailed, NotLoggedIn
from .globus import GlobusAuth, PendingLogin, read_code
from .grants import Grant, Secret
from .settings import TOKEN_VARIABLE

if TYPE_CHECKING:
    from .session import Session

NEXT = "Open the link, log in, copy the code, and type: %alcf_login CODE"
NOBODY = (
    f"This notebook runs without a person (no input is allowed): log in once in a notebook or "
    f"a terminal with %alcf_login, or set {TOKEN_VARIABLE}."
)
TRIES = 3


class Login:
    """The logins of one session. Safe to call from a widget's callback and a cell at once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._tried: set[Secret] = set()

    def state(self) -> str | None:
        """Who is logged in and until when, in one line; None when a login is needed.

        Refreshes a login that has run out, if that is possible.
        """
        session = self._session
        if session.refused is not None or session.bearers.grant() is None:
            return None
        try:
            bearer = session.bearers.current()
        except (LoginExpired, NotLoggedIn):
            return None
        return None if bearer.grant is None else f"Already logged in {_who_and_until(bearer.grant)}"

    def begin(self) -> PendingLogin:
        """The login to finish, begun now or within the last ten minutes."""
        refused = self._session.refused
        return self._session.begin_login(fresh=refused is not None and refused.fresh_login)

    def finish(self, typed: str, pending: PendingLogin | None = None) -> str:
        """Exchange what a person pasted; the line that says how it went.

        Each code is exchanged once. Raises LoginFailed for an empty, wrong or spent code: the
        same link then takes another try.
        """
        pending = pending or self._session.pending
        if pending is None:
            raise LoginFailed("No login was begun here.", "Begin one: %alcf_login")
        if not pending.alive(time.time()):
            raise LoginFailed("This login was begun too long ago.", "Begin another: %alcf_login")
        code = read_code(typed, pending.state)
        with self._lock:
            if code in self._tried:
                raise LoginFailed(
                    "This code was used already.", "Open the link again for a new code."
                )
            self._tried.add(code)
        try:
            grants = GlobusAuth(pending.auth_server).exchange(pending, code)
        except LoginFailed:
            raise
        except AlcfError:
            # Globus never saw it: the same code may be tried again.
            self._tried.discard(code)
            raise
        return self._done(pending, grants, memory_only=self._session.sandbox is not None)

    def _done(self, pending: PendingLogin, grants: tuple[Grant, ...], *, memory_only: bool) -> str:
        session = self._session
        grant, saved = finish_login(session.bearers, grants, memory_only=memory_only)
        session.end_login(pending)
        trouble = ""
        try:
            who = str(session.runtime.run(session.gateway.whoami).get("username") or "")
            if who and who != grant.username:
                grant = replace(grant, username=who)
                session.bearers.keep((grant,), memory_only=memory_only or not saved.written)
        except AlcfError as error:
            trouble = f" But the gateway says: {error}"
            if isinstance(error, LoginExpired):
                session.refused = error
        kept = "" if saved.written or memory_only else f" Not stored: {saved.reason}."
        return f"Logged in {_who_and_until(grant)}{kept}{trouble}"

    def prompt(self, ask: Callable[[str], str] = getpass.getpass) -> str:
        """Ask for the code until it is right, three times at most; holds the cell meanwhile."""
        print(f"Open this link and log in:\n\n{self.begin().authorize_url}\n", flush=True)
        for attempt in range(TRIES):
            try:
                return self.finish(ask("Paste the code here: "))
            except LoginFailed as error:
                if attempt == TRIES - 1:
                    raise
                print(error, flush=True)
        raise AssertionError("unreachable")

    def sandbox(self, **options: Any) -> str:
        """Start a sandbox in this process and log in to it; its grants stay in memory."""
        session = self._session
        try:
            from .sandbox import Sandbox
        except ImportError as error:
            raise GatewayError(
                f"The sandbox is not installed ({error.name} is missing).",
                "Install it: %pip install 'alcf_magics[sandbox]'",
            ) from None
        sandbox = Sandbox(**options)
        sandbox.start()
        session.enter_sandbox(sandbox)
        pending = session.begin_login(fresh=True)
        line = self.finish(sandbox.approve(pending.authorize_url), pending)
        return f"{line} This is a sandbox, in this kernel only: no real model answers."

    def logout(self) -> str:
        """Revoke and remove this gateway's login; the line that says so."""
        session = self._session
        in_sandbox = session.sandbox is not None
        grants = session.bearers.forget()
        session.refused = None
        failed = revoke(grants)
        if in_sandbox:
            session.stop_sandbox()
            return "Logged out of the sandbox, and stopped it."
        if not grants:
            return "You were not logged in."
        if failed is not None:
            return f"Removed the login here. {failed}"
        return "Logged out: the login is revoked and removed."


def _who_and_until(grant: Grant) -> str:
    who = grant.username or grant.identity_id or "somebody"
    until = time.strftime("%a %d %b %H:%M", time.localtime(grant.expires_at_seconds))
    renewed = ", renewed by itself" if grant.refresh_token else ""
    return f"as {who} (token until {until}{renewed})."


def log_in(
    shell: Any, session: Session, typed: str, *, prompt: bool = False, sandbox: bool = False
) -> None:
    """`%alcf_login`: the panel in a notebook, a prompt in a terminal, or what was asked for."""
    login = session.login
    if sandbox:
        print(login.sandbox())
        return
    if typed:
        print(login.finish(typed))
        return
    state = login.state()
    if state is not None:
        print(state)
        return
    if session.refused is not None:
        print(session.refused.what)
    in_notebook = hasattr(shell, "kernel")
    if nobody_there(shell):
        if prompt:
            raise NotLoggedIn("Nobody is here to paste a code.", NOBODY)
        show_link(login.begin().authorize_url)
    elif prompt or not in_notebook:
        print(login.prompt())
    else:
        from .panel import LoginPanel

        LoginPanel(session, login).show()


def show_link(url: str) -> None:
    """What a notebook without a person shows instead of the panel."""
    from IPython.display import display

    link = f'<a href="{html.escape(url)}" target="_blank" rel="noopener">Log in to ALCF</a>'
    bundle = {
        "text/plain": f"Log in to ALCF: {url}\n{NEXT}\n{NOBODY}",
        "text/html": f"<p>{link}</p><p>{html.escape(NEXT)}</p><p>{html.escape(NOBODY)}</p>",
    }
    display(bundle, raw=True)  # type: ignore[no-untyped-call]


def nobody_there(shell: Any) -> bool:
    """Whether the front end allows no input: nbclient, papermill, a batch job."""
    with contextlib.suppress(Exception):
        return shell.kernel.get_parent()["content"].get("allow_stdin") is False
    return False
