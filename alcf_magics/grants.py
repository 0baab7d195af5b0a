"""A grant: what one login allows at one resource server. Pure: no files, no network."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .errors import LoginFailed
from .settings import GATEWAY_RESOURCE_SERVER, PRODUCTION_GLOBUS_AUTH

#: Refresh this many seconds before a token expires: longer than any prompt takes to be accepted,
#: and more than a clock is usually wrong by.
REFRESH_MARGIN = 300


class Secret:
    """A text that must not be seen: repr, str and format hide it; `reveal()` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


@dataclass(frozen=True)
class Grant:
    """One grant of Globus Auth, in the words of OAuth 2 and of the Globus SDK's token file.

    `expires_at_seconds` is a whole number of seconds since 1970; `identity_id` the `sub` of the
    person; `auth_server` the address that minted the grant, and the only one it is used with;
    `username` who it is and `issued_at_seconds` when the tokens were last renewed, where known.
    `extra` keeps fields that others wrote.
    """

    resource_server: str
    identity_id: str
    scope: str
    access_token: Secret
    refresh_token: Secret | None
    expires_at_seconds: int
    token_type: str = "Bearer"
    auth_server: str = PRODUCTION_GLOBUS_AUTH
    username: str = ""
    issued_at_seconds: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def fresh(self, now: float, margin: float = REFRESH_MARGIN) -> bool:
        """Whether the access token lives for another `margin` seconds."""
        return self.expires_at_seconds - margin > now

    def refreshed(self, answer: Mapping[str, Any], now: float) -> Grant:
        """This grant after a refresh; an answer without a refresh token keeps the old one."""
        new = grants_from_answer(answer, now=now, auth_server=self.auth_server)
        match = [grant for grant in new if grant.resource_server == self.resource_server]
        if not match:
            raise LoginFailed(
                "Globus refreshed the login without a grant for the inference gateway.",
                "Log in again: %alcf_login",
            )
        return replace(
            match[0],
            identity_id=match[0].identity_id or self.identity_id,
            refresh_token=match[0].refresh_token or self.refresh_token,
            username=self.username,
            extra=self.extra,
        )


def grants_from_answer(
    answer: Mapping[str, Any], *, now: float, auth_server: str
) -> tuple[Grant, ...]:
    """Every grant in a token answer: the top level is one, `other_tokens` holds the rest.

    The identity comes from the id_token, whose signature need not be checked when it arrives
    from the token endpoint over TLS (OpenID Connect Core, 3.1.3.7). Parts that are no grant are
    left out. Raises LoginFailed when there is none at all.
    """
    claims = _claims(answer.get("id_token"))
    others = answer.get("other_tokens")
    parts = [answer, *(others if isinstance(others, list) else [])]
    grants = tuple(
        Grant(
            resource_server=part["resource_server"],
            identity_id=str(claims.get("sub") or ""),
            scope=str(part.get("scope") or ""),
            access_token=Secret(part["access_token"]),
            refresh_token=Secret(part["refresh_token"]) if part.get("refresh_token") else None,
            # The SDK refuses a file with a float here.
            expires_at_seconds=int(now + _lifetime(part.get("expires_in"))),
            token_type=str(part.get("token_type") or "Bearer"),
            auth_server=auth_server,
            username=str(claims.get("preferred_username") or claims.get("email") or ""),
            issued_at_seconds=int(now),
        )
        for part in parts
        if isinstance(part, Mapping)
        and isinstance(part.get("access_token"), str)
        and isinstance(part.get("resource_server"), str)
    )
    if not grants:
        raise LoginFailed("Globus answered without any token.", "Try again: %alcf_login")
    return grants


def gateway_grant(grants: tuple[Grant, ...]) -> Grant:
    """The grant whose resource server is the gateway's, wherever it stands; never another one."""
    for grant in grants:
        if grant.resource_server == GATEWAY_RESOURCE_SERVER:
            return grant
    error = LoginFailed(
        "Globus granted nothing for the inference gateway.",
        "Log in with an account that may use it: %alcf_login --force",
    )
    error.another_code = False
    raise error


def _lifetime(value: object) -> float:
    """`expires_in` in seconds; 0 for what is no such number, so that a refresh comes first."""
    try:
        seconds = float(value)  # type: ignore[arg-type]  # anything else is a TypeError
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return seconds if 0 <= seconds < 1e10 else 0.0


def _claims(id_token: object) -> Mapping[str, Any]:
    """The payload of a JSON Web Token, or nothing when it cannot be read."""
    if not isinstance(id_token, str) or id_token.count(".") != 2:
        return {}
    payload = id_token.split(".")[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}
