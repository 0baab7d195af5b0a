"""Proxies as the environment names them, and hosts that go without. Pure, but for reading it.

No part of a proxy's user name or password is ever shown: what cannot be read is not repeated.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

SCHEMES = ("http", "https", "socks5", "socks5h")

_HOST = re.compile(r"[\w.:-]+")
_BRACKETS = re.compile(r"^\[([^]]*)\]$")


@dataclass(frozen=True)
class Proxy:
    """An address of a proxy that could be read. Its user and password are in no repr."""

    scheme: str
    host: str
    port: int | None
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        """Host and port, for a person."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Its address without the user."""
        return f"{self.scheme}://{self.address}"

    @classmethod
    def parsed(cls, text: str) -> Proxy:
        """Raises ValueError with what is wrong, in words that hold nothing of the text."""
        if not text.isprintable():
            raise ValueError("holds a line break or another character that no address has")
        scheme, _, rest = (text if "://" in text else f"http://{text}").partition("://")
        authority = re.split("[/?#]", rest, maxsplit=1)[0]
        if "@" in rest[len(authority) :]:
            raise ValueError(
                "cannot be read: percent-encode the password (# is %23, / is %2F, ? is %3F)"
            )
        if scheme.casefold() not in SCHEMES:
            raise ValueError(f"is no address that begins with {'://, '.join(SCHEMES)}://")
        userinfo, _, address = authority.rpartition("@")
        host, port = _host_and_port(address)
        if not host:
            raise ValueError("is no address of a proxy")
        user, _, password = userinfo.partition(":")
        return cls(scheme.casefold(), host, port, unquote(user), unquote(password))


def _host_and_port(address: str) -> tuple[str, int | None]:
    """Both, or no host where it is no address."""
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "", None
    return (host, port) if _HOST.fullmatch(host) else ("", None)


def proxy_for(scheme: str) -> tuple[str, str]:
    """The variable that names the proxy for a scheme, and its value; two empty texts for none."""
    found = getproxies()  # on some systems from the system's own settings
    for name in (scheme, "all"):
        if value := found.get(name, "").strip():
            variable = f"{name}_proxy"
            names = [one for one in (variable, variable.upper()) if os.environ.get(one)]
            return (names or ["the system's proxy"])[0], value
    return "", ""


def without_proxy() -> str:
    """What NO_PROXY says."""
    return getproxies().get("no", "")


def goes_without(host: str, port: int | None, entries: str) -> bool:
    """Whether one of the entries of NO_PROXY means this host."""
    return any(_means(entry, host.casefold(), port) for entry in _split(entries))


def unread(entries: str) -> list[str]:
    """The entries of NO_PROXY that mean nothing."""
    return [entry for entry in _split(entries) if not _is_read(entry)]


def _split(entries: str) -> Iterable[str]:
    return [entry.casefold() for entry in re.split(r"[\s,]+", entries) if entry]


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(_BRACKETS.sub(r"\1", text), strict=False)
    except ValueError:
        return None


def _is_read(entry: str) -> bool:
    if entry == "*" or _network(entry) is not None:
        return True
    host, _ = _host_and_port(entry.rpartition("://")[2].lstrip("*."))
    return bool(host) and "/" not in entry.rpartition("://")[2]


def _means(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    if (network := _network(entry)) is not None:
        address = _network(host)
        return address is not None and address[0] in network
    name, its_port = _host_and_port(entry.rpartition("://")[2].lstrip("*."))
    if not name or its_port not in (None, port):
        return False
    if (network := _network(name)) is not None:  # an address with a port
        return network == _network(host)
    return host == name or host.endswith(f".{name}")
