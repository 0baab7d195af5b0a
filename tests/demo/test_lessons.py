"""The lessons in notebooks/ run as they are, from the first cell to the last, and replay."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from alcf_magics.sandbox import Sandbox
from alcf_magics.sandbox.model_file import NAME
from support.lessons import LESSONS, NEEDS_LOGIN, NO_NETWORK, ORDER, lesson, record, replay, run

# How they are kept


@pytest.mark.parametrize("name", ORDER)
def test_a_lesson_is_clean(name: str) -> None:
    """A valid notebook with ids and without outputs, for any Python 3 kernel."""
    notebook = nbformat.read(LESSONS / f"{name}.ipynb", as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


@pytest.mark.parametrize("name", ORDER)
def test_a_lesson_says_what_it_needs_and_leads_on(name: str) -> None:
    """Minutes and needs below the title, as the overview has them; at the end the next lesson."""
    cells = lesson(name).cells
    minutes = re.search(r"\n\n\*(\d+) minutes\. Needs ", cells[0].source)
    assert minutes is not None
    overview = (LESSONS / "README.md").read_text(encoding="utf-8")
    assert f"| [{name}]({name}.ipynb) | {minutes[1]} |" in overview
    following = [other for here, other in itertools.pairwise(ORDER) if here == name]
    assert all(f"]({other}.ipynb)" in cells[-1].source for other in following)
    linked = {link for cell in cells for link in re.findall(r"\]\(([^):]+)\)", cell.source)}
    assert "README.md" in linked
    assert all((LESSONS / link).is_file() for link in linked)


def test_every_lesson_is_known() -> None:
    """None lies there that the overview and these tests leave out."""
    assert {path.stem for path in LESSONS.glob("*.ipynb")} == set(ORDER)


# What the cells show


def tags(cell: Any) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", ()))


def failures(cells: list[Any]) -> dict[str, str]:
    """The lines of the cells that failed, by the cells' ids."""
    lines = {cell.id: failure_of(cell) for cell in cells}
    return {id: line for id, line in lines.items() if line}


def failure_of(cell: Any) -> str:
    """The line that a cell failed with; empty if it did not."""
    outputs = cell.get("outputs", ())
    lines = ["\n".join(output.traceback) for output in outputs if output.output_type == "error"]
    # How IPython shows a usage error.
    usage = [output.text for output in outputs if output.get("text", "").startswith("UsageError")]
    return "\n".join([*lines, *usage])


def shown(cells: list[Any], first_line: str) -> str:
    """What the first cell that begins so shows, as text and as a page."""
    cell = next(cell for cell in cells if cell.source.startswith(first_line))
    data = [output.get("data", {}) for output in cell.outputs]
    return "\n".join(str(value) for one in data for value in one.values())


def answers(cells: list[Any]) -> dict[str, str]:
    """What the prompts of a lesson were answered, as text, by the cells' ids."""
    asked = [cell for cell in cells if cell.source.startswith(("%%alcf", "%alcf "))]
    return {cell.id: cell.outputs[-1].data["text/plain"] for cell in asked}


def check_replay(name: str, live: list[Any], home: Path, sandbox: Sandbox) -> None:
    """With the network switched off each prompt has the same answer, which says that it is
    recorded. The cells that only the gateway can answer fail, as they are tagged, and no other."""
    assert failures(live) == {}
    cells = replay(name, home, sandbox)
    assert answers(cells) == answers(live)
    prompts = [cell for cell in cells if cell.id in answers(cells)]
    assert all("recorded 2" in cell.outputs[-1].data["text/html"] for cell in prompts)
    assert set(failures(cells)) == {cell.id for cell in cells if NEEDS_LOGIN in tags(cell)}
    assert not sandbox.requests


@pytest.mark.kernel
def test_quickstart(home: Path, sandbox: Sandbox) -> None:
    """In the sandbox, and again from what was recorded there."""
    cells = record("quickstart", home, sandbox)
    assert "Llama-4-Maverick" in shown(cells, "%alcf_models")
    assert len(answers(cells)) == 2
    check_replay("quickstart", cells, home, sandbox)


@pytest.mark.kernel
def test_recorded_with_the_network_switched_off(home: Path, sandbox: Sandbox) -> None:
    """No login, no network, no gateway that is known: all answers come from the file beside it."""
    folder = home / "lesson"
    folder.mkdir()
    shutil.copy(LESSONS / "recorded.jsonl", folder)
    before = (folder / "recorded.jsonl").read_bytes()
    notebook = lesson("recorded", NO_NETWORK)
    edited = nbformat.v4.new_code_cell("%%alcf\nWhat is not in the file?")
    edited.metadata.tags = ["raises-exception"]
    notebook.cells.append(edited)
    cells = run(notebook, folder, home, sandbox, {"ALCF_MODEL": "a-model-of-mine"})
    refused = "NotLoggedIn: This prompt is not recorded in recorded.jsonl."
    assert refused in failures(cells).pop(edited.id)
    assert list(failures(cells)) == [edited.id]
    assert "recorded 2026-" in shown(cells, "%%alcf --out answer")
    assert f" from {NAME} · metis" in shown(cells, "%%alcf --out answer")
    assert "'stop'" in shown(cells, "answer.recorded")
    assert "ada · turn 1" in shown(cells, "%%alcf --chat ada")
    assert "ada · turn 2" in shown(cells, "%%alcf -c")
    assert "galaxies" in shown(cells, "%%alcf -c")
    assert "{'colour': 'blue'}" in shown(cells, "from alcf_magics import session")
    assert shown(cells, "words =").count("celestial body") >= 2
    assert shown(cells, "session().history.totals()") == "{}"
    assert (folder / "recorded.jsonl").read_bytes() == before
    assert not sandbox.requests


@pytest.mark.kernel
def test_prompting(home: Path, sandbox: Sandbox) -> None:
    """Memory, data and parameters: each cell does what the text above it says."""
    cells = record("prompting", home, sandbox)
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
    check_replay("prompting", cells, home, sandbox)


@pytest.mark.kernel
def test_answers(home: Path, sandbox: Sandbox) -> None:
    """Structured answers, images, tools: each cell does what the text above it says."""
    cells = record("answers", home, sandbox)
    assert "[('name', " in shown(cells, "[(machine.name")
    assert "Machine(name=" in shown(cells, "from alcf_magics import session")
    assert "with figure (image " in shown(cells, "%%alcf --chat scaling")
    assert "1 image arrived" in shown(cells, "%%alcf --chat scaling")
    assert "scaling · turn 2" in shown(cells, "%%alcf -c")
    assert "200×200 image/png" in shown(cells, "%%alcf --image field")
    assert "metis:Llama-4-Maverick" in shown(cells, "[model.place for")
    assert "run_time" in shown(cells, "%%alcf -m gpt-oss-120b --tools")
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
    check_replay("answers", cells, home, sandbox)


@pytest.mark.kernel
def test_many(home: Path, sandbox: Sandbox) -> None:
    """A table is classified, embedded, clustered and batched; answers have the table's index."""
    sandbox.batch_seconds = 2
    cells = record("many", home, sandbox)
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
    assert failures(cells) == {}
    replayed = replay("many", home, sandbox)
    assert shown(replayed, 'papers["field"] =') == answered
    assert set(failures(replayed)) == {cell.id for cell in replayed if NEEDS_LOGIN in tags(cell)}
    assert not sandbox.requests


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


@pytest.mark.kernel
def test_troubles(home: Path, sandbox: Sandbox) -> None:
    """Each cell that is meant to fail does, as the text above it says, and no other one does.

    "Run All" goes on behind them, and nobody's gateway was asked anything.
    """
    cells = {cell.id: cell for cell in run(lesson("troubles"), home / "live", home, sandbox)}
    assert set(TROUBLES) == {i for i, c in cells.items() if "raises-exception" in tags(c)}
    failed = failures(list(cells.values()))
    assert set(failed) == set(TROUBLES)
    for id, words in TROUBLES.items():
        assert words in failed[id], id
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


# With a model that answers for real


@pytest.fixture
def real_sandbox(home: Path, model_url: str) -> Iterator[Sandbox]:
    """A sandbox behind which the real model answers whoever names no other one."""
    with Sandbox(model_server=model_url, pace=0) as sandbox:
        yield sandbox


@pytest.mark.kernel
@pytest.mark.real_model
def test_prompting_with_a_real_model(home: Path, real_sandbox: Sandbox) -> None:
    """It writes the turns of the chat, reads what is put in, and keeps to the parameters."""
    cells = run(lesson("prompting"), home / "real", home, real_sandbox)
    assert failures(cells) == {}
    said = answers(cells)
    assert sum("sandbox" in text for text in said.values()) == 2  # of those that are named
    assert len(set(said.values())) == len(said)
    for start in ("%%alcf --chat sky", "%%alcf -c", "%%alcf -f notes.txt"):
        assert f"{NAME} · metis" in shown(cells, start)
    assert "'length'" in shown(cells, "short.finish_reason")
    assert "(2, ['user', 'assistant', 'user', 'assistant'])" in shown(cells, "sky.save")


@pytest.mark.kernel
@pytest.mark.real_model
def test_answers_with_a_real_model(home: Path, real_sandbox: Sandbox) -> None:
    """What it writes has the shape that is asked for; the models beside it see and call."""
    cells = run(lesson("answers"), home / "real", home, real_sandbox)
    assert failures(cells) == {}
    assert f"{NAME} · metis" in shown(cells, "%%alcf --schema list[Machine]")
    machines = shown(cells, "[(machine.name")
    assert re.fullmatch(r"\[(\('.+', \d+\),?\s*)+\]", machines.strip())
    assert "('Polaris', 560)" in machines
    assert "Machine(name=" in shown(cells, "from alcf_magics import session")
    assert "Estimate(nodes=" in shown(cells, "@dataclass\nclass Estimate")


@pytest.mark.kernel
@pytest.mark.real_model
def test_many_with_a_real_model(home: Path, real_sandbox: Sandbox) -> None:
    """It tells the fields apart, most of the time: a class sees that it answers."""
    cells = run(lesson("many"), home / "real", home, real_sandbox)
    assert failures(cells) == {}
    table = shown(cells, 'papers["field"] =')
    right = {"a": "astronomy", "b": "biology", "m": "materials"}
    rows = re.findall(r"^([abm])\d .* (\w+) *$", table, re.MULTILINE)
    assert len(rows) == 9
    assert sum(right[letter] == field for letter, field in rows) >= 5
