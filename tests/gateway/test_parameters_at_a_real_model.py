"""Parameters as a real small language model's server takes them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from alcf_magics._session import Session
from alcf_magics.errors import RequestRefused
from alcf_magics.gateway.completions import Completion
from alcf_magics.sandbox import Sandbox
from support.logins import logged_in

pytestmark = pytest.mark.real_model

PROMPT = "Count from one to ten in words."
MODEL = "smollm2-135m-instruct"
#: A model whose cluster passes on why its server refused.
OUTSPOKEN = "metis:gpt-oss-120b"


@pytest.fixture
def session(home: Path, model_url: str) -> Iterator[Session]:
    """A session whose prompts a real model answers."""
    with Sandbox(upstream=model_url) as sandbox:
        yield logged_in(sandbox)


@pytest.fixture
def slots(model_url: str) -> int:
    """How many answers the model's server can write at once."""
    found = httpx.get(f"{model_url.removesuffix('/v1')}/props", timeout=10).json()["total_slots"]
    return int(found)


def ask(session: Session, **parameters: Any) -> Completion:
    return session.ask(PROMPT, MODEL, **{"max_tokens": 40} | parameters)


def test_the_token_limit_cuts_the_answer(session: Session) -> None:
    """As many tokens as were asked for, and the reason is the length."""
    cut = ask(session, temperature=0, max_tokens=5)  # by chance, it says less
    assert cut.finish_reason == "length"
    assert cut.usage is not None
    assert cut.usage.completion_tokens == 5
    assert "--max-tokens" in cut.about


def test_the_same_seed_gives_the_same_answer(session: Session) -> None:
    """Sampled at temperature 1, once and again; among other seeds there is another answer."""
    first, again = (ask(session, temperature=1, seed=7).text for _ in range(2))
    assert first
    assert first == again
    assert any(ask(session, temperature=1, seed=seed).text != first for seed in range(10, 14))


def test_temperature_zero_is_repeatable(session: Session) -> None:
    """The likeliest token each time, whatever the seed."""
    texts = {ask(session, temperature=0, seed=seed).text for seed in (1, 2, 3)}
    assert len(texts) == 1
    assert texts != {""}


def test_an_answer_ends_before_its_stop(session: Session) -> None:
    """The stop is not in the text, nor is what the model says after it; one of several does it."""
    whole = ask(session, temperature=0).text
    stop = whole[len(whole) // 2 :][:3]
    for given in (stop, ["never in any answer", stop]):
        ended = ask(session, temperature=0, stop=given)
        assert ended.text == whole[: whole.index(stop)]
        assert ended.finish_reason == "stop"


def test_log_probabilities_come_with_each_token(session: Session) -> None:
    """The tokens are the text, each with so many of the likeliest, of which the first was taken."""
    answer = ask(session, temperature=0, max_tokens=6, logprobs=2)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    tokens = logprobs["content"]
    assert "".join(token["token"] for token in tokens) == answer.text
    for token in tokens:
        likeliest = token["top_logprobs"]
        assert likeliest[0]["token"] == token["token"]
        assert 0 < sum(math.exp(one["logprob"]) for one in likeliest) <= 1.0001
        assert len(likeliest) == 2


def test_log_probabilities_come_without_others(session: Session) -> None:
    """With 0, no others are asked for, and each token has its own; unasked, none come."""
    answer = ask(session, temperature=0, max_tokens=4, logprobs=0)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert "".join(token["token"] for token in logprobs["content"]) == answer.text
    assert all(token["logprob"] <= 0 for token in logprobs["content"])
    assert ask(session, max_tokens=4).choices[0].logprobs is None


def test_more_answers_than_the_server_writes_at_once(session: Session, slots: int) -> None:
    """Refused with the server's own reason, in one line; as many as it can write all come."""
    several = session.ask(PROMPT, OUTSPOKEN, n=slots, max_tokens=4)
    assert len(several.choices) == slots
    with pytest.raises(RequestRefused) as refused:
        session.ask(PROMPT, OUTSPOKEN, n=slots + 1, max_tokens=4)
    assert "'n'" in str(refused.value)
    assert "\n" not in str(refused.value)
