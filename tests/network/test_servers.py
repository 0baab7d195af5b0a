"""Real servers and proxies that refuse: one line each, alike for the gateway and for Globus."""

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
from alcf_magics.errors import AlcfError, GatewayUnreachable
from alcf_magics.gateway.client import Gateway
from alcf_magics.gateway.retries import Policy
from alcf_magics.network.environment import Way, fingerprint, trusted_by, unread_entries
from alcf_magics.network.trouble import trouble_of
from alcf_magics.runtime import Runtime
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
        policy = Policy(address_seconds=0, fault_seconds=0)
        gateway = Gateway(server, httpx.Auth(), policy=lambda: policy)
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


@both
@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("407 Proxy Authentication Required", "wants a name and a password"),
        ("403 Forbidden", "refused with status 403"),
        ("502 of jdoe:s3:cret s3%3acret", "refused with status 502"),
    ],
)
def test_a_proxys_refusal_names_the_proxy_and_its_variable(
    said_by: Ask, monkeypatch: pytest.MonkeyPatch, status: str, said: str
) -> None:
    """What it says is in the detail, without who asked."""
    with refusing_proxy(status) as proxy:
        monkeypatch.setenv("https_proxy", f"http://jdoe:s3%3acret@{proxy}")
        error = said_by(SERVER)
    assert f"the proxy {proxy} of https_proxy {said}" in error.what
    assert status[:3] in error.detail
    for secret in ("jdoe", "s3:cret", "s3%3acret"):
        assert secret not in f"{error} {error.detail}"


@both
def test_unknown_hosts_and_refused_ports_are_two_lines(said_by: Ask) -> None:
    """The library's text is in the detail."""
    unknown, refused = said_by(SERVER), said_by("https://127.0.0.1:9")
    assert "its name is not known here" in unknown.what
    assert "nothing answers there" in refused.what
    assert unknown.detail
    assert refused.detail


@both
@pytest.mark.parametrize(
    ("address", "days", "trusted", "said"),
    [
        ("127.0.0.1", 1, False, "signed by nobody who is trusted here"),
        ("127.0.0.1", -1, True, "out of date"),
        ("127.0.0.2", 1, True, "somebody else's"),
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
    if trusted:  # which a loopback address alone would not be
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        context = trusted_by(SERVER)
        for module in ("gateway.client", "auth.globus"):
            monkeypatch.setattr(f"alcf_magics.{module}.trusted_by", lambda url: context)
    with tls_server(pem) as server:
        error = said_by(server)
    assert said in error.what
    assert "CERTIFICATE_VERIFY_FAILED" in error.detail
    assert "CERTIFICATE" not in error.what


def test_too_many_open_files_are_told_as_such() -> None:
    """Nothing is wrong with the network then."""
    error = httpx.ConnectError("no")
    error.__cause__ = OSError(24, "Too many open files")
    assert trouble_of(error, Way())[0] == "too many files are open"


def test_an_entry_of_no_proxy_that_means_nothing_is_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others count, and the request is sent."""
    monkeypatch.setenv("NO_PROXY", "localhost,::1,fd00:1::/32,[::1],10.0.0.0/99,a.example:443")
    told = Told()
    assert of_gateway(SERVER, told).what
    (notice,) = told.notices()
    assert notice.startswith("10.0.0.0/99 in NO_PROXY is no host")
    monkeypatch.setenv("NO_PROXY", "*,.example,*.example,https://a.example,10.0.0.1,[::1]:443")
    assert unread_entries(SERVER) == []
    monkeypatch.setenv("NO_PROXY", "[::1 ::1] b:port fd00::/200")
    assert unread_entries(SERVER) == ["[::1", "::1]", "b:port", "fd00::/200"]


def test_certificates_that_are_changed_in_their_file_count_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The path stays the same when a site's certificate is put in."""
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    before, trusted = fingerprint(), trusted_by(SERVER)
    assert (fingerprint(), trusted_by(SERVER)) == (before, trusted)
    pem.write_bytes(pem.read_bytes() + certificate(tmp_path, "127.0.0.3").read_bytes())
    assert fingerprint() != before
    assert trusted_by(SERVER) is not trusted


@pytest.mark.parametrize("fault", [RuntimeError("can't start new thread"), OSError(24, "Too many")])
def test_no_new_threads_and_no_file_handles_are_one_line(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """The kernel goes on, and so does the loop once there are some again."""

    async def work() -> int:
        return 1

    def refused(*_: object) -> None:
        raise fault

    runtime = Runtime()
    with monkeypatch.context() as patch:
        patch.setattr("alcf_magics.runtime.start_blocking_portal", refused)
        with pytest.raises(AlcfError, match=r"limits are reached .* restart the kernel") as caught:
            runtime.run(work)
        assert "\n" not in str(caught.value)
        if isinstance(fault, RuntimeError):
            patch.setattr(threading.Thread, "start", refused)
            with pytest.raises(GatewayUnreachable, match="can't start new thread"):
                GlobusAuth(SERVER).revoke(Secret("token"))
    assert runtime.run(work) == 1
    runtime.close()
