"""Facility batches against the sandbox: from a table to its answers, and back a week later."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest

from alcf_magics import Session
from alcf_magics.errors import (
    AccessDenied,
    AlcfError,
    GatewayError,
    RequestRefused,
)
from alcf_magics.gateway.completions import Completion
from alcf_magics.gateway.rate_limit import RateLimit
from alcf_magics.many.batches import Batch
from alcf_magics.many.misuse import UsageError
from alcf_magics.many.plan import Estimate
from alcf_magics.sandbox import Sandbox
from alcf_magics.settings import PRODUCTION_GATEWAY
from support.logins import logged_in
from support.sandbox_client import within

LLAMA = "meta-llama/Meta-Llama-3.1-8B-Instruct"
FRAME = pandas.DataFrame(
    {"abstract": ["on stars", "on cells", "on rocks"]}, index=pandas.Index(["s", "c", "r"])
)
ASK = "Classify: {{abstract}}"


@pytest.fixture
def quick(sandbox: Sandbox) -> Sandbox:
    """A sandbox whose batches begin at once."""
    sandbox.batch_seconds, sandbox.requests_per_second = 0, 1000
    return sandbox


@pytest.fixture
def session(quick: Sandbox) -> Iterator[Session]:
    session = logged_in(quick)
    session._connection.gateway._limit = RateLimit(1000)
    yield session
    session.close()


def submitted(session: Session, folder: Path, data: Any = FRAME, prompt: Any = ASK) -> Batch:
    return session.batch(data, prompt, model="llama-3.1-8b-instruct", folder=folder / "work")


def stopped(sandbox: Sandbox) -> None:
    """Batches begin, and come no further."""
    sandbox.batch_pace = 30


def posts(sandbox: Sandbox) -> list[Any]:
    return [r.body for r in sandbox.requests if r.method == "POST" and r.path.endswith("/batches")]


def test_a_table_becomes_a_batch_and_a_table_again(
    session: Session, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Each row's answer in its place, under the data's index; the history is left alone."""
    batch = submitted(session, tmp_path)
    results = batch.wait()
    assert batch.status == "completed"
    assert [item.prompt for item in results if isinstance(item, Completion)] == [
        "Classify: on stars",
        "Classify: on cells",
        "Classify: on rocks",
    ]
    first = results[0]
    assert isinstance(first, Completion)
    assert "`Classify: on stars`" in first.text
    assert (first.place.place, first.asked) == (f"sophia:{LLAMA}", "llama-3.1-8b-instruct")
    assert results.failed == []
    assert results.usage.completion_tokens == sum(
        item.usage.completion_tokens or 0
        for item in results
        if isinstance(item, Completion) and item.usage
    )
    frame = results.to_pandas()
    assert list(frame.index) == ["s", "c", "r"]
    assert len(session.history) == 0
    (body,) = posts(sandbox)
    assert set(body) == {"model", "input_file", "output_folder_path"}
    assert body["output_folder_path"] == str(tmp_path / "work")


def test_the_input_is_openais(session: Session, tmp_path: Path) -> None:
    """Lines with custom_id, method, url and body, which the service, another user, can read."""
    stars = [{"role": "user", "content": "Why *?"}]
    batch = session.batch(
        ["Plain – text", stars],
        model=f"sophia:{LLAMA}",
        folder=tmp_path,
        system="Be short.",
        temperature=0.5,
        max_tokens=7,
    )
    path = Path(batch.input_file)
    assert path.stat().st_mode & 0o444 == 0o444
    first, second = map(json.loads, path.read_text("utf-8").splitlines())
    assert first == {
        "custom_id": "0",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": LLAMA,
            "messages": [
                {"role": "system", "content": "Be short."},
                {"role": "user", "content": "Plain – text"},
            ],
            "temperature": 0.5,
            "max_tokens": 7,
        },
    }
    assert second["body"]["messages"][1:] == stars
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".") and p.is_file()]
    answer = batch.wait()[0]
    assert isinstance(answer, Completion)
    assert (answer.finish_reason, answer.request.fields["max_tokens"]) == ("length", 7)


def test_a_batch_is_taken_up_in_a_later_kernel(
    session: Session, quick: Sandbox, tmp_path: Path
) -> None:
    """By its id alone: answers, prompts, and the data's index with its type and name."""
    days = pandas.date_range("2026-01-01", periods=3, tz="UTC", name="day")
    batch = submitted(session, tmp_path, FRAME.set_index(days))
    batch.wait()
    later = logged_in(quick)
    again = later.batch_of(batch.id)
    assert (again.id, again.status, again.model) == (batch.id, "completed", LLAMA)
    assert again.input_file == batch.input_file
    frame = again.results().to_pandas()
    pandas.testing.assert_index_equal(frame.index, days, check_freq=False)
    assert frame["text"].str.contains("No model was asked").all()
    assert [found.id for found in later.batches()] == [batch.id]
    later.close()


@pytest.mark.parametrize(
    "index",
    [
        pandas.Index([3, 1, 2]),
        pandas.Index([1.5, 2.5, 0.0], name="x"),
        pandas.Index(["a", "a", "b"]),
        pandas.Index([True, False, True]),
        pandas.period_range("2026-01", periods=3, freq="M"),
        pandas.CategoricalIndex(["u", "v", "u"]),
        pandas.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["k", "n"]),
    ],
    ids=lambda index: type(index).__name__,
)
def test_any_index_comes_back(session: Session, tmp_path: Path, index: Any) -> None:
    """Of whatever type its labels are."""
    frame = submitted(session, tmp_path, FRAME.set_index(index)).wait().to_pandas()
    assert list(frame.index) == list(index)
    assert list(frame.index.names) == list(index.names)


def test_while_it_runs_it_says_so(session: Session, quick: Sandbox, tmp_path: Path) -> None:
    """State and progress in its repr; results and a second batch are refused, each plainly."""
    quick.batch_chunk, quick.batch_pace = 1, 1.0
    batch = submitted(session, tmp_path)
    assert within(5, lambda: (batch.done or 0) >= 1)
    stopped(quick)
    assert f"batch {batch.id} · running, " in repr(batch)
    assert " of 3 lines · " in repr(batch)
    assert batch.id in batch._repr_html_()
    with pytest.raises(RequestRefused, match=r"not done yet: it is running.*of 3 lines") as early:
        batch.results()
    assert early.value.next_step == "Wait for it: .wait()"
    with pytest.raises(RequestRefused, match="one at a time is allowed") as second:
        submitted(session, tmp_path)
    assert batch.id in str(second.value)
    assert len(list((tmp_path / "work").glob("*.jsonl"))) == 1
    assert len(posts(quick)) == 1
    with pytest.raises(AlcfError, match="still running") as late:
        batch.wait(timeout=0.1)
    assert batch.id in late.value.next_step


def test_an_interrupt_ends_the_waiting_alone(
    session: Session, quick: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line says that the batch goes on, and how to take it up."""
    stopped(quick)
    batch = submitted(session, tmp_path)

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("alcf_magics.many.batches.time.sleep", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        batch.wait()
    (line,) = caught.value._render_traceback_()  # type: ignore[attr-defined]
    assert line.endswith(f"the batch goes on: alcf_magics.session().batch_of({batch.id!r})")
    assert batch.status in ("pending", "running")


def test_a_failed_batch_says_so(session: Session, quick: Sandbox, tmp_path: Path) -> None:
    """Its input went away before it began."""
    quick.batch_seconds = 1
    batch = submitted(session, tmp_path)
    Path(batch.input_file).unlink()
    with pytest.raises(GatewayError, match="The batch failed") as caught:
        batch.wait()
    assert batch.status == "failed"
    assert "read and write in its folder" in caught.value.next_step
    assert [b.status for b in session.batches("failed")] == ["failed"]
    assert len(session.batches("completed")) == 0
    assert "failed" in repr(session.batches())
    assert batch.id in session.batches()._repr_html_()


def test_a_row_that_fails_is_an_error_in_its_place(session: Session, tmp_path: Path) -> None:
    """One without a value has no line; one that the model refuses has its reason."""
    data = [{"text": "one"}, {"text": None}, {"text": "three"}]
    batch = session.batch(data, "Say {{text}}", model=LLAMA, folder=tmp_path)
    assert len(Path(batch.input_file).read_text().splitlines()) == 2
    results = batch.wait()
    assert [type(item).__name__ for item in results] == [
        "Completion",
        "RequestRefused",
        "Completion",
    ]
    assert "Row 1 has no value in text" in str(results[1])
    assert len(results.failed) == 1
    refused = session.batch(["hi"], model=LLAMA, folder=tmp_path, extra={"seed": "x"}).wait()
    assert isinstance(refused[0], RequestRefused)
    assert "type must be number" in str(refused[0])


def test_a_place_without_batches_gives_way_to_another(
    session: Session, quick: Sandbox, tmp_path: Path
) -> None:
    """The name means a live place first; where that takes none, the same model elsewhere does."""
    batch = session.batch(["hi"], model="gpt-oss-120b", folder=tmp_path)
    assert (batch.model, batch.cluster) == ("openai/gpt-oss-120b", "sophia")
    assert [body["model"] for body in posts(quick)] == ["gpt-oss-120b", "openai/gpt-oss-120b"]
    batch.wait()
    assert len(list(tmp_path.glob("*.jsonl"))) == 1
    with pytest.raises(RequestRefused, match="takes no batches") as caught:
        session.batch(["hi"], model="metis:gpt-oss-120b", folder=tmp_path)
    assert "map" in caught.value.next_step
    with pytest.raises(RequestRefused, match="takes no batches on"):
        session.batch(["hi"], model="gemma-4-31b-it", folder=tmp_path)
    assert len(list(tmp_path.glob("*.jsonl"))) == 1


def test_a_dry_run_estimates(session: Session, quick: Sandbox, tmp_path: Path) -> None:
    """Tokens and size, without a file and without a batch."""
    found = session.batch(FRAME, ASK, model=f"sophia:{LLAMA}", folder=tmp_path, dry_run=True)
    assert isinstance(found, Estimate)
    assert (found.lines, found.refused, found.model) == (3, 0, LLAMA)
    assert found.tokens == 3 * (len("Classify: on stars") // 4)
    assert posts(quick) == []
    assert not list(tmp_path.glob("*.jsonl"))
    batch = session.batch(FRAME, ASK, model=f"sophia:{LLAMA}", folder=tmp_path)
    assert Path(batch.input_file).stat().st_size == found.size
    assert "3 lines" in repr(found)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"folder": None}, UsageError, "folder is a path"),
        ({"folder": "/proc/nowhere"}, RequestRefused, "cannot be used"),
        ({"prompt": None}, UsageError, "A table needs a template"),
        ({"prompt": "{{nope}}"}, UsageError, "no column"),
        ({"temperature": 9}, RequestRefused, "temperature"),
        ({"model": "nope"}, AlcfError, "no model 'nope'"),
        ({"data": []}, RequestRefused, "nothing to ask"),
        ({"data": ["x"] * 150_001, "prompt": None}, RequestRefused, "150,000 lines at most"),
        ({"data": ["x", "y" * 10_000_000], "prompt": None}, RequestRefused, "Line 1 has 10,000,"),
        ({"data": [None], "prompt": None}, RequestRefused, "No row has anything to ask"),
    ],
)
def test_what_cannot_be_a_batch_is_refused_before_anything_is_written(
    session: Session,
    quick: Sandbox,
    tmp_path: Path,
    change: dict[str, Any],
    error: type[Exception],
    said: str,
) -> None:
    """One line, no file, no request."""
    given = {"data": FRAME, "prompt": ASK, "model": LLAMA, "folder": tmp_path / "f", **change}
    with pytest.raises(error) as caught:
        session.batch(given.pop("data"), given.pop("prompt"), **given)
    assert said in str(caught.value)
    assert posts(quick) == []
    assert not list(tmp_path.rglob("*.jsonl"))


def test_no_room_on_the_file_system_is_said(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the numbers, before the input is written."""

    @dataclasses.dataclass
    class Usage:
        free: int = 2**20 + 10

    monkeypatch.setattr("alcf_magics.many.files.shutil.disk_usage", lambda path: Usage())
    with pytest.raises(RequestRefused, match="has room for"):
        submitted(session, tmp_path)


def test_at_the_real_gateway_a_folder_is_on_the_facilitys_file_systems(tmp_path: Path) -> None:
    """By a table of prefixes, under the name as typed or where a link leads; elsewhere any goes."""
    from alcf_magics.many import files

    for folder in (tmp_path, "/eagle/../tmp/x", "/eaglet/x", "~/x", "/home/alice"):
        with pytest.raises(RequestRefused, match="not on a file system that ALCF") as caught:
            files.checked_folder(folder, facility=True)
        assert "/eagle" in str(caught.value)
    for folder in ("/eagle/proj/x", "/lus/eagle/projects/proj"):
        assert str(files._at_facility(Path(folder))) == folder
    assert files.checked_folder(tmp_path / "new", facility=False).is_dir()


def test_the_table_of_file_systems_is_asked_for_the_real_gateway_alone(
    session: Session, quick: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox takes any path."""
    monkeypatch.setattr("alcf_magics.many.many_texts.PRODUCTION_GATEWAY", quick.gateway_url)
    with pytest.raises(RequestRefused, match="not on a file system"):
        submitted(session, tmp_path)
    monkeypatch.setattr("alcf_magics.many.many_texts.PRODUCTION_GATEWAY", PRODUCTION_GATEWAY)
    assert submitted(session, tmp_path).id


def test_other_batches_are_refused_plainly(session: Session) -> None:
    """An id that nobody knows, and what is none."""
    with pytest.raises(RequestRefused, match="does not exist"):
        session.batch_of("00000000-0000-0000-0000-000000000000")
    with pytest.raises(UsageError, match="a text"):
        session.batch_of(7)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="pending, running"):
        session.batches("done")
    assert repr(session.batches()) == "(no batches)"


def test_another_persons_batch_is_theirs(
    session: Session, quick: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AccessDenied, with the way to one's own."""
    batch = submitted(session, tmp_path)
    quick.identity = dataclasses.replace(quick.identity, sub="somebody-else")
    monkeypatch.setenv("HOME", str(tmp_path / "other"))
    other = logged_in(quick)
    with pytest.raises(AccessDenied, match="another person") as caught:
        other.batch_of(batch.id)
    assert "batches()" in caught.value.next_step
    other.close()


def test_a_batch_of_another_tool_is_read_by_its_input(
    session: Session, quick: Sandbox, tmp_path: Path
) -> None:
    """Nothing of ours beside it: the order of its lines counts, whatever their names."""
    lines = [
        {
            "custom_id": name,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": LLAMA, "messages": [{"role": "user", "content": name}]},
        }
        for name in ("x-9", "1", "x-3")
    ]
    path = tmp_path / "theirs.jsonl"
    path.write_text("\n\n".join(map(json.dumps, lines)))
    body = {"model": LLAMA, "input_file": str(path), "output_folder_path": str(tmp_path / "o")}
    answer: Any = session._connection.post("sophia/vllm/v1/batches", body)
    batch = session.batch_of(answer["batch_id"])
    assert batch.lines == 3
    results = batch.wait()
    assert [item.prompt for item in results if isinstance(item, Completion)] == ["x-9", "1", "x-3"]


def test_a_submission_whose_answer_is_lost_is_found_again(
    session: Session, quick: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway answered with an error although the batch began: it is in the list."""
    real = session._connection.post

    def lost(path: str, body: Any, *args: Any, **more: Any) -> Any:
        real(path, body, *args, **more)
        raise GatewayError("The gateway failed with status 500.", "Run the cell again.")

    monkeypatch.setattr(session._connection, "post", lost)
    batch = submitted(session, tmp_path)
    assert len(batch.wait()) == 3


def test_answers_may_come_in_any_order_twice_and_cut(session: Session, tmp_path: Path) -> None:
    """They are found by custom_id; of two the last counts; what is missing is an error."""
    batch = submitted(session, tmp_path)
    batch.wait()
    (path,) = (tmp_path / "work").rglob("*.results.jsonl")
    first, second, third = path.read_text().splitlines()
    newer = first.replace("No model was asked", "This one counts")
    path.write_text("\n".join([third, first, "{broken", newer, second[: len(second) // 2]]))
    results = session.batch_of(batch.id).results()
    assert isinstance(results[0], Completion)
    assert "This one counts" in results[0].text
    assert isinstance(results[1], GatewayError)
    assert isinstance(results[2], Completion)
    assert len(results.failed) == 1
    path.unlink()
    with pytest.raises(AlcfError, match="cannot be read here"):
        session.batch_of(batch.id).results()


@pytest.mark.parametrize(
    "change",
    [
        {"lines": 10**12},
        {"lines": "3"},
        {"lines": -1},
        {"model": ["m"]},
        {"format": "nope"},
        {"refused": []},
        {"submitted": "soon"},
        {"index": []},
        None,
    ],
)
def test_what_stands_beside_an_input_is_not_trusted(
    session: Session, tmp_path: Path, change: dict[str, Any] | None
) -> None:
    """Others may write there: what is not sound counts as not there, and the input is read."""
    batch = submitted(session, tmp_path)
    batch.wait()
    (path,) = (tmp_path / "work").glob("*.about.json")
    assert not [name for name in json.loads(path.read_text()) if "url" in name]
    path.write_text("{" if change is None else json.dumps(json.loads(path.read_text()) | change))
    results = session.batch_of(batch.id).results()
    assert [isinstance(item, Completion) for item in results] == [True] * 3
    assert list(results.to_pandas().index) == [0, 1, 2]


@pytest.mark.parametrize(
    "index",
    [{}, {"names": [None], "types": ["int64"], "labels": [[1]]}, {"names": 1, "types": 2}],
)
def test_an_index_that_cannot_be_read_costs_no_answer(
    session: Session, tmp_path: Path, index: Any
) -> None:
    """Then rows are numbered."""
    batch = submitted(session, tmp_path)
    batch.wait()
    (path,) = (tmp_path / "work").glob("*.about.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"index": index}))
    assert list(session.batch_of(batch.id).results().to_pandas().index) == [0, 1, 2]


def test_a_gateway_that_fails_for_a_moment_ends_no_waiting(
    session: Session, quick: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch takes hours, and a network has its moments."""
    quick.batch_seconds = 1
    session.choose(fault_seconds=0)
    batch = submitted(session, tmp_path)
    quick.scenario = "html_error"
    shown: list[str] = []

    def sleep(seconds: float, sleep: Any = time.sleep) -> None:
        shown.append(quick.scenario)
        quick.scenario = "default" if len(shown) > 1 else "html_error"
        sleep(min(seconds, 0.2))

    monkeypatch.setattr("alcf_magics.many.batches.time.sleep", sleep)
    assert len(batch.wait()) == 3
    assert "html_error" in shown


def test_a_gateway_that_goes_on_failing_ends_the_waiting(
    session: Session, quick: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its own reason, which stands in the repr, too."""
    monkeypatch.setattr("alcf_magics.many.batches.PATIENCE", 0.0)
    quick.batch_pace = 30
    session.choose(fault_seconds=0)
    batch = submitted(session, tmp_path)
    quick.scenario = "html_error"
    with pytest.raises(GatewayError, match="web page"):
        batch.wait()
    assert "web page" in repr(batch)


@dataclasses.dataclass
class Field:
    field: str
    sure: float


def test_a_schema_gives_columns_and_errors_in_their_places(
    session: Session, quick: Sandbox, tmp_path: Path
) -> None:
    """As in `ask`: instances of the type here, its fields as JSON in a later kernel."""
    quick.answer = '{"field": "stars", "sure": 0.5}'
    batch = session.batch(FRAME, ASK, model=LLAMA, folder=tmp_path, schema=Field)
    body = json.loads(Path(batch.input_file).read_text().splitlines()[0])["body"]
    assert body["response_format"]["json_schema"]["name"] == "Field"
    results = batch.wait()
    assert isinstance(results[0], Completion)
    assert results[0].parsed == Field("stars", 0.5)
    assert results.to_pandas()["sure"].tolist() == [0.5] * 3
    later = session.batch_of(batch.id).results()
    assert isinstance(later[0], Completion)
    assert later[0].parsed == {"field": "stars", "sure": 0.5}
    quick.answer = '{"field": 7}'
    other = session.batch(FRAME, ASK, model=LLAMA, folder=tmp_path, schema=list[Field])
    results = other.wait()
    assert [type(error).__name__ for error in results.failed] == ["AnswerInvalid"] * 3
    assert results.failed[0].completion is not None
    (path,) = tmp_path.rglob(f"*{other.id}/*.results.jsonl")
    wrapped = json.dumps({"value": [{"field": "rocks", "sure": 1}]})
    path.write_text(path.read_text().replace(json.dumps('{"field": 7}'), json.dumps(wrapped)))
    again = session.batch_of(other.id).results()
    assert again.failed == []
    assert isinstance(again[0], Completion)
    assert again[0].parsed == [{"field": "rocks", "sure": 1}]


def test_a_format_reads_answers(session: Session, quick: Sandbox, tmp_path: Path) -> None:
    """JSON is a value, and what is none is an error in its place."""
    quick.answer = "[1, 2]"
    answer = session.batch(["a"], model=LLAMA, folder=tmp_path, format="json").wait()[0]
    assert isinstance(answer, Completion)
    assert answer.parsed == [1, 2]
    quick.answer = "none"
    results = session.batch(["a"], model=LLAMA, folder=tmp_path, format="json").wait()
    assert type(results[0]).__name__ == "AnswerInvalid"
    assert len(results.failed) == 1


def test_what_failed_is_asked_again_as_prompts(
    session: Session, quick: Sandbox, tmp_path: Path
) -> None:
    """At the same place with the same parameters; rows with nothing to ask stay errors."""
    quick.answer = '{"field": 7}'
    data = [{"text": "one"}, {"text": None}, {"text": "three"}]
    batch = session.batch(
        data, "Say {{text}}", model=LLAMA, folder=tmp_path, schema=Field, max_tokens=50
    )
    results = batch.wait()
    assert len(results.failed) == 3
    quick.answer = '{"field": "f", "sure": 1}'
    assert results.retry() is results
    assert [type(error).__name__ for error in results.failed] == ["RequestRefused"]
    third = results[2]
    assert isinstance(third, Completion)
    assert (third.prompt, third.parsed) == ("Say three", Field("f", 1.0))
    chats = [r.body for r in quick.requests if r.path.endswith("/chat/completions")]
    assert len(chats) == 2
    assert {(body["model"], body["max_tokens"]) for body in chats} == {(LLAMA, 50)}
    assert chats[0]["response_format"]["json_schema"]["name"] == "Field"
    assert results.to_pandas()["sure"].fillna(-1).tolist() == [1.0, -1.0, 1.0]
    assert len(session.history) == 0


def test_an_interrupt_of_a_submission_says_where_to_look(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows then whether it began."""

    def interrupted(*args: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session._connection, "post", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        submitted(session, tmp_path)
    (line,) = caught.value._render_traceback_()  # type: ignore[attr-defined]
    assert "session().batches()" in line
