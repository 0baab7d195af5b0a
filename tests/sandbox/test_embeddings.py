"""The sandbox's embeddings."""

from __future__ import annotations

import base64
import json
import struct

import httpx
import pytest

from support.sandbox_client import (
    GPT,
    chat,
    events,
    keys,
    replay,
)

SFR = "Salesforce/SFR-Embedding-Mistral"


def test_embeddings_are_small_and_deterministic(client: httpx.Client) -> None:
    """The same text has the same vector of length one; a model for chat has none."""
    body = {"model": "Salesforce/SFR-Embedding-Mistral", "input": ["a", "b", "a"]}
    data = client.post("sophia/vllm/v1/embeddings", json=body).json()["data"]
    vectors = [entry["embedding"] for entry in data]
    assert vectors[0] == vectors[2] != vectors[1]
    assert sum(x * x for x in vectors[0]) == pytest.approx(1)
    answer = client.post("sophia/vllm/v1/embeddings", json={**body, "model": GPT})
    assert "status code: 400" in answer.json()["error"]["message"]
    failed = events(chat(client, model=body["model"], stream=True).text)
    assert (failed[0]["object"], failed[0]["code"], failed[1]) == ("error", 400, "[DONE]")


def test_embeddings_have_the_recorded_keys(client: httpx.Client) -> None:
    """As numbers or as base64 of little-endian floats, which are the same numbers."""
    answer, recorded = replay(client, "embeddings_base64")
    assert "status code: 400" in answer.json()["error"]["message"]  # that model only chats here
    body = {**recorded["request"]["body"], "model": SFR}
    packed = client.post("sophia/vllm/v1/embeddings", json=body).json()
    assert keys(packed) == keys(json.loads(recorded["body_text"]))
    text = packed["data"][0]["embedding"]
    del body["encoding_format"]
    plain = client.post("sophia/vllm/v1/embeddings", json=body).json()
    numbers = struct.unpack(f"<{len(text) * 3 // 16}f", base64.b64decode(text))
    assert list(numbers) == pytest.approx(plain["data"][0]["embedding"], abs=1e-6)


def test_texts_of_like_words_are_near(client: httpx.Client) -> None:
    """So that a lesson can group texts; `dimensions` says how many numbers there are."""
    texts = ["protein folding dynamics", "dynamics of protein chains", "dark matter galaxies"]
    body = {"model": SFR, "input": texts, "dimensions": 256}
    data = client.post("sophia/vllm/v1/embeddings", json=body).json()["data"]
    one, near, far = (entry["embedding"] for entry in data)
    assert len(one) == 256

    def product(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert product(one, near) > 0.4 > 0.2 > product(one, far)
