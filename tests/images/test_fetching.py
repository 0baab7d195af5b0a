"""An image at an address: what is fetched, what goes along, and what a hostile server gains."""

from __future__ import annotations

import contextlib
import http.server
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import respx

from alcf_magics.errors import RequestRefused
from alcf_magics.images import fetching
from alcf_magics.images.fetching import fetched
from alcf_magics.images.loading import gathered
from support.images import file

ADDRESS = "https://example.org/plot.png"


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What names stand for; no other one is known, and nobody outside is asked."""
    known: dict[str, str] = {}
    look_up = socket.getaddrinfo

    def found(host: Any, *more: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name in known or name.replace(".", "").isdigit() or ":" in name:
            return look_up(known.get(name, name), *more, **named)
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", found)
    return known


def fetch(address: str = ADDRESS) -> bytes:
    return anyio.run(fetched, address)


def refused(address: str, said: str) -> None:
    with pytest.raises(RequestRefused, match=said) as caught:
        fetch(address)
    assert "Nothing was sent." in str(caught.value)


@respx.mock
def test_an_address_is_fetched_without_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a bearer nor a cookie goes along, and no encoding is asked for."""
    monkeypatch.setenv("ALCF_AI_TOKEN", "secret")
    route = respx.get(ADDRESS).respond(content=file(), headers={"set-cookie": "a=b"})
    assert fetch() == fetch() == file()
    for call in route.calls:
        assert not {"authorization", "cookie"} & set(call.request.headers)
        assert call.request.headers["accept-encoding"] == "identity"


@respx.mock
def test_what_it_is_is_told_by_its_bytes() -> None:
    """A server may call anything an image, and an image anything."""
    respx.get(ADDRESS).respond(content=file("GIF"), content_type="text/html")
    (picture,) = gathered(ADDRESS, fetch)
    assert (picture.name, picture.header.format) == (ADDRESS, "PNG")
    respx.get(ADDRESS).respond(content=b"<html>log in</html>", content_type="image/png")
    with pytest.raises(RequestRefused, match="is a web page, no image"):
        gathered(ADDRESS, fetch)


@respx.mock
def test_redirects_are_followed_and_counted() -> None:
    """A few; not for ever, and not to another kind of address."""
    respx.get(ADDRESS).respond(302, headers={"location": "/2.png"})
    second = respx.get("https://example.org/2.png").respond(content=b"image")
    assert fetch() == b"image"
    second.respond(302, headers={"location": ADDRESS})
    refused(ADDRESS, "leads on more than 5 times")
    second.respond(302, headers={"location": "file:///etc/passwd"})
    refused(ADDRESS, "leads to file:/+etc/passwd, which is not read")


@pytest.mark.parametrize(
    "inside",
    [
        "http://127.0.0.1:8888/api",
        "http://localhost/",
        "http://[::1]/",
        "http://10.0.0.1/",
        "http://printer.local/",
    ],
)
@respx.mock
def test_a_server_on_the_web_leads_nobody_into_the_network_here(inside: str) -> None:
    """What only this machine can reach is asked for by the person alone."""
    route = respx.get(inside).respond(content=file())
    respx.get(ADDRESS).respond(302, headers={"location": inside})
    refused(ADDRESS, "which is not read")
    assert not route.called
    assert fetch(inside) == file()


@pytest.mark.parametrize(
    "inside",
    [
        "http://169.254.169.254/latest",
        "http://[fe80::1]/x.png",
        "http://[::ffff:169.254.169.254]/latest",
        "http://metadata.google.internal/x.png",
    ],
)
@respx.mock
def test_what_clouds_tell_their_machines_is_never_read(inside: str) -> None:
    """Neither for a person who typed it nor for a server that leads there."""
    route = respx.get(inside).respond(content=file())
    respx.get(ADDRESS).respond(302, headers={"location": inside})
    refused(ADDRESS, "which is not read")
    refused(inside, "it is not read")
    assert not route.called


@pytest.mark.parametrize("inside", ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "0.0.0.0"])
@respx.mock
def test_a_name_is_judged_by_what_it_stands_for(names: dict[str, str], inside: str) -> None:
    """A public name of an address in here: for the person who typed it, and nobody who leads."""
    names |= {"rebound.example": inside, "web.example": "93.184.215.14"}
    hidden = respx.get("http://rebound.example/x.png").respond(content=file())
    leads = {"location": "http://rebound.example/x.png"}
    respx.get("https://web.example/x.png").respond(302, headers=leads)
    refused("https://web.example/x.png", "leads to http://rebound.example/x.png, which is not read")
    assert not hidden.called
    assert fetch("http://rebound.example/x.png") == file()


@respx.mock
def test_no_name_leads_to_what_clouds_keep(names: dict[str, str]) -> None:
    """Neither one that was typed nor one that a server in here names."""
    names |= {"cloud.example": "169.254.169.254", "here.example": "10.0.0.1"}
    secret = respx.get("http://cloud.example/latest").respond(content=file())
    refused("http://cloud.example/latest", "it is not read")
    for inside in ("http://cloud.example/latest", "http://169.254.169.254/latest"):
        respx.get("http://here.example/").respond(302, headers={"location": inside})
        refused("http://here.example/", "which is not read")
    assert not secret.called


def test_a_name_that_changes_what_it_stands_for_gains_nothing(
    names: dict[str, str], served: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was public when it was judged, and the one that answers is in here."""
    whole = b"HTTP/1.0 200 OK\r\n\r\n" + file()
    port = httpx.URL(served(lambda wire: wire.write(whole))).port
    names["rebound.example"] = "127.0.0.1"

    async def judged(url: httpx.URL) -> tuple[ipaddress.IPv4Address]:
        return (ipaddress.IPv4Address("93.184.215.14"),)

    assert fetch(f"http://rebound.example:{port}/") == file()
    monkeypatch.setattr(fetching, "_numbers", judged)
    refused(f"http://rebound.example:{port}/", "answered from a network that is not read")


@respx.mock
def test_behind_a_proxy_the_proxy_knows_the_name(
    names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compute nodes may know no name of the web; none is looked up."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    names["example.org"] = "169.254.169.254"
    respx.get(ADDRESS).respond(content=file())
    assert fetch() == file()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"status_code": 404}, r"cannot be fetched \(status 404\)"),
        ({"status_code": 204}, r"cannot be fetched \(status 204\)"),
        ({"status_code": 304}, r"cannot be fetched \(status 304\)"),
        ({"headers": {"content-encoding": "br"}, "content": b"x"}, "an encoding"),
    ],
)
@respx.mock
def test_other_answers_are_said(answer: dict[str, Any], said: str) -> None:
    """With the status."""
    respx.get(ADDRESS).respond(**answer)
    refused(ADDRESS, said)


@respx.mock
def test_an_address_is_shown_without_its_secrets() -> None:
    """Neither who asks nor what a signature says stands in a notebook."""
    respx.get(host="example.org").respond(404)
    with pytest.raises(RequestRefused) as caught:
        fetch("https://me:secret@example.org/plot.png?signature=secret#part")
    assert str(caught.value).startswith("https://example.org/plot.png?… cannot be fetched")
    assert "secret" not in repr(caught.value)


@respx.mock
def test_no_network_is_said() -> None:
    """By the kind of failure; no inside of the library."""
    respx.get(ADDRESS).mock(side_effect=httpx.ConnectError("no route"))
    refused(ADDRESS, r"cannot be fetched \(ConnectError\)")
    refused("http://", "cannot be fetched")


@pytest.fixture
def served() -> Iterator[Callable[[Callable[[Any], None]], str]]:
    """Serves one answer, written by hand, on loopback; gives the address."""
    servers = []

    def serve(write: Callable[[Any], None]) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(OSError):  # whoever asked has left
                    write(self.wfile)

            def log_message(self, *_: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/a.png"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_body_without_an_end_is_left(
    served: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever length it claims."""
    monkeypatch.setattr(fetching, "MOST_BYTES", 2_000_000)

    def write(out: Any) -> None:
        out.write(b"HTTP/1.0 200 OK\r\ncontent-type: image/png\r\n\r\n")
        while True:
            out.write(file() * 100)

    refused(served(write), "has more than 2 MB")


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\nx: "])
def test_a_server_that_drips_is_left(
    served: Callable[..., str], monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    """In its body or in its headers: the time counts as a whole."""
    monkeypatch.setattr(fetching, "MOST_SECONDS", 0.3)

    def write(out: Any) -> None:
        out.write(head)
        for _ in range(100):
            out.write(b"a")
            out.flush()
            time.sleep(0.05)

    refused(served(write), "did not come within 0 s")


def test_a_body_that_is_cut_is_said(served: Callable[..., str]) -> None:
    """It is shorter than its server said."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"
    refused(served(lambda out: out.write(head + b"short")), "cannot be fetched")


def test_an_image_is_fetched_from_a_file_server(served: Callable[..., str], home: Path) -> None:
    """On this machine, whatever proxy the environment names."""
    data = file()
    head = b"HTTP/1.0 200 OK\r\n\r\n"
    assert fetch(served(lambda out: out.write(head + data))) == data
