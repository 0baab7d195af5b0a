"""The sandbox's batches: refusals as recorded, lines really answered, in the background."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from alcf_magics.sandbox import Sandbox
from support.sandbox_client import ModelServer, gateway, keys, recording, replay, within

LLAMA = "meta-llama/Meta-Llama-3.1-8B-Instruct"
SUBMIT = "sophia/vllm/v1/batches"


def line(name: str, text: str, **more: Any) -> str:
    body = {"model": LLAMA, "messages": [{"role": "user", "content": text}], **more}
    request = {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(request) + "\n"


def submit(client: httpx.Client, folder: Path, *lines: str, **changed: Any) -> httpx.Response:
    """Write lines into an input file, and submit it."""
    (folder / "in.jsonl").write_text("".join(lines), "utf-8")
    body = {"model": LLAMA, "input_file": str(folder / "in.jsonl")}
    return client.post(SUBMIT, json={**body, "output_folder_path": str(folder / "out"), **changed})


def ended(client: httpx.Client, answer: httpx.Response) -> str:
    """The batch's status when it is no longer active."""
    number = answer.json()["batch_id"]
    active = ("pending", "running")
    assert within(5, lambda: client.get(f"v1/batches/{number}").json() not in active)
    return str(client.get(f"v1/batches/{number}").json())


def results(client: httpx.Client, answer: httpx.Response) -> list[dict[str, Any]]:
    """The lines of the results file that the gateway names."""
    number = answer.json()["batch_id"]
    found = ast.literal_eval(client.get(f"v1/batches/{number}/result").json())
    text = Path(found["results_file"]).read_text("utf-8")
    return [json.loads(written) for written in text.splitlines()]


@pytest.mark.parametrize(
    "name",
    [
        "batch_list_empty",
        "err_batch_bad_filter",
        "err_batch_extra_field",
        "err_batch_metis",
        "err_batch_missing",
        "err_batch_unavailable_model",
        "err_batch_unknown_id",
    ],
)
def test_answers_without_a_batch_are_those_recorded(client: httpx.Client, name: str) -> None:
    """The same request gets the same status, content type and text."""
    answer, recorded = replay(client, name)
    assert answer.status_code == recorded["status"]
    assert answer.headers["content-type"] == recorded["headers"]["content-type"]
    assert answer.text == recorded["body_text"]


def test_a_batch_goes_through_the_recorded_answers(
    running: Sandbox, client: httpx.Client, tmp_path: Path
) -> None:
    """Submitted, listed, ongoing, done: each answer has the recording's keys, or its text."""
    running.batch_pace = 30
    answer = submit(client, tmp_path, line("a", "hi"))
    number = answer.json()["batch_id"]

    def recorded(name: str) -> Any:
        old = recording("batch_submit")["body_text"]
        text = recording(name)["body_text"].replace(json.loads(old)["batch_id"], number)
        return json.loads(text)

    assert keys(answer.json()) == keys(recorded("batch_submit"))
    assert client.get(f"v1/batches/{number}").json() == recorded("batch_status_pending")
    assert keys(client.get("v1/batches").json()) == keys(recorded("batch_list"))
    early = client.get(f"v1/batches/{number}/result")
    assert (early.status_code, early.json()) == (400, recorded("err_batch_result_not_ready"))
    again = submit(client, tmp_path, line("a", "hi"), output_folder_path=None)
    assert (again.status_code, again.json()) == (400, recorded("err_batch_quota"))
    running.identity = replace(running.identity, sub="other")
    with gateway(running) as other:
        foreign = other.get(f"v1/batches/{number}")
        assert (foreign.status_code, foreign.json()) == (403, recorded("err_batch_other_user"))
        assert other.get("v1/batches").json() == []


def test_a_done_batch_has_its_answers_and_its_progress(
    running: Sandbox, client: httpx.Client, tmp_path: Path
) -> None:
    """Each line is answered under its custom_id; result, list and progress are as recorded."""
    running.batch_seconds, running.batch_chunk = 0, 2
    lines = [line(name, f"say {name}", max_tokens=20) for name in "abc"]
    answer = submit(client, tmp_path, *lines, "\n")
    assert ended(client, answer) == "completed"
    found = results(client, answer)
    assert [entry["custom_id"] for entry in found] == ["a", "b", "c"]
    assert {entry["response"]["status_code"] for entry in found} == {200}
    body = found[1]["response"]["body"]
    assert body["usage"]["completion_tokens"] <= 20
    assert body["choices"][0]["finish_reason"] == "length"
    number = answer.json()["batch_id"]
    said = ast.literal_eval(client.get(f"v1/batches/{number}/result").json())
    recorded = ast.literal_eval(json.loads(recording("batch_result")["body_text"]))
    assert list(said) == list(recorded)
    assert (said["num_responses"], said["lines_processed"]) == (3, 3)
    progress = json.loads(Path(said["progress_file"]).read_text("utf-8"))
    assert progress["lines_processed"] == 3
    assert [chunk["chunk_lines"] for chunk in progress["chunk_history"]] == [2, 1]
    listed = client.get("v1/batches?status=completed").json()
    assert keys(listed) == keys(json.loads(recording("batch_list_completed_filter")["body_text"]))
    assert client.get("v1/batches?status=failed").json() == []


def test_a_line_that_is_refused_costs_no_other(
    running: Sandbox, client: httpx.Client, tmp_path: Path
) -> None:
    """A wrong value and an unknown URL are errors in their places; embeddings are served."""
    running.batch_seconds = 0
    bad_url = line("url", "hi").replace("/v1/chat/completions", "/v1/nope")
    lines = [line("wrong", "hi", temperature="hot"), bad_url, line("good", "hi")]
    answer = submit(client, tmp_path, *lines)
    assert ended(client, answer) == "completed"
    wrong, unknown, good = results(client, answer)
    assert (wrong["response"]["status_code"], wrong["response"]["body"]) == (400, None)
    assert "temperature" in json.dumps(wrong["error"])
    assert "/v1/nope" in unknown["error"]["message"]
    assert good["error"] is None


@pytest.mark.parametrize("content", [None, "no JSON\n", '{"custom_id": "a"}\n'])
def test_an_input_that_cannot_be_read_fails_the_batch(
    running: Sandbox, client: httpx.Client, tmp_path: Path, content: str | None
) -> None:
    """A missing file, or a line that is no request: failed, in the list as recorded."""
    running.batch_seconds = 0
    missing = {} if content else {"input_file": str(tmp_path / "gone.jsonl")}
    answer = submit(client, tmp_path, content or "", **missing)
    assert ended(client, answer) == "failed"
    listed = client.get("v1/batches").json()
    assert keys(listed) == keys(json.loads(recording("batch_list_fail")["body_text"]))
    assert listed[0]["failed_at"]
    refused = client.get(f"v1/batches/{answer.json()['batch_id']}/result")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "batch_failed")


def test_without_an_output_folder_the_batch_runs_behind_an_error(
    running: Sandbox, client: httpx.Client, tmp_path: Path
) -> None:
    """The answer is an internal error, and the batch is in the list all the same."""
    running.batch_seconds = 0
    answer = submit(client, tmp_path, line("a", "hi"), output_folder_path=None)
    recorded = json.loads(recording("batch_submit_no_folder")["body_text"])
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == recorded["error"]["code"]
    assert within(5, lambda: client.get("v1/batches?status=completed").json())


def test_a_batch_asks_the_upstream(upstream: str, tmp_path: Path) -> None:
    """Its lines are forwarded; an error of the model server's stands in the line's place."""
    with Sandbox(upstream=upstream) as sandbox, gateway(sandbox) as client:
        sandbox.batch_seconds, sandbox.requests_per_second = 0, 1000
        answer = submit(client, tmp_path, line("a", "2+2"), line("b", "refuse"))
        assert ended(client, answer) == "completed"
        good, bad = results(client, answer)
    assert good["response"]["body"]["choices"][0]["message"]["content"] == "4"
    assert good["response"]["body"]["model"] == LLAMA
    assert bad["response"]["status_code"] == 400
    assert bad["error"]["message"].startswith("too long")
    assert [body["model"] for body in ModelServer.bodies] == ["tiny", "tiny"]


def test_a_batch_ends_with_its_sandbox(tmp_path: Path) -> None:
    """What was under way has failed when the sandbox starts again, and another may begin."""
    with Sandbox() as sandbox, gateway(sandbox) as client:
        sandbox.batch_pace = 30
        submit(client, tmp_path, line("a", "hi"))
    with sandbox, gateway(sandbox) as client:
        assert [entry["status"] for entry in client.get("v1/batches").json()] == ["failed"]
        assert submit(client, tmp_path, line("a", "hi")).status_code == 200
