"""Many prompts at a real small model, by a process that is killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from alcf_magics import Completion
from alcf_magics.sandbox import Sandbox
from support.logins import log_in, logged_in

pytestmark = pytest.mark.real_model

MODEL = "smollm2-135m-instruct"
PROMPTS = [f"What is {number} plus one? Answer with a number." for number in range(50)]
ASKED: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 8,
    "temperature": 0,
    "in_flight": 4,
    "progress": False,
}
SCRIPT = """
import json, sys
from alcf_magics import session
session().map(json.loads(sys.argv[2]), save=sys.argv[1], **json.loads(sys.argv[3]))
"""


def asked(sandbox: Sandbox) -> list[str]:
    return [
        r.body["messages"][-1]["content"]
        for r in sandbox.requests
        if r.path.endswith("/chat/completions")
    ]


def answered(file: Path) -> list[str]:
    """The prompts whose answers stand whole in a file."""
    lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
    return [json.loads(line)["messages"][-1]["content"] for line in lines]


def test_fifty_prompts_are_resumed_and_none_is_asked_twice(
    home: Path, model_url: str, tmp_path: Path
) -> None:
    """A process is killed in the middle: of what it has an answer to, the next one asks nothing."""
    file = tmp_path / "answers.jsonl"
    with Sandbox(upstream=model_url) as sandbox:
        log_in(sandbox, home)
        arguments = [str(file), json.dumps(PROMPTS), json.dumps(ASKED)]
        with subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *arguments],
            env={**os.environ, **sandbox.environment, "HOME": str(home)},
        ) as first:
            while len(answered(file)) < 10 and first.poll() is None:
                time.sleep(0.01)
            first.send_signal(signal.SIGKILL)
            first.wait(30)
        before = answered(file)
        assert 10 <= len(before) < 50
        time.sleep(1)  # what was on its way when it died has come in by now
        sandbox.requests.clear()
        session = logged_in(sandbox)
        results = session.map(PROMPTS, save=file, **ASKED)
        assert results.failed == []
        assert [one.prompt for one in results if isinstance(one, Completion)] == PROMPTS
        assert sorted(asked(sandbox)) == sorted(set(PROMPTS) - set(before))
        assert sorted(answered(file)) == sorted(PROMPTS)
        sandbox.requests.clear()
        again = session.map(PROMPTS, save=file, **ASKED)
        assert asked(sandbox) == []
        texts = [one.text for one in again if isinstance(one, Completion)]
        assert texts == [one.text for one in results if isinstance(one, Completion)]
        assert all(texts)
        session.close()
