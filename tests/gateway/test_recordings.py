"""Every recording of the real gateway leads, through the real client, to what is expected."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from alcf_magics import errors
from alcf_magics.gateway.accumulator import Accumulator
from alcf_magics.gateway.catalog import Catalog
from alcf_magics.gateway.chat import ChatRequest, Message
from alcf_magics.gateway.client import Gateway
from alcf_magics.gateway.completions import Completion
from alcf_magics.gateway.listings import build_catalog
from alcf_magics.gateway.models import Model, Status
from support.wire import Recording, expected, load, names

GATEWAY = "https://gateway.example/resource_server"
ERRORS = {name for name in dir(errors) if name[0].isupper()}
PROMPTS = [n for n in names() if load(n).request["path"].endswith("/v1/chat/completions")]
ANSWERS = [n for n in PROMPTS if expected(n) == "answer"]
REFUSALS = [
    n for n in names() if expected(n) not in ("answer", "data") and "not called" not in expected(n)
]


class Pieces(httpx.AsyncByteStream):
    """A body that arrives in the given reads."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def answering(recording: Recording, pieces: list[bytes]) -> Callable[..., httpx.Response]:
    def handler(request: httpx.Request) -> httpx.Response:
        headers = {k: v for k, v in recording.headers.items() if k != "transfer-encoding"}
        return httpx.Response(recording.status, headers=headers, stream=Pieces(pieces))

    return handler


async def ask(recording: Recording, pieces: list[bytes]) -> Completion:
    """Send a prompt through the client to a gateway that answers as recorded."""
    gateway = Gateway(GATEWAY, httpx.Auth())
    gateway._client = httpx.AsyncClient(transport=httpx.MockTransport(answering(recording, pieces)))
    model = Model("some/model", "somewhere", "fw", f"{GATEWAY}/somewhere/fw/v1", Status.LIVE)
    request = ChatRequest(model.name, (Message("user", "hi"),))
    answer = Accumulator(model.name, 0.0)

    def completion() -> Completion:
        return Completion(
            answer.choices, request, model, model=answer.model, id=answer.id, usage=answer.usage
        )

    try:
        async for chunks in gateway.stream(model, request):
            for chunk in chunks:
                answer.add(chunk, 1.0)
    except errors.AlcfError as error:
        error.completion = completion()
        raise
    finally:
        await gateway.aclose()
    return completion()


async def read(recording: Recording) -> object:
    """Read something through the client from a gateway that answers as recorded."""
    gateway = Gateway(GATEWAY, httpx.Auth())
    gateway._client = httpx.AsyncClient(
        transport=httpx.MockTransport(answering(recording, [recording.content]))
    )
    try:
        return await gateway.get("something")
    finally:
        await gateway.aclose()


def resplit(recording: Recording) -> list[list[bytes]]:
    """As recorded, joined, byte by byte, and in uneven reads that cut events anywhere."""
    content = recording.content
    return [
        list(recording.chunks or [content]),
        [content],
        [content[i : i + 1] for i in range(len(content))],
        [content[i : i + 37] for i in range(0, len(content), 37)],
    ]


def recorded_text(recording: Recording) -> str:
    """The first choice's text, read out of the recording without our own code."""
    if recording.body is not None:
        return json.loads(recording.body)["choices"][0]["message"]["content"] or ""
    parts = []
    for line in recording.content.decode().split("\n"):
        if line.startswith("data: {"):
            for choice in json.loads(line[6:]).get("choices", []):
                if choice["index"] == 0:
                    parts.append(choice["delta"].get("content") or "")
    return "".join(parts)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_a_completion(name: str) -> None:
    """A recorded answer becomes a Completion with its text, at every split of its bytes."""
    recording = load(name)
    for pieces in resplit(recording):
        completion = asyncio.run(ask(recording, pieces))
        assert completion.text == recorded_text(recording)
        assert completion.model
        assert completion.cluster == "somewhere"
        if b'"usage"' in recording.content:
            assert completion.usage is not None
            assert (completion.usage.completion_tokens or 0) > 0


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_the_error_expected(name: str) -> None:
    """A recorded failure raises the class that is expected, in one readable line."""
    recording = load(name)
    for pieces in resplit(recording):
        sent = ask(recording, pieces) if name in PROMPTS else read(recording)
        with pytest.raises(errors.AlcfError) as caught:
            asyncio.run(sent)
        error = caught.value
        assert type(error).__name__ in [word for word in ERRORS if word in expected(name)]
        line = str(error)
        for unwanted in ("\n", "Traceback", "b'", '{"', "<html", "inference_auth_token", "http:"):
            assert unwanted not in line, line
        assert len(line) < 500
        if "error_id shown" in expected(name):
            assert json.loads(recording.content)["error"]["error_id"] in line


@pytest.mark.parametrize("name", ["up_gc_nofinish_stream", "up_direct_stall_stream"])
def test_a_broken_stream_carries_what_came(name: str) -> None:
    """The text before a stream broke stands on the error, without the gateway's own chunk."""
    recording = load(name)
    with pytest.raises(errors.StreamBroken) as caught:
        asyncio.run(ask(recording, list(recording.chunks or [])))
    completion = caught.value.completion
    assert completion is not None
    assert completion.text
    assert completion.text == recorded_text(recording).split("\n\n[ERROR]")[0]


def test_reasoning_after_content_is_kept_apart() -> None:
    """Reasoning that arrives after content is reasoning, not answer."""
    recording = load("stream_gc_reasoning")
    completion = asyncio.run(ask(recording, [recording.content]))
    assert (completion.text, completion.reasoning) == ("H", "ELLS.")


def test_two_choices_are_two_choices() -> None:
    """With n=2, each choice keeps its own text."""
    recording = load("chat_n2")
    completion = asyncio.run(ask(recording, [recording.content]))
    assert [c.text for c in completion.choices] == ["Hello there!", "Hello! How"]


def body(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(load(name).content)
    return found


def catalog(**changes: Any) -> Catalog:
    """The recorded catalog; `sophia=...` and so on replace a cluster's recorded jobs."""
    jobs = {c: body(f"jobs_{c}") for c in ("sophia", "metis", "minerva")} | changes
    described = {"sophia": json.loads(load("models_sophia_one").content)}
    return build_catalog(GATEWAY, body("list_endpoints"), body("status"), jobs, described)


def state(catalog: Catalog, place: str) -> tuple[str, str]:
    (model,) = [model for model in catalog if model.place == place]
    return str(model.status), model.estimated_start


def test_recorded_jobs_become_states() -> None:
    """Running, starting, queued with its start, deploying, stopped, held: each as recorded."""
    known = catalog()
    assert state(known, "sophia:openai/gpt-oss-120b") == ("live", "")
    assert state(known, "sophia:meta-llama/Meta-Llama-3.1-8B-Instruct") == ("live", "")
    assert state(known, "sophia:google/gemma-4-31B-it") == ("starting", "")
    assert state(known, "sophia:mistralai/Mistral-Large-Instruct-2407") == (
        "queued",
        "Mon Nov  2 18:30:00 2026 (Chicago time)",
    )
    assert state(known, "sophia:HuggingFaceTB/SmolLM2-135M-Instruct") == ("offline", "")
    assert state(known, "metis:Qwen2.5-Coder-0.5B-Instruct") == ("queued", "")
    assert state(known, "metis:DeepSeek-R1") == ("offline", "")
    assert state(known, "minerva:google/gemma-4-31B-it") == ("live", "")
    assert state(known, "downcluster:gpt-oss-120b") == ("maintenance", "")
    assert state(known, "lab:chaos/ok") == ("unknown", "")


def test_recorded_maintenance_is_told_with_and_without_the_status_page() -> None:
    """Everything stopped without a state of its own means maintenance, not offline."""
    down = build_catalog(
        GATEWAY,
        body("list_endpoints_under_maintenance"),
        body("status_one_down"),
        {"sophia": body("jobs_sophia_maintenance")},
        {},
    )
    assert {str(m.status) for m in down if m.cluster == "sophia"} == {"maintenance"}
    silent = build_catalog(
        GATEWAY, body("list_endpoints"), None, {"sophia": body("jobs_sophia_maintenance")}, {}
    )
    assert {str(m.status) for m in silent if m.cluster == "sophia"} == {"maintenance"}


def test_the_recorded_description_goes_before_the_table() -> None:
    """What `/models` says of capabilities replaces what models.yaml says."""
    (llama,) = [m for m in catalog() if m.place == "sophia:meta-llama/Meta-Llama-3.1-8B-Instruct"]
    assert llama.capabilities.words == ("chat", "tools")
    assert llama.description == "Meta model"
    assert llama.capabilities.context_window == 131072


def test_private_queues_and_other_lists_are_no_states() -> None:
    """The recording with private batch jobs reads like the one without."""
    assert state(catalog(sophia=body("jobs_sophia_vip")), "sophia:openai/gpt-oss-120b")[0] == "live"


def test_whoami_status_and_health_are_read() -> None:
    """The small recorded answers parse as they are."""
    for name in ("whoami", "status", "health", "models_metis"):
        assert asyncio.run(read(load(name))) == json.loads(load(name).content)


def test_no_recording_is_left_out() -> None:
    """Each recording is an answer, a refusal, data read above, or not called by this client."""
    data = [name for name in names() if expected(name) == "data"]
    other = [name for name in names() if "not called" in expected(name)]
    assert sorted([*ANSWERS, *REFUSALS, *data, *other]) == names()
    assert len(ANSWERS) > 25
    assert len(REFUSALS) > 60
