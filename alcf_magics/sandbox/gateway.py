"""The sandbox's gateway: the routes of the ALCF inference gateway, answered as recorded."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from . import clusters as catalog
from . import envelopes, faults, responder, streaming
from .batches import Batches
from .clusters import Cluster, Model
from .door import Door
from .envelopes import DONE, JSON, Refused, reply
from .loads import TIMED_OUT, JobsCache, Loads, not_live, not_ready
from .scenarios import FOR_EVER, Scenario
from .settings import Settings
from .upstream import Upstream, Upstreams
from .validation import BATCH_PLACE, PLACE, Loc, validate, validate_batch
from .vectors import embed

BODY_LIMIT = 2_621_440  # bytes: 2.5 MiB
UPSTREAM_URL = "http://upstream.invalid/v1/chat/completions"
KNOWN_ROUTES = ("chat/completions", "completions", "embeddings", "responses", "messages")


class Gateway:
    """The gateway as an ASGI application. `on_disconnect` is called when a client leaves in the
    middle of a stream."""

    def __init__(
        self,
        settings: Settings,
        door: Door,
        clusters: tuple[Cluster, ...],
        upstreams: Upstreams,
        on_disconnect: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._door = door
        self._clusters = clusters
        self._upstreams = upstreams
        self._on_disconnect = on_disconnect
        self._since = time.time()
        self._loads = Loads(settings, self._since)
        self._jobs_cache = JobsCache(settings)
        self._batches = Batches(settings, self._batch_line)
        self._app = self._routes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = Headers(scope=scope).get("x-alcf-session-id", "")
        answer: Callable[[Scope, Receive, Send], Awaitable[None]] = self._app
        if self._scenario.html:
            answer = envelopes.page(502, envelopes.BAD_GATEWAY_PAGE)
        elif len(session) > 128 or not all("!" <= character <= "~" for character in session):
            text = "X-ALCF-Session-ID must contain at most 128 visible ASCII bytes"
            answer = Response(json.dumps({"detail": text}), 400, media_type="application/json")
        await answer(scope, receive, send)

    @property
    def _scenario(self) -> Scenario:
        return self._settings.behaviour

    def _routes(self) -> Starlette:
        root = "/resource_server"
        app = Starlette(
            routes=[
                Route(f"{root}/health", self._health),
                Route(f"{root}/status", self._status),
                Route(f"{root}/whoami", self._whoami),
                Route(f"{root}/list-endpoints", self._list_endpoints),
                Route(f"{root}/v1/batches", self._list_batches),
                Route(f"{root}/v1/batches/{{batch}}", self._batch_status),
                Route(f"{root}/v1/batches/{{batch}}/result", self._batch_result),
                Route(
                    f"{root}/{{cluster}}/{{framework}}/v1/batches", self._batch, methods=["POST"]
                ),
                Route(f"{root}/{{cluster}}/jobs", self._jobs),
                Route(f"{root}/{{cluster}}/models", self._models),
                *(
                    Route(
                        f"{root}/{{cluster}}/{{framework}}/v1/{route}",
                        self._prompt(route),
                        methods=["POST"],
                    )
                    for route in KNOWN_ROUTES
                ),
            ],
            exception_handlers={
                Refused: _refused,
                HTTPException: _no_route,
                Exception: _internal_error,
            },
        )
        # The gateway has no such redirect: a trailing slash is a 404.
        app.router.redirect_slashes = False
        return app

    def _cluster(self, name: str) -> Cluster:
        found = next((cluster for cluster in self._clusters if cluster.name == name), None)
        if found is None:
            text = f"The requested cluster '{name}' does not exist."
            raise Refused(envelopes.error(404, "cluster_not_found", text))
        return self._loads.now(found) if self._is_first(found) else found

    def _is_first(self, cluster: Cluster) -> bool:
        return cluster.name == self._clusters[0].name

    def _is_last(self, cluster: Cluster) -> bool:
        return cluster.name == self._clusters[-1].name

    def _check_group(self, cluster: Cluster) -> None:
        if self._scenario.restricted and self._is_last(cluster):
            text = "Permission denied due to Globus Group restrictions."
            raise Refused(envelopes.unauthorized(text))

    def _check_status_page(self, cluster: Cluster) -> None:
        """A direct endpoint needs its status page for jobs and for prompts."""
        if self._scenario.jobs == "unreadable" and self._is_last(cluster):
            url = f"http://upstream.invalid/status/{cluster.name}"
            text = (
                f"Unexpected error calling '{url}': Server error '500 Internal Server Error' for "
                f"url '{url}'\nFor more information check: "
                "https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/500"
            )
            raise Refused(envelopes.error(500, "failed_to_get_cluster_jobs", text))

    async def _health(self, request: Request) -> Response:
        return reply({"status": "ok"})

    async def _status(self, request: Request) -> Response:
        down = self._scenario.maintenance
        return reply({c.name: not (down and self._is_first(c)) for c in self._clusters})

    async def _whoami(self, request: Request) -> Response:
        identity = self._door.admit(request).identity
        return reply(
            {
                "id": identity.sub,
                "name": identity.name,
                "username": identity.username,
                "user_group_uuids": [],
                "idp_id": "0dcf5063-bffd-40f7-b403-24f97e32fa47",
                "idp_name": identity.idp,
                "auth_service": "globus",
            }
        )

    async def _list_endpoints(self, request: Request) -> Response:
        self._door.admit(request)
        return reply(catalog.list_endpoints(self._clusters))

    async def _jobs(self, request: Request) -> Response:
        self._door.admit(request)
        cluster = self._cluster(request.path_params["cluster"])
        self._check_group(cluster)
        if self._scenario.jobs == "unreadable" and cluster.kind == "compute":
            if self._is_last(cluster):
                text = f"Error: Endpoint {cluster.name}/jobs is offline."
                raise Refused(envelopes.error(500, "internal_endpoint_error", text))
        else:
            self._check_status_page(cluster)
        return self._jobs_cache.reply(cluster.name, lambda: self._jobs_of(cluster))

    def _jobs_of(self, cluster: Cluster) -> JSON:
        if self._is_first(cluster) and self._scenario.maintenance:
            return catalog.maintenance_jobs(cluster)
        if self._is_first(cluster) and self._scenario.jobs == "empty":
            return catalog.no_jobs(cluster)
        return catalog.jobs(cluster, self._since)

    async def _models(self, request: Request) -> Response:
        self._door.admit(request)
        cluster = self._cluster(request.path_params["cluster"])
        wanted = request.query_params.get("model_id")
        models = cluster.models
        if wanted is not None:
            found = cluster.model(wanted)
            if found is None:
                text = f"{wanted} model not found on cluster {cluster.name}."
                raise Refused(envelopes.error(404, "endpoint_not_found", text))
            models = (found,)
        return reply(catalog.list_models(cluster, models))

    async def _batch(self, request: Request) -> Response:
        token = self._door.admit(request)
        body, refusal = validate_batch(_read(await request.body(), BATCH_PLACE))
        if refusal is not None:
            raise Refused(refusal)
        cluster, model = self._target(request, "batches", body["model"])
        return reply(self._batches.submit(token.identity.sub, cluster, model, body))

    async def _list_batches(self, request: Request) -> Response:
        owner = self._door.admit(request).identity.sub
        return reply(self._batches.listed(owner, request.query_params.get("status")))

    async def _batch_status(self, request: Request) -> Response:
        owner = self._door.admit(request).identity.sub
        return reply(self._batches.status(owner, request.path_params["batch"]))

    async def _batch_result(self, request: Request) -> Response:
        owner = self._door.admit(request).identity.sub
        return reply(self._batches.result(owner, request.path_params["batch"]))

    async def _batch_line(
        self, url: str, body: JSON, cluster: Cluster, model: Model
    ) -> tuple[int, JSON]:
        """The answer to a line of a batch, which goes past the gateway to a model server."""
        route = url.removeprefix("/v1/")
        if route not in ("chat/completions", "embeddings"):
            text = f"URL {url} was used. Supported endpoints: /v1/chat/completions, /v1/embeddings"
            return 400, envelopes.error_body(400, "BadRequestError", text)
        complaint = responder.complaint(route, model, body, self._settings)
        if complaint is not None:
            return 400, json.loads(complaint)
        if route == "embeddings":
            return 200, embed(body, model)
        upstream = self._upstreams.of(model.name)
        if upstream is not None and self._settings.answer is None:
            return await upstream.line({**body, "model": model.name}, model.name)
        answer = responder.compose(body, model, cluster, self._settings)
        return 200, answer.completion(route, measured=False, finished=True)

    def _prompt(self, route: str) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            self._door.admit(request)
            body = _read(await request.body())
            if route in ("responses", "messages"):  # known to the gateway, offered by no cluster
                self._target(request, route, str(body.get("model")))
            body, refusal = validate(self._settings.validator, route, body)
            if refusal is not None:
                raise Refused(refusal)
            cluster, model = self._target(request, route, body["model"])
            return self._answer(route, body, cluster, model)

        return endpoint

    def _target(self, request: Request, route: str, name: str) -> tuple[Cluster, Model]:
        """The cluster and model of a prompt, after the checks in the order of the gateway."""
        cluster = self._cluster(request.path_params["cluster"])
        if self._scenario.maintenance and self._is_first(cluster):
            text = f"Cluster {cluster.name} is under maintenance until Monday 5 pm CT."
            raise Refused(envelopes.error(503, "cluster_under_maintenance", text))
        framework = request.path_params["framework"]
        if framework != cluster.framework:
            text = f"framework {framework} not available on cluster {cluster.name}."
            raise Refused(envelopes.error(400, "unsupported_framework", text))
        if route != "batches" and route not in cluster.routes:  # that is for the model to say
            text = f"'{route}' not available on cluster '{cluster.name}'"
            raise Refused(envelopes.error(400, "unsupported_endpoint", text))
        model = cluster.model(name)
        if model is None:
            text = f"The requested endpoint '{cluster.endpoint(name)}' does not exist."
            raise Refused(envelopes.error(404, "endpoint_not_found", text))
        self._check_group(cluster)
        if cluster.kind == "direct":
            self._check_status_page(cluster)
        return cluster, model

    def _answer(self, route: str, body: JSON, cluster: Cluster, model: Model) -> Response:
        stream = body.get("stream") is True
        may_fail = self._is_first(cluster) or not self._scenario.fails_on_first
        if may_fail and self._settings.fails():
            return faults.failure(self._scenario.fault, cluster, model, stream)
        if not model.live:
            return self._not_live(route, body, cluster, model)
        complaint = responder.complaint(route, model, body, self._settings)
        if complaint is not None:
            return self._failure(cluster, model, 400, complaint, stream)
        if route == "embeddings":
            return reply(embed(body, model))
        scripted = self._settings.answer is not None or self._scenario.stream != "whole"
        upstream = self._upstreams.of(model.name)
        if upstream is not None and route == "chat/completions" and not scripted:
            return self._forward(upstream, body, cluster, model, stream)
        answer = responder.compose(body, model, cluster, self._settings)
        if stream:
            return self._stream(route, body, cluster, answer)
        return self._complete(route, body, cluster, model, answer)

    def _not_live(self, route: str, body: JSON, cluster: Cluster, model: Model) -> Response:
        if cluster.kind == "direct":
            return not_live(cluster, model).response()
        if not self._loads.wake(cluster, model):
            return not_ready(cluster, model).response()
        silence = self._settings.cold_seconds
        if body.get("stream") is True:
            events = [envelopes.event(envelopes.STREAMING_TIMEOUT), DONE]
            return self._events(streaming.bursts(events, self._settings, silence=silence))
        left = self._loads.left(cluster, model)

        async def at_last() -> Response:
            await asyncio.sleep(silence if left == math.inf else left)
            if left == math.inf:
                return TIMED_OUT.response()
            return self._answer(route, body, cluster, replace(model, state="running"))

        return streaming.LateResponse(at_last)

    def _failure(
        self, cluster: Cluster, model: Model, status: int, body: bytes, stream: bool
    ) -> Response:
        if not stream:
            return envelopes.endpoint_error(cluster.kind, status, body).response()
        failed = envelopes.endpoint_error_event(cluster.kind, model.name, UPSTREAM_URL, body)
        return self._events(streaming.bursts([failed, DONE], self._settings))

    def _forward(
        self, upstream: Upstream, body: JSON, cluster: Cluster, model: Model, stream: bool
    ) -> Response:
        outbound = {**body, "model": model.name}
        if stream:
            return self._events(upstream.stream(outbound, cluster, model.name))
        return streaming.LateResponse(lambda: upstream.complete(outbound, cluster, model.name))

    def _stream(
        self, route: str, body: JSON, cluster: Cluster, answer: responder.Answer
    ) -> Response:
        options = body.get("stream_options")
        usage = isinstance(options, dict) and options.get("include_usage") is True
        opening, middle = answer.opening(route), answer.middle(route)
        half = opening + middle[: max(1, len(middle) // 2)]
        reason = json.dumps(envelopes.ENGINE_FAILURE).encode()
        failed = envelopes.endpoint_error_event(cluster.kind, answer.model, UPSTREAM_URL, reason)
        events = {
            "whole": [*opening, *middle, *answer.closing(route, usage)],
            "cut": half,
            "stalled": half,
            "unfinished": [*half, DONE],
            "error": [*half, failed, DONE],
            "error_first": [failed, DONE],
        }[self._scenario.stream]
        return self._events(
            streaming.bursts(
                events,
                self._settings,
                silence=max(self._settings.first_token_seconds, self._scenario.first_token_seconds),
                cut=self._scenario.stream == "cut",
                pause=FOR_EVER if self._scenario.stream == "stalled" else 0.0,
            )
        )

    def _complete(
        self, route: str, body: JSON, cluster: Cluster, model: Model, answer: responder.Answer
    ) -> Response:
        if self._scenario.stream in ("error", "error_first"):
            reason = json.dumps(envelopes.ENGINE_FAILURE).encode()
            return self._failure(cluster, model, 500, reason, False)
        whole = reply(
            answer.completion(
                route,
                measured=cluster.kind == "compute",
                finished=self._scenario.stream != "unfinished",
            )
        )
        if self._scenario.stream == "cut":
            return streaming.CutResponse(whole.body, headers=dict(whole.headers))
        silence = self._scenario.first_token_seconds

        async def late() -> Response:
            await asyncio.sleep(silence)
            return whole

        return streaming.LateResponse(late) if silence else whole

    def _events(self, bursts: AsyncIterator[str]) -> Response:
        return streaming.EventStream(bursts, self._on_disconnect)


def _read(raw: bytes, loc: Loc = PLACE) -> JSON:
    """The body of a prompt, or the refusals of the framework under the gateway."""
    if len(raw) > BODY_LIMIT:
        raise Refused(envelopes.internal_error())
    place = {"loc": list(loc)}
    if not raw:
        missing = {"type": "missing", **place, "msg": "Field required"}
        raise Refused(envelopes.detail(422, [missing]))
    try:
        body = json.loads(raw)
    except ValueError:
        raise Refused(envelopes.detail(400, "Cannot parse request body")) from None
    if not isinstance(body, dict):
        wrong = {"type": "dict_type", **place, "msg": "Input should be a valid dictionary"}
        raise Refused(envelopes.detail(422, [wrong]))
    return body


async def _refused(request: Request, reason: Exception) -> Response:
    return reason.refusal.response() if isinstance(reason, Refused) else _unexpected()


async def _no_route(request: Request, reason: Exception) -> Response:
    if isinstance(reason, HTTPException) and reason.status_code == 405:
        return envelopes.page(405, "Method not allowed")
    return envelopes.page(404, envelopes.NOT_FOUND_PAGE)


async def _internal_error(request: Request, reason: Exception) -> Response:
    return _unexpected()


def _unexpected() -> Response:
    return envelopes.internal_error().response()
