"""Bodies are read up to a limit, never inflated, and never waited for once all has come."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest

from alcf_magics.errors import AlcfError, GatewayError, RequestRefused, StreamBroken
from alcf_magics.gateway import client
from alcf_magics.gateway.chat import ChatRequest
from alcf_magics.gateway.client import Gateway
from alcf_magics.gateway.discovery import Discovery
from alcf_magics.gateway.rate_limit import RateLimit
from support.completions import PLACE

URL = "https://gateway.example/resource_server"
TOKEN = "t0ken-of-mine"


class Body(httpx.AsyncByteStream):
    """A body in pieces, perhaps without an end; `taken` counts its bytes that were read."""

    def __init__(self, pieces: Iterator[bytes], hang: bool = False) -> None:
        self._pieces = pieces
        self._hang = hang
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.taken += len(piece)
            yield piece
        if self._hang:
            await asyncio.sleep(3600)


class Signed(httpx.Auth):
    def auth_flow(self, request: httpx.Request) -> Any:
        request.headers["Authorization"] = f"Bearer {TOKEN}"
        yield request


def answered(
    body: Body, ask: Callable[[Gateway], Awaitable[Any]], status: int = 200, **headers: str
) -> Any:
    """What a client makes of such an answer."""

    async def run() -> Any:
        gateway = Gateway(URL, Signed(), RateLimit(1000))
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        transport = httpx.MockTransport(
            lambda _: httpx.Response(status, headers=names, stream=body)
        )
        gateway._client = httpx.AsyncClient(transport=transport, auth=Signed())
        try:
            return await ask(gateway)
        finally:
            await gateway.aclose()

    return asyncio.run(run())


async def prompt(gateway: Gateway) -> str:
    request = ChatRequest.of(PLACE.name, "hi")
    chunks = [chunk async for chunks in gateway.stream(PLACE, request) for chunk in chunks]
    return "".join(delta.content for chunk in chunks for delta in chunk.deltas)


async def whoami(gateway: Gateway) -> Any:
    return await gateway.whoami()


async def post(gateway: Gateway) -> Any:
    return await gateway.post("red/fw/v1/embeddings", {"input": ["a"]})


async def catalog(gateway: Gateway) -> Any:
    return await Discovery(gateway).catalog()


def endless(piece: bytes) -> Body:
    return Body(piece for _ in itertools.count())


@pytest.mark.parametrize("ask", [prompt, whoami, post, catalog])
@pytest.mark.parametrize("status", [200, 401, 422, 500])
@pytest.mark.parametrize("kind", ["application/json", "text/html", "text/event-stream"])
def test_a_body_without_an_end_is_given_up(
    monkeypatch: pytest.MonkeyPatch, ask: Any, status: int, kind: str
) -> None:
    """Whatever is asked, and whatever the body calls itself, only so much of it is read."""
    monkeypatch.setattr(client, "MAX_BODY", 2**20)
    monkeypatch.setattr("alcf_magics.gateway.stream_reader.MAX_WHOLE", 2**20)
    for piece in (b'{"a": "' + b"x" * 60_000, b"data:\n" * 10_000, b"<p>" * 20_000):
        body = endless(piece)
        with pytest.raises(AlcfError):
            answered(body, ask, status, content_type=kind)
        assert body.taken < 50 * 2**20


@pytest.mark.parametrize("ask", [prompt, whoami, post])
@pytest.mark.parametrize("status", [200, 403, 503])
def test_what_was_not_asked_for_is_not_inflated(ask: Any, status: int) -> None:
    """A small body that would become a large one stays small, and is an error of ours."""
    bomb = gzip.compress(b"x" * 10**7)
    body = Body(iter([bomb]))
    with pytest.raises(AlcfError) as caught:
        answered(body, ask, status, content_encoding="gzip", content_type="application/json")
    assert len(caught.value.detail) < 10_000
    assert caught.value.status == status


def test_a_large_refusal_keeps_its_class() -> None:
    """A 422 that lists a thousand fields is a refused request, not a gateway that failed."""
    problem = {"type": "extra_forbidden", "loc": ["body", "x"], "msg": "Extra inputs " * 10}
    content = json.dumps({"detail": [problem] * 500}).encode()
    assert len(content) > 72_000
    with pytest.raises(RequestRefused) as caught:
        answered(Body(iter([content])), prompt, 422, content_type="application/json")
    assert len(str(caught.value)) < 600


def test_a_complete_answer_is_not_waited_for() -> None:
    """A server that neither says [DONE] nor closes keeps nobody waiting."""
    last = {"choices": [{"index": 0, "delta": {"content": "ab"}, "finish_reason": "stop"}]}
    body = Body(iter([b"data: " + json.dumps(last).encode() + b"\n\n"]), hang=True)
    begun = time.monotonic()
    assert answered(body, prompt, content_type="text/event-stream") == "ab"
    assert time.monotonic() - begun < 30


ECHOES = [
    {"object": "error", "message": f"bad header Bearer {TOKEN}", "code": 400},
    {"error": {"message": f"bad header Bearer {TOKEN}"}},
    {"error": f"bad header Bearer {TOKEN}", "message": TOKEN},
    {"id": "chatcmpl-api-error", "choices": [{"delta": {"content": f"[ERROR] Bearer {TOKEN}"}}]},
    {"detail": f"bad header Bearer {TOKEN}"},
]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("ask", [prompt, whoami])
@pytest.mark.parametrize("status", [200, 400, 401, 403, 500])
def test_an_echoed_token_is_not_shown(echo: object, ask: Any, status: int) -> None:
    """Whoever repeats the bearer, on whatever path, it reads as (token)."""
    content, shown = json.dumps(echo).encode(), []
    for body in (content, b"data: " + content + b"\n\n", b"no JSON: " + TOKEN.encode()):
        try:
            answered(Body(iter([body])), ask, status, content_type="application/json")
        except AlcfError as error:
            shown.append(f"{error} {error.what} {error.detail} {error!r} {error.args}")
    assert shown
    assert not [text for text in shown if TOKEN in text]


def test_an_error_says_all_that_was_said() -> None:
    """`.detail` has the outside's own words in full, clean, and without the token."""
    said = "Engine \x1b[31mcore\x00 died \u202e" + "because " * 100 + TOKEN
    with pytest.raises((GatewayError, StreamBroken)) as caught:
        answered(Body(iter([json.dumps({"error": {"message": said}}).encode()])), prompt, 500)
    assert caught.value.detail.count("because") == 100
    for hostile in ("\x1b", "\x00", "\u202e", TOKEN):
        assert hostile not in caught.value.detail + str(caught.value)
