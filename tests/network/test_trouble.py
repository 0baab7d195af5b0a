"""What kept a request from being answered, in one line."""

from __future__ import annotations

import socket
import ssl

import httpx
import pytest

from alcf_magics.network.environment import Way
from alcf_magics.network.trouble import is_trust, trouble_of

PROXY = Way("http://jdoe:pa55@proxy.example:3128", "HTTPS_PROXY")


def verification(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    return error


def behind(cause: BaseException) -> httpx.ConnectError:
    """An error of httpx as it comes: with what the system said somewhere behind it."""
    middle = OSError("All connection attempts failed")
    middle.__cause__ = ExceptionGroup("several", [cause]) if isinstance(cause, Exception) else cause
    error = httpx.ConnectError("no")
    error.__cause__ = middle
    return error


@pytest.mark.parametrize(
    ("cause", "why", "step"),
    [
        (socket.gaierror(-2, "Name or service not known"), "name is not known", "Check the net"),
        (ConnectionRefusedError(111, "refused"), "nothing answers there", "Check the network"),
        (verification(20), "nobody who is trusted", "SSL_CERT_FILE"),
        (verification(19), "nobody who is trusted", "SSL_CERT_FILE"),
        (verification(10), "out of date", "SSL_CERT_FILE"),
        (verification(62), "somebody else's", "SSL_CERT_FILE"),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "no encrypted connection", "Check the network"),
        (ValueError("odd"), "ConnectError", "Check the network"),
    ],
)
@pytest.mark.parametrize("way", [Way(), PROXY])
def test_each_cause_has_its_words(cause: Exception, why: str, step: str, way: Way) -> None:
    """Directly or through a proxy, which is named without its password."""
    said = trouble_of(behind(cause), way)
    assert why in said[0]
    assert step in said[1]
    assert "pa55" not in " ".join(said)
    if way.proxy and "SSL_CERT_FILE" not in step:
        assert "through the proxy proxy.example:3128 of HTTPS_PROXY" in said[0]
    assert is_trust(behind(cause)) == isinstance(cause, ssl.SSLError)


@pytest.mark.parametrize(
    ("status", "why", "step"),
    [
        ("407 Proxy Authentication Required", "wants a name and a password", "NAME:PASSWORD"),
        ("403 Forbidden", "refused with status 403", "NO_PROXY"),
        ("502 no", "refused with status 502", "NO_PROXY"),
        ("", "refused", "NO_PROXY"),
    ],
)
def test_a_proxy_that_refuses_is_named(status: str, why: str, step: str) -> None:
    """With its status, its variable, and what to do."""
    said = trouble_of(httpx.ProxyError(status), PROXY)
    assert f"the proxy proxy.example:3128 of HTTPS_PROXY {why}" in said[0]
    assert step in said[1]
    assert "pa55" not in " ".join(said)


def test_causes_in_a_circle_end() -> None:
    """Whatever holds itself as its cause."""
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert trouble_of(first, Way())[0] == "ValueError"


@pytest.fixture
def closed() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def test_a_real_refusal_is_told_as_one(closed: str) -> None:
    """What httpx really raises has the system's error behind it."""
    with pytest.raises(httpx.ConnectError) as caught:
        httpx.get(closed, trust_env=False)
    assert trouble_of(caught.value, Way())[0] == "nothing answers there"
