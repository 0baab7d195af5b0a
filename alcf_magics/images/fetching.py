"""An image at an address: fetched here, without any login of ours, and bounded in every way."""

from __future__ import annotations

import ipaddress

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
    url = httpx.URL(address)
    if not url.host:
        raise ValueError(address)
    if _is_link_local(url.host):
        raise _refused(
            address, "is of this machine's link, where clouds keep secrets: it is not read"
        )
    for _ in range(MOST_REDIRECTS + 1):
        async with _client(url) as client, client.stream("GET", url) as response:
            target = response.headers.get("location") if response.is_redirect else None
            if target is None:
                return await _body(response, address)
        target_url = url.join(target)
        if not _may_lead(url, target_url):
            raise _refused(address, f"leads to {shown(str(target_url))}, which is not read")
        url = target_url
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


def _may_lead(source: httpx.URL, target: httpx.URL) -> bool:
    """Whether a redirect is followed: on the web, and not from there into a network of ours."""
    if target.scheme not in ("http", "https") or not target.host:
        return False
    return _is_public(target.host) or not _is_public(source.host)


def _is_link_local(host: str) -> bool:
    number = _number(host)
    return number.is_link_local if number else host == "metadata.google.internal"


def _is_public(host: str) -> bool:
    if number := _number(host):
        return number.is_global
    return host != "localhost" and not host.endswith((".localhost", ".local", ".internal"))


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is written as; None for a name."""
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(number, "ipv4_mapped", None) or number


def _refused(address: str, wrong: str) -> RequestRefused:
    return RequestRefused(f"{shown(address)} {wrong}.", f"Nothing was sent. {_CHECK}")
