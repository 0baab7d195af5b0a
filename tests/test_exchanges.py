"""One prompt from the request to the kept answer, however it ends, and several at a time."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from alcf_magics import Completion
from alcf_magics._session import Session
from alcf_magics.errors import (
    AlcfError,
    AnswerInvalid,
    Fault,
    GatewayUnreachable,
    RequestRefused,
    StreamBroken,
)
from alcf_magics.gateway.retries import Policy
from alcf_magics.sandbox import Sandbox
from alcf_magics.told import Told
from support.logins import logged_in


@dataclass
class Screen:
    """A view that notes what it is told; `fails` makes it raise."""

    fails: tuple[str, ...] = ()
    ends: list[str] = field(default_factory=list)
    draws: int = 0

    def _note(self, what: str, why: str = "") -> None:
        self.ends.append(f"{what} {why}".strip())
        if what in self.fails:
            raise OSError("no space left on device")

    def draw(self, answer: Any) -> None:
        self.draws += 1
        if "draw" in self.fails:
            raise OSError("no space left on device")

    def move(self, place: Any) -> None:
        self._note("move", place.place)

    def call(self, call: Any) -> None:
        self._note("call")

    def begin_again(self, why: str) -> None:
        self._note("again", why)

    def finish(self, completion: Completion) -> None:
        self._note("finish")

    def fail(self, completion: Completion | None, why: str) -> None:
        self._note("fail", why)


@pytest.fixture
def session(sandbox: Sandbox) -> Any:
    session = logged_in(sandbox)
    yield session
    session.close()


def test_a_complete_answer_is_shown_bound_and_kept_once(session: Session) -> None:
    """The value, the variable and the history are one and the same object."""
    screen, bound = Screen(), list[Completion]()
    exchange = session.exchange("hi", view=lambda place: screen, bind=bound.append)
    completion = exchange.run()
    assert completion is exchange.completion is session.history[-1] is bound[0]
    assert (len(bound), len(session.history), screen.ends) == (1, 1, ["finish"])
    assert completion.finish_reason == "stop"
    assert abs(completion.started - __import__("time").time()) < 60


def test_what_breaks_off_is_shown_bound_kept_and_carried(
    session: Session, sandbox: Sandbox
) -> None:
    """The error has what came, and so have the history and the variable."""
    sandbox.scenario = "cut_mid_stream"
    screen, bound = Screen(), list[Completion]()
    with pytest.raises(StreamBroken) as caught:
        session.exchange("hi", view=lambda place: screen, bind=bound.append).run()
    assert caught.value.completion is session.history[-1] is bound[0]
    assert bound[0].text
    assert screen.ends == [f"fail {caught.value}"]


def test_a_refusal_leaves_nothing_to_keep(session: Session, sandbox: Sandbox) -> None:
    """Where nothing came, nothing is bound or kept; the view is told why."""
    sandbox.scenario = "maintenance"
    screen, bound = Screen(), list[Completion]()
    with pytest.raises(AlcfError) as caught:
        session.exchange(
            "hi", "sophia:gpt-oss-120b", view=lambda place: screen, bind=bound.append
        ).run()
    assert (bound, len(session.history), caught.value.completion) == ([], 0, None)
    assert screen.ends == [f"fail {caught.value}"]


def test_an_interrupt_keeps_what_came(session: Session) -> None:
    """It stays a KeyboardInterrupt, of one line, with the part of the answer."""
    exchange = session.exchange("hi")

    def stop_in_the_middle() -> None:
        with exchange:
            for answer in exchange:
                if answer.began:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        stop_in_the_middle()
    assert caught.value.completion is session.history[-1]  # type: ignore[attr-defined]
    assert session.history[-1].finish_reason is None
    [line] = caught.value._render_traceback_()  # type: ignore[attr-defined]
    assert "interrupted; what came is kept" in line


@pytest.mark.parametrize("fails", [("draw",), ("finish",), ("draw", "finish", "fail")])
def test_a_view_that_fails_costs_nobody_the_answer(
    session: Session, fails: tuple[str, ...]
) -> None:
    """A full disk under the screen: the answer is complete, bound and kept all the same."""
    screen, bound = Screen(fails), list[Completion]()
    completion = session.exchange("hi", view=lambda place: screen, bind=bound.append).run()
    assert completion is bound[0] is session.history[-1]
    assert completion.finish_reason == "stop"
    assert screen.draws == 1 or "draw" not in fails
    assert screen.ends == ["finish"]


def test_an_answer_in_the_wrong_format_is_kept(session: Session, sandbox: Sandbox) -> None:
    """What cannot be read as asked is the error's completion, bound, kept and shown."""
    sandbox.answer = "no JSON"  # of itself the sandbox answers with what is asked for
    screen, bound = Screen(), list[Completion]()
    with pytest.raises(AnswerInvalid) as caught:
        session.exchange("hi", format="json", view=lambda place: screen, bind=bound.append).run()
    assert caught.value.completion is bound[0] is session.history[-1]
    assert screen.ends == [f"fail {caught.value.what}"]


def test_format_and_parsed_value_are_those_of_the_kept_answer(
    session: Session, sandbox: Sandbox
) -> None:
    """The answer in the history has all that the answer on the screen has."""
    completion = session.ask("Show code.", format="code")
    assert completion.format == "code"
    assert session.history[-1].parsed == completion.parsed


def test_several_run_at_a_time(session: Session) -> None:
    """Threads and tasks share one event loop, and each answer is whole."""
    answers: list[Completion] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(session.ask(f"thread {n}")))
        for n in range(3)
    ]
    for thread in threads:
        thread.start()

    async def tasks() -> list[Completion]:
        return await asyncio.gather(*(session.aask(f"task {n}") for n in range(3)))

    answers += asyncio.run(tasks())
    for thread in threads:
        thread.join()
    assert len(answers) == len(session.history) == 6
    assert {a.finish_reason for a in answers} == {"stop"}
    assert {a.prompt for a in answers} == {f"{k} {n}" for k in ("thread", "task") for n in range(3)}


def test_the_twins_work_on_any_event_loop(session: Session) -> None:
    """asyncio is the notebook's; trio is somebody's."""

    async def both() -> tuple[str, str]:
        pieces = [piece async for piece in session.astream("hi")]
        return "".join(pieces), (await session.aask("hi")).text

    streamed, asked = asyncio.run(both())
    assert streamed == asked == session.history[-1].text
    assert anyio.run(both, backend="trio") == (streamed, asked)


def test_a_stream_yields_the_text_as_it_comes(session: Session, sandbox: Sandbox) -> None:
    """The pieces make up the answer, which is in the history."""
    pieces = list(session.stream("hi"))
    assert len(pieces) > 1
    assert "".join(pieces) == session.history[-1].text


def test_leaving_a_stream_closes_it_and_keeps_what_came(session: Session, sandbox: Sandbox) -> None:
    """Nobody pays for what nobody reads."""
    sandbox.pace = 0.2
    for _ in session.stream("hi"):
        break
    assert session.history[-1].finish_reason is None
    assert session.history[-1].text
    deadline = anyio.run(_until, lambda: bool(sandbox.disconnects))
    assert deadline


async def _until(condition: Any, seconds: float = 10) -> bool:
    with anyio.move_on_after(seconds):
        while not condition():
            await anyio.sleep(0.02)
    return bool(condition())


def test_a_cancelled_task_closes_its_request(session: Session, sandbox: Sandbox) -> None:
    """Cancelling an awaited prompt ends it at the gateway, too, and keeps what came."""
    sandbox.pace = 0.2

    async def cut() -> None:
        task = asyncio.create_task(session.aask("hi"))
        await _until(lambda: any(r.path.endswith("completions") for r in sandbox.requests))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cut())
    assert anyio.run(_until, lambda: bool(sandbox.disconnects))
    assert session.history[-1].finish_reason is None


@pytest.mark.parametrize(
    "options",
    [{"temperature": 5}, {"max_tokens": "10"}, {"effort": "max"}, {"format": "yaml"}],
)
def test_a_wrong_value_is_said_before_anything_is_sent(
    sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """Not even the catalog is asked."""
    session = logged_in(sandbox)
    before = len(sandbox.requests)
    with pytest.raises(RequestRefused):
        session.ask("hi", **options)
    assert len(sandbox.requests) == before
    session.close()


def test_what_says_when_it_clears_is_waited_out_once() -> None:
    """A countdown is told step by step, taken away, and the call made once more."""
    calls: list[float] = []
    told = Told()
    lines: list[str] = []

    class Noting(Told):
        def waiting(self, line: str) -> None:
            lines.append(line)

    async def call(sent: Any) -> str:
        calls.append(0.0)
        if len(calls) == 1:
            raise _outage(0.6)
        return "answer"

    assert anyio.run(Policy().run, call, Noting()) == "answer"
    assert lines[0].startswith("Globus is away. Trying once more in 1 s")
    assert lines[-1] == ""
    calls.clear()

    async def never(sent: Any) -> str:
        calls.append(0.0)
        raise _outage(0.01)

    with pytest.raises(GatewayUnreachable):
        anyio.run(Policy().run, never, told)
    assert len(calls) == 2


def test_what_does_not_say_when_it_clears_is_not_tried_again() -> None:
    """A refusal is one request."""
    calls: list[int] = []

    async def call(sent: Any) -> None:
        calls.append(1)
        raise RequestRefused("No.")

    with pytest.raises(RequestRefused):
        anyio.run(Policy().run, call)
    assert calls == [1]


def _outage(seconds: float) -> GatewayUnreachable:
    error = GatewayUnreachable("Globus is away")
    error.fault, error.retry_after = Fault.OUTAGE, seconds
    return error


class Impatient(Screen):
    """A view in which somebody interrupts again and again while an end is shown."""

    def _note(self, what: str, why: str = "") -> None:
        super()._note(what, why)
        if len(self.ends) < 4:
            raise KeyboardInterrupt


@pytest.mark.parametrize("scenario", ["default", "cut_mid_stream"])
def test_an_interrupt_while_the_end_is_shown_costs_nothing(
    session: Session, sandbox: Sandbox, scenario: str
) -> None:
    """The answer is kept and carried, and its end is told in one line."""
    sandbox.scenario = scenario
    screen = Impatient()
    with pytest.raises(KeyboardInterrupt) as caught:
        session.exchange("hi", view=lambda place: screen).run()
    assert caught.value.completion is session.history[-1]  # type: ignore[attr-defined]
    assert hasattr(caught.value, "_render_traceback_")
    assert screen.ends[-1] == "fail interrupted"
    assert len(session.history) == 1


def test_closing_the_session_keeps_what_had_come(session: Session, sandbox: Sandbox) -> None:
    """A prompt that loses its session ends as any other does: told, bound, carried."""
    sandbox.scenario = "slow"
    screen, bound = Screen(), list[Completion]()
    exchange = session.exchange("hi", view=lambda place: screen, bind=bound.append)

    def closed_under_way() -> None:
        with exchange:
            for answer in exchange:
                if answer.began:
                    raise CancelledError  # as whoever waits for a loop that ends gets it

    with pytest.raises(AlcfError, match="closed") as caught:
        closed_under_way()
    assert caught.value.completion is bound[0]
    assert bound[0].text
    assert screen.ends == ["fail The session was closed while it waited."]
