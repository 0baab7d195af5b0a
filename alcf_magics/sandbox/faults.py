"""Prompts that fail on their way: refusals that clear, and connections that die or keep silent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from . import envelopes
from .clusters import Cluster, Model
from .door import TOO_MANY
from .envelopes import DONE
from .loads import TIMED_OUT, not_ready
from .streaming import EventStream

FAILED = "internal_endpoint_error"
UPSTREAM = "http://upstream.invalid/v1/chat/completions"
Failing = Callable[[Cluster, Model, bool], Response]


def failure(name: str, cluster: Cluster, model: Model, stream: bool) -> Response:
    """How a prompt fails; `name` is one of FAULTS."""
    return FAULTS[name](cluster, model, stream)


class DeadConnection(Response):
    """No answer at all: the connection ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        drop_connections(asyncio.get_running_loop(), tuple(scope["client"]))
        while (await receive())["type"] != "http.disconnect":
            pass


def drop_connections(loop: asyncio.AbstractEventLoop, client: tuple[str, int]) -> None:
    """End the connection of a client."""
    for transport in list(getattr(loop, "_transports", {}).values()):
        if transport.get_extra_info("peername") == client:
            transport.abort()


def _refusal(refusal: envelopes.Refusal) -> Failing:
    return lambda cluster, model, stream: refusal.response()


def _not_ready(cluster: Cluster, model: Model, stream: bool) -> Response:
    return not_ready(cluster, model).response()


def _offline(cluster: Cluster, model: Model, stream: bool) -> Response:
    text = f"Endpoint '{cluster.endpoint(model.name)}' is offline."
    return envelopes.error(503, FAILED, text).response()


def _down(cluster: Cluster, model: Model, stream: bool) -> Response:
    text = f"HTTP error calling API at {UPSTREAM}: All connection attempts failed"
    if not stream:
        return envelopes.error(500, FAILED, text).response()
    text = text.replace("calling API", "calling stream API")
    return EventStream(_once(envelopes.api_error_event(model.name, text) + DONE), lambda: None)


def _dead(cluster: Cluster, model: Model, stream: bool) -> Response:
    return DeadConnection()


async def _once(burst: str) -> AsyncIterator[str]:
    yield burst


def _by_proxy(cluster: Cluster, model: Model, stream: bool) -> Response:
    said = {"error": "Service Unavailable", "message": "Restarting.", "retry_after": 1}
    return Response(json.dumps(said), 503, media_type="application/json")


FAULTS: Mapping[str, Failing] = MappingProxyType(
    {
        "rate": _refusal(TOO_MANY),
        "tokens": _refusal(
            envelopes.error(
                429,
                "too_many_requests",
                "Tokens/minute limit exceeded",
                global_model_usage=131,
                user_model_usage=131,
            )
        ),
        "bad_gateway": lambda *asked: envelopes.page(502, envelopes.BAD_GATEWAY_PAGE),
        "proxy": _by_proxy,
        "not_ready": _not_ready,
        "offline": _offline,
        "timeout": _refusal(
            envelopes.error(504, FAILED, f"Timeout calling {UPSTREAM}.", timeout=120)
        ),
        "no_result": _refusal(TIMED_OUT),
        "down": _down,
        "dead": _dead,
    }
)
