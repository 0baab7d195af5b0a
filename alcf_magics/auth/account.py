"""The account of one session: logging in, step by step, being refused, and logging out.

A front end begins a login and shows its address, hands over what a person pasted, and shows the
line that comes back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import LOG_IN, AlcfError, LoginExpired, LoginFailed, NotLoggedIn
from ..settings import Settings
from ..showing.tables import html_table, text_rows
from ..showing.times import moment
from ..text import line
from ..told import SILENT, Told
from .authorization import PendingLogin, begin_login, read_code
from .credentials import Credentials
from .globus import GlobusAuth, revoke
from .grants import Grant, gateway_grant
from .hidden import Secret

#: Days for which Globus refreshes a login that is not used.
REFRESH_DAYS = 182


@dataclass(frozen=True)
class LoginStatus:
    """Who is logged in, as rows of a name and a value. Its repr is an aligned text."""

    rows: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return text_rows(self.rows)

    def _repr_html_(self) -> str:
        return html_table(("login", ""), self.rows, unbroken=(0,))


@dataclass(frozen=True)
class _Unconfirmed:
    """A login of another person than the stored one, until somebody says to replace it."""

    pending: PendingLogin
    grants: tuple[Grant, ...]
    question: str


@dataclass(frozen=True)
class _Refused:
    """Why a gateway did not take a login, and which gateway and login that was."""

    error: LoginExpired
    settings: Settings
    token: Secret | None


class Account:
    """The logins of one session. Safe to call from a widget's callback and a cell at once.

    `settings` and `whoami` (what the gateway says of the bearer's owner) are asked when needed.
    Whatever may wait, or learn something of the token file, takes `told`.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        credentials: Credentials,
        whoami: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._whoami = whoami
        self._lock = threading.Lock()
        self._tried: set[Secret] = set()
        self._unconfirmed: _Unconfirmed | None = None
        self._refused: _Refused | None = None
        self._trouble = ""
        #: The login that was begun, until it is done.
        self.pending: PendingLogin | None = None
        #: How many logins were made: what was learnt before the last one may no longer be so.
        self.logins = 0

    # What the gateway says of the login

    @property
    def refused(self) -> LoginExpired | None:
        """Why the gateway in force no longer takes the login in force.

        An answer clears it, and so does a new login, here or in another kernel.
        """
        refused = self._refused
        if refused is None:
            return None
        here = (self._settings(), self._token())
        return refused.error if (refused.settings, refused.token) == here else None

    def note_refusal(self, error: LoginExpired) -> None:
        """The gateway refused the login: the next one is to be a real one."""
        self._refused = _Refused(error, self._settings(), self._token())

    def note_answer(self) -> None:
        """The gateway answered: it takes the login."""
        self._refused = None

    def _token(self) -> Secret | None:
        grant = self._credentials.grant()
        # A refresh keeps the refresh token: it is still the login that was refused.
        return None if grant is None else grant.refresh_token or grant.access_token

    def state(self, told: Told = SILENT) -> str | None:
        """Who is logged in and until when, in one line; None when a login is needed.

        Refreshes a login that has run out, and stores one that could not be stored, if it can.
        """
        if self.refused is not None or self._credentials.grant(told) is None:
            return None
        try:
            bearer = self._credentials.current(told)
        except (LoginExpired, NotLoggedIn):
            return None
        except AlcfError as error:
            # Globus cannot be asked just now. A login that is begun can wait until it can.
            self._trouble = error.what
            return None
        if bearer.grant is None:
            return None
        saved = self._credentials.store_again(told)
        stored = " It is stored now." if saved.written else _unless_stored(saved.reason)
        return f"Already logged in {_who_and_until(bearer.grant)}{stored}"

    def why(self) -> str:
        """Why somebody should log in now, or what is used until then; empty if nothing is."""
        if (refused := self.refused) is not None:
            return refused.what
        trouble, self._trouble = self._trouble, ""
        if trouble:
            return trouble
        try:
            bearer = self._credentials.foreign()
        except NotLoggedIn as error:
            return error.what
        return "" if bearer is None else f"Until you log in, {bearer.source} is used."

    # Logging in

    @property
    def question(self) -> str:
        """What is to be confirmed before a login replaces another person's; empty if nothing."""
        return self._unconfirmed.question if self._unconfirmed else ""

    def begin(self, *, fresh: bool = False) -> PendingLogin:
        """The login to finish. One begun within ten minutes stays, so its code stays good.

        `fresh` asks for the password again, as after a refusal that only this cures.
        """
        refused = self.refused
        fresh = fresh or (refused is not None and refused.fresh_login)
        settings, now = self._settings(), time.time()
        with self._lock:
            pending = self.pending
            if (
                pending is None
                or (fresh and not pending.fresh)
                or not pending.alive(now)
                or pending.auth_server != settings.globus_auth_url
            ):
                self.pending = begin_login(settings, now, fresh=fresh)
            else:
                # What is asked of the login may have changed; the code of either link will do.
                self.pending = pending.renewed(settings)
            return self.pending

    def finish(
        self,
        typed: str,
        pending: PendingLogin | None = None,
        *,
        take_over: bool = False,
        told: Told = SILENT,
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
        grants = self._exchanged(pending, read_code(typed, pending.state))
        stored, new = self._stored(pending, told), gateway_grant(grants)
        if stored is not None and stored.is_of_another_person(new) and not take_over:
            question = f"You are logged in as {_who(stored)}; this login is {_who(new)}'s."
            self._unconfirmed = _Unconfirmed(pending, grants, question)
            raise LoginFailed(question, "To take it over: %alcf_login --replace")
        return self._done(pending, grants, told)

    def replace(self, told: Told = SILENT) -> str:
        """Take over the login that waits for a word, in place of the stored one."""
        waiting, self._unconfirmed = self._unconfirmed, None
        if waiting is None:
            raise LoginFailed("There is no login to take over.", LOG_IN)
        return self._done(waiting.pending, waiting.grants, told)

    def _exchanged(self, pending: PendingLogin, code: Secret) -> tuple[Grant, ...]:
        with self._lock:
            if code in self._tried:
                raise LoginFailed(
                    "This code was used already.", "Open the link again for a new code."
                )
            self._tried.add(code)
        try:
            return GlobusAuth(pending.auth_server).exchange(pending, code)
        except LoginFailed:
            raise
        except AlcfError:
            # Globus never saw it: the same code may be tried again.
            self._tried.discard(code)
            raise

    def _stored(self, pending: PendingLogin, told: Told) -> Grant | None:
        """The login that this one would replace; none that Globus no longer renews."""
        if not self._is_in_force(pending):
            return None
        grant = self._credentials.grant(told)
        if grant is None or self._credentials.spent(grant):
            return None
        return grant if grant.refresh_token or grant.fresh(time.time(), margin=0) else None

    def _is_in_force(self, pending: PendingLogin) -> bool:
        return self._settings().globus_auth_url == pending.auth_server

    def _done(self, pending: PendingLogin, grants: tuple[Grant, ...], told: Told) -> str:
        grant = gateway_grant(grants)
        saved = self._credentials.keep(grants, told)
        self._ended(pending)
        trouble = ""
        try:
            if saved.written:
                self._credentials.drop_dead(told)
            # A login to another server than the one in force cannot be shown to this gateway.
            if self._is_in_force(pending):
                grant = self._named(grant, told)
        except AlcfError as error:
            trouble = f" But the gateway says: {error}"
            if isinstance(error, LoginExpired):
                self.note_refusal(error)
        except KeyboardInterrupt:
            pass  # the login itself is done
        return f"Logged in {_who_and_until(grant)}{_unless_stored(saved.reason)}{trouble}"

    def _ended(self, pending: PendingLogin) -> None:
        """This login is done: the next one needs a verifier of its own."""
        with self._lock:
            if self.pending is not None and self.pending.state == pending.state:
                self.pending = None
            self.logins += 1
        self._unconfirmed = self._refused = None

    def _named(self, grant: Grant, told: Told) -> Grant:
        """The grant with the name by which the gateway knows its owner."""
        who = line(self._whoami().get("username"))
        if not who or who == grant.username:
            return grant
        held = self._credentials.grant(told)  # what whoami may have renewed
        if held is not None and held.refresh_token == grant.refresh_token:
            grant = held
        named = replace(grant, username=who)
        self._credentials.keep((named,), told)
        return named

    # What stays in this kernel

    def only_in_memory(self, server: str) -> None:
        """What this auth server grants is never stored: it lives no longer than the kernel."""
        self._credentials.only_in_memory(server)

    def leave(self, server: str) -> None:
        """This auth server is gone, and what it granted with it."""
        self._credentials.leave(server)

    # Logging out, and being asked

    def log_out(self, *, everywhere: bool = False, told: Told = SILENT) -> str:
        """Revoke and remove this auth server's login, or every one; the line that says so."""
        forgotten = self._credentials.forget(everywhere=everywhere, told=told)
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
        if failed is not None and everywhere:
            return f"Removed every login here; not every one is revoked. {failed.what}"
        if failed is not None:
            return f"Removed the login here; at Globus it lasts until it expires. {failed.what}"
        return "Logged out: the login is revoked and removed."

    def status(self, told: Told = SILENT) -> LoginStatus:
        """Who is logged in, from where, until when; asks the gateway who that is."""
        try:
            bearer = self._credentials.current(told)
        except AlcfError as error:
            known = isinstance(error, LoginExpired | NotLoggedIn)
            said = f"no: {error}" if known else f"not known: {error}"
            return LoginStatus((("logged in", said), *self._places()))
        grant = bearer.grant
        first, last = self._asked(grant)
        rows = () if grant is None else _validity(grant)
        return LoginStatus((first, ("token from", bearer.source), *rows, last, *self._places()))

    def _asked(self, grant: Grant | None) -> tuple[tuple[str, str], tuple[str, str]]:
        """Who is logged in, and what else the gateway says to that."""
        try:
            who = self._whoami()
        except AlcfError as error:
            if isinstance(error, LoginExpired):
                self.note_refusal(error)
            known = _who(grant) if grant else "with a token"
            return ("logged in", known), ("the gateway says", str(error))
        name = line(who.get("username")) or line(who.get("name")) or "yes"
        return ("logged in", name), ("identity provider", line(who.get("idp_name")) or "not known")

    def _places(self) -> tuple[tuple[str, str], ...]:
        settings, credentials = self._settings(), self._credentials
        alone = credentials.in_memory_only or credentials.file.no_place
        stored = "in this kernel only" if alone else str(credentials.file.path)
        return (
            ("stored", stored),
            ("gateway", settings.gateway_url),
            ("Globus Auth", settings.globus_auth_url),
        )


def _unless_stored(reason: str) -> str:
    return f" Not stored: {reason}." if reason else ""


def _validity(grant: Grant) -> tuple[tuple[str, str], ...]:
    since = grant.issued_at_seconds
    last = moment(since + REFRESH_DAYS * 86400) if since else "six months after its use"
    return (
        ("token until", f"{moment(grant.expires_at_seconds)}, then renewed"),
        ("renewable until", last if grant.refresh_token else "not renewable"),
    )


def _who(grant: Grant) -> str:
    return grant.username or line(grant.identity_id) or "somebody"


def _who_and_until(grant: Grant) -> str:
    until = moment(grant.expires_at_seconds)
    renewed = ", renewed by itself" if grant.refresh_token else ""
    return f"as {_who(grant)} (token until {until}{renewed})."
