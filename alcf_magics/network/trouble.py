"""Why a server cannot be reached, in words: one line for each kind, and what to type next."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from ..errors import CHECK_NETWORK, AlcfError
from ..text import line
from .proxies import Proxy
from .routes import FILE, Route

CHECK_PROXY = "Check it: %env {variable}"
CHECK_CLOCK = "Check this machine's clock and the network (a proxy may answer in its place)."
TOO_MANY_FILES = "Close what is open (files, connections), or restart the kernel."

#: Why a certificate does not count, by OpenSSL's number.
_CERTIFICATE = {
    9: ("its certificate is not valid yet, by this machine's clock", CHECK_CLOCK),
    10: ("its certificate has expired, by this machine's clock", CHECK_CLOCK),
    62: ("its certificate is for another host", CHECK_CLOCK),
    64: ("its certificate is for another host", CHECK_CLOCK),
}
_ERRNO = {
    errno.ECONNREFUSED: "it refuses connections",
    errno.ENETUNREACH: "there is no network that leads there",
    errno.EHOSTUNREACH: "there is no way to that host",
    errno.ECONNRESET: "the connection was cut",
    errno.EPIPE: "the connection was cut",
    errno.ETIMEDOUT: "it timed out",
}


@dataclass(frozen=True)
class Trouble:
    """What is said of a server that cannot be reached; `detail` is the library's own text."""

    what: str
    next_step: str
    detail: str = ""

    @classmethod
    def of(cls, error: AlcfError) -> Trouble:
        return cls(error.what, error.next_step, error.detail)


def explained(
    error: BaseException, who: str, route: Route, otherwise: str = CHECK_NETWORK
) -> Trouble:
    """The trouble that an error of httpx's tells of. `who` begins the sentence."""
    causes = list(_causes(error))
    detail = line(route.hidden("; ".join(dict.fromkeys(filter(None, map(str, causes))))))
    proxy = route.parsed_proxy()
    for told in (_files, _proxy_refused, _tls, _not_there, _other):
        if said := told(causes, who, route, proxy):
            return Trouble(said[0], said[1] or otherwise, detail)
    raise AssertionError("the last one always says something")


Said = tuple[str, str] | None


def _files(causes: list[BaseException], who: str, route: Route, proxy: Proxy | None) -> Said:
    if any(getattr(one, "errno", None) in (errno.EMFILE, errno.ENFILE) for one in causes):
        return f"{who} cannot be reached: too many files are open.", TOO_MANY_FILES
    return None


def _proxy_refused(
    causes: list[BaseException], who: str, route: Route, proxy: Proxy | None
) -> Said:
    if proxy is None or not isinstance(causes[0], httpx.ProxyError):
        return None
    named = f"The proxy {proxy.address} ({route.variable})"
    why = line(route.hidden(str(causes[0])), 80)
    if why.startswith("407"):
        took = "did not take the user name and password" if proxy.user else "wants a user name"
        return f"{named} {took} (status 407).", f"Set both: {route.set_proxy}"
    return (
        f"{named} refuses to connect to {route.host} ({why}).",
        f"Take another proxy, or none for this host: %env NO_PROXY={route.host}",
    )


def _tls(causes: list[BaseException], who: str, route: Route, proxy: Proxy | None) -> Said:
    failed = next((one for one in causes if isinstance(one, ssl.SSLError)), None)
    if failed is None:
        return None
    if not isinstance(failed, ssl.SSLCertVerificationError):
        reason = (failed.reason or "no reason given").replace("_", " ").lower()
        return f"{who} cannot be reached: TLS failed ({line(reason, 80)}).", ""
    why, step = _CERTIFICATE.get(
        failed.verify_code,
        (
            "its certificate is signed by nobody who is trusted here (an intercepting proxy?)",
            f"Name the file of your site's certificates: %env {FILE}=/path/to/certificates.pem",
        ),
    )
    if route.certificates is not None:
        why += f"; {route.certificates[0]} names who is trusted"
    return f"{who} is not trusted: {why}.", step


def _not_there(causes: list[BaseException], who: str, route: Route, proxy: Proxy | None) -> Said:
    if not isinstance(causes[0], httpx.ConnectError | OSError):
        return None
    if any(isinstance(one, socket.gaierror) for one in causes):
        why = f"no host {proxy.host if proxy else route.host} is known"
    else:
        numbers = [getattr(one, "errno", None) for one in causes]
        why = next((_ERRNO[n] for n in numbers if n in _ERRNO), "no connection can be made")
    if proxy is None:
        return f"{who} cannot be reached: {why}.", ""
    return (
        f"The proxy {proxy.address} ({route.variable}) cannot be reached: {why}.",
        CHECK_PROXY.format(variable=route.variable),
    )


def _other(causes: list[BaseException], who: str, route: Route, proxy: Proxy | None) -> Said:
    kinds = {
        httpx.TimeoutException: "it timed out",
        httpx.RemoteProtocolError: "the connection ended without an answer",
        httpx.NetworkError: "the connection broke off",
        httpx.ProxyError: "the proxy failed",
    }
    first = causes[0]
    why = next((said for kind, said in kinds.items() if isinstance(first, kind)), "")
    return f"{who} cannot be reached: {why or type(first).__name__}.", ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from, outermost first."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += getattr(one, "exceptions", ())
        waiting.append(one.__cause__ or one.__context__)
