"""Clients that leave, and the sandbox's own life."""

from __future__ import annotations

import ast
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from alcf_magics import sandbox as sandbox_package
from alcf_magics.sandbox import Sandbox
from support.sandbox_client import (
    GPT,
    HELLO,
    bearer,
    chat,
    gateway,
    within,
)


@pytest.mark.clock
@pytest.mark.parametrize(
    ("model", "burst"),
    [(GPT, 3), ("argonne/AuroraGPT-7B", 0)],
    ids=["between bursts", "before the first token"],
)
def test_a_client_that_leaves_is_noticed_at_once(
    running: Sandbox, client: httpx.Client, model: str, burst: int
) -> None:
    """Also while the stream is silent; a stream read to its end is no disconnect."""
    running.answer = ["x"]
    assert chat(client, stream=True).status_code == 200
    assert running.disconnects == []
    running.answer, running.pace, running.cold_seconds, running.burst = None, 30, 30, burst
    body = {"model": model, "messages": HELLO, "stream": True}
    with client.stream("POST", "sophia/vllm/v1/chat/completions", json=body) as answer:
        assert answer.status_code == 200
        if burst:
            assert next(answer.iter_raw()).count(b"data:") == burst
    left = time.monotonic()
    assert within(0.5, lambda: running.disconnects)
    assert running.disconnects[0] - left < 0.1


@pytest.mark.clock
def test_stop_ends_open_streams_threads_and_ports() -> None:
    """It takes less than a second, may be repeated, and the sandbox can start again."""
    before = set(threading.enumerate())
    sandbox = Sandbox(pace=30)
    with pytest.raises(RuntimeError, match="start"):
        _ = sandbox.gateway_url
    sandbox.start()
    body = {"model": GPT, "messages": HELLO, "stream": True}
    url = "sophia/vllm/v1/chat/completions"
    with gateway(sandbox) as client, client.stream("POST", url, json=body) as answer:
        start = time.monotonic()
        sandbox.stop()
        assert time.monotonic() - start < 1
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()
    sandbox.stop()
    assert set(threading.enumerate()) == before
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{sandbox.gateway_url}/health")
    with sandbox, gateway(sandbox) as client:
        assert client.get("whoami").status_code == 200


@pytest.mark.clock
def test_a_kept_connection_answers_without_delay(client: httpx.Client) -> None:
    """No answer waits for the network to join small packets, which takes 40 ms."""
    taken = []
    for _ in range(15):
        start = time.monotonic()
        client.get("health")
        taken.append(time.monotonic() - start)
    assert sorted(taken)[7] < 0.03


def test_requests_are_recorded_without_their_tokens(running: Sandbox) -> None:
    """Bodies are parsed, a bearer is noted but not kept."""
    with gateway(running) as client:
        chat(client, max_tokens=1)
        token = client.headers["authorization"].split()[1]
    httpx.get(f"{running.gateway_url}/whoami", headers=bearer("wrong"))
    httpx.get(f"{running.gateway_url}/status")
    last = running.requests[-3:]
    assert [request.status for request in last] == [200, 401, 200]
    assert [request.authorized for request in last] == [True, False, False]
    assert [request.carried_token for request in last] == [True, True, False]
    assert last[0].path == "/resource_server/sophia/vllm/v1/chat/completions"
    assert last[0].body == {"model": GPT, "messages": HELLO, "max_tokens": 1}
    form = next(request.body for request in running.requests if request.path.endswith("/token"))
    assert form["grant_type"] == "authorization_code"
    assert not [r for r in running.requests if "authorization" in r.headers]
    assert token not in repr(last)


def test_the_identity_of_a_login_can_be_chosen(running: Sandbox) -> None:
    """A login is by the identity of that moment, and stays so."""
    running.identity = replace(running.identity, username="bob@anl.gov", name="Bob <b>")
    with gateway(running) as client:
        running.identity = replace(running.identity, username="carol@anl.gov")
        assert client.get("whoami").json()["username"] == "bob@anl.gov"


def test_unknown_settings_are_refused_by_name(running: Sandbox) -> None:
    """A wrong scenario or validation is a ValueError that lists the right ones."""
    with pytest.raises(ValueError, match="cold_model"):
        running.scenario = "nope"
    assert running.scenario == "default"
    with pytest.raises(ValueError, match="strict"):
        Sandbox(validation="nope")
    with pytest.raises(ValueError, match="127"):
        running.approve("https://auth.globus.org/v2/oauth2/authorize")


def test_the_sandbox_imports_nothing_of_the_package() -> None:
    """It can be understood and moved on its own."""
    for path in Path(str(sandbox_package.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level < 2, path.name
                assert not (node.module or "").startswith("alcf_magics"), path.name
            elif isinstance(node, ast.Import):
                assert not [a for a in node.names if a.name.startswith("alcf_magics")], path.name
