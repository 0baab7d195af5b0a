"""The authorization request, and what a person brings back from it. Pure.

The request is an address to open: PKCE (RFC 7636), offline access, the gateway's scope, and the
session that ALCF's policy asks for.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlencode

from ..errors import LoginFailed
from ..settings import CLIENT_ID, GATEWAY_SCOPE, Settings
from ..text import line
from .hidden import Secret

#: Seconds that a code lives, and so a login that was begun.
PENDING_SECONDS = 600

_CODE = re.compile(r"[A-Za-z0-9._~+/=-]+")
#: What comes along with a code that was copied out of a mail or a chat.
_QUOTES = "'\"`´<>«»‹›‘’‚‛“”„‟"


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

    Raises LoginFailed when there is none, when Globus gave a reason in its place (RFC 6749,
    4.1.2.1), or when the address belongs to another login, as its state says (10.12).
    """
    text = _bare(typed)
    if not text:
        raise LoginFailed("There is no code.", "Paste the code that Globus shows.")
    answer = _redirected(text)
    if answer:
        # A shortened address without a state is no danger: the verifier ties the code to us.
        if answer.get("state", [state]) != [state]:
            raise LoginFailed(
                "This address belongs to another login.", "Open the link shown last, and try again."
            )
        if "code" not in answer:
            raise _refused(answer)
        text = _bare(answer["code"][0])
    if not _CODE.fullmatch(text):
        raise LoginFailed(
            "This is not a code as Globus shows it.", "Copy the code alone, and paste it again."
        )
    return Secret(text)


def _bare(typed: str) -> str:
    """What was typed without what nobody sees (zero-width spaces), and without quotes around it."""
    seen = "".join(c for c in typed if unicodedata.category(c) != "Cf")
    return seen.strip(_QUOTES + " \t\r\n\v\f\xa0\u2007\u202f\u3000")


def _redirected(text: str) -> Mapping[str, Sequence[str]]:
    """The parameters with which Globus sent the browser back; none in a bare code."""
    if "code=" not in text and "error=" not in text:
        return {}
    head, *rest = re.split(r"[?#]", text)  # some servers answer in the fragment
    is_address = "://" in head or (bool(head) and bool(rest) and "=" not in head)
    answer = "&".join(rest if is_address else [head, *rest])
    values = parse_qs(answer, keep_blank_values=True)
    # Of a bare code that ends in such a word nothing is left: it is judged as it stands.
    return values if values.keys() & {"code", "error"} else {}


def _refused(answer: Mapping[str, Sequence[str]]) -> LoginFailed:
    error = line(answer["error"][0], 60) or "no reason given"
    described = line(answer.get("error_description", [""])[0])
    return LoginFailed(
        f"Globus did not let the login through: {described or error}"
        + (f" ({error})" if described else ""),
        "Open the link again, and log in with an account that may use it.",
    )
