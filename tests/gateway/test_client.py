"""The gateway's client over HTTP: what it sends, how often, and through which proxy."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
import respx

from alcf_magics._session import Session
from alcf_magics.errors import AccessDenied, GatewayError, GatewayUnreachable, StreamBroken
from alcf_magics.gateway.catalog import Catalog
from alcf_magics.gateway.chat import ChatRequest, Message
from alcf_magics.gateway.client import Gateway
from alcf_magics.gateway.discovery import Discovery
from alcf_magics.gateway.models import Model, Status
from alcf_magics.gateway.rate_limit import RateLimit
from alcf_magics.sandbox import Sandbox
from support.proxies import noting_proxy
from support.wire import load

GATEWAY = "https://gateway.example/resource_server"
MODEL = Model(
    "org/Name",
    "red",
    "fw",
    f"{GATEWAY}/red/fw/v1",
    Status.LIVE,
    refuses=frozenset({"chat_template_kwargs"}),
)
REQUEST = ChatRequest("org/Name", (Message("user", "hi"),))


def with_gateway(use: Callable[[Gateway], Any], url: str = GATEWAY) -> Any:
    """Run something with a gateway client, and close it."""

    async def run() -> Any:
        gateway = Gateway(url, httpx.Auth(), RateLimit(100))
        try:
            return await use(gateway)
        finally:
            await gateway.aclose()

    return asyncio.run(run())


async def text_of(gateway: Gateway, model: Model = MODEL, request: ChatRequest = REQUEST) -> str:
    chunks = [chunk async for chunks in gateway.stream(model, request) for chunk in chunks]
    return "".join(delta.content for chunk in chunks for delta in chunk.deltas)


def sse(*events: object) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def chunk(content: str, finish: str | None = None) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}]}


@respx.mock
def test_every_request_names_what_it_belongs_to() -> None:
    """Visible ASCII that says nothing; a chat's own where there is one, else another each time."""
    chat = respx.post(f"{GATEWAY}/red/fw/v1/chat/completions").respond(
        content=sse(chunk("ok", "stop")), content_type="text/event-stream"
    )
    other = respx.post(f"{GATEWAY}/red/fw/v1/embeddings").respond(json={})

    async def ask(gateway: Gateway) -> None:
        for session_id in ("", "", "abc"):
            async for _ in gateway.stream(MODEL, REQUEST, session_id=session_id):
                pass
        await gateway.post("red/fw/v1/embeddings", {})

    with_gateway(ask)
    seen = [call.request.headers["X-ALCF-Session-ID"] for call in [*chat.calls, *other.calls]]
    assert seen[2] == "abc"
    assert len(set(seen)) == 4
    assert all(one.isascii() and one.isalnum() and len(one) <= 128 for one in seen)


@respx.mock
def test_a_request_holds_what_was_set_and_nothing_else() -> None:
    """The body has model, messages, stream, usage, and each option under its own name."""
    route = respx.post(f"{GATEWAY}/red/fw/v1/chat/completions").respond(
        content=sse(chunk("ok", "stop")), content_type="text/event-stream"
    )
    assert with_gateway(text_of) == "ok"
    assert json.loads(route.calls[0].request.content) == {
        "model": "org/Name",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    full = ChatRequest(
        "org/Name",
        REQUEST.messages,
        {
            "temperature": 0.0,
            "max_tokens": 5,
            "reasoning_effort": "low",
            "chat_template_kwargs": {"enable_thinking": False},
        },
    )
    with_gateway(lambda gateway: text_of(gateway, request=full))
    sent = json.loads(route.calls[1].request.content)
    assert (sent["temperature"], sent["max_tokens"], sent["reasoning_effort"]) == (0.0, 5, "low")
    assert "chat_template_kwargs" not in sent


@respx.mock
def test_a_lenient_server_is_data_not_code() -> None:
    """Where the tables say so, and only there, chat_template_kwargs is sent."""
    route = respx.post(f"{GATEWAY}/red/fw/v1/chat/completions").respond(
        content=sse(chunk("ok", "stop")), content_type="text/event-stream"
    )
    lenient = replace(MODEL, refuses=frozenset())
    extra = ChatRequest("org/Name", REQUEST.messages, {"chat_template_kwargs": {"a": 1}})
    with_gateway(lambda gateway: text_of(gateway, lenient, extra))
    assert json.loads(route.calls[0].request.content)["chat_template_kwargs"] == {"a": 1}


@pytest.mark.parametrize(
    ("content", "content_type", "error"),
    [
        (b"<html><title>Login</title></html>", "text/html", GatewayError),
        (b"", "text/event-stream", StreamBroken),
        (b"Internal error", "text/event-stream", StreamBroken),
        (sse(chunk("half")), "text/event-stream", StreamBroken),
        (sse(chunk("half")) + b"data: [DONE]\n\n", "text/event-stream", StreamBroken),
        (b"data: [DONE]\n\n", "text/event-stream", StreamBroken),
        (b"data: " + b"x" * 5_000_000, "text/event-stream", StreamBroken),
        (b"[1, 2]", "application/json", GatewayError),
    ],
)
@respx.mock
def test_a_200_that_is_no_answer_is_an_error(
    content: bytes, content_type: str, error: type[Exception]
) -> None:
    """Status 200 alone is no success: the stream must end well."""
    respx.post(f"{GATEWAY}/red/fw/v1/chat/completions").respond(
        content=content, content_type=content_type
    )
    with pytest.raises(error):
        with_gateway(text_of)


def test_a_model_that_writes_error_is_a_model_that_writes_it() -> None:
    """The gateway's error chunk is told by its id, not by its words."""
    with respx.mock:
        respx.post(f"{GATEWAY}/red/fw/v1/chat/completions").respond(
            content=sse(chunk("\n\n[ERROR] Error: oh no", "stop")),
            content_type="text/event-stream",
        )
        assert with_gateway(text_of) == "\n\n[ERROR] Error: oh no"


@respx.mock
def test_html_instead_of_json_is_one_line() -> None:
    """A login page of the network is told as such."""
    respx.get(f"{GATEWAY}/list-endpoints").respond(html="<html><title>Wifi</title></html>")
    respx.get(f"{GATEWAY}/status").respond(json={})
    with pytest.raises(GatewayError, match="not JSON"):
        with_gateway(lambda gateway: Discovery(gateway).catalog())


@respx.mock
def test_one_clusters_trouble_is_a_note() -> None:
    """Jobs that fail leave their cluster unknown and the others as they are."""
    respx.get(f"{GATEWAY}/status").respond(json=json.loads(load("status").content))
    respx.get(f"{GATEWAY}/list-endpoints").respond(content=load("list_endpoints").content)
    respx.get(f"{GATEWAY}/sophia/jobs").respond(content=load("jobs_sophia").content)
    metis = load("err_jobs_metis_status_down")
    respx.get(f"{GATEWAY}/metis/jobs").respond(metis.status, content=metis.content)
    respx.get(f"{GATEWAY}/minerva/jobs").mock(side_effect=httpx.ConnectError("x"))
    respx.route().respond(404, html="<html></html>")
    catalog: Catalog = with_gateway(lambda gateway: Discovery(gateway).catalog())
    states = {
        cluster: {str(m.status) for m in catalog if m.cluster == cluster}
        for cluster in catalog.clusters
    }
    assert states["metis"] == states["minerva"] == {"unknown"}
    assert "live" in states["sophia"]
    assert [note.split(":")[0] for note in catalog.notes] == [
        "metis",
        "minerva",
        "lab",
        "downcluster",
    ]


def test_an_unreachable_gateway_is_one_line() -> None:
    """A refused connection names the host and the setting to look at."""
    with pytest.raises(GatewayUnreachable, match=r"127\.0\.0\.1:9 cannot be reached.*gateway_url"):
        with_gateway(
            lambda gateway: Discovery(gateway).catalog(), "http://127.0.0.1:9/resource_server"
        )


def test_never_more_than_ten_requests_a_second(sandbox: Sandbox) -> None:
    """Whatever a kernel asks at once, any second sees ten starts at most."""
    session = Session()
    session.choose(gateway_url=sandbox.gateway_url, globus_auth_url=sandbox.globus_auth_url)
    pending = session.account.begin()
    session.account.finish(sandbox.approve(pending.authorize_url), pending)
    for _ in range(2):
        session.catalog(max_age=0)
    session.close()
    times = sorted(r.at for r in sandbox.requests if r.service == "gateway")
    assert len(times) >= 12
    for first, eleventh in zip(times, times[10:], strict=False):
        assert eleventh - first > 1.0


@pytest.mark.clock
def test_the_limit_lets_a_burst_through_at_once() -> None:
    """The first eight do not wait for each other."""

    async def burst() -> list[float]:
        limit, started = RateLimit(8, 0.5), []
        begin = time.monotonic()
        for _ in range(10):
            await limit.turn()
            started.append(time.monotonic() - begin)
        return started

    started = asyncio.run(burst())
    assert started[7] < 0.25
    assert started[8] >= 0.5


def test_the_gateway_goes_through_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """With HTTPS_PROXY set, a request to the gateway asks the proxy for a tunnel."""
    with noting_proxy() as (url, lines):
        monkeypatch.setenv("HTTPS_PROXY", url)
        with pytest.raises(GatewayUnreachable):
            with_gateway(text_of)
    assert lines[0] == "CONNECT gateway.example:443 HTTP/1.1"


def test_loopback_does_not_go_through_a_proxy(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every proxy variable set and NO_PROXY not, a sandbox is reached directly."""
    with noting_proxy() as (url, lines):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, url)
        session = Session()
        session.choose(gateway_url=sandbox.gateway_url, globus_auth_url=sandbox.globus_auth_url)
        pending = session.account.begin()
        assert "Logged in" in session.account.finish(
            sandbox.approve(pending.authorize_url), pending
        )
        assert session.ask("hello").text
        session.close()
    assert lines == []


class ThenBroken(httpx.AsyncByteStream):
    """A body that breaks off after its content."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content
        raise httpx.ReadError("gone")


def test_what_came_just_before_a_break_counts() -> None:
    """An event that lacks nothing but its blank line is read, and may be the answer's end."""
    with respx.mock:
        respx.post(f"{GATEWAY}/red/fw/v1/chat/completions").respond(
            stream=ThenBroken(sse(chunk("whole", "stop"))[:-1]), content_type="text/event-stream"
        )
        assert with_gateway(text_of) == "whole"


@pytest.mark.parametrize("end", [b"data: [DONE]\n\n", b""])
def test_what_breaks_after_the_end_takes_nothing_from_an_answer(end: bytes) -> None:
    """A connection that dies after the finish reason, or after [DONE], harms nobody."""
    content = sse(chunk("whole", "stop")) + end
    with respx.mock:
        respx.post(f"{GATEWAY}/red/fw/v1/chat/completions").respond(
            stream=ThenBroken(content), content_type="text/event-stream"
        )
        assert with_gateway(text_of) == "whole"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("HTTPS_PROXY", "foo://bar"), ("ALL_PROXY", "socks9://x"), ("SSL_CERT_FILE", "/nowhere.pem")],
)
def test_a_broken_environment_is_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """Proxies and certificates that cannot be used are told as what they are."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(GatewayUnreachable, match="No connection can be made"):
        with_gateway(text_of)


def test_a_long_refusal_is_read_in_linear_time() -> None:
    """A message of a hundred thousand characters without a full stop hangs nothing."""
    from alcf_magics.gateway.refusals import error_for

    for filler in ("x ", "' ", "http://a ", "Error: "):
        body = json.dumps({"error": {"message": filler * 100_000}}).encode()
        assert len(str(error_for(500, {}, body))) < 600


def test_a_deeply_nested_answer_is_an_error_of_ours() -> None:
    """JSON that is nested without end raises nothing but our own errors."""
    deep = b"[" * 100_000
    with respx.mock:
        respx.post(f"{GATEWAY}/red/fw/v1/chat/completions").respond(
            content=b"data: " + deep + b"\n\n", content_type="text/event-stream"
        )
        with pytest.raises(StreamBroken):
            with_gateway(text_of)
        respx.get(f"{GATEWAY}/list-endpoints").respond(content=deep)
        respx.get(f"{GATEWAY}/status").respond(500, content=deep)
        with pytest.raises(GatewayError):
            with_gateway(lambda gateway: Discovery(gateway).catalog())


def test_an_interrupt_forgets_no_past_request() -> None:
    """Requests that are cancelled while they wait neither take a place nor give one away."""

    async def starts() -> list[float]:
        limit = RateLimit(8, 0.5)
        begun: list[float] = []

        async def one() -> None:
            await limit.turn()
            begun.append(time.monotonic())

        first = [asyncio.create_task(one()) for _ in range(8)]
        await asyncio.gather(*first)
        for _ in range(3):
            cut = [asyncio.create_task(one()) for _ in range(8)]
            await asyncio.sleep(0.02)
            for task in cut:
                task.cancel()
            await asyncio.gather(*cut, return_exceptions=True)
        await asyncio.gather(*(one() for _ in range(8)))
        return begun

    begun = asyncio.run(starts())
    assert len(begun) == 16
    assert min(late - early for early, late in zip(begun, begun[8:], strict=False)) >= 0.5


@respx.mock
def test_one_hanging_cluster_is_not_waited_for_long() -> None:
    """What the catalog can do without gets a third of the time that the list itself gets."""
    respx.get(f"{GATEWAY}/status").respond(json={})
    listed = respx.get(f"{GATEWAY}/list-endpoints").respond(
        json={"clusters": {"red": {"frameworks": {"fw": {"models": ["m"]}}}}}
    )
    jobs = respx.get(f"{GATEWAY}/red/jobs").mock(side_effect=httpx.ReadTimeout("hangs"))
    described = respx.get(f"{GATEWAY}/red/models").respond(json=[])
    catalog = with_gateway(lambda gateway: Discovery(gateway).catalog())
    assert [m.status for m in catalog] == [Status.UNKNOWN]
    assert "red: states not known" in catalog.notes[0]

    def patience(route: respx.Route) -> float:
        return float(route.calls[0].request.extensions["timeout"]["read"])

    assert patience(jobs) <= patience(listed) / 3
    assert described.called


@respx.mock
def test_a_named_prompt_asks_for_no_descriptions() -> None:
    """The catalog for a prompt that names its model leaves out what only the table shows."""
    respx.get(f"{GATEWAY}/status").respond(json={})
    respx.get(f"{GATEWAY}/list-endpoints").respond(
        json={"clusters": {"red": {"frameworks": {"fw": {"models": ["m"]}}}}}
    )
    respx.get(f"{GATEWAY}/red/jobs").respond(json={"running": [{"Models": "m"}]})
    described = respx.get(f"{GATEWAY}/red/models").respond(json=[])
    catalog = with_gateway(lambda gateway: Discovery(gateway).catalog(described=False))
    assert [m.status for m in catalog] == [Status.LIVE]
    assert not described.called


@pytest.mark.parametrize("begun", [False, True])
def test_a_connection_that_dies_before_an_answer_is_no_broken_stream(begun: bool) -> None:
    """Until the gateway has answered it was unreachable; after that its answer broke off."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if begun:
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            writer.write(head + b"content-length: 999\r\n\r\n")
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def ask() -> str:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            gateway = Gateway(f"http://127.0.0.1:{port}", httpx.Auth(), RateLimit(100))
            model = Model("m", "red", "fw", f"http://127.0.0.1:{port}/red/fw/v1", Status.LIVE)
            try:
                return await text_of(gateway, model)
            finally:
                await gateway.aclose()

    with pytest.raises(StreamBroken if begun else GatewayUnreachable):
        asyncio.run(ask())


@respx.mock
def test_what_repeats_the_token_shows_none() -> None:
    """A proxy that quotes the request in its refusal does not bring the token to the screen."""
    respx.get(f"{GATEWAY}/whoami").respond(403, json={"detail": "denied: Bearer t0ken-of-mine"})

    class Signed(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Any:
            request.headers["Authorization"] = "Bearer t0ken-of-mine"
            yield request

    async def ask() -> None:
        gateway = Gateway(GATEWAY, Signed(), RateLimit(100))
        try:
            await gateway.whoami()
        finally:
            await gateway.aclose()

    with pytest.raises(AccessDenied) as caught:
        asyncio.run(ask())
    assert "t0ken" not in str(caught.value) + caught.value.detail
    assert "denied" in str(caught.value)
