"""Recorded answers: asked once, and answered from a file then, also where nobody is logged in."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alcf_magics import Completion, Session
from alcf_magics.errors import AlcfError, GatewayUnreachable, NotLoggedIn, RequestRefused
from alcf_magics.gateway import replaying
from alcf_magics.many.results import Results
from alcf_magics.sandbox import Sandbox
from support.logins import logged_in

MODEL = "gpt-oss-120b"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "PAUSE", 0.0)


@pytest.fixture
def teacher(sandbox: Sandbox) -> Iterator[Session]:
    sandbox.pace = 0
    session = logged_in(sandbox)
    yield session
    session.close()


@pytest.fixture
def student(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Session]:
    """Nobody is logged in, and there is no network: any socket to anywhere is refused."""
    session = Session()
    session.choose(gateway_url="https://gateway.invalid/api", model="")
    yield session
    session.close()


def offline(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """From now on no connection is made, and no login is found."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    (home / ".globus").rename(home / "globus-before")


def asked(sandbox: Sandbox) -> int:
    return sum(r.path.endswith("/chat/completions") for r in sandbox.requests)


def came(results: Results) -> list[Completion]:
    """The answers of a map that has no errors."""
    assert not results.failed
    return [one for one in results if isinstance(one, Completion)]


@pytest.fixture
def lesson(tmp_path: Path) -> Path:
    return tmp_path / "lesson.jsonl"


def test_an_answer_is_recorded_and_replays_without_login_and_network(
    teacher: Session,
    student: Session,
    lesson: Path,
    sandbox: Sandbox,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All is that of then, and the line says so; totals are nought."""
    first = teacher.ask("Why?", "metis:" + MODEL, cassette=lesson, temperature=0, n=2)
    assert not first.recorded
    assert teacher.ask("Why?", MODEL, cassette=lesson, temperature=0, n=2).recorded
    assert asked(sandbox) == 1
    offline(monkeypatch, home)
    for named in (MODEL, "metis:" + MODEL, "sophia:" + MODEL, MODEL.upper()):
        again = student.ask("Why?", named, cassette=lesson, temperature=0.0, n=2)
        assert again.choices == first.choices
        assert again.recorded in again.about
        assert f"recorded {again.recorded} from {MODEL} · metis" in again.about
        assert "tokens" not in again.about
        assert (again.usage, again.asked) == (first.usage, named)
    assert len(student.history) == 4
    assert student.history.totals() == {}
    assert repr(student.history).count("recorded") == 4
    assert student.history[0].record.to_json()["recorded"] == again.recorded
    assert "recorded" not in first.record.to_json()


def test_a_cell_without_a_model_replays_whatever_the_default_is(
    teacher: Session,
    student: Session,
    lesson: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ALCF_MODEL and the default count as none; a model that is set in the notebook counts."""
    first = teacher.ask("Why?", cassette=lesson)
    offline(monkeypatch, home)
    monkeypatch.setenv("ALCF_MODEL", "another-model")
    student.choose(cassette=str(lesson), aliases={"fast": MODEL})
    assert student.ask("Why?").text == first.text
    with pytest.raises(NotLoggedIn):
        student.ask("Why?", "fast")
    student.choose(model=MODEL)
    with pytest.raises(NotLoggedIn):
        student.ask("Why?")


@pytest.mark.parametrize("setting", [True, False])
def test_what_is_not_recorded_is_refused_in_one_line(
    student: Session, lesson: Path, home: Path, setting: bool
) -> None:
    """Without a login: the file is named, and how to log in; nothing is written."""
    (home / ".globus").exists()
    if setting:
        student.choose(cassette=str(lesson))
    given: dict[str, Any] = {} if setting else {"cassette": lesson}
    with pytest.raises(NotLoggedIn) as caught:
        student.ask("Why?", **given)
    said = str(caught.value)
    assert "is not recorded in" in said
    assert "lesson.jsonl" in said
    assert "%alcf_login" in said
    assert "\n" not in said
    assert not lesson.exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"prompt": "Why not?"},
        {"temperature": 0.5},
        {"model": "llama-3.1-8b-instruct"},
        {"system": "Be brief."},
        {"format": "json"},
    ],
)
def test_another_question_is_asked_anew(
    teacher: Session, lesson: Path, sandbox: Sandbox, changed: dict[str, Any]
) -> None:
    """An edited prompt, another parameter, another named model."""
    sandbox.answer = "{}"
    given: dict[str, Any] = {"prompt": "Why?", "model": MODEL, "temperature": 0}
    teacher.ask(**given, cassette=lesson)
    given |= changed
    assert not teacher.ask(**given, cassette=lesson).recorded
    assert asked(sandbox) == 2
    assert teacher.ask(**given, cassette=lesson).recorded
    assert asked(sandbox) == 2


def test_fresh_asks_anew_and_replaces(teacher: Session, lesson: Path, sandbox: Sandbox) -> None:
    """Of two lines with one question the last counts."""
    sandbox.answer = "old"
    teacher.ask("Why?", cassette=lesson)
    sandbox.answer = "new"
    assert teacher.ask("Why?", cassette=lesson).text == "old"
    assert teacher.ask("Why?", cassette=lesson, fresh=True).text == "new"
    assert teacher.ask("Why?", cassette=lesson).text == "new"
    assert asked(sandbox) == 2


def test_a_chat_replays_turn_by_turn(
    teacher: Session,
    student: Session,
    lesson: Path,
    sandbox: Sandbox,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A turn is found behind the same turns alone."""

    def talk(session: Session) -> list[str]:
        session.choose(cassette=str(lesson), system="Be brief.")
        chat = session.chats.named("sky")
        return [chat.ask(said).text for said in ("Why is it blue?", "And at night?", "Why?")]

    sandbox.answer = ""
    said = talk(teacher)
    offline(monkeypatch, home)
    assert talk(student) == said
    chat = student.chats["sky"]
    assert [turn.interrupted for turn in chat.turns] == [False] * 3
    assert "turn 3" in student.history[-1].about
    with pytest.raises(NotLoggedIn, match=r"lesson\.jsonl"):
        chat.ask("And when it snows?")


def test_schemas_and_tools_replay(
    teacher: Session,
    student: Session,
    lesson: Path,
    sandbox: Sandbox,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The value is read anew; the calls are those of then, and no function runs again."""
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
    }
    runs: list[int] = []

    def run_time(nodes: int) -> float:
        """Seconds of a run on so many nodes."""
        runs.append(nodes)
        return 600 / nodes

    first = teacher.ask("A name?", schema=schema, cassette=lesson)
    second = teacher.ask("How long? Call run_time(nodes=4)", tools=[run_time], cassette=lesson)
    assert len(second.calls) == len(runs) > 0
    offline(monkeypatch, home)
    student.choose(cassette=str(lesson))
    assert student.ask("A name?", schema=schema).parsed == first.parsed is not None
    again = student.ask("How long? Call run_time(nodes=4)", tools=[run_time])
    assert len(runs) == len(second.calls)
    assert (again.text, again.calls) == (second.text, second.calls)
    assert again.request.messages == second.request.messages
    with pytest.raises(NotLoggedIn):
        student.ask("How long? Call run_time(nodes=4)")


def test_an_image_replays(
    teacher: Session,
    student: Session,
    lesson: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same pixels are the same question."""
    numpy = pytest.importorskip("numpy")
    pytest.importorskip("PIL")
    picture = numpy.zeros((8, 8), dtype="uint8")
    first = teacher.ask("What is it?", images=picture, cassette=lesson)
    offline(monkeypatch, home)
    assert student.ask("What is it?", images=picture.copy(), cassette=lesson).text == first.text
    with pytest.raises(NotLoggedIn):
        student.ask("What is it?", images=picture + 9, cassette=lesson)


async def _pieces(session: Session, lesson: Path) -> list[str]:
    return [piece async for piece in session.astream("Why?", cassette=lesson)]


def test_it_streams_in_pieces_awaited_or_not(
    teacher: Session,
    student: Session,
    lesson: Path,
    sandbox: Sandbox,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A replay comes piece by piece, as an answer does."""
    import asyncio

    sandbox.answer = "One two three.\n\n```python\nx = 1\n```\n\nEnd " * 9
    text = "".join(teacher.stream("Why?", cassette=lesson))
    assert text == sandbox.answer
    offline(monkeypatch, home)
    monkeypatch.setattr(replaying, "PAUSE", 0.002)
    pieces = list(student.stream("Why?", cassette=lesson))
    assert len(pieces) > 3
    assert "".join(pieces) == text
    assert "".join(asyncio.run(_pieces(student, lesson))) == text
    assert asyncio.run(student.aask("Why?", cassette=lesson)).text == text


def test_an_interrupted_replay_keeps_what_came(
    teacher: Session, lesson: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an answer that ended early, and the next one is whole."""
    monkeypatch.setattr(replaying, "PAUSE", 0.05)
    whole = teacher.ask("Why?", cassette=lesson)
    exchange = teacher.exchange("Why?", cassette=lesson)

    def stopped() -> None:
        with exchange:
            for answer in exchange:
                if answer.began:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert exchange.completion is not None
    assert exchange.completion.finish_reason is None
    assert whole.text.startswith(exchange.completion.text)
    monkeypatch.setattr(replaying, "PAUSE", 0.0)
    assert teacher.ask("Why?", cassette=lesson).text == whole.text


def test_a_map_records_and_replays(
    teacher: Session,
    student: Session,
    lesson: Path,
    tmp_path: Path,
    sandbox: Sandbox,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`save` counts where it is given, else the cassette; a single prompt is the first."""
    given: dict[str, Any] = {"model": MODEL, "progress": False}
    teacher.choose(cassette=str(lesson))
    first = came(teacher.map(["Why?", "Why?", "When?"], **given))
    assert asked(sandbox) == 3
    assert len(lesson.read_text().splitlines()) == 3
    saved = tmp_path / "saved.jsonl"
    teacher.map(["Where?"], save=saved, **given)
    assert len(lesson.read_text().splitlines()) == 3
    assert [one.recorded for one in came(teacher.map(["Where?"], save=saved, **given))] == [""]
    offline(monkeypatch, home)
    lesson.chmod(0o444)
    student.choose(cassette=str(lesson))
    again = came(student.map(["Why?", "Why?", "When?"], **given))
    assert [one.text for one in again] == [one.text for one in first]
    assert all(one.recorded for one in again)
    assert student.ask("When?", MODEL).text == first[2].text
    with pytest.raises(NotLoggedIn, match=r"lesson\.jsonl"):
        student.map(["Why?", "How?"], **given)


def test_a_map_may_name_its_cassette(
    teacher: Session, lesson: Path, tmp_path: Path, sandbox: Sandbox
) -> None:
    """As `ask` may: for this call, before the setting and behind `save`; an empty one is none."""
    given: dict[str, Any] = {"model": MODEL, "progress": False}
    teacher.choose(cassette=str(tmp_path / "other.jsonl"))
    teacher.map(["Why?", "When?"], cassette=lesson, **given)
    assert all(one.recorded for one in came(teacher.map(["Why?"], cassette=lesson, **given)))
    assert teacher.ask("When?", MODEL, cassette=lesson).recorded
    assert asked(sandbox) == 2
    teacher.map(["Why?"], cassette=lesson, fresh=True, **given)
    teacher.map(["Why?"], cassette="", **given)
    teacher.map(["Why?"], cassette=lesson, save=tmp_path / "saved.jsonl", **given)
    assert asked(sandbox) == 5
    assert len(lesson.read_text().splitlines()) == 3
    assert len((tmp_path / "saved.jsonl").read_text().splitlines()) == 1
    assert not (tmp_path / "other.jsonl").exists()
    with pytest.raises(RequestRefused, match="cassette is the path of a file, not int"):
        teacher.map(["Why?"], cassette=5, **given)  # type: ignore[arg-type]


def test_nothing_secret_and_nothing_about_the_person_is_recorded(
    teacher: Session, lesson: Path, home: Path, sandbox: Sandbox
) -> None:
    """No token, no home folder, no session id, no user field: neither typed nor answered."""
    token = next(
        json.dumps(json.loads(path.read_text())) for path in (home / ".globus").rglob("*.json")
    )
    bearer = teacher.auth
    import httpx

    signed = next(bearer.sync_auth_flow(httpx.Request("GET", teacher.settings.gateway_url)))
    secret = signed.headers["authorization"].removeprefix("Bearer ")
    assert secret in token
    sandbox.answer = f"It is {secret}."
    chat = teacher.chats.named("sky")
    chat.ask(f"My token is {secret}, in {home}/notes", cassette=lesson, extra={"user": "alice@x"})
    written = lesson.read_text()
    assert secret not in written
    assert "(token)" in written
    assert str(home) not in written
    assert "~/notes" in written
    assert "alice@x" not in written
    assert chat.session_id not in written
    assert "base_url" not in written
    sandbox.requests.clear()
    again = teacher.ask(
        f"My token is {secret}, in {home}/notes", cassette=lesson, extra={"user": "alice@x"}
    )
    assert again.recorded
    assert again.prompt.endswith("/notes")


HOSTILE = {
    "text": "\x1b[31mred\x00 \ud800 <script>alert(1)</script>",
    "reasoning": "\x07bell",
    "model": "gpt\x1b[0m\nevil",
    "cluster": "me\u202etis",
    "choices": [],
    "usage": {"prompt_tokens": "many", "completion_tokens": 10**400},
    "messages": [
        {"role": "user", "content": "What you did not ask"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {}}]},
        {"role": "tool", "content": "\x1b]0;evil\x07", "tool_call_id": "1"},
    ],
    "started": "0001-01-01T00:00:00Z",
    "parameters": {"model": "gpt", "x": float("nan"), "y": "\x1b\ud800"},
}


def test_a_hostile_file_comes_through_the_door(
    teacher: Session, student: Session, lesson: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control characters go, numbers that are none go, and the question is the asker's own."""
    teacher.ask("Why?", cassette=lesson)
    value = json.loads(lesson.read_text())
    lesson.write_text(json.dumps(value | HOSTILE) + "\n")
    offline(monkeypatch, home)
    answer = student.ask("Why?", cassette=lesson)
    assert not any(
        c in answer.text + answer.reasoning + answer.about for c in "\x1b\x00\x07\u202e\n"
    )
    assert answer.prompt == "Why?"
    assert "\x1b" not in repr([*answer.request.messages, *answer.calls, answer.metadata])
    json.dumps(answer.metadata, allow_nan=False, ensure_ascii=False).encode()
    assert repr(student.history)
    assert "<script>" not in answer._repr_html_()


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": 5},
        {"messages": "none"},
        {"messages": [{"role": "root", "content": "x"}]},
        {"started": "yesterday"},
        {"seconds": float("inf"), "choices": [{"index": float("inf")}]},
        {"finish_reason": None},
        {"parameters": None},
        {"choices": [{"text": "a", "reasoning": "", "finish_reason": "stop", "tool_calls": 3}]},
    ],
)
def test_a_line_that_is_no_answer_counts_as_none(
    teacher: Session, student: Session, lesson: Path, wrong: dict[str, Any]
) -> None:
    """It is asked for, and nobody sees the inside of the reading."""
    teacher.ask("Why?", cassette=lesson)
    value = json.loads(lesson.read_text())
    lesson.write_text(json.dumps(value | wrong) + '\nhalf a line {"key": \n[]\n')
    with pytest.raises(NotLoggedIn, match=r"lesson\.jsonl"):
        student.ask("Why?", cassette=lesson)
    assert not teacher.ask("Why?", cassette=lesson).recorded
    assert teacher.ask("Why?", cassette=lesson).recorded


def test_an_answer_that_does_not_fit_is_asked_for(
    teacher: Session, lesson: Path, sandbox: Sandbox
) -> None:
    """One that was edited by hand so that its schema no longer fits counts as none."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    first = teacher.ask("A number?", schema=schema, cassette=lesson)
    assert isinstance(first.parsed, dict)
    value = json.loads(lesson.read_text())
    lesson.write_text(json.dumps(value | {"text": '{"n": "many"}'}) + "\n")
    assert not teacher.ask("A number?", schema=schema, cassette=lesson).recorded


def test_a_file_that_cannot_be_written_costs_no_answer(
    teacher: Session, tmp_path: Path, sandbox: Sandbox
) -> None:
    """A folder that is missing, and a file that is none: said once, with the answer."""
    with pytest.warns(UserWarning, match="not recorded"):
        assert teacher.ask("Why?", cassette=tmp_path / "none" / "lesson.jsonl").text
    (tmp_path / "notes.txt").write_text("Dear diary\n")
    with pytest.warns(UserWarning, match="no JSON Lines"):
        assert teacher.ask("Why?", cassette=tmp_path / "notes.txt").text
    assert (tmp_path / "notes.txt").read_text() == "Dear diary\n"
    with pytest.raises(AlcfError, match="cannot be used"):
        teacher.ask("Why?", cassette=tmp_path)
    with pytest.raises(RequestRefused, match="cassette is the path of a file, not int"):
        teacher.ask("Why?", cassette=5)  # type: ignore[arg-type]


def test_asking_anew_does_not_say_that_nothing_is_recorded(student: Session, lesson: Path) -> None:
    """Without a login it is the login that is missing."""
    with pytest.raises(NotLoggedIn) as caught:
        student.ask("Why?", cassette=lesson, fresh=True)
    assert "recorded" not in str(caught.value)


def test_an_empty_cassette_is_none(teacher: Session, lesson: Path) -> None:
    """For one prompt the setting can be left out."""
    teacher.choose(cassette=str(lesson))
    teacher.ask("Why?", cassette="")
    assert not lesson.exists()
    teacher.ask("Why?")
    assert lesson.exists()


def test_a_broken_answer_is_not_recorded(teacher: Session, lesson: Path, sandbox: Sandbox) -> None:
    """What ended early is asked again."""
    sandbox.scenario = "silent_truncation"
    with pytest.raises(AlcfError):
        teacher.ask("Why?", cassette=lesson)
    assert not lesson.exists()


def test_without_a_network_a_login_does_not_help(
    teacher: Session, lesson: Path, sandbox: Sandbox
) -> None:
    """What cannot be asked names the file, too."""
    teacher.choose(address_seconds=0, fault_seconds=0)
    sandbox.stop()
    with pytest.raises(GatewayUnreachable, match=r"not recorded in .*lesson\.jsonl"):
        teacher.ask("Why?", cassette=lesson)


def test_a_recorded_prompt_is_not_sent_again(teacher: Session, lesson: Path) -> None:
    """A record has no address to send to; one line says what to do."""
    teacher.ask("Why?", cassette=lesson)
    teacher.ask("Why?", cassette=lesson)
    with pytest.raises(AlcfError, match="--fresh"):
        teacher.history.replay(1)


def test_a_path_that_no_file_can_have_is_refused_in_one_line(
    teacher: Session, tmp_path: Path
) -> None:
    """Too long, of nobody's home, with a NUL; a pipe and a device, which may never end."""
    os.mkfifo(tmp_path / "pipe")
    for name in ("a" * 5000, "~nobody-at-all/lesson.jsonl", "a\0b", tmp_path / "pipe", "/dev/full"):
        with pytest.raises(AlcfError, match=r"cannot be used: .*\. Name another file") as caught:
            teacher.ask("Why?", cassette=name)
        assert "\n" not in str(caught.value)


def test_the_setting_stays_the_same_file_wherever_the_notebook_goes(
    teacher: Session, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path begins where it was set, also after %cd; a folder that is gone is none."""
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    teacher.choose(cassette="lesson.jsonl")
    teacher.ask("Why?")
    monkeypatch.chdir(tmp_path / "data")
    assert teacher.ask("Why?").recorded
    teacher.ask("When?")
    assert [path.parent for path in tmp_path.rglob("*.jsonl")] == [tmp_path]
    teacher.choose(cassette="lesson.jsonl")
    assert not teacher.ask("Why?").recorded
    monkeypatch.chdir(tmp_path)
    assert teacher.ask("Why?").recorded
    assert asked(sandbox) == 3
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert teacher.ask("When?", cassette=tmp_path / "lesson.jsonl").recorded


def test_the_home_folder_is_in_no_text_of_the_file(
    teacher: Session, lesson: Path, home: Path, sandbox: Sandbox
) -> None:
    """A model repeats the path of a traceback; a name that only begins alike stays."""
    sandbox.answer = f"Look into {home}/notes.txt and {home}-2/notes.txt."
    teacher.ask("Why?", cassette=lesson, extra={"guided_choice": [f"{home}/a"]})
    assert f"{home}/" not in lesson.read_text()
    answer = teacher.ask("Why?", cassette=lesson, extra={"guided_choice": [f"{home}/a"]})
    assert answer.text == f"Look into ~/notes.txt and {home}-2/notes.txt."
