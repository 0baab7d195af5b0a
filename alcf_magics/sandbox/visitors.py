"""Lets in who comes from this machine: no page of somebody else's, and no name that leads here."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

REFUSED = "This sandbox answers its own machine alone.\n"


class LocalVisitors:
    """An app that answers requests to and from loopback; others are refused with status 403."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_local(Headers(scope=scope)):
            await PlainTextResponse(REFUSED, 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_local(headers: Headers) -> bool:
    """Host says what was asked for, Origin whose page asks; a client that is no page has none."""
    hosts = [f"//{host}" for host in headers.getlist("host")]
    return all(_is_loopback(address) for address in [*hosts, *headers.getlist("origin")])


def _is_loopback(address: str) -> bool:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
