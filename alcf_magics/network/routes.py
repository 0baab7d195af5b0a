"""The way to one server, as the environment has it now: its proxy, and whose certificates count.

Read by ourselves, and handed to httpx as values: httpx fails on entries of NO_PROXY that others
take, and repeats pieces of a password in its errors.
"""

from __future__ import annotations

import importlib.util
import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from ..errors import GatewayUnreachable
from ..settings import is_loopback
from ..text import line
from . import proxies

FILE, FOLDER = "SSL_CERT_FILE", "SSL_CERT_DIR"


@dataclass(frozen=True)
class Route:
    """How one server is reached; equal as long as nothing of it has changed.

    `variable` names the proxy, `certificates` the variable, the path and the time of change of
    what is trusted in place of the usual authorities.
    """

    host: str
    variable: str = ""
    proxy: str = field(default="", repr=False)
    unread: tuple[str, ...] = ()
    certificates: tuple[str, str, float] | None = None

    @classmethod
    def to(cls, url: str) -> Route:
        """The way to the server of this address. Raises nothing: what is wrong is said later."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if is_loopback(host):  # never reached through a proxy, whatever the environment says
            return cls(host)
        variable, proxy = proxies.proxy_for(parts.scheme)
        without = proxies.without_proxy() if proxy else ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if proxies.goes_without(host, port, without):
            variable, proxy = "", ""
        return cls(host, variable, proxy, tuple(proxies.unread(without)), _trusted())

    def client_options(self, certificates: ssl.SSLContext | None = None) -> dict[str, Any]:
        """What httpx's clients take. Raises GatewayUnreachable, which names the variable."""
        proxy = self.parsed_proxy()
        return {
            "trust_env": False,
            "verify": certificates or self.context(),
            "proxy": proxy
            and httpx.Proxy(proxy.url, auth=(proxy.user, proxy.password) if proxy.user else None),
        }

    def parsed_proxy(self) -> proxies.Proxy | None:
        """The proxy on the way. Raises GatewayUnreachable for one that cannot be used."""
        wrong = ""
        try:
            proxy = proxies.Proxy.parsed(self.proxy) if self.proxy else None
        except ValueError as error:
            wrong = str(error)
        if wrong:
            raise GatewayUnreachable(
                f"No connection can be made: {self.variable} {wrong}.",
                f"Set it anew: {self.set_proxy}",
            )
        if proxy and proxy.scheme.startswith("socks") and not importlib.util.find_spec("socksio"):
            raise GatewayUnreachable(
                f"No connection can be made: {self.variable} names a SOCKS proxy, for which"
                " the package socksio is missing.",
                "Install it: %pip install 'httpx[socks]'",
            )
        return proxy

    @property
    def set_proxy(self) -> str:
        """What to type for another proxy."""
        variable = self.variable if self.variable.isidentifier() else "HTTPS_PROXY"
        return f"%env {variable}=http://user:password@host:port"

    def context(self) -> ssl.SSLContext:
        """What a server's certificate is checked by. Raises GatewayUnreachable."""
        if self.certificates is None:
            return httpx.create_ssl_context(trust_env=False)
        variable, path, _ = self.certificates
        why, detail = "", ""
        try:
            if variable == FILE and not Path(path).is_file():
                why = "is no file" if Path(path).exists() else "is not there"
            elif variable == FOLDER and not Path(path).is_dir():
                why = "is no folder" if Path(path).exists() else "is not there"
            elif variable == FILE:
                return ssl.create_default_context(cafile=path)
            else:
                return ssl.create_default_context(capath=path)
        except ssl.SSLError as error:
            why, detail = "holds no certificates that can be read", str(error)
        except (OSError, ValueError) as error:
            why, detail = "cannot be read", str(error)
        raise GatewayUnreachable(
            f"No connection can be made: {variable} names {line(path, 120)}, which {why}.",
            f"Name another, or none: %env {variable}=",
            detail=detail,
        )

    def hidden(self, text: str) -> str:
        """A library's text without the proxy's user and password."""
        try:
            proxy = proxies.Proxy.parsed(self.proxy)
        except ValueError:
            return text
        for secret in filter(None, (proxy.password, proxy.user)):
            text = text.replace(secret, "…")
        return text


def _trusted() -> tuple[str, str, float] | None:
    for variable in (FILE, FOLDER):
        if path := os.environ.get(variable, "").strip():
            try:
                return variable, path, Path(path).stat().st_mtime
            except (OSError, ValueError):
                return variable, path, 0.0
    return None
