"""What the environment says of the way to an address: which proxy, whose certificates.

Read here, and not by httpx, because one entry that it cannot read ends everything there, with a
message that may hold a piece of a password.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import ssl
import urllib.request
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..errors import GatewayUnreachable
from ..settings import is_loopback
from ..text import line

#: The variables that name certificates, as ssl reads them.
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_SCHEMES = ("http", "https", "socks5", "socks5h")
#: What ends the user's part of an address, and so has to be encoded in a password.
_UNENCODED = frozenset('#/?@[] \t"<>\\^`{|}')


@dataclass(frozen=True)
class Way:
    """How to reach one address. `variable` named the `proxy`; both are empty without one.

    The proxy's address holds its password: it is for httpx alone, and not for any message.
    """

    proxy: str = ""
    variable: str = ""

    def __repr__(self) -> str:
        return f"Way({self.shown})"

    def hidden(self, text: str) -> str:
        """A library's text without the user's part of the proxy's address, encoded or not."""
        user, _, password = self.proxy.rpartition("@")[0].rpartition("://")[2].partition(":")
        for secret in filter(None, (password, unquote(password), user, unquote(user))):
            text = text.replace(secret, "…")
        return text

    @property
    def shown(self) -> str:
        """The proxy as a reader may see it: its host and port."""
        return self.proxy.rpartition("@")[2].rpartition("://")[2].rstrip("/")


def way_to(url: str) -> Way:
    """The way that the environment has for an address; loopback is always reached directly.

    Raises GatewayUnreachable for a proxy that cannot be read, with its variable's name.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or _is_direct(host, parts.port):
        return Way()
    for scheme in (parts.scheme, "all"):
        variable, value = _proxy_of(scheme)
        if value:
            return Way(_checked(variable, value), variable)
    return Way()


def trusted_by(url: str) -> ssl.SSLContext:
    """Whom to trust, as SSL_CERT_FILE and SSL_CERT_DIR have it, or certifi.

    Raises GatewayUnreachable where they name nothing that can be read.
    """
    if is_loopback(urlsplit(url).hostname or ""):
        return _context("", "")
    named = {name: os.environ.get(name, "").strip() for name in CERTIFICATES}
    for name, path in named.items():
        if path and not Path(path).exists():
            raise _broken(f"{name} names {line(path, 200)}, which is not there", name)
    wrong = ""
    try:
        return _context(named["SSL_CERT_FILE"], named["SSL_CERT_DIR"])
    except (ssl.SSLError, OSError) as error:
        wrong = str(error)
    name = next((name for name in CERTIFICATES if named[name]), "SSL_CERT_FILE")
    raise _broken(
        f"{name} names {line(named[name], 200)}, which holds no certificates", name, wrong
    )


def client_options(way: Way, trusted: ssl.SSLContext) -> dict[str, Any]:
    """What an httpx client of one address is made with: it reads no environment of its own."""
    import httpx

    proxy = None
    if way.proxy:
        encrypted = way.proxy.casefold().startswith("https:")
        proxy = httpx.Proxy(way.proxy, ssl_context=trusted if encrypted else None)
    return {"proxy": proxy, "verify": trusted, "trust_env": False}


def fingerprint() -> tuple[str, ...]:
    """Something that changes when a client has to be made anew, as after `%env HTTPS_PROXY=…`."""
    proxies = (f"{name}={value}" for name, value in sorted(urllib.request.getproxies().items()))
    return (*proxies, *(_state(os.environ.get(name, "")) for name in CERTIFICATES))


def _state(path: str) -> str:
    """A path, and when what is there was changed: certificates are appended to a file, too."""
    try:
        return f"{path} {Path(path).stat().st_mtime_ns}" if path else ""
    except (OSError, ValueError):
        return path


def _context(file: str, folder: str) -> ssl.SSLContext:
    return _made(file, folder, _state(file))


@functools.lru_cache(maxsize=4)
def _made(file: str, folder: str, state: str) -> ssl.SSLContext:
    """Made once: reading certificates takes a while."""
    if file or folder:
        return ssl.create_default_context(cafile=file or None, capath=folder or None)
    import httpx

    return httpx.create_ssl_context(trust_env=False)


def _proxy_of(scheme: str) -> tuple[str, str]:
    """The variable that names the proxy of a scheme, and what it says; lower case goes first."""
    name = f"{scheme}_proxy"
    for variable in (name, name.upper()):
        if value := os.environ.get(variable, "").strip():
            return variable, value
    return "the system's settings", urllib.request.getproxies().get(scheme, "")


def _checked(variable: str, value: str) -> str:
    """A proxy's address that httpx can read. What is shown of it is never the user's part."""
    scheme, _, rest = value.partition("://") if "://" in value else ("http", "", value)
    user, at, host = rest.rpartition("@")
    if at and not _UNENCODED.isdisjoint(user):
        what = f"{variable} has a user or a password with a character that an address cannot hold"
        step = f"Percent-encode the password in {variable} (# is %23, @ is %40)"
        raise _broken(what, variable, next_step=step)
    if scheme.casefold() not in _SCHEMES:
        what = f"{variable} is no address of a proxy: it begins with none of {', '.join(_SCHEMES)}"
        raise _broken(what, variable)
    if scheme.casefold().startswith("socks") and find_spec("socksio") is None:
        what = f"{variable} names a SOCKS proxy, for which a package is missing"
        raise _broken(what, variable, next_step="Install it: %pip install 'httpx[socks]'")
    try:
        parts = urlsplit(f"//{host}")
        readable = bool(parts.hostname) and (parts.port or 1) > 0 and host.isprintable()
    except ValueError:
        readable = False
    if not readable or not _UNENCODED.isdisjoint(host.rstrip("/").strip("[]").replace("]:", ":")):
        what = f"{variable} is no address of a proxy: its host or port cannot be read"
        raise _broken(what, variable)
    return f"{scheme}://{user}{at}{host}"


def _broken(what: str, variable: str, detail: str = "", next_step: str = "") -> GatewayUnreachable:
    again = next_step or f"Set it right: %env {variable}=…, or take it away: %env {variable}="
    return GatewayUnreachable(f"No connection can be made: {what}.", again, detail=detail)


# Which addresses are reached directly


def _is_direct(host: str, port: int | None) -> bool:
    return any(_covers(entry, host, port) for entry in no_proxy_entries())


def no_proxy_entries() -> list[str]:
    """The entries of NO_PROXY as they are written; lower case goes first."""
    value = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return [entry for part in value.split(",") for entry in part.split()]


def unread_entries(url: str) -> list[str]:
    """Those of NO_PROXY that mean nothing, where they might have meant this address."""
    if is_loopback(urlsplit(url).hostname or ""):
        return []
    return [entry for entry in no_proxy_entries() if not _is_read(entry)]


def _is_read(entry: str) -> bool:
    name = entry.rpartition("://")[2]
    with contextlib.suppress(ValueError):
        ipaddress.ip_network(entry.removeprefix("[").removesuffix("]"), strict=False)
        return entry.startswith("[") == entry.endswith("]")
    try:
        parts = urlsplit(f"//{name.lstrip('*.')}")
        return entry == "*" or (bool(parts.hostname) and (parts.port or 1) > 0 and "/" not in name)
    except ValueError:
        return False


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry means a host: *, a name and all below it, an address or a network."""
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    entry = entry.rpartition("://")[2]
    name, _, only = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
    if only and only != str(port):
        return False
    name = name.casefold().lstrip("*.").strip("[]")
    return bool(name) and (host.casefold() == name or host.casefold().endswith(f".{name}"))
