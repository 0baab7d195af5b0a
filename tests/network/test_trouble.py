"""Servers that cannot be reached: one line each, alike for the gateway and for Globus."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from alcf_magics.auth.globus import GlobusAuth
from alcf_magics.auth.hidden import Secret
from alcf_magics.errors import GatewayUnreachable
from alcf_magics.gateway.client import Gateway
from alcf_magics.gateway.retries import Policy
from alcf_magics.network.routes import Route
from alcf_magics.told import Told
from support.tls import certificate, tls_server

SERVER = "https://gateway.invalid"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")

pytestmark = pytest.mark.usefixtures("plain_environment")


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no certificates of this machine's."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def of_gateway(server: str, told: Told | None = None) -> GatewayUnreachable:
    """What the gateway's client says."""

    async def ask() -> None:
        gateway = Gateway(
            server, httpx.Auth(), policy=lambda: Policy(address_seconds=0, fault_seconds=0)
        )
        try:
            await gateway.get("jobs", told=told or Told())
        finally:
            await gateway.aclose()

    with pytest.raises(GatewayUnreachable) as caught:
        anyio.run(ask)
    return caught.value


def of_globus(server: str) -> GatewayUnreachable:
    """What the login says."""
    with pytest.raises(GatewayUnreachable) as caught:
        GlobusAuth(server).revoke(Secret("token"))
    return caught.value


both = pytest.mark.parametrize("said_by", [of_gateway, of_globus])
Ask = Callable[[str], GatewayUnreachable]


@contextlib.contextmanager
def refusing_proxy(status: str) -> Iterator[str]:
    """Yields host and port of a proxy that answers everything with this status."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        server.close()


# Proxies


@both
def test_a_proxys_password_is_shown_nowhere(said_by: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a piece of it, in no text of the error."""
    monkeypatch.setenv("HTTPS_PROXY", "http://jdoe:Tr0ub#dor@host:1")
    error = said_by(SERVER)
    assert "HTTPS_PROXY" in error.what
    assert "percent-encode the password" in error.what
    for piece in ("jdoe", "Tr0ub", "dor@"):
        assert piece not in f"{error} {error.detail} {error!r} {error.__context__!r}"


@both
@pytest.mark.parametrize(
    ("status", "userinfo", "said"),
    [
        ("407 Proxy Authentication Required", "", "wants a user name"),
        ("407 Proxy Authentication Required", "jdoe:s3cret@", "did not take the user name"),
        ("403 Forbidden", "jdoe:s3cret@", r"refuses to connect to gateway.invalid (403 Forbidden)"),
        ("502 jdoe:s3cret", "jdoe:s3cret@", "refuses to connect"),
    ],
)
def test_a_proxys_refusal_names_the_proxy_and_its_variable(
    said_by: Ask, monkeypatch: pytest.MonkeyPatch, status: str, userinfo: str, said: str
) -> None:
    """With what it said, and without who asked."""
    with refusing_proxy(status) as proxy:
        monkeypatch.setenv("https_proxy", f"http://{userinfo}{proxy}")
        error = said_by(SERVER)
    assert f"The proxy {proxy} (https_proxy) {said}" in error.what
    assert "%env" in error.next_step
    assert status[:3] in error.detail
    assert "s3cret" not in f"{error} {error.detail}"


@both
@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("http://127.0.0.1:9", "The proxy 127.0.0.1:9 (ALL_PROXY) cannot be reached: it refuses"),
        ("http://proxy.invalid:1\n", "no host proxy.invalid is known"),
        ("http://proxy\n.invalid:1", "ALL_PROXY holds a line break"),
        ("gopher://x", "ALL_PROXY is no address"),
    ],
)
def test_a_proxy_that_is_not_there_is_named(
    said_by: Ask, monkeypatch: pytest.MonkeyPatch, proxy: str, said: str
) -> None:
    """And a line end behind its address harms nobody."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    assert said in said_by(SERVER).what


@both
def test_a_socks_proxy_names_its_package(said_by: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no dependency of everybody's."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    error = said_by(SERVER)
    assert "socksio" in error.what
    assert "httpx[socks]" in error.next_step


def test_an_entry_of_no_proxy_that_means_nothing_is_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others count, and the request is sent."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "localhost,::1,fd00:1::/32,[::1],10.0.0.0/99")
    told = Told()
    assert "The proxy 127.0.0.1:9" in of_gateway(SERVER, told).what
    (notice,) = told.notices()
    assert "NO_PROXY: 10.0.0.0/99" in notice
    monkeypatch.setenv("NO_PROXY", "[::1],invalid")
    assert "no host gateway.invalid is known" in of_gateway(SERVER).what


# Hosts and certificates


@both
def test_unknown_hosts_and_refused_ports_are_two_lines(said_by: Ask) -> None:
    """The library's text is in the details."""
    unknown, refused = said_by(SERVER), said_by("https://127.0.0.1:9")
    assert "no host gateway.invalid is known" in unknown.what
    assert "127.0.0.1:9 cannot be reached: it refuses connections" in refused.what
    assert unknown.detail
    assert refused.detail


@both
@pytest.mark.parametrize(
    ("address", "days", "trusted", "said"),
    [
        ("127.0.0.1", 1, False, "signed by nobody who is trusted here"),
        ("127.0.0.1", -1, True, "has expired"),
        ("127.0.0.2", 1, True, "is for another host"),
    ],
)
def test_a_certificate_that_does_not_count_says_why(
    said_by: Ask,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    address: str,
    days: int,
    trusted: bool,
    said: str,
) -> None:
    """Authority, time and name."""
    pem = certificate(tmp_path, address, days=days)
    if trusted:
        trust = Route("127.0.0.1", certificates=("SSL_CERT_FILE", str(pem), 0.0))
        monkeypatch.setattr(Route, "to", lambda url: trust)
    with tls_server(pem) as server:
        error = said_by(server)
    assert said in error.what
    assert "CERTIFICATE_VERIFY_FAILED" in error.detail
    assert "CERTIFICATE" not in error.what


@both
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_gone_or_none_name_the_variable(
    said_by: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    """Missing, of the other kind, or holding something else."""
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    other = tmp_path if variable == "SSL_CERT_FILE" else text
    for path in (tmp_path / "nowhere", other):
        monkeypatch.setenv(variable, str(path))
        error = said_by(SERVER)
        assert f"{variable} names {path}, which is n" in error.what
        assert f"%env {variable}=" in error.next_step
    if variable == "SSL_CERT_FILE":
        monkeypatch.setenv(variable, str(text))
        assert "holds no certificates" in said_by(SERVER).what


def test_what_changes_in_the_environment_changes_the_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And nothing else does."""
    plain = Route.to(SERVER)
    assert plain == Route.to(SERVER)
    monkeypatch.setenv("HTTPS_PROXY", "http://jdoe:s3cret@proxy:1")
    assert plain != Route.to(SERVER)
    assert "s3cret" not in repr(Route.to(SERVER))
    monkeypatch.delenv("HTTPS_PROXY")
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    assert plain != Route.to(SERVER)
    assert Route.to("http://127.0.0.1:1") == Route("127.0.0.1")
    monkeypatch.delenv("SSL_CERT_FILE")
    assert plain == Route.to(SERVER)
