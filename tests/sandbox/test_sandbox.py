"""The sandbox, asked by clients that nobody here wrote: httpx, globus_sdk and openai."""

from __future__ import annotations

import ast
import base64
import contextlib
import hashlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import globus_sdk
import httpx
import openai
import pytest

from alcf_magics import sandbox as sandbox_package
from alcf_magics.sandbox import SCENARIOS, Sandbox

RECORDINGS = Path(__file__).parents[1] / "support/recordings"
GATEWAY = "681c10cc-f684-4540-bcd7-0b4df3bc26ef"
GATEWAY_SCOPE = f"https://auth.globus.org/scopes/{GATEWAY}/action_all"
CLIENT = "58fdd3bc-e1c3-4ce5-80ea-8d6b87cfb944"
VERIFIER = "a-verifier-that-is-long-enough-for-the-specification-0"
GPT = "openai/gpt-oss-120b"
HELLO: Any = [{"role": "user", "content": "Say `hello` in five words."}]


def authorize_url(sandbox: Sandbox, **changed: str) -> str:
    """The authorize URL of a native app; a parameter set to "" is left out."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest())
    query = {
        "client_id": CLIENT,
        "response_type": "code",
        "redirect_uri": f"{sandbox.globus_auth_url}/v2/web/auth-code",
        "scope": f"openid {GATEWAY_SCOPE}",
        "state": "s t&a<te",
        "code_challenge": challenge.decode().rstrip("="),
        "code_challenge_method": "S256",
        "access_type": "offline",
        **changed,
    }
    query = {name: value for name, value in query.items() if value}
    return str(httpx.URL(f"{sandbox.globus_auth_url}/v2/oauth2/authorize", params=query))


def ask_token(sandbox: Sandbox, **form: str) -> httpx.Response:
    return httpx.post(
        f"{sandbox.globus_auth_url}/v2/oauth2/token", data={"client_id": CLIENT, **form}
    )


def exchange(sandbox: Sandbox, code: str, **changed: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": VERIFIER,
        "redirect_uri": f"{sandbox.globus_auth_url}/v2/web/auth-code",
    }
    return ask_token(sandbox, **{**form, **changed})


def login(sandbox: Sandbox, **changed: str) -> dict[str, dict[str, Any]]:
    """Grants by resource server."""
    answer = exchange(sandbox, sandbox.approve(authorize_url(sandbox, **changed))).json()
    return {grant["resource_server"]: grant for grant in [answer, *answer["other_tokens"]]}


def refresh(sandbox: Sandbox, token: str, **changed: str) -> httpx.Response:
    return ask_token(sandbox, grant_type="refresh_token", refresh_token=token, **changed)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def gateway(sandbox: Sandbox, **changed: str) -> httpx.Client:
    token = login(sandbox, **changed)[GATEWAY]["access_token"]
    return httpx.Client(base_url=sandbox.gateway_url, headers=bearer(token), trust_env=False)


def chat(client: httpx.Client, base: str = "sophia/vllm", **changed: Any) -> httpx.Response:
    body = {"model": GPT if base == "sophia/vllm" else "gpt-oss-120b", "messages": HELLO, **changed}
    return client.post(f"{base}/v1/chat/completions", json=body)


def events(text: str) -> list[Any]:
    """The data of each event; [DONE] as a string."""
    found = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [data if data == "[DONE]" else json.loads(data) for data in found]


def deltas(text: str, name: str = "content") -> list[str]:
    """The texts of one delta field in a stream."""
    chunks = [event for event in events(text) if isinstance(event, dict)]
    found = [choice["delta"].get(name) for c in chunks for choice in c.get("choices", [])]
    return [text for text in found if text is not None]


def recording(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDINGS / f"{name}.json").read_text("utf-8"))
    return found


def replay(client: httpx.Client, name: str) -> tuple[httpx.Response, dict[str, Any]]:
    """Send a recorded request again: the sandbox's answer, and the recording."""
    recorded = recording(name)
    request = recorded["request"]
    body = request["body"]
    content = body if isinstance(body, str) else json.dumps(body).encode() if body else None
    path = request["path"].removeprefix("/resource_server")
    return client.request(request["method"], path, content=content), recorded


def within(seconds: float, true: Callable[[], object]) -> bool:
    """Whether something becomes true in time."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.005)
    return bool(true())


@pytest.fixture
def running() -> Iterator[Sandbox]:
    with Sandbox(pace=0.001) as sandbox:
        yield sandbox


@pytest.fixture
def client(running: Sandbox) -> Iterator[httpx.Client]:
    running.requests_per_second = 1000
    with gateway(running) as client:
        yield client


# Globus Auth


def test_a_login_gives_one_grant_for_each_resource_server(running: Sandbox) -> None:
    """The top-level grant is not the gateway's, and only the gateway's opens the gateway."""
    grants = login(running)
    assert list(grants) == ["auth.globus.org", "groups.api.globus.org", GATEWAY]
    claims = grants["auth.globus.org"]["id_token"].split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["sub"] == running.identity.sub
    statuses = {
        server: httpx.get(f"{running.gateway_url}/whoami", headers=bearer(grant["access_token"]))
        for server, grant in grants.items()
    }
    assert [answer.status_code for answer in statuses.values()] == [401, 401, 200]
    assert all(running.active(grant["access_token"]) for grant in grants.values())


@pytest.mark.parametrize(
    "changed",
    [{"code_verifier": "x" * 50}, {"client_id": "another"}, {"redirect_uri": "http://127.0.0.1/"}],
)
def test_a_code_needs_its_verifier_client_and_redirect(
    running: Sandbox, changed: dict[str, str]
) -> None:
    """An exchange that differs in one of the three is an invalid_grant in Globus' shape."""
    answer = exchange(running, running.approve(authorize_url(running)), **changed)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert answer.json()["errors"][0]["detail"] == answer.json()["error_description"]


def test_a_code_works_once(running: Sandbox) -> None:
    """The second exchange of the same code is refused."""
    code = running.approve(authorize_url(running))
    assert [exchange(running, code).status_code for _ in range(2)] == [200, 400]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"client_id": ""}, "client_id"),
        ({"response_type": "token"}, "response_type"),
        ({"code_challenge": ""}, "PKCE"),
        ({"code_challenge_method": "plain"}, "S256"),
        ({"redirect_uri": "https://evil.example/"}, "redirect_uri"),
        ({"redirect_uri": "http://127.0.0.1:1/v2/web/auth-code"}, "redirect_uri"),
    ],
)
def test_a_wrong_authorize_request_is_explained(
    running: Sandbox, changed: dict[str, str], reason: str
) -> None:
    """The page says what is wrong, and the person is sent nowhere."""
    answer = httpx.get(authorize_url(running, **changed))
    assert answer.status_code == 400
    assert reason in answer.text
    assert "<form" not in answer.text
    with pytest.raises(RuntimeError, match=reason):
        running.approve(authorize_url(running, **changed))


def test_consent_leads_to_the_code_page_with_state(running: Sandbox) -> None:
    """The form redirects with code and state; the page names itself a sandbox and is escaped."""
    page = httpx.get(authorize_url(running, client_id="<script>x</script>"))
    assert "SANDBOX: not Globus" in page.text
    assert "alice@anl.gov" in page.text
    assert "<script>x" not in page.text
    number = page.text.split('name="request" value="')[1].split('"')[0]
    consent = f"{running.globus_auth_url}/v2/web/consent"
    answer = httpx.post(consent, data={"request": number})
    assert answer.status_code == 302
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["state"] == ["s t&a<te"]
    shown = httpx.get(answer.headers["location"]).text
    assert f'<code id="auth-code">{query["code"][0]}</code>' in shown
    assert httpx.post(consent, data={"request": number}).status_code == 400


def test_a_refresh_returns_the_same_refresh_token(running: Sandbox) -> None:
    """Globus does not rotate; only the client that minted the token may use it."""
    token = login(running)[GATEWAY]["refresh_token"]
    answer = refresh(running, token)
    assert answer.json()["refresh_token"] == token
    assert answer.json()["resource_server"] == GATEWAY
    assert answer.json()["other_tokens"] == []
    assert running.active(answer.json()["access_token"])
    assert refresh(running, token, client_id="another").json()["error"] == "invalid_grant"
    running.omit_refresh_token = True
    assert "refresh_token" not in refresh(running, token).json()
    assert running.token_requests("refresh_token") == 3
    assert running.token_requests() == 4


def test_without_offline_access_there_is_no_refresh_token(running: Sandbox) -> None:
    """A login that did not ask for access_type=offline gets access tokens only."""
    assert all("refresh_token" not in grant for grant in login(running, access_type="").values())


def test_only_requested_scopes_are_granted(running: Sandbox) -> None:
    """A client that forgets the gateway's scope does not get its grant."""
    assert GATEWAY not in login(running, scope="openid")


def test_tokens_can_be_expired_and_revoked_while_running(running: Sandbox) -> None:
    """Old tokens stop counting, tokens minted afterwards work."""
    grant = login(running)[GATEWAY]
    running.expire_access_tokens()
    assert not running.active(grant["access_token"])
    renewed = refresh(running, grant["refresh_token"]).json()["access_token"]
    url = f"{running.globus_auth_url}/v2/oauth2/token/revoke"
    assert running.active(renewed)
    answer = httpx.post(url, data={"client_id": CLIENT, "token": renewed})
    assert (answer.status_code, answer.json()) == (200, {"active": False})
    assert not running.active(renewed)
    running.revoke_refresh_tokens()
    answer = refresh(running, grant["refresh_token"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert refresh(running, login(running)[GATEWAY]["refresh_token"]).status_code == 200


def test_the_globus_sdk_can_log_in_and_refresh(
    running: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's native app exchanges a code, refreshes and revokes against the sandbox."""
    monkeypatch.setenv("GLOBUS_SDK_SERVICE_URL_AUTH", running.globus_auth_url)
    app = globus_sdk.NativeAppAuthClient(CLIENT)
    app.oauth2_start_flow(requested_scopes=["openid", GATEWAY_SCOPE], refresh_tokens=True)
    tokens = app.oauth2_exchange_code_for_tokens(running.approve(app.oauth2_get_authorize_url()))
    grant = tokens.by_resource_server[GATEWAY]
    assert grant["scope"] == GATEWAY_SCOPE
    renewed = app.oauth2_refresh_token(grant["refresh_token"]).by_resource_server[GATEWAY]
    assert renewed["access_token"] != grant["access_token"]
    app.oauth2_revoke_token(renewed["access_token"])
    assert not running.active(renewed["access_token"])
    app.close()


# The gateway against the recordings


def keys(value: Any) -> Any:
    """The keys of nested JSON; a list counts as its first item."""
    if isinstance(value, dict):
        return {name: keys(inner) for name, inner in value.items()}
    return [keys(inner) for inner in value[:1]] if isinstance(value, list) else None


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
            if scenario in ("cut_mid_stream", "slow"):
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


# Scenarios


def test_every_scenario_has_a_test() -> None:
    """The table of scenarios and this file's tests of them do not drift apart."""
    text = Path(__file__).read_text("utf-8")
    assert not [name for name in SCENARIOS if f'"{name}"' not in text]
    assert all(description.endswith(".") for description in SCENARIOS.values())


def unauthorized(client: httpx.Client) -> str:
    """The text of a 401 of the usual envelope; "" if the gateway lets the client in."""
    answer = client.get("whoami")
    if answer.status_code == 200:
        return ""
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
    return str(answer.json()["error"]["message"])


def test_default_has_live_models_on_every_cluster() -> None:
    """One running model of each cluster answers a prompt."""
    with Sandbox("default", pace=0) as sandbox, gateway(sandbox) as client:
        assert chat(client).status_code == 200
        assert chat(client, "metis/api").status_code == 200
        assert chat(client, "minerva/api", model="google/gemma-4-31b-it").status_code == 200
        assert set(client.get("status").json().values()) == {True}


def test_cold_model_times_out_and_then_is_not_ready() -> None:
    """A stream ends with the recorded error after a silence; the next request is a 503."""
    with Sandbox("cold_model") as sandbox, gateway(sandbox) as client:
        jobs = client.get("sophia/jobs").json()
        assert {job["Model Status"] for job in jobs["running"]} == {"starting"}
        start = time.monotonic()
        answer = chat(client, stream=True)
        assert time.monotonic() - start >= sandbox.cold_seconds
        assert answer.text == "".join(c for _, c in recording("up_gc_hang_stream")["chunks"])
        refused = chat(client)
        expected = recording("cold_second_request_gc")["body_text"]
        text = expected.replace("coldstarting-model", "openaigpt-oss-120b")
        assert (refused.status_code, refused.text) == (503, text)
        assert chat(client, model="meta-llama/Meta-Llama-3.1-8B-Instruct").status_code == 408
        assert chat(client, "metis/api").status_code == 200


def states_of(client: httpx.Client, model: str) -> str:
    """The state of a model among the first cluster's jobs; empty where no job has it."""
    jobs = client.get("sophia/jobs").json()
    entries = [entry for name in ("running", "queued") for entry in jobs[name]]
    return next((e["Model Status"] for e in entries if model in e["Models"].split(",")), "")


def test_cold_start_loads_what_is_asked_for() -> None:
    """Offline, then queued, starting and live; what can wait is answered then, a stream is not."""
    with Sandbox("cold_start") as sandbox, gateway(sandbox) as client:
        sandbox.load_seconds, sandbox.cache_seconds = 0.6, 0.05
        assert states_of(client, GPT) == ""
        assert states_of(client, "Salesforce/SFR-Embedding-Mistral") == "running"
        seen, ended = [], threading.Event()

        def watch() -> None:
            with gateway(sandbox) as other:
                while not ended.is_set():
                    seen.append(states_of(other, GPT))
                    time.sleep(0.15)

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            assert chat(client).status_code == 200
        finally:
            ended.set()
            watching.join()
        assert [s for s, _ in itertools.groupby(seen) if s] in (
            ["queued", "starting"],
            ["queued", "starting", "running"],
        )
        assert "504" in chat(client, model="google/gemma-4-31B-it", stream=True).text
        assert chat(client, model="google/gemma-4-31B-it").status_code == 503


def test_jobs_that_are_used_again_say_for_how_long() -> None:
    """As the real gateway, which does not say it, does for a minute."""
    with Sandbox("cold_start") as sandbox, gateway(sandbox) as client:
        assert client.get("sophia/jobs").headers["cache-control"] == "max-age=0.5"
        sandbox.scenario = "default"
        answer = client.get("sophia/jobs")
        assert "cache-control" not in answer.headers
        assert states_of(client, GPT) == "running"


def test_busy_models_run_and_are_not_ready() -> None:
    """For a while the first cluster refuses prompts as the gateway does while a model loads."""
    with Sandbox("busy") as sandbox, gateway(sandbox) as client:
        assert states_of(client, GPT) == "running"
        assert chat(client).status_code == 503
        assert chat(client, "metis/api").status_code == 200
        sandbox.began -= 2
        assert chat(client).status_code == 200


def test_expired_token_is_cured_by_one_refresh() -> None:
    """The login's token is refused, the refreshed one is not."""
    with Sandbox("expired_token") as sandbox:
        grant = login(sandbox)[GATEWAY]
        renewed = refresh(sandbox, grant["refresh_token"]).json()
        url = f"{sandbox.gateway_url}/whoami"
        answers = [httpx.get(url, headers=bearer(g["access_token"])) for g in (grant, renewed)]
        assert [answer.status_code for answer in answers] == [401, 200]


def test_policy_timeout_is_cured_by_a_fresh_login() -> None:
    """Only a login with prompt=login helps; a refresh does not."""
    with Sandbox("policy_timeout") as sandbox:
        expected = json.loads(recording("err_policy_high_assurance_timeout")["body_text"])
        grant = login(sandbox)[GATEWAY]
        renewed = refresh(sandbox, grant["refresh_token"]).json()["access_token"]
        with httpx.Client(base_url=sandbox.gateway_url, headers=bearer(renewed)) as client:
            assert unauthorized(client) == expected["error"]["message"]
        with gateway(sandbox, prompt="login") as client:
            assert unauthorized(client) == ""


@pytest.mark.parametrize(
    ("scenario", "text"),
    [
        (
            "wrong_identity_provider",
            json.loads(recording("err_no_session")["body_text"])["error"]["message"],
        ),
        ("globus_outage", "Could not introspect the access token: Globus Auth did not answer."),
    ],
)
def test_some_refusals_nothing_cures(scenario: str, text: str) -> None:
    """Not even a fresh login changes the answer."""
    with Sandbox(scenario) as sandbox, gateway(sandbox, prompt="login") as client:
        assert unauthorized(client) == text
        assert client.get("health").status_code == 200


def test_group_restricted_closes_the_last_cluster() -> None:
    """Its jobs and chats are refused as recorded, the others are not."""
    with Sandbox("group_restricted") as sandbox, gateway(sandbox) as client:
        expected = recording("err_forbidden_cluster_jobs")["body_text"]
        assert client.get("minerva/jobs").text == expected
        answer = chat(client, "minerva/api", model="google/gemma-4-31B-it")
        assert (answer.status_code, answer.text) == (401, expected)
        assert client.get("metis/jobs").status_code == 200


def test_maintenance_closes_the_first_cluster() -> None:
    """Status false, all jobs stopped without a Model Status, chat 503 with a notice."""
    with Sandbox("maintenance") as sandbox, gateway(sandbox) as client:
        assert client.get("status").json() == {"sophia": False, "metis": True, "minerva": True}
        jobs = client.get("sophia/jobs").json()
        expected = json.loads(recording("jobs_sophia_maintenance")["body_text"])
        assert jobs.keys() == expected.keys()
        assert jobs["stopped"][0].keys() == expected["stopped"][0].keys()
        assert (jobs["running"], jobs["cluster_status"]) == ([], {})
        notice = recording("err_maintenance")["body_text"].replace("downcluster", "sophia")
        assert (chat(client).status_code, chat(client, stream=True).text) == (503, notice)


def test_jobs_unreadable_fails_for_jobs_and_chat_of_the_last_cluster() -> None:
    """As recorded when the status page of a direct endpoint is down."""
    with Sandbox("jobs_unreadable") as sandbox, gateway(sandbox) as client:
        expected = recording("err_jobs_metis_status_down")["body_text"].replace("metis", "minerva")
        answer = client.get("minerva/jobs")
        assert (answer.status_code, answer.text) == (500, expected)
        assert chat(client, "minerva/api", model="google/gemma-4-31B-it").text == expected
        assert client.get("metis/jobs").status_code == 200
    alone = Sandbox("jobs_unreadable", clusters={"sophia": "vllm"})
    with alone, gateway(alone) as client:
        expected = recording("err_jobs_sophia_qstat_offline")["body_text"]
        assert client.get("sophia/jobs").text == expected
        assert chat(client).status_code == 200


def test_jobs_empty_lists_nothing_although_models_run() -> None:
    """Every list is empty, and a prompt is answered all the same."""
    with Sandbox("jobs_empty") as sandbox, gateway(sandbox) as client:
        jobs = client.get("sophia/jobs").json()
        assert jobs.pop("cluster_status") == {"free_nodes": -1}
        assert len(jobs) == 6
        assert not any(jobs.values())
        assert chat(client).status_code == 200


def test_prompts_can_be_refused_by_rate_and_by_tokens() -> None:
    """Two kinds of 429, neither with a Retry-After; other requests are served."""
    with Sandbox("rate_limited") as sandbox, gateway(sandbox) as client:
        answers = [chat(client, stream=True)]
        sandbox.scenario = "tokens_per_minute"
        answers.append(chat(client, stream=True))
        assert client.get("sophia/jobs").status_code == 200
    assert [answer.status_code for answer in answers] == [429, 429]
    assert answers[0].json() == {"detail": "Too many requests."}
    assert answers[1].text == recording("err_tpm_stream")["body_text"]
    assert not [answer for answer in answers if "retry-after" in answer.headers]


@pytest.mark.parametrize("burst", [1, 20])
def test_cut_mid_stream_dies_after_some_text(burst: int) -> None:
    """Text arrives, then the connection ends without the closing chunk."""
    with Sandbox("cut_mid_stream", pace=0.001) as sandbox, gateway(sandbox) as client:
        sandbox.burst = burst
        body = {"model": GPT, "messages": HELLO, "stream": True}
        with client.stream("POST", "sophia/vllm/v1/chat/completions", json=body) as answer:
            received: list[str] = []
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                received.extend(answer.iter_text())  # keeps what came before the error
        assert "data:" in "".join(received)
        with pytest.raises(httpx.RemoteProtocolError):
            chat(client)
        assert sandbox.disconnects == []


def test_silent_truncation_has_no_finish_reason() -> None:
    """Text and [DONE], with neither a finish_reason nor a usage."""
    with Sandbox("silent_truncation", pace=0) as sandbox, gateway(sandbox) as client:
        found = events(chat(client, stream=True, stream_options={"include_usage": True}).text)
        assert found[-1] == "[DONE]"
        assert {event["choices"][0]["finish_reason"] for event in found[:-1]} == {None}
        assert "usage" not in found[-2]
        whole = chat(client).json()
        assert whole["choices"][0]["finish_reason"] is None
        assert "usage" not in whole


@pytest.mark.parametrize(
    ("scenario", "text"), [("error_in_stream", True), ("error_before_text", False)]
)
def test_errors_in_a_stream_have_the_style_of_the_cluster(scenario: str, text: bool) -> None:
    """An error object behind Globus Compute, an [ERROR] chunk behind a direct endpoint."""
    with Sandbox(scenario, pace=0) as sandbox, gateway(sandbox) as client:
        found = events(chat(client, stream=True).text)
        assert found[-2:] == [
            *events(recording("up_gc_err500_stream")["chunks"][0][1]),
            "[DONE]",
        ]
        assert (len(found) > 2) is text
        found = events(chat(client, "metis/api", stream=True).text)
        assert (found[-2]["id"], found[-1]) == ("chatcmpl-api-error", "[DONE]")
        expected = events(recording("up_direct_err500_stream")["chunks"][0][1])[0]
        assert keys(found[-2]) == keys(expected)
        shown, said = (e["choices"][0]["delta"]["content"] for e in (found[-2], expected))
        assert shown[:60] == said[:60]
        assert (len(found) > 2) is text
        assert "Traceback" in chat(client).json()["error"]["message"]
        assert "returned 500: b'" in chat(client, "metis/api").json()["error"]["message"]


def test_html_error_answers_everything_with_a_page() -> None:
    """Also the routes that need no token; Globus is not behind that proxy."""
    with Sandbox("html_error") as sandbox, gateway(sandbox) as client:
        answers = [client.get("health"), client.get("sophia/jobs"), chat(client, stream=True)]
    assert [answer.status_code for answer in answers] == [502] * 3
    assert all(answer.text.startswith("<html>") for answer in answers)


@pytest.mark.clock
def test_slow_is_silent_for_a_second() -> None:
    """The headers come at once, the first token after a second."""
    with Sandbox("slow") as sandbox, gateway(sandbox) as client:
        body = {"model": GPT, "messages": HELLO, "stream": True, "max_tokens": 3}
        start = time.monotonic()
        with client.stream("POST", "sophia/vllm/v1/chat/completions", json=body) as answer:
            assert time.monotonic() - start < 0.5
            assert "data:" in next(answer.iter_text())
            assert 1.0 <= time.monotonic() - start < 1.5


def test_no_gateway_grant_leaves_the_gateway_out() -> None:
    """The login succeeds, with the other grants only."""
    with Sandbox("no_gateway_grant") as sandbox:
        assert list(login(sandbox)) == ["auth.globus.org", "groups.api.globus.org"]


def test_short_tokens_say_that_they_live_for_five_seconds() -> None:
    """A login and a refresh both say so."""
    with Sandbox("short_tokens") as sandbox:
        grant = login(sandbox)[GATEWAY]
        assert grant["expires_in"] == 5
        assert refresh(sandbox, grant["refresh_token"]).json()["expires_in"] == 5


def test_strict_is_also_a_scenario() -> None:
    """It switches the validator without another argument."""
    with Sandbox("strict") as sandbox, gateway(sandbox) as client:
        answer, recorded = replay(client, "strict_chat_template_kwargs")
    assert (answer.status_code, answer.text) == (422, recorded["body_text"])


# Forwarding


class ModelServer(BaseHTTPRequestHandler):
    """A tiny OpenAI-compatible server; the prompt says how it behaves."""

    bodies: ClassVar[list[dict[str, Any]]] = []
    left = threading.Event()

    def do_GET(self) -> None:
        self.send(200, json.dumps({"data": [{"id": "tiny"}, {"id": "other"}]}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.bodies.append(body)
        prompt = body["messages"][-1]["content"]
        if prompt.startswith("refuse"):
            error = {"object": "error", "message": "too long " + "x" * 300, "code": 400}
            newer = {"error": {"message": "too long"}}
            self.send(400, json.dumps(newer if "newer" in prompt else error))
        elif not body.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": "4"}}
            self.send(200, json.dumps({"id": "c", "model": "tiny", "choices": [choice]}))
        else:
            choice = {"index": 0, "delta": {"content": "4"}}
            text = json.dumps({"id": "c", "model": "tiny", "choices": [choice]})
            wait = prompt == "wait"
            self.send(200, f"data: {text}\n\n" + ("" if wait else "data: [DONE]\n\n"), wait)
            if wait and self.connection.recv(1) == b"":
                self.left.set()

    def send(self, status: int, text: str, more: bool = False) -> None:
        self.send_response(status)
        if not more:
            self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""


class ForgetfulModelServer(ModelServer):
    """The same, which promises to keep a connection and ends it when the next request comes."""

    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        self.handle_one_request()
        self.rfile.read(1)


@contextlib.contextmanager
def served(by: type[ModelServer]) -> Iterator[str]:
    """The address of a running server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), by) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def upstream() -> Iterator[str]:
    ModelServer.bodies.clear()
    ModelServer.left.clear()
    with served(ModelServer) as url:
        yield url


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


# Clients that leave, and the sandbox's own life


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
