"""Logging in as a notebook or a terminal does it: the words, the prompt, the sandbox."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import GatewayError, LoginFailed
from ..settings import TOKEN_VARIABLE
from ..told import SILENT, Told

if TYPE_CHECKING:
    from .._session import Session
    from ..auth.account import Account

NOBODY = (
    f"This notebook runs without a person (no input is allowed): log in once in a notebook or "
    f"a terminal with %alcf_login, or set {TOKEN_VARIABLE}."
)
TRIES = 3


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


def enter_sandbox(session: Session, told: Told = SILENT, **options: Any) -> str:
    """Start a sandbox in this process and log in to it; its grants stay in memory."""
    try:
        from ..sandbox import Sandbox
    except ImportError as error:
        raise GatewayError(
            f"The sandbox is not installed ({error.name} is missing).",
            "Install it: %pip install 'alcf_magics[sandbox]'",
        ) from None
    # Some 100 tokens a second: who tries it out wants to see an answer stream.
    sandbox = Sandbox(**{"pace": 0.2, **options})
    sandbox.start()
    session.enter_sandbox(sandbox)
    try:
        pending = session.account.begin(fresh=True)
        line = session.account.finish(sandbox.approve(pending.authorize_url), pending, told=told)
    except BaseException:
        session.stop_sandbox()
        raise
    return f"{line} This is a sandbox, in this kernel only: no real model answers."


def log_out(session: Session, *, everywhere: bool = False, told: Told = SILENT) -> str:
    """Log out; a sandbox of this kernel that is in force ends with its login."""
    sandbox = session.sandbox
    in_sandbox = (
        sandbox is not None
        and not everywhere
        and session.settings.globus_auth_url == sandbox.globus_auth_url
    )
    line = session.account.log_out(everywhere=everywhere, told=told)
    if in_sandbox or everywhere:
        session.stop_sandbox()
    return "Logged out of the sandbox, and stopped it." if in_sandbox else line
