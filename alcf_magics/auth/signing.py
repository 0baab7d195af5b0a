"""The token on each request to the gateway, and one more try when it had gone stale."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from importlib import import_module
from importlib.util import find_spec

import anyio.to_thread
import httpx

from ..errors import GatewayUnreachable
from ..gateway.refusals import is_stale_token
from ..settings import is_loopback
from ..told import SILENT, Told
from .bearer import Bearer
from .credentials import Credentials
from .refused_body import begun, give_up, inflated


class GatewayAuth(httpx.Auth):
    """Signs requests to the gateway, and once retries one whose token had gone stale.

    For sync and async httpx clients alike. A bearer goes only to the gateway's own host, and
    over plain http only to loopback; anything else raises GatewayUnreachable. Who is told what is
    waited for stands in the request's extension `alcf_told`; else `told` says it.
    """

    def __init__(
        self,
        credentials: Credentials,
        gateway_url: str,
        told: Callable[[], Told] = lambda: SILENT,
    ) -> None:
        self._credentials = credentials
        self._gateway = httpx.URL(gateway_url)
        self._told = told

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        told = self._told_of(request)
        bearer = self._credentials.current(told)
        response = yield self._signed(request, bearer)
        if response.status_code == 401:
            body = begun(response)
            renewed = self._renewed(response, body.look(), bearer, told)
            if renewed is not None:
                give_up(response, body)
                yield self._signed(request, renewed)

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        # Waiting for a lock or for Globus happens in a thread. When the request is cancelled
        # meanwhile, that thread goes on: a refreshed grant is stored, not lost.
        told = self._told_of(request)
        bearer = self._credentials.ready(told)
        if bearer is None:
            bearer = await anyio.to_thread.run_sync(
                self._credentials.current, told, abandon_on_cancel=True
            )
        response = yield self._signed(request, bearer)
        if response.status_code == 401:
            body = begun(response)
            looked_at = await body.alook()
            renewed = await anyio.to_thread.run_sync(
                self._renewed, response, looked_at, bearer, told, abandon_on_cancel=True
            )
            if renewed is not None:
                give_up(response, body)
                yield self._signed(request, renewed)

    def for_every_client(self) -> GatewayAuth:
        """The same for clients of httpx2, too, where that is installed."""
        if find_spec("httpx2") is None:
            return self
        base = import_module("httpx2").Auth  # it takes none of another class
        kind: type[GatewayAuth] = type("GatewayAuth", (GatewayAuth, base), {})
        return kind(self._credentials, str(self._gateway), self._told)

    def _told_of(self, request: httpx.Request) -> Told:
        told = request.extensions.get("alcf_told")
        return told if isinstance(told, Told) else self._told()

    def _renewed(
        self, response: httpx.Response, body: bytes, bearer: Bearer, told: Told
    ) -> Bearer | None:
        newer = self._credentials.newer(bearer, told)
        if newer is not None or not is_stale_token(response.status_code, inflated(body, response)):
            return newer
        return self._credentials.renew(bearer, told)

    def _signed(self, request: httpx.Request, bearer: Bearer) -> httpx.Request:
        here, there = request.url, self._gateway
        if (here.scheme, here.host, here.port) != (there.scheme, there.host, there.port):
            raise GatewayUnreachable(
                f"No token is sent to {here.host}: the gateway is {there.host}.",
                "See %config AlcfMagics.gateway_url",
            )
        if here.scheme != "https" and not is_loopback(here.host):
            raise GatewayUnreachable(f"No token is sent to {here.host} over plain http.")
        request.headers["Authorization"] = f"Bearer {bearer.token.reveal()}"
        request.extensions["alcf_bearer"] = bearer.source
        return request
