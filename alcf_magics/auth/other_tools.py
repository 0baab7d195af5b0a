"""Access tokens that other tools of ALCF's keep: read while they are valid, never harmed.

A person who logged in with `inference_auth_token.py` or `alcf-tokens` today need not log in
again. Their files are never written, and their refresh tokens, which work only with the client
that minted them, never used. Only for the production gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..settings import CLIENT_ID, GATEWAY_RESOURCE_SERVER
from .grants import Grant
from .places import apps_directory
from .token_reading import sdk_grants


@dataclass(frozen=True)
class Tool:
    """Another tool's name, and where it keeps its tokens under the apps' directory."""

    name: str
    client_id: str
    app: str


TOOLS = (
    Tool("inference_auth_token.py", CLIENT_ID, "inference_app"),
    Tool("alcf-tokens", "7f3e61f5-e0de-4e8f-9150-0a62c65dda63", "alcf_tokens"),
)


def valid_grants(now: float) -> Mapping[str, Grant]:
    """Grants for the gateway whose access token is still good, by the name of their tool."""
    found: dict[str, Grant] = {}
    for tool in TOOLS:
        path = apps_directory() / tool.client_id / tool.app / "tokens.json"
        grant = sdk_grants(path).get(GATEWAY_RESOURCE_SERVER)
        # No margin: it cannot be renewed here, so it is good until it is not.
        if grant is not None and grant.fresh(now, margin=0):
            found[tool.name] = grant
    return found
