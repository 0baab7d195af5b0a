"""Tools at work: what runs, where, and what a model and a person are told."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from alcf_magics import Chat, RequestRefused
from alcf_magics._session import Session
from alcf_magics.gateway.calls import Call
from alcf_magics.sandbox import Sandbox
from alcf_magics.tools.awaiting import awaited
from alcf_magics.tools.functions import tools_of
from alcf_magics.tools.toolbox import MOST_CHARACTERS, Toolbox
from support.logins import logged_in

MODEL = "metis:gpt-oss-120b"


class City(BaseModel):
    name: str


def speed(nodes: int = 1) -> float:
    """How fast so many nodes are."""
    return nodes * 1.5


async def later(x: int = 1) -> dict[str, int]:
    """Waits."""
    await asyncio.sleep(0.001)
    return {"x": x}


def boom() -> None:
    """Fails."""
    raise ValueError("no\nway")


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[Session]:
    session = logged_in(sandbox)
    yield session
    session.close()


def bodies(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [r.body for r in sandbox.requests if r.path.endswith("/chat/completions")]


def ran(function: Callable[..., Any], name: str = "f", arguments: str = "{}", **how: Any) -> Call:
    told: list[str] = []
    box = Toolbox(tools_of({"f": function}), tell=told.append, **how)
    call = box.run(Call(0, "id", name, arguments))
    assert all("\n" not in one for one in told)
    assert bool(told) == call.failed
    return call


# One call


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        ({"a": [1, "é"]}, '{"a": [1, "é"]}'),
        (None, "null"),
        (1.5, "1.5"),
        ({1, 2}, "{1, 2}"),
        ("bell\x07", "bell"),
    ],
)
def test_a_result_is_a_text(value: Any, text: str) -> None:
    """Texts as they are, what JSON has as JSON, all else as Python shows it."""
    assert ran(lambda: value).result == text


def test_a_long_result_is_cut() -> None:
    """And says how much is left out."""
    result = ran(lambda: "x" * (MOST_CHARACTERS + 1234)).result
    assert result is not None
    assert result.endswith("(1,234 more characters left out)")


@pytest.mark.parametrize(
    "error", [ValueError("no\nway"), SystemExit(3), StopIteration("end"), RecursionError("deep")]
)
def test_an_exception_is_text_for_the_model_and_a_line_for_the_person(error: Exception) -> None:
    """Whatever it is; nothing of it ends the prompt."""

    def fails() -> None:
        raise error

    async def fails_later() -> None:
        raise error

    call = ran(fails)
    assert call.failed
    assert (call.result or "").startswith(type(error).__name__)
    if not isinstance(error, StopIteration):  # which coroutines make a RuntimeError
        assert ran(fails_later).result == call.result


def test_an_exception_without_words_of_its_own_is_named() -> None:
    """Also one that fails to say them; and a wait that somebody cancelled is a failure, too."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    async def cancelled() -> None:
        raise asyncio.CancelledError

    def mute() -> None:
        raise Mute

    assert ran(mute).result == "Mute"
    assert ran(cancelled).result == "CancelledError"


def test_a_function_that_was_not_named_never_runs() -> None:
    """Whatever the model calls it, and wherever there is one of that name."""
    seen: list[int] = []
    for name in ("print", "g", "F", "f.__globals__", "__import__", "", "eval"):
        call = ran(lambda: seen.append(1), name)
        assert call.failed
        assert "no such tool" in (call.result or "")
    assert seen == []


def test_wrong_arguments_do_not_run_it() -> None:
    """The model is told where they are wrong."""
    call = ran(speed, "f", '{"nodes": "many"}')
    assert call.failed
    assert "at nodes: " in (call.result or "")


def test_a_call_that_is_not_confirmed_does_not_run() -> None:
    """The model is told why."""
    call = ran(lambda: 1, confirm=lambda call: "it was not confirmed")
    assert call.failed
    assert "not confirmed" in (call.result or "")


def test_a_call_is_shown_before_it_runs_and_with_its_result() -> None:
    """Its arguments come first."""
    shown: list[str | None] = []
    box = Toolbox(tools_of([speed]), show=lambda call: shown.append(call.result))
    box.run(Call(0, "id", "speed", "{}"))
    assert shown == [None, "1.5"]


def test_it_runs_on_the_thread_of_whoever_waits() -> None:
    """Also what is awaited, with its context; and with a loop that runs there already."""
    variable = contextvars.ContextVar("variable", default="")
    variable.set("set")

    def where() -> str:
        return f"{threading.current_thread().name} {variable.get()}"

    async def where_later() -> str:
        await asyncio.sleep(0)
        return where()

    here = f"{threading.current_thread().name} set"
    assert ran(where).result == ran(where_later).result == here

    async def inside() -> None:
        task = asyncio.current_task()
        assert ran(where_later).result == here
        assert asyncio.current_task() is task
        await asyncio.sleep(0)

    asyncio.run(inside())


def test_an_interrupt_of_a_tool_goes_on_its_way() -> None:
    """It ends the prompt, as it does anywhere."""

    def stopped() -> None:
        raise KeyboardInterrupt

    async def stopped_later() -> None:
        raise KeyboardInterrupt

    for function in (stopped, stopped_later):
        with pytest.raises(KeyboardInterrupt):
            Toolbox(tools_of({"f": function})).run(Call(0, "", "f", "{}"))
    assert awaited(asyncio.sleep(0, 5)) == 5


# Prompts


def test_a_tool_is_called_and_its_result_sent(session: Session, sandbox: Sandbox) -> None:
    """Streamed; the answer is one completion, with the calls in it."""
    answer = session.ask('Call speed({"nodes": 4}), please.', MODEL, tools=[speed, later])
    assert "6.0" in answer.text
    [call] = answer.calls
    assert (call.name, json.loads(call.arguments), call.result) == ("speed", {"nodes": 4}, "6.0")
    assert answer is session.history[-1]
    assert len(session.history) == 1
    first, second = bodies(sandbox)
    assert [tool["function"]["name"] for tool in first["tools"]] == ["speed", "later"]
    assert first["stream"] is second["stream"] is True
    _, said, gave = second["messages"]
    assert said["tool_calls"][0]["id"] == gave["tool_call_id"]
    assert gave == {"role": "tool", "content": "6.0", "tool_call_id": call.id}
    assert answer.usage is not None
    assert answer.prompt == 'Call speed({"nodes": 4}), please.'


@pytest.mark.parametrize("validation", ["current", "strict"])
@pytest.mark.parametrize("place", [MODEL, "sophia:gpt-oss-120b"])
def test_several_calls_at_once_run_in_their_order(
    session: Session, sandbox: Sandbox, validation: str, place: str
) -> None:
    """On each gateway, behind each kind of endpoint."""
    sandbox.validation = validation
    answer = session.ask("later x=5, then speed", place, tools=(speed, later))
    assert [(call.name, call.result) for call in answer.calls] == [
        ("later", '{"x": 5}'),
        ("speed", "1.5"),
    ]


def test_what_fails_goes_on(
    session: Session, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model gets the text, the person a line."""
    answer = session.ask("Use boom.", MODEL, tools=boom)
    assert "ValueError: no" in answer.text
    assert capsys.readouterr().err == "boom failed: ValueError: no way\n"


def test_nothing_but_the_named_functions_runs(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that calls another is told that there is none."""
    answer = session.ask('Call print({"value": "seen"}) now.', MODEL, tools=[speed])
    assert [call.failed for call in answer.calls] == [True]
    assert "print was asked for and did not run" in capsys.readouterr().err
    assert capsys.readouterr().out == ""


def test_rounds_are_limited(session: Session, sandbox: Sandbox) -> None:
    """After so many answers with calls the model has to answer; the line says so."""
    must = {"tool_choice": "required"}
    answer = session.ask("speed", MODEL, tools=[speed], rounds=2, extra=must)
    assert len(answer.calls) == 2
    assert "no tools after 2 rounds" in answer.about
    assert [body["tool_choice"] for body in bodies(sandbox)] == ["required", "required", "none"]
    assert answer.text
    sandbox.requests.clear()
    assert len(session.ask("speed", MODEL, tools=[speed], extra=must).calls) == 8


def test_calls_that_come_in_spite_of_all_are_shown(session: Session) -> None:
    """Unasked ones do not run, and are not dropped."""
    tool = {"type": "function", "function": {"name": "speed", "parameters": {}}}
    answer = session.ask("speed", MODEL, extra={"tools": [tool]})
    assert answer.calls == ()
    assert "calls speed(" in repr(answer)
    assert "calls speed(" in answer._repr_html_()


def test_the_last_round_alone_is_held_to_the_schema(session: Session, sandbox: Sandbox) -> None:
    """Without tools, when there is nothing more to call."""
    answer = session.ask("speed", MODEL, tools=[speed], schema=City)
    assert isinstance(answer.parsed, City)
    assert ["response_format" in body for body in bodies(sandbox)] == [False, False, True]
    assert bodies(sandbox)[-1]["tool_choice"] == "none"
    assert [m["role"] for m in bodies(sandbox)[-1]["messages"]] == ["user", "assistant", "tool"]


def test_a_chat_has_it_all_in_one_turn(session: Session, sandbox: Sandbox, tmp_path: Path) -> None:
    """Calls and results go along with the next turn, and come back from a file."""
    chat = session.chats["c"] = Chat()
    chat.ask("speed nodes=2", MODEL, tools=[speed])
    assert len(chat) == 1
    roles = [message["role"] for message in chat.messages]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert "speed(" in repr(chat)
    assert "→ 3.0" in repr(chat)
    chat.ask("And now?")
    assert [m["role"] for m in bodies(sandbox)[-1]["messages"]] == [*roles, "user"]
    assert len(chat) == 2
    chat.save(tmp_path / "chat.jsonl")
    assert Chat.load(tmp_path / "chat.jsonl").messages == chat.messages
    chat.undo()
    chat.undo()
    assert len(chat) == 0


def test_an_interrupt_while_a_tool_runs_keeps_what_came(session: Session) -> None:
    """The calls that had ended are in it; a chat does not get half of an exchange."""

    def stopped() -> None:
        raise KeyboardInterrupt

    chat = session.chats["c"] = Chat()
    with pytest.raises(KeyboardInterrupt) as caught:
        chat.ask("speed, then stopped", MODEL, tools=[speed, stopped])
    kept = session.history[-1]
    assert caught.value.completion is kept  # type: ignore[attr-defined]
    assert [call.name for call in kept.calls] == ["speed"]
    assert kept.finish_reason is None
    assert [message["role"] for message in chat.messages] == ["user", "assistant"]


def test_what_breaks_off_in_a_later_round_has_the_calls(session: Session, sandbox: Sandbox) -> None:
    """The error carries them."""

    def breaks() -> str:
        sandbox.scenario = "error_before_text"
        return "x"

    with pytest.raises(Exception, match="broke off") as caught:
        session.ask("breaks", MODEL, tools=[breaks])
    assert [call.result for call in caught.value.completion.calls] == ["x"]  # type: ignore[attr-defined]
    assert session.history[-1].finish_reason is None


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_async_callers_await_on_their_own_loop(session: Session, backend: str) -> None:
    """Whichever that is."""

    async def waits() -> str:
        await anyio.sleep(0.001)
        return backend

    async def main() -> str:
        return (await session.aask("waits", MODEL, tools=[waits])).calls[0].result or ""

    assert anyio.run(main, backend=backend) == backend


def test_pieces_of_all_rounds_are_streamed(session: Session) -> None:
    """And the history has the answer."""
    assert "1.5" in "".join(session.stream("speed", MODEL, tools=[speed]))
    assert len(session.history[-1].calls) == 1


def test_with_a_schema_a_stream_has_the_value_alone(session: Session, sandbox: Sandbox) -> None:
    """The answer before it, which was not held to the form, is not glued to it."""
    text = "".join(session.stream("speed", MODEL, tools=[speed], schema=City))
    assert json.loads(text).keys() == {"name"}
    assert len(bodies(sandbox)) == 3


def test_what_tools_give_may_not_make_a_request_too_large(
    session: Session, sandbox: Sandbox
) -> None:
    """It is refused here, with its size; the answer with its calls is kept."""

    def long(part: int = 1) -> str:
        return "x" * MOST_CHARACTERS

    tools = {f"long{number}": long for number in range(60)}
    with pytest.raises(RequestRefused, match=r"2\.8\d MiB.*tools return less") as caught:
        session.ask(" ".join(tools), MODEL, tools=tools)
    assert len(bodies(sandbox)) == 1
    assert caught.value.completion is session.history[-1]
    assert len(session.history[-1].calls) == 60


def test_with_tools_a_stream_of_json_has_the_json_alone(session: Session) -> None:
    """What the model said before it was held to the form is no part of it."""
    text = "".join(session.stream("speed", MODEL, tools=[speed], format="json"))
    assert json.loads(text) == session.history[-1].parsed


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"tools": [speed], "n": 2}, "n is 1"),
        ({"tools": [speed], "extra": {"n": 2}}, "n is 1"),
        ({"tools": [speed], "extra": {"tools": []}}, "twice"),
        ({"tools": [speed], "rounds": 0}, "rounds is a whole number"),
        ({"tools": [speed], "rounds": True}, "rounds is a whole number"),
        ({"tools": []}, "No tool"),
        ({"ask": True}, "go with tools"),
        ({"rounds": 3}, "go with tools"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    session: Session, sandbox: Sandbox, options: dict[str, Any], why: str
) -> None:
    """In one line."""
    with pytest.raises(RequestRefused, match=why):
        session.ask("hi", MODEL, **options)
    assert bodies(sandbox) == []


def test_a_default_of_several_answers_does_not_count(session: Session, sandbox: Sandbox) -> None:
    """With tools there is one."""
    session.choose(n=3)
    session.ask("speed", MODEL, tools=[speed])
    assert not any("n" in body for body in bodies(sandbox))


def test_nobody_confirms_where_nobody_is(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing runs, and both are told."""
    answer = session.ask("speed", MODEL, tools=[speed], ask=True)
    assert [call.failed for call in answer.calls] == [True]
    assert "nobody is here to confirm it" in capsys.readouterr().err
