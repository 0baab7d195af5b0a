"""Texts in requests of a fair size, and the vectors in their answers."""

from __future__ import annotations

import base64
import json
import struct
import sys
from typing import Any

import numpy
import pandas
import pytest

from alcf_magics.errors import GatewayError, ModelNotFound, RequestRefused
from alcf_magics.gateway.catalog import Catalog
from alcf_magics.gateway.chunks import Usage
from alcf_magics.gateway.models import Capabilities, Model, Status
from alcf_magics.many import vectors
from alcf_magics.many.arrays import Embeddings
from alcf_magics.many.misuse import UsageError
from alcf_magics.many.vectors import embedder, joined, packed, part_of, texts_of
from support.wire import load


def model(name: str, cluster: str = "red", status: Status = Status.LIVE, **can: Any) -> Model:
    abilities = Capabilities(**can)
    return Model(name, cluster, "fw", f"http://g/{cluster}/fw/v1", status, capabilities=abilities)


CHAT = model("chatter")
COLD = model("cold-embed", status=Status.OFFLINE, chat=False, embeddings=True)
EMBED = model("org/embed", "blue", chat=False, embeddings=True)
CATALOG = Catalog((CHAT, COLD, EMBED), ("red", "blue"))


def answer(*vectors: Any, **more: Any) -> dict[str, Any]:
    data = [{"index": n, "embedding": vector} for n, vector in enumerate(vectors)]
    return {"model": "m", "data": data, **more}


def test_texts_come_from_lists_series_and_one_text() -> None:
    """In their order; half a character becomes one that can be sent."""
    assert texts_of("one") == ["one"]
    assert texts_of(pandas.Series(["a", "b"], index=[7, 3])) == ["a", "b"]
    assert texts_of(text for text in ("a", "b")) == ["a", "b"]
    assert texts_of(numpy.array(["a", "\ud800"])) == ["a", "�"]
    assert texts_of([]) == []


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["a", float("nan")], "Number 1 is no text: float (nan)"),
        (["a", None], "Number 1 is no text: NoneType"),
        (["a", " "], "Number 1 is empty"),
        (b"a", "no list of texts: bytes"),
        ({"a": 1}, "no list of texts: dict"),
        (5, "no list of texts: int"),
        (pandas.DataFrame({"a": ["x"]}), "one column"),
    ],
)
def test_what_is_no_list_of_texts_is_refused_with_its_place(texts: Any, said: str) -> None:
    """Before anything is sent, in one line."""
    with pytest.raises(UsageError) as caught:
        texts_of(texts)
    assert said in str(caught.value)


def test_texts_are_packed_by_number_and_by_size() -> None:
    """As many as fit one request, in order; a text that fits none is refused."""
    assert [len(pack) for pack in packed(["x"] * 300)] == [128, 128, 44]
    large = ["x" * 600_000, "y" * 600_000, "é" * 200_000]
    packs = list(packed(large))
    assert [text for pack in packs for text in pack] == large
    assert [len(pack) for pack in packs] == [1, 1, 1]
    assert all(len(json.dumps(pack)) < 2_621_440 for pack in packs)
    with pytest.raises(RequestRefused, match="Number 1 is longer"):
        list(packed(["x", "x" * 3_000_000]))


def test_vectors_come_as_base64_or_as_numbers_in_any_order() -> None:
    """The index of each counts; the array is float32, and says what it cost and who made it."""
    floats = base64.b64encode(struct.pack("<2f", 1.5, -2)).decode()
    said = answer([0.5, 1], floats, usage={"prompt_tokens": 3, "total_tokens": 3})
    said["data"].reverse()
    found = joined([part_of(said, 2)] * 2, EMBED)
    assert isinstance(found, Embeddings)
    assert issubclass(Embeddings, numpy.ndarray)
    assert found.shape == (4, 2)
    assert found.dtype == numpy.float32
    assert found.tolist() == [[0.5, 1.0], [1.5, -2.0]] * 2
    assert (found.usage, found.model, found.cluster) == (Usage(6, None, 6), "m", "blue")
    assert getattr(found * 2, "usage", None) is None
    found[0, 0] = 7  # an array of one's own
    assert joined([], EMBED).shape == (0, 0)


def test_without_numpy_there_are_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers, and the same attributes."""
    monkeypatch.delitem(sys.modules, "alcf_magics.many.arrays", raising=False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    found = joined([part_of(answer([0.5, 1], [2, 3]), 2)], EMBED)
    assert found == [[0.5, 1.0], [2.0, 3.0]]
    assert (found.model, found.cluster) == ("m", "blue")
    assert joined([], EMBED) == []


def test_a_recorded_answer_is_read() -> None:
    """As the real gateway sent it: 576 numbers of a vector of length one."""
    found = joined([part_of(json.loads(load("embeddings_base64").content), 1)], EMBED)
    assert found.shape == (1, 576)
    assert float((found**2).sum()) == pytest.approx(1, abs=1e-5)
    assert (found.usage.total_tokens, found.model) == (1, "HuggingFaceTB/SmolLM2-135M-Instruct")


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        {"data": None},
        answer([1.0]),
        answer([1.0], []),
        answer([1.0], ["x"]),
        answer([1.0], "!!!"),
        answer([1.0], "AAA="),
        answer([1.0], [1e300]),
        {"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]},
        {"data": [{"index": 0, "embedding": [1]}, {"index": 9, "embedding": [1]}]},
        {"data": [{"index": 0, "embedding": [1]}, "x"]},
    ],
)
def test_an_answer_that_holds_no_vectors_is_an_error(said: Any) -> None:
    """Never fewer vectors than texts, never a vector of something else."""
    with pytest.raises(GatewayError, match="could not be read"):
        part_of(said, 2)


def test_vectors_of_several_lengths_are_an_error() -> None:
    """They make no table."""
    with pytest.raises(GatewayError, match="several lengths"):
        joined([part_of(answer([1.0], [1.0, 2.0]), 2)], EMBED)


def test_the_embedder_is_the_one_named_or_a_live_one() -> None:
    """A default that only chats does not stand in the way."""
    assert embedder(CATALOG) is EMBED
    assert embedder(CATALOG, "COLD-embed") is COLD
    assert embedder(CATALOG, cluster="red") is COLD
    assert embedder(CATALOG, default="cold-embed") is COLD
    assert embedder(CATALOG, default="chatter") is EMBED
    with pytest.raises(RequestRefused, match="chatter on red makes no embeddings") as caught:
        embedder(CATALOG, "chatter")
    assert caught.value.next_step == "Those that do: org/embed, cold-embed."
    with pytest.raises(ModelNotFound, match="no model 'nope'"):
        embedder(CATALOG, "nope")
    with pytest.raises(ModelNotFound, match="No model makes embeddings"):
        embedder(Catalog((CHAT,), ("red",)))


def test_the_largest_request_fits_the_gateway() -> None:
    """Its limit is 2.5 MiB for the whole body."""
    assert vectors.LONGEST + 1000 < 2_621_440
    assert vectors.MOST_BYTES < 2_621_440
