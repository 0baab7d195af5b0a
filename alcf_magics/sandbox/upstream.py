"""Forwarding of chats to a real OpenAI-compatible server, such as Ollama, llama.cpp or vLLM."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.responses import Response

from .clusters import REAL_MODEL, Cluster
from .envelopes import (
    DONE,
    HIDDEN_REASON,
    JSON,
    api_error_event,
    endpoint_error,
    error,
    error_body,
    event,
    reply,
)
from .envelopes import endpoint_error_event as error_event

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 5.0


class Upstream:
    """One OpenAI-compatible server at `url` (with or without /v1). `model` names the model to ask
    there; without it the first one of its list is asked, else the name in the request."""

    def __init__(self, url: str, model: str | None = None) -> None:
        base = url.rstrip("/")
        self.base = base if base.endswith("/v1") else f"{base}/v1"
        self.chat = f"{self.base}/chat/completions"
        self._model = model
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Close the client; the next request opens a new one."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def complete(self, body: JSON, cluster: Cluster, model: str) -> Response:
        """The upstream's whole answer, or its error in the style of the cluster."""
        import httpx

        try:
            answer = await self._post(body)
        except httpx.HTTPError as reason:
            return error(500, "internal_endpoint_error", self._trouble(reason)).response()
        if answer.status_code != 200:
            return endpoint_error(cluster.kind, answer.status_code, answer.content).response()
        try:
            completion = answer.json()
        except ValueError:
            return endpoint_error(cluster.kind, 502, answer.content).response()
        if cluster.kind == "compute":
            seconds = answer.elapsed.total_seconds()
            spent = (completion.get("usage") or {}).get("completion_tokens", 0)
            rate = spent / max(seconds, 1e-6)
            completion |= {"response_time": seconds, "throughput_tokens_per_second": rate}
        return reply({**completion, "model": model})

    async def line(self, body: JSON, model: str) -> tuple[int, JSON]:
        """The upstream's status and body for a line of a batch, which no gateway words anew."""
        import httpx

        try:
            answer = await self._post(body)
            said = answer.json()
        except (httpx.HTTPError, ValueError) as reason:
            return 500, error_body(500, "InternalServerError", self._trouble(reason))
        if answer.status_code != 200:
            return answer.status_code, said
        return 200, {**said, "model": model}

    async def _post(self, body: JSON) -> httpx.Response:
        return await self._open().post(self.chat, json=await self._outbound(body))

    def _trouble(self, reason: Exception) -> str:
        return f"HTTP error calling API at {self.chat}: {reason}"

    async def stream(self, body: JSON, cluster: Cluster, model: str) -> AsyncIterator[str]:
        """The upstream's events as they come, with the model's name as it was asked for; its error
        in the style of the cluster. Closing this iterator closes the upstream request."""
        import httpx

        try:
            request = self._open().stream("POST", self.chat, json=await self._outbound(body))
            async with request as answer:
                if answer.status_code != 200:
                    yield error_event(cluster.kind, model, self.chat, await answer.aread()) + DONE
                    return
                async for line in answer.aiter_lines():
                    if line.startswith("data:"):
                        yield _renamed(line[5:].strip(), model)
        except httpx.HTTPError as reason:
            text = f"HTTP error calling stream API at {self.chat}: {reason}"
            failed = event(HIDDEN_REASON)
            yield (api_error_event(model, text) if cluster.kind == "direct" else failed) + DONE

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            import httpx

            self._client = httpx.AsyncClient(
                timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
                # llama.cpp's server ends connections that it promised to keep: a request that is
                # sent on one of them in that moment fails, and cannot safely be sent again.
                limits=httpx.Limits(max_keepalive_connections=0),
                # A proxy of the environment could not reach this machine's own loopback.
                trust_env=not is_loopback(self.base),
            )
        return self._client

    async def _outbound(self, body: JSON) -> JSON:
        if self._model is None:
            self._model = await self._first_model()
        return {**body, "model": self._model} if self._model else body

    async def _first_model(self) -> str:
        import httpx

        try:
            answer = await self._open().get(f"{self.base}/models", timeout=CONNECT_SECONDS)
            return str(answer.json()["data"][0]["id"])
        except (httpx.HTTPError, ValueError, LookupError, TypeError):
            return ""


class Upstreams:
    """Which server answers for which model: the real one has its own, the others share `rest`."""

    def __init__(self, rest: Upstream | None, real: Upstream | None) -> None:
        self._rest = rest
        self._real = real

    def of(self, model: str) -> Upstream | None:
        """The server that answers for a model; None if the text is prepared."""
        return self._real if self._real and model == REAL_MODEL.name else self._rest

    async def close(self) -> None:
        """Close the clients of all."""
        for upstream in (self._rest, self._real):
            if upstream is not None:
                await upstream.close()


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _renamed(data: str, model: str) -> str:
    try:
        chunk = json.loads(data)
    except ValueError:
        return f"data: {data}\n\n"  # [DONE], or something a client must cope with
    if isinstance(chunk, dict) and "model" in chunk:
        chunk["model"] = model
    return event(chunk)
