"""The lessons in notebooks/ run as they are, from the first cell to the last."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest

from alcf_magics import demo
from alcf_magics.sandbox import Sandbox

pytestmark = pytest.mark.kernel

LESSONS = Path(__file__).parents[2] / "notebooks"


def run(name: str, home: Path, sandbox: Sandbox) -> list[Any]:
    """Run a lesson as a person does; its cells with their outputs."""
    folder = home / "lesson"
    folder.mkdir()
    shutil.copy(LESSONS / name, folder / name)
    notebook = nbformat.read(folder / name, as_version=4)
    with demo._entered(demo.environment(home, sandbox.environment)):
        failure = demo._run(notebook, folder, sandbox)
    assert failure == ""
    return list(notebook.cells)


#: Every connection fails from here on; a kernel's own messages go another way.
NO_NETWORK = """
import socket

def refuse(*_, **__):
    raise AssertionError("the network was used")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


def test_recorded_with_the_network_switched_off(home: Path, sandbox: Sandbox) -> None:
    """No login, no network, no gateway that is known: all answers come from the file beside it."""
    folder = home / "lesson"
    folder.mkdir()
    for name in ("recorded.ipynb", "recorded.jsonl"):
        shutil.copy(LESSONS / name, folder / name)
    before = (folder / "recorded.jsonl").read_bytes()
    notebook = nbformat.read(folder / "recorded.ipynb", as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(NO_NETWORK))
    new = nbformat.v4.new_code_cell("%%alcf\nWhat is not in the file?")
    with demo._entered(demo.environment(home, {"ALCF_MODEL": "a-model-of-mine"})):
        assert demo._run(notebook, folder, sandbox) == ""
        cells = [notebook.cells[0], *notebook.cells[1:5], new]
        refused = nbformat.v4.new_notebook(cells=cells)
        failure = demo._run(refused, folder, sandbox)
    assert "NotLoggedIn: This prompt is not recorded in recorded.jsonl." in failure
    cells = list(notebook.cells)
    assert "recorded 2026-" in shown(cells, "%%alcf --out answer")
    assert " from openai/gpt-oss-120b · sophia" in shown(cells, "%%alcf --out answer")
    assert "'stop'" in shown(cells, "answer.recorded")
    assert "ranks · turn 1" in shown(cells, "%%alcf --chat ranks")
    assert "ranks · turn 2" in shown(cells, "%%alcf -c")
    assert "'nodes': 1" in shown(cells, "from alcf_magics import session")
    assert shown(cells, "words =").count("A sandbox answered") >= 3
    assert shown(cells, "session().history.totals()") == "{}"
    assert (folder / "recorded.jsonl").read_bytes() == before
    assert not sandbox.requests


def shown(cells: list[Any], first_line: str) -> str:
    """What the first cell that begins so shows, as text and as a page."""
    cell = next(cell for cell in cells if cell.source.startswith(first_line))
    data = [output.get("data", {}) for output in cell.outputs]
    return "\n".join(str(value) for one in data for value in one.values())


def tags(cell: Any) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", ()))


def failure_of(cell: Any) -> str:
    """The line that a cell failed with; empty if it did not."""
    outputs = cell.get("outputs", ())
    lines = ["\n".join(output.traceback) for output in outputs if output.output_type == "error"]
    # How IPython shows a usage error.
    usage = [output.text for output in outputs if output.get("name") == "stderr"]
    return "\n".join([*lines, *usage])


def test_prompting(home: Path, sandbox: Sandbox) -> None:
    """Memory, data and parameters: each cell does what the text above it says."""
    cells = run("prompting.ipynb", home, sandbox)
    assert "sky · turn 1" in shown(cells, "%%alcf --chat sky")
    assert "sky · turn 2" in shown(cells, "%%alcf -c")
    assert "Why is the sky blue?" in shown(cells, "from alcf_magics import session")
    assert "(2, ['user', 'assistant', 'user', 'assistant'])" in shown(cells, "sky.save")
    chats = [r.body for r in sandbox.requests if r.path.endswith("/chat/completions")]
    sent = [body["messages"][-1]["content"] for body in chats]
    assert any("'nodes': 16" in text and "def speedup(rows)" in text for text in sent)
    assert any("one rank a GPU" in text and "[1.0, 3.51, 8.27]" in text for text in sent)
    assert "'length'" in shown(cells, "short.finish_reason")
    named = [body for body in chats if "telescope" in str(body["messages"])]
    assert [(body["n"], body["seed"], body["temperature"]) for body in named] == [(2, 7, 1.0)]
    last = chats[-1]
    assert (last["temperature"], last["max_tokens"]) == (0.2, 40)
    assert "telescope" in shown(cells, "session().history")


def test_answers(home: Path, sandbox: Sandbox) -> None:
    """Structured answers, images, tools: each cell does what the text above it says."""
    cells = run("answers.ipynb", home, sandbox)
    assert "[('name', " in shown(cells, "[(machine.name")
    assert "Machine(name=" in shown(cells, "from alcf_magics import session")
    assert "with figure (image " in shown(cells, "%%alcf --chat scaling")
    assert "1 image arrived" in shown(cells, "%%alcf --chat scaling")
    assert "scaling · turn 2" in shown(cells, "%%alcf -c")
    assert "200×200 image/png" in shown(cells, "%%alcf --image field")
    assert "metis:Llama-4-Maverick" in shown(cells, "[model.place for")
    assert "run_time" in shown(cells, "%%alcf --tools run_time")
    assert "Estimate(nodes=" in shown(cells, "@dataclass\nclass Estimate")
    history = shown(cells, "session().history")
    assert "[image " in history
    assert "base64" not in history
    chats = [r.body for r in sandbox.requests if r.path.endswith("/chat/completions")]
    images = [str(body["messages"]).count("'image_url': {'url'") for body in chats]
    assert [count for count in images if count] == [1, 1, 1, 2]
    given = [m["content"] for body in chats for m in body["messages"] if m["role"] == "tool"]
    assert any("187" in text for text in given)  # 8 nodes, between 4 and 16
    schemas = [body["response_format"]["type"] for body in chats if "response_format" in body]
    assert schemas == ["json_schema"] * 3


def test_many(home: Path, sandbox: Sandbox) -> None:
    """A table is classified, embedded, clustered and batched; answers have the table's index."""
    sandbox.answer, sandbox.batch_seconds = "astronomy", 2
    cells = run("many.ipynb", home, sandbox)
    answered = shown(cells, 'papers["field"] =')
    assert answered.count("astronomy") >= 9
    assert "(9, 64)" in shown(cells, "vectors = ")
    groups = shown(cells, "import numpy")
    assert all(f"[{letter}1, {letter}2, {letter}3]" in groups for letter in "abm")
    assert "a batch of 9 lines" in shown(cells, "from pathlib import Path")
    assert "pending, 9 lines" in shown(cells, "batch = session().batch(")
    waited = shown(cells, "batch.wait()")
    assert waited.count("astronomy") == 9
    assert "completed" in shown(cells, "session().batches()")
    assert "'a1', 'b1', 'm1'" in shown(cells, "session().batch_of(")
    chats = [r for r in sandbox.requests if r.path.endswith("/chat/completions")]
    assert len(chats) == 9


#: What each cell of the lesson that is meant to fail says, by the cell's id.
TROUBLES = {
    "nobody-asks": "NotLoggedIn: You are not logged in to ALCF. Log in: %alcf_login",
    "code": "LoginFailed: Globus did not take the code",
    "policy-asks": "LoginExpired: ALCF asks for a fresh login",
    "provider-asks": "LoginExpired: ALCF asks for a login with an Argonne or ALCF account",
    "names-model": "ModelNotFound: There is no model 'gpt-os-120b'. Nearest: openai/gpt-oss-120b",
    "names-option": "unknown option --temprature. Did you mean --temperature?",
    "group-asks": "AccessDenied: The gateway refused: Permission denied",
    "cold-refused": "is offline; nothing was sent. Start it: %alcf_models --start sophia:",
    "loads": "Nothing is loaded on demand on metis",
    "maintenance-refused": "It is live elsewhere: -m metis:gpt-oss-120b",
    "rate-asks": "RateLimited: Too much at once: Too many requests",
    "tokens-asks": "RateLimited: Too much at once: Tokens/minute limit exceeded",
    "unreachable-asks": "GatewayUnreachable: The gateway at 127.0.0.1:9 cannot be reached",
    "stalled-asks": "StreamBroken: The answer stopped coming: nothing for 2 s (silence_seconds)",
    "cut-asks": "StreamBroken: The connection broke off",
    "stop-asks": "KeyboardInterrupt: The prompt was interrupted; what came is kept.",
    "parameters-range": "a number from 0 to 2, not '9'",
    "parameters-refused": "RequestRefused: The request was refused: guided_choice: Extra inputs",
    "schema-asks": "AnswerInvalid: The answer is no valid JSON",
    "window-asks": "RequestRefused: The prompt is too long for gpt-oss-120b on metis",
    "between-refused": "NotLoggedIn: You are not logged in to ALCF.",
}


def test_troubles(home: Path, sandbox: Sandbox) -> None:
    """Each cell that is meant to fail does, as the text above it says, and no other one does.

    "Run All" goes on behind them, and nobody's gateway was asked anything.
    """
    cells = {cell.id: cell for cell in run("troubles.ipynb", home, sandbox)}
    assert set(TROUBLES) == {i for i, c in cells.items() if "raises-exception" in tags(c)}
    for id, words in TROUBLES.items():
        assert words in failure_of(cells[id]), id
    assert set(TROUBLES) == {id for id, cell in cells.items() if failure_of(cell)}
    whole = list(cells.values())
    assert "was loaded in 3 s" in shown(whole, cells["cold-waits"].source)
    moved = "is under maintenance on sophia. Asked gpt-oss-120b on metis instead."
    assert moved in shown(whole, cells["fallback"].source)
    assert "A sandbox answered" in shown(whole, cells["passing-asks"].source)
    for id in ("stalled-kept", "stop-kept"):
        assert "(None, " in shown(whole, cells[id].source)
        assert "## A sandbox answered" in shown(whole, cells[id].source)
    assert "sky · turn 2" in cells["between-again"].outputs[-1].data["text/html"]
    assert not sandbox.requests
