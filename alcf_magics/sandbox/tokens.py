"""Tokens the sandbox's Globus Auth has minted, and which of them still count."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

GATEWAY = "681c10cc-f684-4540-bcd7-0b4df3bc26ef"
GATEWAY_SCOPE = f"https://auth.globus.org/scopes/{GATEWAY}/action_all"
AUTH = "auth.globus.org"
GROUPS = "groups.api.globus.org"
GROUPS_SCOPE = "urn:globus:auth:scope:groups.api.globus.org:view_my_groups_and_memberships"


@dataclass(frozen=True)
class Identity:
    """Who logs in. `sub` is the Globus identity id (a UUID), `idp` the identity provider's name."""

    sub: str = "5f0f6a3e-2f5b-4a55-9c3c-9d8e4f1c7a10"
    username: str = "alice@anl.gov"
    name: str = "Alice Sandbox"
    idp: str = "Argonne National Laboratory"


@dataclass(frozen=True)
class Token:
    """A minted token. `kind` is "access" or "refresh", `origin` "login" or "refresh".

    `fresh` says that the login carried prompt=login; `expires` is in monotonic seconds.
    """

    value: str
    kind: str
    resource_server: str
    scope: str
    client_id: str
    identity: Identity
    origin: str
    fresh: bool
    expires: float
    serial: int

    def __repr__(self) -> str:
        return f"<{self.kind} token for {self.resource_server}>"


class Tokens:
    """All tokens of one sandbox. Minted in its server thread, marked as spent from any thread."""

    def __init__(self) -> None:
        self._minted: dict[str, Token] = {}
        self._revoked: set[str] = set()
        # Everything up to this serial number is refused: marking needs no walk over the tokens.
        self._spent = {"access": 0, "refresh": 0}
        self._serial = 0

    def mint(
        self,
        kind: str,
        *,
        resource_server: str,
        scope: str,
        client_id: str,
        identity: Identity,
        origin: str,
        fresh: bool,
        seconds: float = float("inf"),
    ) -> Token:
        """A new token that lives for `seconds`."""
        self._serial += 1
        token = Token(
            value=("Ag" if kind == "access" else "Rg") + secrets.token_urlsafe(36),
            kind=kind,
            resource_server=resource_server,
            scope=scope,
            client_id=client_id,
            identity=identity,
            origin=origin,
            fresh=fresh,
            expires=time.monotonic() + seconds,
            serial=self._serial,
        )
        self._minted[token.value] = token
        return token

    def find(self, value: str) -> Token | None:
        """The token of this value, whether it still counts or not."""
        return self._minted.get(value)

    def active(self, value: str) -> bool:
        """Whether a token is known, not expired, not revoked and not marked as spent."""
        token = self._minted.get(value)
        return (
            token is not None
            and value not in self._revoked
            and token.serial > self._spent[token.kind]
            and time.monotonic() < token.expires
        )

    def revoke(self, value: str) -> None:
        """Revoke one token; an unknown one is no error (RFC 7009)."""
        self._revoked.add(value)

    def spend(self, kind: str) -> None:
        """Refuse every token of this kind that was minted so far."""
        self._spent[kind] = self._serial
