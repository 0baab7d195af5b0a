"""Logging in, as a person goes through it: begin, paste the code, be told who and until when."""

from __future__ import annotations

import getpass
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import AlcfError, GatewayError, LoginExpired, LoginFailed, NotLoggedIn
from ..settings import TOKEN_VARIABLE, Settings
from ..told import SILENT, Told
from .credentials import Bearers, finish_login, revoke
from .globus import GlobusAuth, PendingLogin, begin_login, read_code
from .grants import Grant, Secret, gateway_grant

if TYPE_CHECKING:
    from .._session import Session

NOBODY = (
    f"This notebook runs without a person (no input is allowed): log in once in a notebook or "
    f"a terminal with %alcf_login, or set {TOKEN_VARIABLE}."
)
TRIES = 3
#: Days for which Globus refreshes a login that is not used.
REFRESH_DAYS = 182


@dataclass(frozen=True)
class LoginStatus:
    """Who is logged in, as rows of a name and a value. Its repr is an aligned text."""

    rows: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        width = max(len(name) for name, _ in self.rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in self.rows)


@dataclass(frozen=True)
class _Unconfirmed:
    """A login of another person than the stored one, until somebody says to replace it."""

    pending: PendingLogin
    grants: tuple[Grant, ...]
    question: str


class Account:
    """The logins of one session. Safe to call from a widget's callback and a cell at once."""

    def __init__(self, settings: Any, credentials: Bearers, whoami: Any) -> None:
        self._settings, self.credentials, self._whoami = settings, credentials, whoami
        self.pending: PendingLogin | None = None
        self._refused: Any = None
        self.memory_only: set[str] = set()
        self._lock = threading.Lock()
        self._tried: set[Secret] = set()
        self._unconfirmed: _Unconfirmed | None = None
        self._trouble = ""

    @property
    def refused(self) -> LoginExpired | None:
        if self._refused is None:
            return None
        settings, token, error = self._refused
        return error if (settings, token) == (self._settings(), self._token()) else None

    def note_refusal(self, error: LoginExpired) -> None:
        self._refused = (self._settings(), self._token(), error)

    def note_answer(self) -> None:
        self._refused = None

    def _token(self) -> Any:
        grant = self.credentials.grant()
        return None if grant is None else grant.refresh_token or grant.access_token

    @property
    def question(self) -> str:
        """What is to be confirmed before a login replaces another person's; empty if nothing."""
        return self._unconfirmed.question if self._unconfirmed else ""

    def state(self) -> str | None:
        """Who is logged in and until when, in one line; None when a login is needed.

        Refreshes a login that has run out, if that is possible.
        """
        if self.refused is not None or self.credentials.grant() is None:
            return None
        try:
            bearer = self.credentials.current()
        except (LoginExpired, NotLoggedIn):
            return None
        except AlcfError as error:
            # Globus cannot be asked just now. A login that is begun can wait until it can.
            self._trouble = error.what
            return None
        return None if bearer.grant is None else f"Already logged in {_who_and_until(bearer.grant)}"

    def why(self) -> str:
        """Why somebody should log in now, or what is used until then; empty if nothing is."""
        if self.refused is not None:
            return self.refused.what
        trouble, self._trouble = self._trouble, ""
        if trouble:
            return trouble
        try:
            bearer = self.credentials.foreign()
        except NotLoggedIn as error:
            return error.what
        return "" if bearer is None else f"Until you log in, {bearer.source} is used."

    def begin(self, *, force: bool = False) -> PendingLogin:
        """The login to finish, begun now or within the last ten minutes."""
        refused = self.refused
        fresh = force or (refused is not None and refused.fresh_login)
        settings, now, pending = self._settings(), time.time(), self.pending
        if (
            pending is None
            or (fresh and not pending.fresh)
            or not pending.alive(now)
            or pending.auth_server != settings.globus_auth_url
        ):
            pending = begin_login(settings, now, fresh=fresh)
        else:
            pending = pending.renewed(settings)
        self.pending = pending
        return pending

    def finish(
        self, typed: str, pending: PendingLogin | None = None, *, take_over: bool = False
    ) -> str:
        """Exchange what a person pasted; the line that says how it went.

        Each code is exchanged once. Raises LoginFailed for an empty, wrong or spent code: the
        same link then takes another try. A login of another person than the stored one is kept
        until `replace`, and raises LoginFailed with the question; `take_over` answers it before.
        """
        self._unconfirmed = None
        pending = pending or self.pending
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
        stored, new = self._stored(pending), gateway_grant(grants)
        if stored is not None and _other_person(stored, new) and not take_over:
            question = f"You are logged in as {_who(stored)}; this login is {_who(new)}'s."
            self._unconfirmed = _Unconfirmed(pending, grants, question)
            raise LoginFailed(question, "To take it over: %alcf_login --replace")
        return self._done(pending, grants)

    def _stored(self, pending: PendingLogin) -> Grant | None:
        """The login that this one would replace; none that Globus no longer renews."""
        if self._settings().globus_auth_url != pending.auth_server:
            return None
        grant = self.credentials.grant()
        if grant is None or self.credentials.spent(grant):
            return None
        return grant if grant.refresh_token or grant.fresh(time.time(), margin=0) else None

    def replace(self) -> str:
        """Take over the login that waits for a word, in place of the stored one."""
        waiting, self._unconfirmed = self._unconfirmed, None
        if waiting is None:
            raise LoginFailed("There is no login to take over.", "Log in: %alcf_login")
        return self._done(waiting.pending, waiting.grants)

    def _done(self, pending: PendingLogin, grants: tuple[Grant, ...]) -> str:
        # A sandbox of this kernel is gone with it, and so is what it minted.
        memory_only = pending.auth_server in self.memory_only
        grant, saved = finish_login(self.credentials, grants, memory_only=memory_only)
        self.pending = None
        self._refused = None
        self._unconfirmed = None
        trouble = ""
        try:
            # A login to another server than the one in force cannot be shown to this gateway.
            if self._settings().globus_auth_url == pending.auth_server:
                grant = self._named(grant, memory_only=memory_only)
        except AlcfError as error:
            trouble = f" But the gateway says: {error}"
            if isinstance(error, LoginExpired):
                self.note_refusal(error)
        except KeyboardInterrupt:
            pass  # the login itself is done
        kept = "" if saved.written or memory_only else f" Not stored: {saved.reason}."
        return f"Logged in {_who_and_until(grant)}{kept}{trouble}"

    def _named(self, grant: Grant, *, memory_only: bool) -> Grant:
        """The grant with the name by which the gateway knows its owner."""
        who = str(self._whoami().get("username") or "")
        if not who or who == grant.username:
            return grant
        held = self.credentials.grant()  # what whoami may have renewed
        if held is not None and held.refresh_token == grant.refresh_token:
            grant = held
        named = replace(grant, username=who)
        self.credentials.keep((named,), memory_only=memory_only)
        return named

    def prompt(self, *, force: bool = False, ask: Callable[[str], str] = getpass.getpass) -> str:
        """Ask for the code until it is right, three times at most; holds the cell meanwhile."""
        if why := self.why():
            print(why)
        print(
            f"Open this link and log in:\n\n{self.begin(force=force).authorize_url}\n", flush=True
        )
        for attempt in range(TRIES):
            try:
                return self.finish(ask("Paste the code here: "))
            except LoginFailed as error:
                if self.question:
                    print(self.question, flush=True)
                    if ask("Take it over? Type yes: ").strip().casefold() in ("y", "yes"):
                        return self.replace()
                    raise
                if attempt == TRIES - 1 or not error.another_code:
                    raise
                print(error, flush=True)
        raise AssertionError("unreachable")

    def logout(self, *, everywhere: bool = False) -> str:
        """Revoke and remove this gateway's login, or every one; the line that says so."""
        forgotten = self.credentials.forget(everywhere=everywhere)
        self._refused = self._unconfirmed = None
        try:
            failed = revoke(forgotten.grants)
        except KeyboardInterrupt:
            failed = AlcfError("Revoking it was interrupted.")
        if forgotten.saved.reason:
            revoked = "" if failed or not forgotten.grants else " It is revoked, and so of no use."
            return f"The login could not be removed: {forgotten.saved.reason}.{revoked}"
        if not forgotten.grants:
            return "You were not logged in."
        if failed is not None:
            return f"Removed the login here; at Globus it lasts until it expires. {failed.what}"
        return "Logged out: the login is revoked and removed."

    def status(self) -> LoginStatus:
        """Who is logged in, from where, until when; asks the gateway who that is."""
        try:
            bearer = self.credentials.current()
        except AlcfError as error:
            known = isinstance(error, LoginExpired | NotLoggedIn)
            said = f"no: {error}" if known else f"not known: {error}"
            return LoginStatus((("logged in", said), *self._places()))
        grant = bearer.grant
        rows = [("token from", bearer.source)]
        if grant is not None:
            rows.append(("token until", f"{_moment(grant.expires_at_seconds)}, then renewed"))
            since = grant.issued_at_seconds
            last = _moment(since + REFRESH_DAYS * 86400) if since else "six months after its use"
            rows.append(("renewable until", last if grant.refresh_token else "not renewable"))
        try:
            who = self._whoami()
            rows.insert(0, ("logged in", str(who.get("username") or who.get("name") or "yes")))
            rows.append(("identity provider", str(who.get("idp_name") or "not known")))
        except AlcfError as error:
            rows.insert(0, ("logged in", _who(grant) if grant else "with a token"))
            rows.append(("the gateway says", str(error)))
            if isinstance(error, LoginExpired):
                self.note_refusal(error)
        return LoginStatus((*rows, *self._places()))

    def _places(self) -> tuple[tuple[str, str], ...]:
        settings = self._settings()
        bearers = self.credentials
        stored = "in this kernel only" if bearers.in_memory_only else str(bearers.file.path)
        return (
            ("stored", stored),
            ("gateway", settings.gateway_url),
            ("Globus Auth", settings.globus_auth_url),
        )


def _other_person(one: Grant, other: Grant) -> bool:
    """Whether two grants belong to two people, as far as they say whose they are."""
    return bool(one.identity_id and other.identity_id and one.identity_id != other.identity_id)


def _who(grant: Grant) -> str:
    return grant.username or grant.identity_id or "somebody"


def _moment(seconds: float) -> str:
    return time.strftime("%a %d %b %Y %H:%M", time.localtime(seconds))


def _who_and_until(grant: Grant) -> str:
    until = time.strftime("%a %d %b %H:%M", time.localtime(grant.expires_at_seconds))
    renewed = ", renewed by itself" if grant.refresh_token else ""
    return f"as {_who(grant)} (token until {until}{renewed})."
