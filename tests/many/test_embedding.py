"""`session().embed` against the sandbox: order, packing, refusals, usage."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import numpy
import pandas
import pytest

from alcf_magics import Session
from alcf_magics.errors import AlcfError, RequestRefused
from alcf_magics.gateway.rate_limit import RateLimit
from alcf_magics.many import vectors
from alcf_magics.sandbox import Sandbox
from support.logins import logged_in

SFR = "Salesforce/SFR-Embedding-Mistral"


@pytest.fixture
def session(sandbox: Sandbox) -> Session:
    sandbox.requests_per_second = 1000
    session = logged_in(sandbox)
    session._connection.gateway._limit = RateLimit(1000)
    return session


def sent(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [r.body for r in sandbox.requests if r.path.endswith("/embeddings")]


def test_texts_become_rows_in_their_order(
    session: Session, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many requests they take; base64 on the way, and the history left alone."""
    monkeypatch.setattr(vectors, "MOST_TEXTS", 3)
    texts = pandas.Series([f"text {n}" for n in range(20)], index=range(100, 120))
    found = session.embed(texts)
    assert found.shape == (20, 64)
    assert found.dtype == numpy.float32
    bodies = sent(sandbox)
    assert sorted(len(body["input"]) for body in bodies) == [2, *[3] * 6]
    assert {body["encoding_format"] for body in bodies} == {"base64"}
    assert (found.model, found.cluster) == (SFR, "sophia")
    monkeypatch.setattr(vectors, "MOST_TEXTS", 100)
    at_once = session.embed(list(texts), "sfr-embedding-mistral")
    assert len(sent(sandbox)) == len(bodies) + 1
    assert numpy.array_equal(found, at_once)
    assert found.usage == at_once.usage is not None
    assert len(session.history) == 0


def test_it_is_awaited_beside_others(session: Session) -> None:
    """`aembed` takes and gives the same; several run at once."""

    async def both() -> tuple[Any, Any]:
        return await asyncio.gather(session.aembed(["a"]), session.aembed(["b"], dimensions=8))

    one, other = asyncio.run(both())
    assert (one.shape, other.shape) == ((1, 64), (1, 8))
    assert numpy.array_equal(one, session.embed("a"))


def test_a_model_without_embeddings_is_refused_before_anything_is_sent(
    session: Session, sandbox: Sandbox
) -> None:
    """In one line that names those that make them."""
    with pytest.raises(RequestRefused, match="makes no embeddings") as caught:
        session.embed(["a"], "gpt-oss-120b")
    assert SFR in caught.value.next_step
    with pytest.raises(RequestRefused, match="dimensions is a whole number"):
        session.embed(["a"], dimensions=0)
    assert sent(sandbox) == []


def test_a_refusal_ends_all_requests_with_its_own_line(
    session: Session, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One AlcfError, no group of them, and no coroutine left behind."""
    monkeypatch.setattr(vectors, "MOST_TEXTS", 1)
    session.embed(["a"])
    session.choose(tokens_seconds=0)
    sandbox.scenario = "tokens_per_minute"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(AlcfError, match="Too much at once"):
            session.embed([f"text {n}" for n in range(20)])
        with pytest.raises(AlcfError, match="Too much at once"):
            asyncio.run(session.aembed(["a"]))


def test_nothing_to_embed_asks_nothing(session: Session, sandbox: Sandbox) -> None:
    """An empty column gives an empty array."""
    assert session.embed([]).shape == (0, 0)
    assert sent(sandbox) == []
