"""The login flow of Globus Auth: authorize URL with PKCE, exchange, refresh, revoke.

Synchronous on purpose: each call is one small request, made on the thread that needs the answer
(a worker thread when a request on the event loop needs a fresh token).
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

import httpx

from ..errors import GatewayUnreachable, LoginExpired, LoginFailed
from ..settings import CLIENT_ID, GATEWAY_SCOPE, Settings, is_loopback
from .grants import (
    Grant,
    Hidden,
    HiddenBytes,
    Secret,
    gateway_grant,
    grants_from_answer,
    parsed,
)

#: Seconds that a code lives, and so a login that was begun.
PENDING_SECONDS = 600
TIMEOUT = httpx.Timeout(15.0, connect=10.0)

#: OAuth's word for a code or refresh token that is spent (RFC 6749, 5.2).
INVALID_GRANT = "invalid_grant"
#: Where another try may succeed with the very same code or refresh token.
TRY_AGAIN = frozenset({407, 408, 425, 429})

_CODE = re.compile(r"[A-Za-z0-9._~+/=-]+")


@dataclass(frozen=True)
class PendingLogin:
    """A login that was begun: the address to open, and what only this kernel knows of it."""

    authorize_url: str
    auth_server: str
    redirect_uri: str
    state: str
    verifier: Secret
    begun_at: float
    fresh: bool = False

    def alive(self, now: float) -> bool:
        return now - self.begun_at < PENDING_SECONDS

    def renewed(self, settings: Settings) -> PendingLogin:
        """The same login, asking for the session that the settings now want.

        State, verifier and time stay, so that a code from the older address is still good.
        """
        url = _authorize_url(
            settings, self.auth_server, self.redirect_uri, self.state, self.verifier, self.fresh
        )
        return replace(self, authorize_url=url)


def begin_login(settings: Settings, now: float, *, fresh: bool = False) -> PendingLogin:
    """A new verifier and the address that belongs to it; `fresh` asks for the password again."""
    verifier = Secret(secrets.token_urlsafe(64))
    state = secrets.token_urlsafe(16)
    server = settings.globus_auth_url
    redirect_uri = f"{server}/v2/web/auth-code"
    url = _authorize_url(settings, server, redirect_uri, state, verifier, fresh)
    return PendingLogin(url, server, redirect_uri, state, verifier, now, fresh)


def _authorize_url(
    settings: Settings, server: str, redirect_uri: str, state: str, verifier: Secret, fresh: bool
) -> str:
    digest = hashlib.sha256(verifier.reveal().encode("ascii")).digest()
    query = {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "redirect_uri": redirect_uri,
        "scope": f"openid {GATEWAY_SCOPE}",
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii"),
        "code_challenge_method": "S256",
        "access_type": "offline",
    }
    asked = {
        "session_required_policies": settings.session_policies,
        "session_required_single_domain": settings.session_domains,
        "prompt": "login" if fresh else "",
    }
    query.update((name, value) for name, value in asked.items() if value)
    return f"{server}/v2/oauth2/authorize?{urlencode(query)}"


def read_code(typed: str, state: str) -> Secret:
    """The code in what a person pasted: a bare code, `code=…`, or the whole address.

    Raises LoginFailed when there is none, or when the address belongs to another login, as its
    state says (RFC 6749, 10.12).
    """
    text = typed.strip().strip("'\"").strip()
    if not text:
        raise LoginFailed("There is no code.", "Paste the code that Globus shows.")
    if "code=" in text:
        head, *rest = re.split(r"[?#]", text)  # some servers answer in the fragment
        is_address = "://" in head or (bool(head) and bool(rest) and "=" not in head)
        answer = "&".join(rest if is_address else [head, *rest])
        values = parse_qs(answer, keep_blank_values=True)
        code = values.get("code", [""])[0]
        # A shortened address without a state is no danger: the verifier ties the code to us.
        if code and values.get("state", [state]) != [state]:
            raise LoginFailed(
                "This address belongs to another login.", "Open the link shown last, and try again."
            )
        text = code
    if not _CODE.fullmatch(text):
        raise LoginFailed(
            "This is not a code as Globus shows it.", "Copy the code alone, and paste it again."
        )
    return Secret(text)


class GlobusAuth:
    """The token endpoint of one auth server. Its errors are ours; a token is never in them."""

    def __init__(self, server: str, clock: Callable[[], float] = time.time) -> None:
        self.server = server
        self._clock = clock

    def exchange(self, pending: PendingLogin, code: Secret) -> tuple[Grant, ...]:
        """All grants for a code; the gateway's is among them. Raises LoginFailed."""
        status, answer, reason = self._post(
            "token",
            {
                "grant_type": "authorization_code",
                "client_id": CLIENT_ID,
                "code": code,
                "code_verifier": pending.verifier,
                "redirect_uri": pending.redirect_uri,
            },
        )
        if (not 400 <= status < 500 and status != 200) or status in TRY_AGAIN:
            raise GatewayUnreachable(
                f"Globus could not take the code just now (status {status}).",
                "Try again with the same code.",
                status=status,
            )
        if status != 200:
            raise LoginFailed(
                f"Globus did not take the code: {reason}.",
                "A code works once, within ten minutes: open the link again and paste a new one.",
                status=status,
            )
        if answer is None:
            raise _no_json("Try again with the same code.")
        grants = grants_from_answer(answer, now=self._clock(), auth_server=self.server)
        gateway_grant(grants)
        return grants

    def refresh(self, grant: Grant) -> Grant:
        """The grant with a new access token. Raises LoginExpired when it cannot be refreshed.

        The error's `detail` is then OAuth's word for it, INVALID_GRANT for a spent token.
        """
        if grant.refresh_token is None:
            raise LoginExpired("The login has run out.", "Log in again: %alcf_login")
        status, answer, reason = self._post(
            "token",
            {
                "grant_type": "refresh_token",
                "client_id": CLIENT_ID,
                "refresh_token": grant.refresh_token,
            },
        )
        if status == 200:
            if answer is None:
                raise _no_json("Run the cell again; if it stays so: %alcf_login")
            return grant.refreshed(answer, self._clock())
        # Globus answers invalid_grant with 400 or 401: the body decides.
        error = answer.get("error") if answer is not None else None
        if isinstance(error, str) and 400 <= status < 500 and status not in TRY_AGAIN:
            raise LoginExpired(
                "The login has run out: Globus no longer refreshes it (after six months without "
                "use, or because it was revoked)."
                if error == INVALID_GRANT
                else f"Globus refuses to refresh the login ({reason}).",
                "Log in again: %alcf_login",
                status=status,
                detail=INVALID_GRANT if error == INVALID_GRANT else reason,
            )
        raise GatewayUnreachable(
            f"Globus could not refresh the login ({reason}).",
            "Run the cell again; if it stays so: %alcf_login",
            status=status,
        )

    def revoke(self, token: Secret) -> None:
        """Make a token useless. Raises GatewayUnreachable when Globus could not be told."""
        status, _, reason = self._post("token/revoke", {"client_id": CLIENT_ID, "token": token})
        if status != 200:
            raise GatewayUnreachable(
                f"Globus did not revoke the login ({reason}).",
                status=status,
            )

    def _post(self, path: str, form: Mapping[str, str | Secret]) -> tuple[int, Hidden | None, str]:
        """Post a form; the status, the JSON object of the answer if it is one, and its reason.

        On a thread of its own, and waited for in short steps: an interrupt ends the wait at once,
        and no traceback of the waiting thread holds what was sent.
        """
        url = f"{self.server}/v2/oauth2/{path}"
        result: list[httpx.Response | str] = []
        thread = threading.Thread(target=_send, args=(url, form, result), daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(0.05)
        response = result[0] if result else "no answer"
        if isinstance(response, str):
            raise GatewayUnreachable(
                f"Globus at {self.server} cannot be reached ({response}).",
                "Check the network (on a compute node: the proxy), and try again.",
            )
        try:
            answer = parsed(HiddenBytes(response.content))
        except ValueError:
            answer = None
        answer = answer if isinstance(answer, Hidden) else None
        status = response.status_code
        return status, answer, _reason(answer or Hidden(), form) or f"status {status}"


def _send(url: str, form: Mapping[str, str | Secret], result: list[httpx.Response | str]) -> None:
    """Send a form, and put the answer, or in a word why there is none, into `result`."""
    try:
        # Loopback is never reached through a proxy, whatever the environment says.
        loopback = is_loopback(urlsplit(url).hostname)
        with httpx.Client(timeout=TIMEOUT, trust_env=not loopback) as client:
            plain = {k: v.reveal() if isinstance(v, Secret) else v for k, v in form.items()}
            result.append(client.post(url, data=plain))
    except Exception as error:  # whatever proxies, certificates and resolvers come up with
        result.append(type(error).__name__)


def _no_json(next_step: str) -> GatewayUnreachable:
    return GatewayUnreachable(
        "Globus answered with something that is no JSON (a login page of the network, perhaps).",
        next_step,
    )


def _reason(answer: Hidden, form: Mapping[str, str | Secret]) -> str:
    """What the answer says, without what was sent: a server may echo it."""
    said = str(answer.get("error_description") or answer.get("error") or "")
    for secret in form.values():
        if isinstance(secret, Secret) and secret:
            said = said.replace(secret.reveal(), "…").replace(quote_plus(secret.reveal()), "…")
    return " ".join(said.split())[:120].rstrip(".")
