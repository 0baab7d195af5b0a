"""Format 2.0 of the Globus SDK's token files: entries in namespaces <-> grants. Pure.

`{"data": {<namespace>: {<resource server>: entry}}, "format_version", "globus-sdk.version"}`. The
production auth server's namespace is DEFAULT, which is the SDK's own; any other server's is called
by its address. What others wrote (namespaces, entries, fields) stays as it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from ..settings import PRODUCTION_GLOBUS_AUTH
from ..text import line
from .grants import Grant, moment
from .hidden import Hidden, token_in

FORMAT_VERSION = "2.0"
#: The SDK refuses a file without this key; any version will do.
SDK_VERSION = "4.9.1"
DEFAULT = "DEFAULT"

_FIELDS = frozenset(field.name for field in fields(Grant)) - {"extra"}
#: Fields of a grant that are a text, or are not there.
_TEXTS = ("identity_id", "scope", "token_type", "username")
#: What a file that holds nothing but our grants has at its top.
_OUR_KEYS = frozenset({"globus-sdk.version", "format_version", "data"})


def namespace_of(server: str) -> str:
    """The namespace of an auth server's grants."""
    return DEFAULT if server == PRODUCTION_GLOBUS_AUTH else server


def server_of(namespace: str) -> str | None:
    """The auth server whose grants are in a namespace; None for one of another program's."""
    if namespace == DEFAULT:
        return PRODUCTION_GLOBUS_AUTH
    return namespace if is_address(namespace) else None


def is_address(text: object) -> bool:
    return isinstance(text, str) and text.startswith(("https://", "http://"))


def has_shape(content: Any) -> bool:
    """Whether there are objects where the format has them; single entries may be anything."""
    return (
        isinstance(content, dict)
        and isinstance(content.get("data", {}), dict)
        and isinstance(content.get("data", {}).get(DEFAULT, {}), dict)
    )


def entries_in(content: Hidden, namespace: str) -> Hidden:
    """The entries of a namespace; none where it is none."""
    entries = content.get("data", {}).get(namespace)
    return Hidden(entries) if isinstance(entries, dict) else Hidden()


def grants_in(content: Hidden, server: str) -> dict[str, Grant]:
    """The grants of one auth server, by resource server; entries that are no grant are left out."""
    grants = {}
    for name, entry in entries_in(content, namespace_of(server)).items():
        with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError):
            grants[name] = grant_in(name, entry, server)
    return grants


def servers_in(content: Hidden) -> tuple[str, ...]:
    """The auth servers of which there are grants."""
    servers = filter(None, map(server_of, content.get("data", {})))
    return tuple(server for server in servers if grants_in(content, server))


def with_grants(content: Hidden, grants: tuple[Grant, ...], *, login: bool) -> Hidden:
    """A file's content with these grants of one auth server: of a login or, without, a refresh.

    A login of another person takes the place of that person's in the same namespace; what is not
    known to be anybody's stays.
    """
    namespace = namespace_of(grants[0].auth_server)
    entries = entries_in(content, namespace)
    if login:
        entries = _without(entries, _others_entries(entries, grants))
    for grant in grants:
        entries[grant.resource_server] = _entry(grant, entries.get(grant.resource_server))
    return _with_namespaces(content, {namespace: entries})


def without_servers(content: Hidden, servers: Iterable[str]) -> Hidden:
    """A file's content without the grants of these auth servers; an empty namespace goes, too."""
    left = {
        namespace_of(server): _without(
            entries_in(content, namespace_of(server)), grants_in(content, server)
        )
        for server in servers
    }
    return _with_namespaces(content, left)


def is_empty(content: Hidden) -> bool:
    """Whether nothing is left that somebody may miss."""
    return content.keys() <= _OUR_KEYS and not content.get("data")


def grant_in(name: str, entry: Any, server: str) -> Grant:
    """The grant in an entry; KeyError, TypeError, ValueError or OverflowError if it is none."""
    if not isinstance(entry, dict) or entry["resource_server"] != name:
        raise ValueError("no grant for this resource server")
    if not all(isinstance(entry.get(text), str | None) for text in _TEXTS):
        raise TypeError("a text was expected")
    # An entry that names another server than its namespace must not be sent to this one.
    if entry.get("auth_server", server) != server:
        raise ValueError("a grant of another server")
    access, refresh = token_in(entry, "access_token"), token_in(entry, "refresh_token")
    if access is None:
        raise ValueError("no access token")
    return Grant(
        resource_server=name,
        identity_id=entry.get("identity_id") or "",
        scope=entry.get("scope") or "",
        access_token=access,
        refresh_token=refresh,
        expires_at_seconds=moment(entry["expires_at_seconds"]),
        token_type=entry.get("token_type") or "Bearer",
        auth_server=server,
        username=line(entry.get("username")),
        issued_at_seconds=moment(entry.get("issued_at_seconds") or 0),
        extra=Hidden((key, value) for key, value in entry.items() if key not in _FIELDS),
    )


def _entry(grant: Grant, old: Any) -> Hidden:
    """A grant as the file has it, over what stood there before."""
    entry = Hidden(old if isinstance(old, dict) else {})
    entry.update(grant.extra)
    entry.update(
        resource_server=grant.resource_server,
        identity_id=grant.identity_id,
        scope=grant.scope,
        access_token=grant.access_token.reveal(),
        refresh_token=grant.refresh_token.reveal() if grant.refresh_token else None,
        expires_at_seconds=grant.expires_at_seconds,
        token_type=grant.token_type,
        username=grant.username,
        issued_at_seconds=grant.issued_at_seconds,
    )
    entry.pop("auth_server", None)  # the namespace says it
    return entry


def _without(entries: Hidden, names: Iterable[str]) -> Hidden:
    left_out = frozenset(names)
    return Hidden((name, entry) for name, entry in entries.items() if name not in left_out)


def _others_entries(entries: Hidden, grants: tuple[Grant, ...]) -> set[str]:
    """The entries that a login takes away: another person's, for two of them break the SDK.

    None as long as it is the same person who logs in.
    """
    people = {
        name: entry["identity_id"]
        for name, entry in entries.items()
        if isinstance(entry, dict)
        and isinstance(entry.get("identity_id"), str)
        and entry["identity_id"]
    }
    new = {grant.identity_id for grant in grants if grant.identity_id}
    replaced = {people[g.resource_server] for g in grants if g.resource_server in people}
    changed = replaced - new if replaced else not set(people.values()) & new
    return {name for name, who in people.items() if who not in new} if new and changed else set()


def _with_namespaces(content: Hidden, changed: Mapping[str, Hidden]) -> Hidden:
    """A file's content with these namespaces in place of theirs; one without entries goes."""
    whole = Hidden({"globus-sdk.version": SDK_VERSION})
    whole.update(content)
    whole["format_version"] = FORMAT_VERSION
    namespaces = Hidden(content.get("data", {}))
    namespaces.update(changed)
    whole["data"] = Hidden(
        (name, entries) for name, entries in namespaces.items() if entries or name not in changed
    )
    return whole
