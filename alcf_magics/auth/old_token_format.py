"""Token files of alcf_magics 0.1: every auth server's grants in one namespace, marked. Pure.

Each entry named its server in a field of its own, and, because the SDK drops fields that it does
not know, a second time beside the data, under the hash of its refresh token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ..settings import PRODUCTION_GLOBUS_AUTH
from .grants import Grant
from .hidden import Hidden
from .token_format import DEFAULT, entries_in, grant_in, grants_in, is_address, with_grants

#: The key at the top of the file.
SERVERS = "alcf_magics.auth_servers"


def taken_over(content: Hidden) -> Hidden:
    """A file's content with each grant in the namespace of its server.

    Of two logins for one server, the one that lasts longer stays. What is no grant stays where it
    is; a content in today's form is given back as it is.
    """
    entries = entries_in(content, DEFAULT)
    if SERVERS not in content and not any(map(_is_marked, entries.values())):
        return content
    servers = content.get(SERVERS)
    minted_by = servers if isinstance(servers, dict) else {}
    stays, moves = Hidden(), dict[str, list[Grant]]()
    for name, entry in entries.items():
        grant = _grant(name, entry, minted_by)
        if grant is None:
            stays[name] = entry
        elif grant.auth_server == PRODUCTION_GLOBUS_AUTH:
            stays[name] = _unmarked(entry)
        else:
            moves.setdefault(grant.auth_server, []).append(grant)
    whole = Hidden((key, value) for key, value in content.items() if key != SERVERS)
    whole["data"] = Hidden(content.get("data", {}))
    whole["data"][DEFAULT] = stays
    if not stays and entries:
        del whole["data"][DEFAULT]
    for server, grants in moves.items():
        there = grants_in(whole, server).values()
        if _end(grants) >= _end(there):
            whole = with_grants(whole, tuple(grants), login=True)
    return whole


def _is_marked(entry: Any) -> bool:
    return isinstance(entry, dict) and "auth_server" in entry


def _unmarked(entry: Hidden) -> Hidden:
    return Hidden((key, value) for key, value in entry.items() if key != "auth_server")


def _grant(name: str, entry: Any, minted_by: Mapping[str, Any]) -> Grant | None:
    """The grant in an entry of the old form; None for what is none, or is of nowhere."""
    try:
        server = entry.get("auth_server") or _by_hash(entry, minted_by) or PRODUCTION_GLOBUS_AUTH
        return grant_in(name, _unmarked(entry), server) if is_address(server) else None
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None


def _by_hash(entry: Hidden, minted_by: Mapping[str, Any]) -> Any:
    refresh_token = entry.get("refresh_token")
    if not isinstance(refresh_token, str):
        return None
    return minted_by.get(hashlib.sha256(refresh_token.encode("utf-8", "replace")).hexdigest()[:16])


def _end(grants: Any) -> int:
    return max((grant.expires_at_seconds for grant in grants), default=0)
