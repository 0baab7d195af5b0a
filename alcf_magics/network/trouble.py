"""What kept a request from being answered, in one line, alike for gateway and login. Pure."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator

from ..text import line
from .environment import Way

CHECK_NETWORK = "Check the network (on a compute node: the proxy)."
_CERTIFICATE = "Name the file of its authority: %env SSL_CERT_FILE=…"
_FILES = "Close what is open (files, connections), or restart the kernel."
_STATUS = re.compile(r"\b([45]\d\d)\b")
#: OpenSSL's numbers of a certificate that is not in force.
_OUT_OF_DATE = (9, 10)
_WRONG_HOST = (62, 64)


def trouble_of(error: BaseException, way: Way, check: str = CHECK_NETWORK) -> tuple[str, str]:
    """Why there is no connection, for the middle of a sentence; and what to do next.

    `check` is that where nothing better is known.

    Nothing of what the error says is in it: see `detail_of`.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _certificate(cause), _CERTIFICATE
        if isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE):
            return "too many files are open", _FILES
    if way.proxy and (said := _proxy_said(causes)):
        return said[0].format(proxy=_proxy(way)), said[1].format(variable=way.variable)
    through = f", through the {_proxy(way)}" if way.proxy else ""
    check = f"Check the network and {way.variable}." if way.proxy else check
    for cause in causes:
        for kind, why in _WHYS:
            if isinstance(cause, kind):
                return f"{why}{through}", check
    return f"{type(error).__name__}{through}", check


_WHYS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "its name is not known here"),
    (ssl.SSLError, "no encrypted connection could be agreed on"),
    (ConnectionRefusedError, "nothing answers there"),
    (ConnectionResetError, "the connection was closed"),
    (TimeoutError, "no answer in time"),
)


def detail_of(error: BaseException, way: Way) -> str:
    """What the library and the system say themselves, without the proxy's password."""
    said = dict.fromkeys(str(cause) for cause in _causes(error))
    return line(way.hidden("; ".join(filter(None, said))))


def is_trust(error: BaseException) -> bool:
    """Whether it is about encryption or certificates: another try is of no use."""
    return any(isinstance(cause, ssl.SSLError) for cause in _causes(error))


def _proxy(way: Way) -> str:
    return f"proxy {way.shown} of {way.variable}"


def _proxy_said(causes: list[BaseException]) -> tuple[str, str] | None:
    for cause in causes:
        if type(cause).__name__ == "ProxyError":
            status = _STATUS.search(str(cause))
            if status and status[1] == "407":
                step = "Put both into {variable}, percent-encoded: http://NAME:PASSWORD@HOST:PORT"
                return "the {proxy} wants a name and a password", step
            number = f" with status {status[1]}" if status else ""
            return f"the {{proxy}} refused{number}", "Check {variable}, or NO_PROXY."
    return None


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _OUT_OF_DATE:
        return "its certificate is out of date, or the clock here is"
    if error.verify_code in _WRONG_HOST:
        return "its certificate is somebody else's"
    return "its certificate is signed by nobody who is trusted here (a proxy that reads along?)"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all behind it, each once; of several tries, all."""
    seen: set[int] = set()
    left = [error]
    while left:
        one = left.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        left += one.exceptions if isinstance(one, BaseExceptionGroup) else []
        left += [behind for behind in (one.__cause__, one.__context__) if behind is not None]
