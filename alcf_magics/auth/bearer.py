"""A token to send, and where it comes from: a grant, the environment, or another tool's file."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..errors import LOG_IN, NotLoggedIn
from ..gateway.refusals import OWN_LOGIN
from ..settings import TOKEN_VARIABLE
from ..showing.times import moment
from . import other_tools
from .grants import Grant
from .hidden import Hidden, Secret, token_in


@dataclass(frozen=True)
class Bearer:
    """A token to send, and where it comes from, in words. `grant` is None for a foreign one."""

    token: Secret
    source: str
    grant: Grant | None = None


def own(grant: Grant) -> Bearer:
    """The bearer that a login of one's own gives."""
    return Bearer(grant.access_token, OWN_LOGIN, grant)


def from_environment() -> Bearer | None:
    """The token in ALCF_AI_TOKEN. Raises NotLoggedIn where something else stands there."""
    typed = Hidden(token=os.environ.get(TOKEN_VARIABLE, "").strip().removeprefix("Bearer ").strip())
    try:
        token = token_in(typed, "token")
    except ValueError:
        raise NotLoggedIn(f"{TOKEN_VARIABLE} holds something that is no token.", LOG_IN) from None
    return Bearer(token, f"the token in {TOKEN_VARIABLE}") if token else None


def from_other_tools(now: float) -> Bearer | None:
    """The token of the first tool of ALCF's whose own login is still good."""
    for tool, grant in other_tools.valid_grants(now).items():
        until = moment(grant.expires_at_seconds)
        return Bearer(grant.access_token, f"the token of {tool}, good until {until}")
    return None
