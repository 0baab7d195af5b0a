"""Many prompts in one call: order, errors in their places, nothing asked twice, interrupts."""

from __future__ import annotations

import _thread
import asyncio
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pandas
import pytest
from IPython.core.error import UsageError

from alcf_magics import Chat, Completion, Session
from alcf_magics.errors import AlcfError, LoginExpired, ModelNotReady, NotLoggedIn, RequestRefused
from alcf_magics.gateway.answer_file import AnswerFile
from alcf_magics.many import maps
from alcf_magics.many.results import Results
from alcf_magics.sandbox import Sandbox
from support.logins import logged_in

MODEL = "gpt-oss-120b"
COLD = "sophia:gpt-oss-120b"


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[Session]:
    sandbox.pace = 0
    session = logged_in(sandbox)
    yield session
    session.close()


def asked(sandbox: Sandbox) -> list[dict[str, Any]]:
    """The bodies of all prompts that came to the gateway."""
    return [r.body for r in sandbox.requests if r.path.endswith("/chat/completions")]


def prompts(sandbox: Sandbox) -> list[str]:
    return [body["messages"][-1]["content"] for body in asked(sandbox)]


# What comes of it


def test_the_answers_are_in_the_order_of_the_data(session: Session, sandbox: Sandbox) -> None:
    """Each row has its own answer, and the history has none of them."""
    frame = pandas.DataFrame({"what": ["tea", "milk", "rum"]}, index=["x", "y", "z"])
    results = session.map(frame, "Why {{what}}?", model=MODEL, temperature=0, system="Brief.")
    assert [one.prompt for one in results if isinstance(one, Completion)] == [
        "Why tea?",
        "Why milk?",
        "Why rum?",
    ]
    assert all(f"`{one.prompt}`" in one.text for one in results if isinstance(one, Completion))
    assert (results.failed, len(session.history)) == ([], 0)
    assert list(results.to_pandas().index) == ["x", "y", "z"]
    assert {body["temperature"] for body in asked(sandbox)} == {0}
    assert {body["messages"][0]["content"] for body in asked(sandbox)} == {"Brief."}
    assert session.last_map is results


def test_defaults_count_for_each_prompt(session: Session, sandbox: Sandbox) -> None:
    """System text, model and parameters as `ask` has them; a list of messages keeps its own."""
    session.choose(system="Short.", model=MODEL, max_tokens=50)
    own = [{"role": "system", "content": "Long."}, {"role": "user", "content": "hi"}]
    session.map(["hi", own])
    systems = sorted(body["messages"][0]["content"] for body in asked(sandbox))
    assert systems == ["Long.", "Short."]
    assert {body["max_tokens"] for body in asked(sandbox)} == {50}


def test_one_that_fails_stops_nothing(session: Session, sandbox: Sandbox) -> None:
    """It is an error in its place, and asked again by `retry` alone."""
    wrong = [{"role": "nobody", "content": "x"}]
    results = session.map(["one", None, wrong, "", "two"], model=MODEL)
    assert [isinstance(one, AlcfError) for one in results] == [False, True, True, True, False]
    assert all(isinstance(error, RequestRefused) for error in results.failed)
    assert sorted(prompts(sandbox)) == ["one", "two"]
    assert results.retry() is results
    assert sorted(prompts(sandbox)) == ["one", "two"]


def test_what_failed_at_the_gateway_is_asked_again(session: Session, sandbox: Sandbox) -> None:
    """The results are the same ones, with the answers in their places."""
    sandbox.scenario = "error_before_text"
    results = session.map(["one", "two"], model=MODEL)
    assert len(results.failed) == 2
    sandbox.scenario = "default"
    assert results.retry().failed == []
    assert [one.prompt for one in results if isinstance(one, Completion)] == ["one", "two"]


def test_answers_are_read_in_the_format_asked_for(session: Session, sandbox: Sandbox) -> None:
    """What cannot be read is an error with the answer."""
    sandbox.answer = '{"label": "a"}'
    assert session.map(["x"], model=MODEL, format="json").to_pandas()["label"].tolist() == ["a"]
    sandbox.answer = "no JSON"
    [error] = session.map(["x"], model=MODEL, format="json").failed
    assert error.completion is not None
    assert error.completion.text == "no JSON"


SCHEMA = {"type": "object", "properties": {"label": {"enum": ["a", "b"]}}, "required": ["label"]}


def test_a_schema_gives_columns(session: Session, sandbox: Sandbox, file: Path) -> None:
    """An answer that does not fit is asked for once more, and then is an error."""
    sandbox.answer = '{"label": "b"}'
    for _ in range(2):
        frame = session.map(["x", "y"], model=MODEL, schema=SCHEMA, save=file).to_pandas()
        assert frame["label"].tolist() == ["b", "b"]
    assert len(prompts(sandbox)) == 2
    sandbox.answer = '{"label": "c"}'
    assert len(session.map(["z"], model=MODEL, schema=SCHEMA, save=file).failed) == 1
    assert len(prompts(sandbox)) == 4
    sandbox.answer = None
    session.map(["x"], model=MODEL, save=file)  # without a schema it is another question
    assert len(prompts(sandbox)) == 5


def test_no_more_than_so_many_are_in_flight(session: Session, sandbox: Sandbox) -> None:
    """The next one starts when one has ended."""
    sandbox.scenario = "slow"
    begun = time.monotonic()
    session.map(["a", "b", "c"], model=MODEL, in_flight=1)
    alone = time.monotonic() - begun
    begun = time.monotonic()
    session.map(["a", "b", "c"], model=MODEL, in_flight=3)
    assert time.monotonic() - begun < 0.6 * alone


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (["a"], {"prompt": "{{x}}"}, "texts without any"),
        ([{"x": 1}], {}, "needs a template"),
        ([{"x": 1}], {"prompt": "{{y}}"}, "no column 'y'"),
        (["a"], {"in_flight": 0}, "in_flight is a whole number from 1"),
        (["a"], {"in_flight": True}, "in_flight is a whole number from 1"),
    ],
)
def test_what_cannot_be_asked_is_said_before_anything_is_sent(
    session: Session, sandbox: Sandbox, data: Any, options: Any, said: str
) -> None:
    """Not even the catalog is read."""
    before = len(sandbox.requests)
    with pytest.raises(UsageError, match=said):
        session.map(data, **options)
    for wrong in ({"temperature": 9}, {"format": "yaml"}):
        with pytest.raises(RequestRefused):
            session.map(["a"], **wrong)
    with pytest.raises(TypeError, match="no such parameter: tools"):
        session.map(["a"], tools=[print])
    assert len(sandbox.requests) == before


def test_no_data_is_no_answers(session: Session, sandbox: Sandbox) -> None:
    """Nothing is asked for it."""
    before = len(sandbox.requests)
    assert len(session.map([])) == len(session.map([], "{{x}}")) == 0
    assert len(sandbox.requests) == before


def test_without_a_login_one_line_says_so(sandbox: Sandbox) -> None:
    """It is no error in each place."""
    session = Session()
    session.choose(gateway_url=sandbox.gateway_url, globus_auth_url=sandbox.globus_auth_url)
    with pytest.raises(NotLoggedIn):
        session.map(["a", "b"])
    session.close()


def test_a_login_that_ends_ends_it_for_all(session: Session, sandbox: Sandbox) -> None:
    """What could only be refused is not sent; after a login `retry` asks it."""
    session.resolve(MODEL)
    sandbox.scenario = "wrong_identity_provider"
    results = session.map([str(n) for n in range(20)], model=MODEL, in_flight=2)
    assert len(results.failed) == 20
    assert all(isinstance(error, LoginExpired) for error in results.failed)
    assert len(asked(sandbox)) <= 4


# Nothing is asked twice


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


def test_what_is_in_the_file_is_not_asked(session: Session, sandbox: Sandbox, file: Path) -> None:
    """Run again, on another cluster, spelt otherwise: only what is missing is sent."""
    session.map(["a", "b"], model=MODEL, temperature=0, save=file)
    session.choose(aliases={"fast": f"Metis:{MODEL.upper()}"})
    again = session.map(["b", "c", "a"], model="fast", temperature=0.0, save=str(file))
    assert sorted(prompts(sandbox)) == ["a", "b", "c"]
    assert [one.prompt for one in again if isinstance(one, Completion)] == ["b", "c", "a"]
    assert len(file.read_text().splitlines()) == 3


def test_another_question_is_asked(session: Session, sandbox: Sandbox, file: Path) -> None:
    """Another parameter, system text or model; ALCF_MODEL and the default count as none."""
    for options in ({}, {"temperature": 1}, {"system": "x"}, {"model": MODEL}):
        session.map(["a"], save=file, **options)
    assert len(prompts(sandbox)) == 4
    session.choose(temperature=1)
    session.map(["a"], save=file)
    assert len(prompts(sandbox)) == 4


def test_the_environment_s_model_is_no_name(
    session: Session, sandbox: Sandbox, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record says which answered."""
    session.map(["a"], save=file)
    monkeypatch.setenv("ALCF_MODEL", MODEL)
    session.map(["a"], save=file)
    assert len(prompts(sandbox)) == 1
    assert json.loads(file.read_text())["asked"] == ""


def test_a_hundred_throws_are_a_hundred_answers(
    session: Session, sandbox: Sandbox, file: Path
) -> None:
    """The same question within one call is asked each time, and remembered each time."""
    session.map(["die"] * 3, model=MODEL, save=file)
    session.map(["die"] * 4, model=MODEL, save=file)
    session.map(["die"], model=MODEL, save=file)
    assert len(prompts(sandbox)) == 4
    keys = [json.loads(line)["key"] for line in file.read_text().splitlines()]
    assert len(set(keys)) == 4


def test_fresh_asks_anew_and_the_last_answer_counts(
    session: Session, sandbox: Sandbox, file: Path
) -> None:
    """The file keeps both."""
    session.map(["a"], save=file)
    sandbox.answer = "another"
    session.map(["a"], save=file, fresh=True)
    assert len(prompts(sandbox)) == 2
    [answer] = session.map(["a"], save=file)
    assert isinstance(answer, Completion)
    assert answer.text == "another"
    assert (len(prompts(sandbox)), len(file.read_text().splitlines())) == (2, 2)


def test_what_was_not_answered_whole_is_missing(
    session: Session, sandbox: Sandbox, file: Path
) -> None:
    """An error is not kept, and neither is an answer that broke off."""
    session.choose(fault_seconds=0)
    sandbox.scenario = "cut_mid_stream"
    assert len(session.map(["a"], save=file).failed) == 1
    assert file.read_text() == ""
    sandbox.scenario = "default"
    assert session.map(["a"], save=file).failed == []
    assert len(file.read_text().splitlines()) == 1


def test_the_history_s_file_is_one_of_answers(
    session: Session, sandbox: Sandbox, file: Path
) -> None:
    """What was asked as one prompt is not asked again as one of many; nor is a chat's first."""
    session.ask("a", MODEL)
    session.history.save(file, texts=True)
    session.chats["x"] = alone = Chat()
    alone.ask("b", MODEL)
    chat_file = file.with_name("chat.jsonl")
    alone.save(chat_file)
    session.map(["a"], model=MODEL, save=file)
    session.map(["b"], model=MODEL, save=chat_file)
    assert prompts(sandbox) == ["a", "b"]


def test_without_login_and_network_the_file_answers(
    session: Session, sandbox: Sandbox, file: Path
) -> None:
    """Where nothing is missing, nothing is needed."""
    session.map(["a", None], model=MODEL, save=file)
    before = len(sandbox.requests)
    other = Session()
    other.choose(gateway_url="http://127.0.0.1:9")
    results = other.map(["a", None], model=MODEL, save=file)
    assert isinstance(results[0], Completion)
    assert [type(error) for error in results.failed] == [RequestRefused]
    assert len(sandbox.requests) == before
    other.close()


def test_a_file_that_cannot_be_used_is_said_first(
    session: Session, sandbox: Sandbox, file: Path
) -> None:
    """Before anything is asked, and it stays as it is."""
    file.write_text("a,b\n1,2\n")
    for path in (file, file.parent):
        with pytest.raises(AlcfError):
            session.map(["a"], save=path)
    assert asked(sandbox) == []
    assert file.read_text() == "a,b\n1,2\n"


def test_a_file_that_fails_later_costs_no_answer(
    session: Session, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """The answers are in the results, and a line says that they are nowhere else."""
    plain = AnswerFile.append

    def full(self: AnswerFile, *lines: Any) -> None:
        if lines:
            raise OSError(28, "No space left on device")
        plain(self)

    monkeypatch.setattr(AnswerFile, "append", full)
    assert session.map(["a", "b"], model=MODEL, save=file).failed == []
    out = capsys.readouterr().out
    assert out.count("No more answers are kept in") == 1
    assert "No space left" in out


# A model that is not live


def test_a_cold_model_is_waited_for_once(session: Session, sandbox: Sandbox) -> None:
    """One token loads it, and then all prompts are sent; none of them is sent twice."""
    sandbox.scenario, sandbox.load_seconds = "cold_start", 1.5
    assert session.map(["a", "b", "c"], model=COLD).failed == []
    first, *rest = asked(sandbox)
    assert first["max_tokens"] == 1
    assert len(rest) == 3


def test_a_cold_model_that_nobody_waits_for_ends_a_map(session: Session, sandbox: Sandbox) -> None:
    """Nothing is sent, and the line names what starts it."""
    sandbox.scenario = "cold_start"
    session.choose(wait=0)
    with pytest.raises(ModelNotReady, match="--start"):
        session.map(["a", "b"], model=COLD)
    assert asked(sandbox) == []


def test_a_map_may_say_how_long_it_waits(session: Session, sandbox: Sandbox) -> None:
    """As `ask` may, before the setting; what is no number is said before anything is sent."""
    sandbox.scenario, sandbox.load_seconds = "cold_start", 1.0
    with pytest.raises(ModelNotReady, match="--start"):
        session.map(["a"], model=COLD, wait=0)
    with pytest.raises(RequestRefused, match="wait is a number, 0 or more, not 'long'"):
        session.map(["a"], model=COLD, wait="long")  # type: ignore[arg-type]
    assert asked(sandbox) == []
    session.choose(wait=0)
    assert anyio.run(lambda: session.amap(["a"], model=COLD, wait=1)).failed == []


# Where its prompts go


def places(sandbox: Sandbox) -> list[str]:
    """The clusters that prompts came to, in their order."""
    return [r.path.split("/")[2] for r in sandbox.requests if r.path.endswith("/chat/completions")]


def test_a_map_moves_to_another_place_of_the_model_once(session: Session, sandbox: Sandbox) -> None:
    """What the first prompt finds out serves those after it; that is told once."""
    sandbox.scenario = "offline_upstream"
    results = session.map(["a", "b", "c", "d"], model="openai/gpt-oss-120b", in_flight=1)
    assert [one.cluster for one in results if isinstance(one, Completion)] == ["metis"] * 4
    assert places(sandbox) == ["sophia", *["metis"] * 4]


def test_a_map_of_many_at_a_time_moves_and_tells_it_once(
    session: Session, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each that was on its way is answered elsewhere; the line stands once."""
    sandbox.scenario = "offline_upstream"
    results = session.map(list("abcdefgh"), model="openai/gpt-oss-120b", in_flight=8)
    assert [one.cluster for one in results if isinstance(one, Completion)] == ["metis"] * 8
    assert capsys.readouterr().out.count("Asked gpt-oss-120b on metis instead.") == 1


def test_a_map_leaves_no_named_cluster(session: Session, sandbox: Sandbox) -> None:
    """Its errors say where the model is live."""
    sandbox.scenario = "maintenance"
    results = session.map(["a", "b"], model=COLD, wait=0)
    assert len(results.failed) == 2
    assert all("-m metis:gpt-oss-120b" in str(one) for one in results)
    assert set(places(sandbox)) <= {"sophia"}


def test_a_fallback_answers_a_map(session: Session, sandbox: Sandbox) -> None:
    """Another model is asked only where it is named; the answers say which one it was."""
    results = session.map(["a", "b"], model="DeepSeek-R1", fallback="gpt-oss-120b")
    assert [one.model for one in results if isinstance(one, Completion)] == ["gpt-oss-120b"] * 2
    assert {one.asked for one in results if isinstance(one, Completion)} == {"DeepSeek-R1"}
    with pytest.raises(RequestRefused, match="fallback"):
        session.map(["a"], model=MODEL, fallback=5)  # type: ignore[arg-type]


# Interrupts, the twin, and what is told


def interrupted(session: Session, sandbox: Sandbox, count: int = 6) -> KeyboardInterrupt:
    """The interrupt of a map that comes when its first answers have come."""

    def stop() -> None:
        while not any(isinstance(one, Completion) for one in session.last_map or ()):
            time.sleep(0.01)
        _thread.interrupt_main()

    # A shell that runs the tests in its background has interrupts ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=stop)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            session.map([str(n) for n in range(count)], model=MODEL, in_flight=1)
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    return caught.value


def test_an_interrupt_carries_what_came(session: Session, sandbox: Sandbox) -> None:
    """Also as `last_map`; what is missing is in its place, and can be asked."""
    sandbox.scenario = "slow"
    interrupt = interrupted(session, sandbox)
    results: Results = interrupt.results  # type: ignore[attr-defined]
    assert session.last_map is results
    assert len(results) == 6
    assert 1 <= len(results.failed) < 6
    assert isinstance(results[0], Completion)
    [line] = interrupt._render_traceback_()  # type: ignore[attr-defined]
    assert "The map was interrupted; " in line
    assert "of 6 answers came" in line
    sandbox.scenario = "default"
    assert results.retry().failed == []


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_twin_is_awaited(session: Session, sandbox: Sandbox, file: Path, backend: str) -> None:
    """On any event loop, with all that the other one does."""

    async def ask() -> Results:
        return await session.amap(["a", "b", None], model=MODEL, save=file)

    results = anyio.run(ask, backend=backend)
    assert [type(one) for one in results] == [Completion, Completion, RequestRefused]
    assert len(file.read_text().splitlines()) == 2
    assert session.last_map is results


def test_a_cancelled_twin_leaves_what_came(session: Session, sandbox: Sandbox) -> None:
    """Nothing runs on, and `last_map` has the rest to ask."""
    sandbox.scenario = "slow"

    async def cut() -> None:
        task = asyncio.create_task(session.amap(["a", "b", "c"], model=MODEL, in_flight=1))
        while not any(isinstance(one, Completion) for one in session.last_map or ()):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cut())
    time.sleep(0.3)
    count = len(asked(sandbox))
    assert session.last_map is not None
    assert 1 <= len(session.last_map.failed) < 3
    time.sleep(0.5)
    assert len(asked(sandbox)) == count <= 2


def test_progress_says_how_many_failed(session: Session, capsys: Any) -> None:
    """A bar with a rate; none where nobody wants one, or nothing is asked."""
    session.map(["a", None], model=MODEL)
    shown = capsys.readouterr().err
    assert "2/2" in shown
    assert "1 failed" in shown
    assert "prompt/s" in shown
    session.map(["a"], model=MODEL, progress=False)
    session.map([])
    assert capsys.readouterr().err == ""


def test_many_prompts_are_told_of_batches_once(
    session: Session, capsys: Any, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their number; what is in the file needs no batch."""
    assert maps.MANY == 500
    monkeypatch.setattr(maps, "MANY", 3)
    session.map(["a"] * 3, model=MODEL, save=file)
    session.map(["a"] * 4, model=MODEL, save=file)
    assert capsys.readouterr().out == ""
    session.map([f"number {n}" for n in range(4)], model=MODEL)
    said = capsys.readouterr().out
    assert "A batch would ask these 4 prompts (about 8 tokens) as one job" in said
    assert "session().batch(" in said
    session.map([f"number {n}" for n in range(4)], model=MODEL)
    assert capsys.readouterr().out == ""
