"""The demo with a model that answers for real, and what happens where it cannot be had."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from alcf_magics import Chat, Session
from alcf_magics.sandbox import Sandbox
from alcf_magics.sandbox.model_file import NAME
from alcf_magics.sandbox.model_server import CONTEXT
from support.downloads import user_cache
from support.logins import log_in
from support.shell import Shell

COMMAND = (sys.executable, "-m", "alcf_magics")
pytestmark = pytest.mark.real_model


@pytest.fixture
def sandbox(home: Path, model_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox that has the real model, to which the environment leads, with somebody's login."""
    with Sandbox(model_server=model_url, pace=0) as sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        log_in(sandbox, home)
        yield sandbox


def test_the_real_model_answers_under_its_name_alone(sandbox: Sandbox) -> None:
    """It is the default, and every other name says in its first line who answers for real."""
    session = Session()
    completion = session.ask("Say hello.", temperature=0, max_tokens=24)
    assert completion.place.place == f"metis:{NAME}"
    assert NAME in completion.about
    assert "sandbox" not in completion.text
    first = session.ask("Say hello.", model="gpt-oss-120b").text.splitlines()[0]
    assert f"-m {NAME}" in first
    places = [model.place for model in session.catalog()]
    assert [place for place in places if NAME.lower() in place.lower()] == [f"metis:{NAME}"]


def test_its_window_is_what_the_table_says(sandbox: Sandbox, model_url: str) -> None:
    """The server is started for as many tokens as the table has; the label stands below it."""
    found = Session().catalog().select(NAME)
    [served] = httpx.get(f"{model_url}/models").json()["data"]
    assert found[0].capabilities.context_window == CONTEXT == served["meta"]["n_ctx_train"]
    assert f"{NAME}: a real model on this machine: small, and its facts are often wrong" in repr(
        found
    )


def test_the_real_model_follows_a_schema_and_remembers_a_chat(sandbox: Sandbox) -> None:
    """What it writes has the shape that was asked for, and a chat goes on."""
    session = Session()
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    text = session.ask("Red or green?", schema=schema, temperature=0, max_tokens=64).text
    assert json.loads(text)["colour"] in ("red", "green")
    session.chats["c"] = chat = Chat()
    chat.ask("My name is Ada.", temperature=0, max_tokens=24)
    chat.ask("What is my name?", temperature=0, max_tokens=24)
    sent = [r.body for r in sandbox.requests if r.path.endswith("chat/completions")][-1]
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]


def test_a_sandbox_within_a_kernel_of_the_demo_has_it(sandbox: Sandbox, home: Path) -> None:
    """`%alcf_login --sandbox` starts another sandbox, behind which the same model answers."""
    with Shell(home) as shell:
        shell.run("%load_ext alcf_magics")
        assert f"only {NAME} is a real model" in shell.run("%alcf_login --sandbox").text
        assert shell.run("%alcf --max-tokens 8 --out a Say hello.").status == "ok"
        assert shell.run("print(a.place.place)").text.strip() == f"metis:{NAME}"
        shell.run("%alcf_logout")


@pytest.mark.kernel
def test_execute_prints_what_the_real_model_answered(
    model_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer is printed with the grey line that names it, and no server is left."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(user_cache()))
    done = subprocess.run(
        [*COMMAND, "demo", "--execute"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer = done.stdout.partition(">>> %%alcf --out answer")[2].partition(">>>")[0]
    assert "sandbox" not in answer
    assert re.search(rf"^.*{NAME}.*token.*$", answer, re.MULTILINE)


def test_the_server_ends_with_a_sandbox_that_is_killed(
    model_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when nothing could be cleaned up."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(user_cache()))
    with subprocess.Popen(
        [*COMMAND, "sandbox", "--model"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        text = ""
        while "Ctrl-C" not in text:
            text += process.stdout.readline()
        values = dict(re.findall(r"^export (\w+)=(\S+)$", text, re.MULTILINE))
        assert values["ALCF_MODEL"] == NAME
        served = httpx.get(f"{values['ALCF_SANDBOX_MODEL']}/models", timeout=10)
        assert NAME in served.text
        process.kill()
    end = 0
    while end < 50:
        try:
            httpx.get(f"{values['ALCF_SANDBOX_MODEL']}/models", timeout=1)
        except httpx.ConnectError:
            break
        end += 1
    assert end < 50
