"""A grant: what one login allows at one resource server. Pure: no files, no network."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import LOG_IN_AGAIN, LoginFailed
from ..settings import GATEWAY_RESOURCE_SERVER, PRODUCTION_GLOBUS_AUTH
from ..text import line
from .hidden import Hidden, HiddenBytes, Secret, parsed, token_in

#: Refresh this many seconds before a token expires: longer than any prompt takes to be accepted,
#: and more than a clock is usually wrong by.
REFRESH_MARGIN = 300
#: Seconds since 1970 beyond which a moment is none (a date in milliseconds, or rubbish).
_LATEST = 1e11


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

    @property
    def margin(self) -> float:
        """Seconds before the end at which to refresh: less for a token that lives for minutes."""
        if not self.issued_at_seconds:
            return REFRESH_MARGIN
        return min(REFRESH_MARGIN, max(0, self.expires_at_seconds - self.issued_at_seconds) / 2)

    def fresh(self, now: float, margin: float | None = None) -> bool:
        """Whether the access token lives for another `margin` seconds (None: its own margin)."""
        return self.expires_at_seconds - (self.margin if margin is None else margin) > now

    def is_of_another_person(self, other: Grant) -> bool:
        """Whether two grants belong to two people, as far as they say whose they are."""
        return bool(
            self.identity_id and other.identity_id and self.identity_id != other.identity_id
        )

    def refreshed(self, answer: Hidden, now: float) -> Grant:
        """This grant after a refresh; what the answer leaves out stays as it was."""
        new = grants_from_answer(answer, now=now, auth_server=self.auth_server)
        match = [grant for grant in new if grant.resource_server == self.resource_server]
        if not match:
            raise LoginFailed(
                "Globus refreshed the login without a grant for the inference gateway.",
                LOG_IN_AGAIN,
            )
        return replace(
            match[0],
            identity_id=match[0].identity_id or self.identity_id,
            # RFC 6749, 5.1: an answer without a scope means the scope that was asked for.
            scope=match[0].scope or self.scope,
            refresh_token=match[0].refresh_token or self.refresh_token,
            username=self.username,
            extra=self.extra,
        )


def grants_from_answer(answer: Hidden, *, now: float, auth_server: str) -> tuple[Grant, ...]:
    """Every grant in a token answer: the top level is one, `other_tokens` holds the rest.

    The identity comes from the id_token, whose signature need not be checked when it arrives
    from the token endpoint over TLS (OpenID Connect Core, 3.1.3.7). Parts that are no grant are
    left out. Raises LoginFailed when there is none at all.
    """
    claims = _claims(answer)
    others = answer.get("other_tokens")
    parts = [answer, *(others if isinstance(others, list) else [])]
    grants = tuple(
        grant
        for part in parts
        if (grant := _granted(part, claims, now=now, auth_server=auth_server)) is not None
    )
    if not grants:
        raise LoginFailed("Globus answered without any token.", "Try again: %alcf_login")
    return grants


def _granted(
    part: object, claims: Mapping[str, Any], *, now: float, auth_server: str
) -> Grant | None:
    """The grant in one part of a token answer, if it is one."""
    if not isinstance(part, Mapping) or not isinstance(part.get("resource_server"), str):
        return None
    try:
        access, refresh = token_in(part, "access_token"), token_in(part, "refresh_token")
    except ValueError:
        return None
    if access is None:
        return None
    return Grant(
        resource_server=part["resource_server"],
        identity_id=str(claims.get("sub") or ""),
        scope=str(part.get("scope") or ""),
        access_token=access,
        refresh_token=refresh,
        # The SDK refuses a file with a float here.
        expires_at_seconds=int(now + _lifetime(part.get("expires_in"))),
        token_type=str(part.get("token_type") or "Bearer"),
        auth_server=auth_server,
        username=line(claims.get("preferred_username") or claims.get("email")),
        issued_at_seconds=int(now),
    )


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


def moment(value: object) -> int:
    """Whole seconds since 1970. Raises ValueError or TypeError for what is no such moment."""
    seconds = float(value)  # type: ignore[arg-type]  # anything else is a TypeError
    if not abs(seconds) < _LATEST:  # not a number is no moment, either
        raise ValueError("no moment")
    return int(seconds)


def _claims(answer: Hidden) -> Mapping[str, Any]:
    """The payload of the id_token (a JSON Web Token), or nothing when it cannot be read."""
    if not isinstance(answer.get("id_token"), str) or answer["id_token"].count(".") != 2:
        return {}
    try:
        claims = parsed(HiddenBytes(_payload(Secret(answer["id_token"]))))
    except (ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}


def _payload(id_token: Secret) -> bytes:
    # Surplus padding is ignored, missing padding is not.
    return base64.urlsafe_b64decode(id_token.reveal().split(".")[1] + "===")
