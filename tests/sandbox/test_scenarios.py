"""What the sandbox does differently under each scenario."""

from __future__ import annotations

import itertools
import json
import threading
import time
from pathlib import Path

import httpx
import pytest

from alcf_magics.sandbox import SCENARIOS, Sandbox
from support.sandbox_client import (
    GATEWAY,
    GPT,
    HELLO,
    bearer,
    chat,
    events,
    gateway,
    keys,
    login,
    recording,
    refresh,
    replay,
)


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


@pytest.mark.parametrize(
    ("scenario", "status", "said"),
    [
        ("bad_gateway", 502, "<title>502 Bad Gateway</title>"),
        ("proxy_restarting", 503, '"retry_after": 1'),
        ("not_ready", 503, "online but not ready to receive tasks"),
        ("gateway_timeout", 504, "Timeout calling http://upstream.invalid"),
    ],
)
def test_some_prompts_fail_and_then_all_is_well(scenario: str, status: int, said: str) -> None:
    """As many prompts as the scenario says, on any cluster; what is read does not fail."""
    with Sandbox(scenario, pace=0) as sandbox, gateway(sandbox) as client:
        failures = sandbox.failures
        assert failures
        assert client.get("sophia/jobs").status_code == 200
        for number in range(failures):
            answer = chat(client, ("sophia/vllm", "metis/api")[number % 2])
            assert (answer.status_code, said in answer.text) == (status, True)
        assert chat(client).status_code == 200


def test_a_connection_dies_without_an_answer() -> None:
    """Not a byte comes, and other connections live on."""
    with Sandbox("dead_connection", pace=0) as sandbox, gateway(sandbox) as client:
        with gateway(sandbox) as other:
            for _ in range(2):
                with pytest.raises(httpx.RemoteProtocolError):
                    chat(client)
            assert other.get("status").status_code == 200
        assert chat(client).status_code == 200
        assert [r.status for r in sandbox.requests if "completions" in r.path] == [0, 0, 200]


def test_no_result_is_the_408_of_a_model_server_that_hangs() -> None:
    """Every prompt, and with no word of when to come again."""
    with Sandbox("no_result") as sandbox, gateway(sandbox) as client:
        answer = chat(client)
        assert (answer.status_code, "retry-after" in answer.headers) == (408, False)


@pytest.mark.parametrize(
    ("scenario", "recorded", "stream"),
    [
        ("dead_upstream", "up_direct_down", False),
        ("dead_upstream", "up_direct_down_stream", True),
        ("offline_upstream", "err_offline_endpoint_gc", False),
    ],
)
def test_the_first_clusters_model_servers_fail(scenario: str, recorded: str, stream: bool) -> None:
    """As recorded, though the jobs say that its models are live; other clusters answer."""
    with Sandbox(scenario, pace=0) as sandbox, gateway(sandbox) as client:
        assert client.get("sophia/jobs").json()["running"]
        answer, expected = chat(client, stream=stream), recording(recorded)
        assert answer.status_code == expected["status"]
        said = "All connection attempts failed" if "dead" in scenario else "is offline"
        assert said in answer.text
        assert said in str(expected.get("body_text") or expected["chunks"])
        assert chat(client, "metis/api", stream=stream).status_code == 200


@pytest.mark.parametrize(("scenario", "comes"), [("hanging", False), ("stalled", True)])
def test_an_answer_keeps_silent(scenario: str, comes: bool) -> None:
    """Before its first token, or in its middle."""
    with Sandbox(scenario, pace=0) as sandbox, gateway(sandbox) as client:
        body = {"model": GPT, "messages": HELLO, "stream": True}
        came: list[str] = []
        url = "sophia/vllm/v1/chat/completions"
        with client.stream("POST", url, json=body, timeout=1) as answer:
            assert answer.status_code == 200
            with pytest.raises(httpx.ReadTimeout):
                came.extend(answer.iter_text())
        text = "".join(came)
        assert ("sandbox" in text, "[DONE]" in text) == (comes, False)


def test_the_limit_is_counted_per_user() -> None:
    """Two logins of one person share the ten; "busy" leaves four of them."""
    with Sandbox(pace=0) as sandbox, gateway(sandbox) as client, gateway(sandbox) as other:
        pairs = [(client.get("whoami"), other.get("whoami")) for _ in range(6)]
        statuses = [answer.status_code for pair in pairs for answer in pair]
        assert statuses == [200] * 10 + [429] * 2
        time.sleep(1.1)
        sandbox.scenario = "busy"
        statuses = [client.get("whoami").status_code for _ in range(6)]
        assert statuses == [200] * 4 + [429] * 2
