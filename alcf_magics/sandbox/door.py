"""The gateway's door: which bearer tokens it lets in, and how often."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable

from starlette.requests import Request

from . import envelopes
from .envelopes import Refusal, Refused
from .scenarios import NOT_ACTIVE
from .settings import Settings
from .tokens import GATEWAY, Token, Tokens

REFUSAL_SECONDS = 60  # the gateway remembers a refused token for this long
TOO_MANY = envelopes.detail(429, "Too many requests.")
REFUSED_TOKENS: dict[str, Callable[[Token], bool]] = {
    "none": lambda token: False,
    "login": lambda token: token.origin == "login",
    "stale": lambda token: not token.fresh,
    "all": lambda token: True,
}
NO_TOKEN = "Error: Missing ('Authorization': 'Bearer <your-access-token>') in request headers."
WRONG_SHAPE = "Auth only allows header type Authorization: Bearer <token>."
WRONG_TYPE = "Something went wrong while reading headers. Authorization type should be Bearer."


class Door:
    """Checks the Authorization header against the minted tokens and the scenario."""

    def __init__(self, settings: Settings, tokens: Tokens) -> None:
        self._settings = settings
        self._tokens = tokens
        self._refused: dict[str, float] = {}
        self._recent: defaultdict[str, deque[float]] = defaultdict(deque)

    def judge(self, authorization: str | None) -> tuple[Token | None, Refusal | None]:
        """The token of an Authorization header, or why the gateway refuses it."""
        if authorization is None:
            return None, envelopes.detail(401, NO_TOKEN)
        parts = authorization.split()
        if len(parts) != 2:
            return None, envelopes.unauthorized(WRONG_SHAPE)
        if parts[0] != "Bearer":
            return None, envelopes.unauthorized(WRONG_TYPE)
        token = self._tokens.find(parts[1])
        if token is None or token.kind != "access" or token.resource_server != GATEWAY:
            return None, self._not_active(parts[1])
        if time.monotonic() >= token.expires:
            return None, envelopes.unauthorized("Access token expired.")
        if not self._tokens.active(token.value):
            return None, self._not_active(token.value)
        if REFUSED_TOKENS[self._settings.behaviour.refuse](token):
            return None, envelopes.unauthorized(self._settings.behaviour.refusal)
        return token, None

    def _not_active(self, value: str) -> Refusal:
        known = time.monotonic() - self._refused.get(value, float("-inf")) < REFUSAL_SECONDS
        return envelopes.unauthorized(f"Token introspection: {NOT_ACTIVE}" if known else NOT_ACTIVE)

    def admit(self, request: Request) -> Token:
        """The token of a request. Refused if there is none that counts, or too many requests."""
        header = request.headers.get("authorization")
        token, refusal = self.judge(header)
        if token is None or refusal is not None:
            self._refused.setdefault((header or "").removeprefix("Bearer "), time.monotonic())
            raise Refused(refusal or envelopes.internal_error())
        recent, now = self._recent[token.identity.sub], time.monotonic()
        while recent and now - recent[0] > 1.0:
            recent.popleft()
        others = self._settings.behaviour.others_per_second
        if len(recent) + others >= self._settings.requests_per_second:
            # No Retry-After: the real gateway usually sends none.
            raise Refused(TOO_MANY)
        recent.append(now)
        return token
