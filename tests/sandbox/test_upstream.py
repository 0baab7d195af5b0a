"""Forwarding to another server."""

from __future__ import annotations

import ast

import pytest

from alcf_magics.sandbox import Sandbox
from support.sandbox_client import (
    GPT,
    ForgetfulModelServer,
    ModelServer,
    chat,
    deltas,
    events,
    gateway,
    recording,
    served,
    within,
)


@pytest.mark.parametrize("suffix", ["", "/", "/v1"])
def test_chats_are_forwarded_to_an_upstream(
    upstream: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upstream's first model is asked, past any proxy, and answers under the asked name."""
    with Sandbox(upstream=upstream + suffix) as sandbox, gateway(sandbox) as client:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        whole = chat(client, temperature=0).json()
        assert (whole["model"], whole["choices"][0]["message"]["content"]) == (GPT, "4")
        assert "response_time" in whole
        found = events(chat(client, "metis/api", stream=True).text)
        assert (found[0]["model"], found[-1]) == ("gpt-oss-120b", "[DONE]")
        sandbox.answer = "scripted"
        assert "".join(deltas(chat(client, stream=True).text)) == "scripted"
    assert [body["model"] for body in ModelServer.bodies] == ["tiny", "tiny"]
    assert ModelServer.bodies[0]["temperature"] == 0


def test_the_upstream_model_can_be_named(upstream: str) -> None:
    """`upstream_model` is asked instead of the first one."""
    with Sandbox(upstream=upstream, upstream_model="other") as sandbox, gateway(sandbox) as client:
        assert chat(client).status_code == 200
    assert [body["model"] for body in ModelServer.bodies] == ["other"]


def test_an_upstream_may_end_connections_that_it_keeps() -> None:
    """Each chat has a connection of its own, and none fails."""
    with (
        served(ForgetfulModelServer) as upstream,
        Sandbox(upstream=upstream) as sandbox,
        gateway(sandbox) as client,
    ):
        for stream in (False, True, False):
            answer = chat(client, stream=stream)
            assert answer.status_code == 200
            assert '"content":"4"' in answer.text.replace(": ", ":")


def test_upstream_errors_have_the_style_of_the_cluster(upstream: str) -> None:
    """Traceback or error object behind Globus Compute, bytes or [ERROR] behind a direct one."""
    with Sandbox(upstream=upstream) as sandbox, gateway(sandbox) as client:
        refuse = [{"role": "user", "content": "refuse"}]
        answer = chat(client, messages=refuse)
        assert answer.status_code == 500
        assert "status code: 400\n Response text: {" in answer.json()["error"]["message"]
        assert events(chat(client, messages=refuse, stream=True).text)[0]["code"] == 400
        hidden = chat(client, messages=[{"role": "user", "content": "refuse newer"}], stream=True)
        assert hidden.text == "".join(c for _, c in recording("up_gc_ctx400new_stream")["chunks"])
        answer = chat(client, "metis/api", messages=refuse)
        assert answer.status_code == 400
        shown = answer.json()["error"]["message"].removeprefix("Upstream endpoint returned 400: ")
        assert len(ast.literal_eval(shown.removesuffix("."))) == 256
        found = events(chat(client, "metis/api", messages=refuse, stream=True).text)
        assert (found[0]["id"], found[1]) == ("chatcmpl-api-error", "[DONE]")


def test_an_upstream_that_is_down_is_an_error() -> None:
    """As recorded for a direct endpoint whose model server does not run."""
    url = "http://127.0.0.1:1"
    with Sandbox(upstream=url, upstream_model="x") as sandbox, gateway(sandbox) as client:
        answer = chat(client, "metis/api")
        expected = recording("up_direct_down")["body_text"].replace("http://upstream.invalid", url)
        assert (answer.status_code, answer.text) == (500, expected)
        found = events(chat(client, "metis/api", stream=True).text)
        assert "All connection attempts failed" in found[0]["choices"][0]["delta"]["content"]
        assert events(chat(client, stream=True).text)[0]["object"] == "error"


def test_a_client_that_leaves_ends_the_upstream_request(upstream: str) -> None:
    """The model server sees its own client go at once."""
    with Sandbox(upstream=upstream) as sandbox, gateway(sandbox) as client:
        body = {"model": GPT, "messages": [{"role": "user", "content": "wait"}], "stream": True}
        with client.stream("POST", "sophia/vllm/v1/chat/completions", json=body) as answer:
            pieces = answer.iter_text()  # held: when it goes, the connection is closed
            assert "data:" in next(pieces)
            assert not ModelServer.left.is_set()
        assert ModelServer.left.wait(0.5)
        assert within(0.5, lambda: len(sandbox.disconnects) == 1)
