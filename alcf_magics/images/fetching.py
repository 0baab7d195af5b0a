"""An image at an address: fetched here, without any login of ours, and bounded in every way."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from dataclasses import dataclass, replace

import anyio
import httpx

from ..errors import RequestRefused
from ..network.environment import client_options, trusted_by, way_to
from ..network.quiet import keep_quiet
from .addresses import shown

#: Seconds and bytes that an image may take, and addresses that may stand before it.
MOST_SECONDS = 30.0
MOST_BYTES = 20_000_000
MOST_REDIRECTS = 5
_Number = ipaddress.IPv4Address | ipaddress.IPv6Address
_CHECK = "Check the address, and the network (on a compute node: the proxy)."


async def fetched(address: str) -> bytes:
    """What stands at an http or https address. Raises RequestRefused."""
    try:
        with anyio.fail_after(MOST_SECONDS):
            return await _followed(address)
    except TimeoutError:
        wrong = f"did not come within {MOST_SECONDS:.0f} s"
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        wrong = f"cannot be fetched ({type(error).__name__})"
    raise _refused(address, wrong)


async def _followed(address: str) -> bytes:
    """The body, behind redirects. Each step has a client of its own: no cookie goes along."""
    host = await _Host.of(httpx.URL(address))
    if host.keeps_secrets:
        raise _refused(
            address, "is of this machine's link, where clouds keep secrets: it is not read"
        )
    for _ in range(MOST_REDIRECTS + 1):
        async with _client(host.url) as client, client.stream("GET", host.url) as response:
            if not host.may_lead_to(host.answering(response)):
                raise _refused(address, "was answered from a network that is not read")
            target = response.headers.get("location") if response.is_redirect else None
            if target is None:
                return await _body(response, address)
        next_host = await _Host.of(host.url.join(target), address)
        if not host.may_lead_to(next_host):
            raise _refused(address, f"leads to {shown(str(next_host.url))}, which is not read")
        host = next_host
    raise _refused(address, f"leads on more than {MOST_REDIRECTS} times")


def _client(url: httpx.URL) -> httpx.AsyncClient:
    keep_quiet()
    headers = {"User-Agent": "alcf-magics", "Accept": "image/*", "Accept-Encoding": "identity"}
    options = client_options(way_to(str(url)), trusted_by(str(url)))
    return httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(10.0), **options)


async def _body(response: httpx.Response, address: str) -> bytes:
    if response.status_code != 200:
        raise _refused(address, f"cannot be fetched (status {response.status_code})")
    if response.headers.get("content-encoding", "identity").casefold() != "identity":
        raise _refused(address, "came in an encoding that was not asked for")
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > MOST_BYTES:
            raise _refused(address, f"has more than {MOST_BYTES // 10**6} MB")
    return bytes(body)


@dataclass(frozen=True)
class _Host:
    """Where an address is. A name is judged by the `numbers` that it stands for here, if it is
    known here: behind a proxy it is the proxy that knows it.
    """

    url: httpx.URL
    numbers: tuple[_Number, ...]

    @classmethod
    async def of(cls, url: httpx.URL, first: str = "") -> _Host:
        if url.scheme not in ("http", "https") or not url.host:
            wrong = f"leads to {shown(str(url))}, which is not read"
            raise _refused(first, wrong) if first else ValueError(str(url))
        return cls(url, await _numbers(url))

    @property
    def keeps_secrets(self) -> bool:
        """Whether it is of this machine's link alone, as what clouds tell their machines."""
        return self.url.host == "metadata.google.internal" or any(
            number.is_link_local for number in self.numbers
        )

    @property
    def is_public(self) -> bool:
        """Whether it is on the web, and not in a network of ours."""
        if self.numbers:
            return all(number.is_global for number in self.numbers)
        host = self.url.host
        return host != "localhost" and not host.endswith((".localhost", ".local", ".internal"))

    def may_lead_to(self, other: _Host) -> bool:
        """Whether a redirect is followed: from the web not into a network of ours."""
        return not other.keeps_secrets and (other.is_public or not self.is_public)

    def answering(self, response: httpx.Response) -> _Host:
        """The one that has answered: a name may stand for another number a moment later."""
        stream = response.extensions.get("network_stream")
        peer = stream.get_extra_info("server_addr") if stream and self.numbers else None
        number = _number(peer[0]) if peer else None
        return replace(self, numbers=(number,)) if number else self


async def _numbers(url: httpx.URL) -> tuple[_Number, ...]:
    """The numbers that a host stands for; none where a proxy is asked, or nobody knows it."""
    if number := _number(url.host):
        return (number,)
    if way_to(str(url)).proxy:
        return ()
    with contextlib.suppress(OSError, UnicodeError):
        found = await anyio.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
        return tuple(filter(None, (_number(str(known[-1][0])) for known in found)))
    return ()


def _number(host: str) -> _Number | None:
    """The address that a host is written as; None for a name."""
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(number, "ipv4_mapped", None) or number


def _refused(address: str, wrong: str) -> RequestRefused:
    return RequestRefused(f"{shown(address)} {wrong}.", f"Nothing was sent. {_CHECK}")
