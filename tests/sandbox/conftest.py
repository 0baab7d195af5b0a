"""A running sandbox, a client that is logged in to it, and an upstream."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from alcf_magics.sandbox import Sandbox
from support.sandbox_client import (
    ModelServer,
    gateway,
    served,
)


@pytest.fixture
def running() -> Iterator[Sandbox]:
    with Sandbox(pace=0.001) as sandbox:
        yield sandbox


@pytest.fixture
def client(running: Sandbox) -> Iterator[httpx.Client]:
    running.requests_per_second = 1000
    with gateway(running) as client:
        yield client


@pytest.fixture
def upstream() -> Iterator[str]:
    ModelServer.bodies.clear()
    ModelServer.left.clear()
    with served(ModelServer) as url:
        yield url
