"""Builders of what Globus answers, and of the grants in it."""

from __future__ import annotations

import base64
import json

from alcf_magics.auth.grants import Grant
from alcf_magics.auth.hidden import Secret
from alcf_magics.settings import GATEWAY_RESOURCE_SERVER, GATEWAY_SCOPE


def id_token(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.x"


def answer(**changes: object) -> dict[str, object]:
    """A token answer whose top level is a foreign grant, as Globus may send it."""
    return {
        "access_token": "other-token",
        "resource_server": "auth.globus.org",
        "scope": "openid",
        "expires_in": 172800,
        "token_type": "Bearer",
        "id_token": id_token(sub="alice-id", preferred_username="alice@anl.gov"),
        "other_tokens": [
            {
                "access_token": "gateway-token",
                "refresh_token": "gateway-refresh",
                "resource_server": GATEWAY_RESOURCE_SERVER,
                "scope": GATEWAY_SCOPE,
                "expires_in": 172800,
                "token_type": "Bearer",
            }
        ],
    } | changes


def grant(**changes: object) -> Grant:
    values = {
        "resource_server": GATEWAY_RESOURCE_SERVER,
        "identity_id": "alice-id",
        "scope": GATEWAY_SCOPE,
        "access_token": Secret("old-token"),
        "refresh_token": Secret("old-refresh"),
        "expires_at_seconds": 0,
    } | changes
    return Grant(**values)  # type: ignore[arg-type]
