"""The sandbox's gateway against the recordings of the real one."""

from __future__ import annotations

import json
import time

import httpx
import openai
import pytest

from alcf_magics.sandbox import SCENARIOS, Sandbox
from support.sandbox_client import (
    GATEWAY,
    GPT,
    HELLO,
    RECORDINGS,
    chat,
    deltas,
    events,
    gateway,
    keys,
    login,
    recording,
    replay,
)


@pytest.mark.parametrize(
    "name", ["health", "whoami", "models_sophia_one", "models_metis", "chat_gc", "chat_metis"]
)
def test_answers_have_the_recorded_keys(client: httpx.Client, name: str) -> None:
    """The same request gets an answer of the same status, type and keys."""
    answer, recorded = replay(client, name)
    assert answer.status_code == recorded["status"]
    assert answer.headers["content-type"] == recorded["headers"]["content-type"]
    assert keys(answer.json()) == keys(json.loads(recorded["body_text"]))


@pytest.mark.parametrize("name", ["jobs_sophia", "jobs_metis", "jobs_minerva"])
def test_jobs_have_the_recorded_keys(client: httpx.Client, name: str) -> None:
    """Each list's entries have the keys of the recording's, and the cluster's status too."""
    answer, recorded = replay(client, name)
    found, expected = answer.json(), json.loads(recorded["body_text"])
    assert list(found) == list(expected)
    assert found["cluster_status"].keys() == expected["cluster_status"].keys()
    for state in ("running", "queued", "stopped"):
        if found[state] and expected[state]:
            assert found[state][0].keys() == expected[state][0].keys()
    assert found["running"][0]["Model Status"] == "running"


def test_jobs_follow_the_catalog(client: httpx.Client) -> None:
    """A starting model stands under running, a queued one has an estimate, an offline one is
    listed by the catalog and held by no job."""
    jobs = client.get("sophia/jobs").json()
    states = {entry["Models"]: entry["Model Status"] for entry in jobs["running"]}
    assert states["meta-llama/Meta-Llama-3.1-8B-Instruct,openai/gpt-oss-120b"] == "running"
    assert states["google/gemma-4-31B-it"] == "starting"
    estimate = jobs["queued"][0]["Estimated Start Time"].removesuffix(" (Chicago time)")
    assert time.strptime(estimate, "%a %b %d %H:%M:%S %Y")
    listed = client.get("list-endpoints").json()["clusters"]["sophia"]["frameworks"]["vllm"]
    assert "argonne/AuroraGPT-7B" in listed["models"]
    assert "AuroraGPT" not in json.dumps(jobs)


# fmt: off
REFUSALS = [
    "err_unknown_cluster", "err_unknown_cluster_jobs", "err_unknown_framework",
    "err_unknown_model", "err_wrong_method", "err_404_body_404model",
    "trailing_slash", "unknown_route", "models_openai_style",
    "models_sophia_unknown", "err_malformed_json", "err_empty_body",
    "err_body_not_object", "err_missing_model", "err_missing_messages",
    "err_wrong_type_messages", "err_wrong_type_model", "err_wrong_type_stream",
    "err_reserved_fields", "err_embeddings_stream_true", "err_unsupported_endpoint",
    "err_model_not_live_metis",
]
# fmt: on


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_are_those_recorded(client: httpx.Client, name: str) -> None:
    """The same wrong request gets the same status, content type and text."""
    answer, recorded = replay(client, name)
    assert answer.status_code == recorded["status"]
    assert answer.headers["content-type"] == recorded["headers"]["content-type"]
    assert answer.text == recorded["body_text"]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (None, "err_no_token"),
        ("Bearer", "err_auth_empty_bearer"),
        ("bearer {}", "err_auth_lower_bearer"),
        ("Token {}", "err_auth_not_bearer"),
        ("Bearer {} more", "err_auth_three_parts"),
        ("Bearer unknown", "err_bad_token_a"),
    ],
)
def test_wrong_authorization_is_refused_as_recorded(
    running: Sandbox, header: str | None, name: str
) -> None:
    """Each shape of a wrong header has its own text."""
    token = login(running)[GATEWAY]["access_token"]
    headers = {"Authorization": header.format(token)} if header else {}
    with httpx.Client(base_url=running.gateway_url, headers=headers) as client:
        answer, recorded = replay(client, name)
        assert (answer.status_code, answer.text) == (401, recorded["body_text"])
        again = client.get("whoami")
    cached = recording("err_bad_token_cached")["body_text"]
    assert (again.text == cached) == (name == "err_bad_token_a")


def test_an_expired_token_is_told_from_an_unknown_one() -> None:
    """A token whose time is over is refused with the recorded text."""
    with Sandbox(token_seconds=0) as sandbox, gateway(sandbox) as client:
        assert client.get("whoami").text == recording("err_past_exp_token")["body_text"]


def test_a_wrong_session_header_and_a_long_body_are_refused(client: httpx.Client) -> None:
    """The session id has a length and an alphabet; a body over 2.5 MiB is an internal error."""
    expected = recording("err_session_header_bad")
    for value in ("x" * 129, "two words"):
        answer = client.get("health", headers={"X-ALCF-Session-ID": value})
        assert (answer.status_code, answer.text) == (400, expected["body_text"])
    assert client.get("health", headers={"X-ALCF-Session-ID": "x" * 128}).status_code == 200
    answer = chat(client, padding="x" * 2_700_000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")


def test_a_prompt_longer_than_the_window_is_refused_as_vllm_does(client: httpx.Client) -> None:
    """A cluster behind Globus Compute keeps the reason back in a stream, as recorded."""
    long = [{"role": "user", "content": "word " * 100_000}]
    answer = chat(client, "metis/api", messages=long)
    assert answer.status_code == 400
    assert "maximum context length is 131072 tokens" in answer.text
    assert "133333 input tokens" in answer.text
    hidden = chat(client, messages=long, stream=True)
    assert hidden.status_code == 200
    assert events(hidden.text)[0]["message"] == "An error occurred during processing"


STRICT = sorted(path.stem for path in RECORDINGS.glob("strict_*.json"))


@pytest.mark.parametrize("name", [name for name in STRICT if name != "strict_responses_extra"])
def test_the_strict_validator_answers_as_recorded(name: str) -> None:
    """Same status, and for a refusal the same errors word for word."""
    with Sandbox(validation="strict", pace=0) as sandbox, gateway(sandbox) as client:
        answer, recorded = replay(client, name)
    assert answer.status_code == recorded["status"], answer.text
    if answer.status_code != 200:
        assert answer.json() == json.loads(recorded["body_text"])


def test_the_current_validator_passes_unknown_fields(client: httpx.Client) -> None:
    """What the strict validator refuses, the current one hands on."""
    assert chat(client, chat_template_kwargs={}, foo=1).status_code == 200
    answer, _ = replay(client, "err_wrong_type_temperature_passthrough")
    assert "status code: 400" in answer.json()["error"]["message"]


@pytest.mark.parametrize("name", ["stream_gc_usage", "stream_metis_usage"])
def test_streams_have_the_recorded_chunks(client: httpx.Client, name: str) -> None:
    """First and last chunks have the recorded keys: role, text, finish reason, usage, [DONE]."""
    answer, recorded = replay(client, name)
    found = events(answer.text)
    expected = events("".join(chunk for _, chunk in recorded["chunks"]))
    assert answer.headers["content-type"] == "text/event-stream"
    for place in (0, 1, -3, -2, -1):
        assert keys(found[place]) == keys(expected[place])
    assert found[0]["choices"][0]["delta"] == {"role": "assistant", "content": None}
    assert found[-3]["choices"][0]["finish_reason"] == "length"
    assert found[-2]["usage"]["completion_tokens"] <= 20


def test_a_scripted_answer_is_streamed_delta_by_delta(
    running: Sandbox, client: httpx.Client
) -> None:
    """A list is sent as it stands, a text in pieces that join to it, reasoning before content."""
    running.answer, running.reasoning = ["one", "", "\n two"], ["hm"]
    answer = chat(client, stream=True)
    assert deltas(answer.text) == ["one", "", "\n two"]
    assert deltas(answer.text, "reasoning_content") == ["hm"]
    assert "usage" not in answer.text
    running.answer = "  A longer text,\n\nin pieces. "
    answer = chat(client, stream=True)
    assert "".join(deltas(answer.text)) == running.answer
    assert len(deltas(answer.text)) > 3


@pytest.mark.clock
def test_events_come_in_bursts(running: Sandbox, client: httpx.Client) -> None:
    """`burst` events share a network write, and `pace` lies between two of them."""
    running.answer, running.burst, running.pace = ["x"] * 6, 4, 0.1
    start = time.monotonic()
    body = {"model": GPT, "messages": HELLO, "stream": True}
    with client.stream("POST", "sophia/vllm/v1/chat/completions", json=body) as answer:
        reads = [(time.monotonic() - start, raw.count(b"data:")) for raw in answer.iter_raw()]
    assert [count for _, count in reads] == [4, 4, 1]
    assert 0.2 <= reads[-1][0] < 0.5


def test_the_built_in_answer_says_that_no_model_was_asked(client: httpx.Client) -> None:
    """It quotes the prompt without backticks and is the same every time."""
    texts = [chat(client).json()["choices"][0]["message"]["content"] for _ in range(2)]
    assert texts[0] == texts[1]
    assert "No model was asked" in texts[0]
    assert "`Say hello in five words.`" in texts[0]
    assert all(mark in texts[0] for mark in ("## ", "- ", "```python", "$$", "|---|"))


@pytest.mark.parametrize(("base", "model"), [("sophia/vllm", GPT), ("metis/api", "GPT-OSS-120B")])
def test_the_openai_client_understands_the_sandbox(running: Sandbox, base: str, model: str) -> None:
    """Chat, stream with usage and reasoning; the model's name is found without regard to case."""
    api = openai.OpenAI(
        base_url=f"{running.gateway_url}/{base}/v1",
        api_key=login(running)[GATEWAY]["access_token"],
        max_retries=0,
    )
    with api:
        whole = api.chat.completions.create(model=model, messages=HELLO, max_tokens=8)
        assert whole.choices[0].finish_reason == "length"
        assert whole.usage is not None
        assert 0 < whole.usage.completion_tokens <= 8
        stream = api.chat.completions.create(
            model=model,
            messages=HELLO,
            stream=True,
            reasoning_effort="low",
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
        assert chunks[-1].usage is not None
        assert chunks[-2].choices[0].finish_reason == "stop"
        reasoned = [c for c in chunks if c.choices and "reasoning_content" in str(c.choices[0])]
        assert reasoned
        assert api.completions.create(model=model, prompt="Hello").choices[0].text
        with pytest.raises(openai.UnprocessableEntityError):
            api.chat.completions.create(model=model, messages=HELLO, extra_body={"api_port": 1})


def test_too_many_requests_in_a_second_are_refused(running: Sandbox) -> None:
    """The eleventh request of a token within a second is a 429 without Retry-After."""
    with gateway(running) as client:
        answers = [client.get("whoami") for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    assert answers[-1].json() == {"detail": "Too many requests."}
    assert "retry-after" not in answers[-1].headers


def test_other_cluster_names_replace_the_usual_ones_everywhere() -> None:
    """With renamed clusters everything works, and no old name stands in any answer."""
    names = {"aster": "fw1", "birch": "fw2"}
    texts = []
    with Sandbox(clusters=names, pace=0) as sandbox, gateway(sandbox) as client:
        sandbox.requests_per_second, sandbox.cold_seconds = 1000, 0
        for scenario in SCENARIOS:
            sandbox.scenario = scenario
            if scenario in ("cut_mid_stream", "slow", "dead_connection", "hanging", "stalled"):
                continue
            texts += [client.get(path).text for path in ("status", "list-endpoints", "nope/jobs")]
            for name, framework in names.items():
                texts += [client.get(f"{name}/{path}").text for path in ("jobs", "models")]
                for model in (GPT, "gpt-oss-120b", "DeepSeek-R1", "argonne/AuroraGPT-7B", "nope"):
                    for stream in (False, True):
                        base = f"{name}/{framework}"
                        texts.append(chat(client, base, model=model, stream=stream).text)
    everything = " ".join(texts).lower()
    assert "'deepseek-r1' is not currently live on birch." in everything
    assert not [old for old in ("sophia", "metis", "minerva", "vllm") if old in everything]
