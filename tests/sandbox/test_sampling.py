"""The sandbox does what a request's parameters ask for, streamed or whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from alcf_magics.sandbox import Sandbox
from support.logins import logged_in

Ask = Callable[..., dict[str, Any]]
LONG = "One two STOP three four END five"


@pytest.fixture(params=["streamed", "whole"])
def ask(request: pytest.FixtureRequest, sandbox: Sandbox) -> Any:
    """The choices by index, and the usage, of a request with some fields."""
    session = logged_in(sandbox)
    streamed = request.param == "streamed"

    def asked(**fields: Any) -> dict[str, Any]:
        if streamed:
            answer = session.ask("hi", "metis:gpt-oss-120b", extra=fields)
            return {
                "texts": [choice.text for choice in answer.choices],
                "ends": [choice.finish_reason for choice in answer.choices],
                "logprobs": [choice.logprobs for choice in answer.choices],
                "spent": answer.usage and answer.usage.completion_tokens,
            }
        body = {
            "model": "gpt-oss-120b",
            "messages": [{"role": "user", "content": "hi"}],
            **fields,
        }
        url = f"{sandbox.gateway_url}/metis/api/v1/chat/completions"
        whole = httpx.post(url, json=body, auth=session.auth).raise_for_status().json()
        choices = sorted(whole["choices"], key=lambda choice: int(choice["index"]))
        return {
            "texts": [choice["message"]["content"] for choice in choices],
            "ends": [choice["finish_reason"] for choice in choices],
            "logprobs": [choice.get("logprobs") for choice in choices],
            "spent": whole["usage"]["completion_tokens"],
        }

    yield asked
    session.close()


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        ("STOP", "One two "),
        (["END", "three"], "One two STOP "),
        ("o STO", "One tw"),
        ("nowhere", LONG),
        (["One"], ""),
    ],
)
def test_a_stop_text_ends_the_answer_before_it(
    ask: Ask, sandbox: Sandbox, stop: Any, text: str
) -> None:
    """The first that comes counts, also across tokens; the answer has ended by itself."""
    sandbox.answer = LONG
    answer = ask(stop=stop)
    assert answer["texts"] == [text]
    assert answer["ends"] == ["stop"]


def test_there_are_as_many_choices_as_asked_for(ask: Ask) -> None:
    """Each has its index and its end, and the usage counts them all."""
    one, three = ask(), ask(n=3)
    assert len(three["texts"]) == 3
    assert len(set(three["texts"])) == 3
    assert three["ends"] == ["stop"] * 3
    assert three["spent"] > 2 * one["spent"]


def test_every_token_has_its_logprobs(ask: Ask, sandbox: Sandbox) -> None:
    """The tokens join to the text; each has as many likeliest ones as asked for, itself first."""
    sandbox.answer = LONG
    [given] = ask(logprobs=True, top_logprobs=2)["logprobs"]
    tokens = given["content"]
    assert "".join(token["token"] for token in tokens) == LONG
    for token in tokens:
        assert token["logprob"] <= 0
        assert [len(token["top_logprobs"]), token["top_logprobs"][0]["token"]] == [
            2,
            token["token"],
        ]
    [plain] = ask(logprobs=True)["logprobs"]
    assert plain["content"][0]["top_logprobs"] == []
    assert ask()["logprobs"] == [None]


def test_the_same_seed_gives_the_same_text(ask: Ask) -> None:
    """Another seed gives another one."""
    assert ask(seed=7)["texts"] == ask(seed=7)["texts"] != ask(seed=8)["texts"]
