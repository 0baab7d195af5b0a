"""The requests of one prompt: its form in a field or in words, and an answer asked for anew."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import respx
from pydantic import BaseModel

from alcf_magics import AnswerInvalid, RequestRefused, StreamBroken
from alcf_magics._session import Session
from alcf_magics.sandbox import Sandbox
from support.logins import logged_in

MODEL = "metis:gpt-oss-120b"
GOOD = '{"name": "Rome", "population": 3}'
BAD = '{"name": "Rome", "population": "many"}'


class City(BaseModel):
    name: str
    population: int


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[Session]:
    session = logged_in(sandbox)
    yield session
    session.close()


def bodies(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [r.body for r in sandbox.requests if r.path.endswith("/chat/completions")]


class Answers:
    """Scripts for the sandbox: each request takes the next one, the last one for ever."""

    def __init__(self, sandbox: Sandbox, *texts: str) -> None:
        self._sandbox, self._texts = sandbox, texts

    def __iter__(self) -> Iterator[str]:
        count = len(bodies(self._sandbox))  # the one that is being answered is not among them
        yield self._texts[min(count, len(self._texts) - 1)]


def scripted(sandbox: Sandbox, *texts: str) -> None:
    sandbox.answer = Answers(sandbox, *texts)  # type: ignore[assignment]


def test_a_schema_is_sent_and_its_value_comes_back(session: Session, sandbox: Sandbox) -> None:
    """The field is strict; the value is an instance; the history and `_` have it."""
    answer = session.ask("hi", MODEL, schema=City)
    assert isinstance(answer.parsed, City)
    assert answer.choices[0].parsed is answer.parsed
    assert answer is session.history[-1]
    [body] = bodies(sandbox)
    assert body["response_format"]["type"] == "json_schema"
    assert body["response_format"]["json_schema"]["strict"] is True
    assert [message["role"] for message in body["messages"]] == ["user"]
    assert answer.record.parameters["response_format"] == body["response_format"]


def test_json_is_asked_for(session: Session, sandbox: Sandbox) -> None:
    """`format="json"` is the field's `json_object`; any other format sends nothing."""
    assert session.ask("hi", MODEL, format="json").parsed["answer"]
    session.ask("hi", MODEL, format="text")
    first, second = bodies(sandbox)
    assert first["response_format"] == {"type": "json_object"}
    assert "response_format" not in second


def test_another_form_is_another_question(session: Session) -> None:
    """The key of an answer tells any JSON, a schema, and none apart."""
    forms: tuple[dict[str, Any], ...] = ({}, {"format": "json"}, {"schema": City})
    keys = {session.ask("hi", MODEL, **form).key for form in forms}
    assert len(keys) == 3
    assert session.ask("hi", MODEL, format="text").key in keys


def test_an_extra_of_ones_own_goes_before_json(session: Session, sandbox: Sandbox) -> None:
    """What is given as it is stays so; beside a schema it is one too many."""
    own = {"response_format": {"type": "text"}}
    sandbox.answer = "[1]"
    session.ask("hi", MODEL, format="json", extra=own)
    assert bodies(sandbox)[-1]["response_format"] == {"type": "text"}
    with pytest.raises(RequestRefused, match="response_format is given"):
        session.ask("hi", MODEL, schema=City, extra=own)


@pytest.mark.parametrize(
    ("options", "form"), [({"schema": City}, "json_schema"), ({"format": "json"}, "json_object")]
)
def test_a_server_that_refuses_the_field_is_asked_in_words(
    session: Session, sandbox: Sandbox, options: dict[str, Any], form: str
) -> None:
    """In the system text of that request alone; nothing else of the answer knows of it."""
    sandbox.refuses = frozenset({"response_format"})
    sandbox.answer = GOOD
    answer = session.ask("hi", MODEL, system="Be brief.", **options)
    assert answer.parsed in (City(name="Rome", population=3), json.loads(GOOD))
    first, second = bodies(sandbox)
    assert first["response_format"]["type"] == form
    assert "response_format" not in second
    system, user = second["messages"]
    assert system["content"].startswith("Be brief.\n\nAnswer with JSON alone")
    assert ("population" in system["content"]) == (form == "json_schema")
    assert user["content"] == "hi"
    assert [m.text for m in answer.request.messages] == ["Be brief.", "hi"]


@pytest.mark.parametrize(("format", "sent"), [("json", 2), ("text", 1)])
def test_where_the_reason_is_kept_back_words_are_tried(
    session: Session, sandbox: Sandbox, format: str, sent: int
) -> None:
    """Once, and with a form alone: behind Globus Compute nobody says what was refused."""
    hidden = {"object": "error", "message": "An error occurred during processing", "code": 500}
    with respx.mock(assert_all_mocked=False) as mock:
        mock.get().pass_through()
        chat = mock.post(path__regex="chat/completions").respond(
            headers={"content-type": "text/event-stream"},
            text=f"data: {json.dumps(hidden)}\n\ndata: [DONE]\n\n",
        )
        with pytest.raises(StreamBroken):
            session.ask("hi", MODEL, format=format)
    asked = [json.loads(call.request.content) for call in chat.calls]
    assert ["response_format" in body for body in asked] == [format == "json", False][:sent]


def test_a_refusal_for_another_reason_is_a_refusal(session: Session, sandbox: Sandbox) -> None:
    """Only one that names the field is sent again."""
    sandbox.refuses = frozenset({"temperature"})
    with pytest.raises(RequestRefused, match="temperature"):
        session.ask("hi", MODEL, schema=City, temperature=1)
    assert len(bodies(sandbox)) == 1


@pytest.mark.parametrize("refused", ["response_format", "response_format.json_schema"])
def test_where_the_row_says_no_it_is_words_at_once(
    session: Session, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """A place whose row in models.yaml refuses the field, or this form of it."""
    monkeypatch.setattr(
        "alcf_magics.gateway.listings.refused_by", lambda *_: frozenset({refused}), raising=True
    )
    sandbox.answer = GOOD
    assert session.ask("hi", MODEL, schema=City).parsed == City(name="Rome", population=3)
    [body] = bodies(sandbox)
    assert "response_format" not in body
    system, _ = body["messages"]
    assert system["role"] == "system"
    assert "population" in system["content"]


def test_words_stay_out_of_a_chat(session: Session, sandbox: Sandbox) -> None:
    """The next turn sends question and answer, and no word about a form."""
    sandbox.refuses = frozenset({"response_format"})
    sandbox.answer = GOOD
    chat = session.chats["c"] = __import__("alcf_magics").Chat()
    chat.ask("one", MODEL, schema=City)
    sandbox.answer = "two"
    chat.ask("two")
    assert [m["content"] for m in bodies(sandbox)[-1]["messages"]] == ["one", GOOD, "two"]
    assert chat.system == ""


def test_an_answer_that_does_not_fit_is_asked_for_once_more(
    session: Session, sandbox: Sandbox
) -> None:
    """With the error; tokens add up; one answer is kept, and says so."""
    scripted(sandbox, BAD, GOOD)
    answer = session.ask("hi", MODEL, schema=City)
    assert answer.parsed == City(name="Rome", population=3)
    assert answer.text == GOOD
    assert "asked once more" in answer.about
    assert session.history[-1] is answer
    assert len(session.history) == 1
    _, second = bodies(sandbox)
    assert [m["role"] for m in second["messages"]] == ["user", "assistant", "user"]
    assert second["messages"][1]["content"] == BAD
    assert "at population: " in second["messages"][2]["content"]
    assert second["response_format"]["type"] == "json_schema"
    assert [m.text for m in answer.request.messages] == ["hi"]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 10  # of both


def test_after_one_repair_it_is_an_error(session: Session, sandbox: Sandbox) -> None:
    """One clear line says where it failed; the error carries the answer."""
    scripted(sandbox, BAD)
    with pytest.raises(AnswerInvalid) as caught:
        session.ask("hi", MODEL, schema=City)
    assert "at population: " in str(caught.value)
    assert "City" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.completion is session.history[-1]
    assert session.history[-1].text == BAD
    assert len(bodies(sandbox)) == 2


def test_what_is_no_json_is_repaired_as_well(session: Session, sandbox: Sandbox) -> None:
    """Words alone do not fit a schema, either; nor does nothing."""
    scripted(sandbox, "I would rather not.", GOOD)
    assert session.ask("hi", MODEL, schema=City).parsed == City(name="Rome", population=3)
    scripted(sandbox, "", "", "", "")
    with pytest.raises(AnswerInvalid, match="no valid JSON"):
        session.ask("hi", MODEL, schema=City)


def test_a_repair_stays_out_of_a_chat(session: Session, sandbox: Sandbox) -> None:
    """Its turn is the question and the answer that fits."""
    scripted(sandbox, BAD, GOOD)
    chat = session.chats["c"] = __import__("alcf_magics").Chat()
    chat.ask("one", MODEL, schema=City)
    assert [m["content"] for m in chat.messages] == ["one", GOOD]
    assert len(chat) == 1


def test_each_choice_has_its_own_value(session: Session, sandbox: Sandbox) -> None:
    """With `n`, for a schema and for a format alike; the first one is the completion's."""
    answer = session.ask("hi", MODEL, schema=list[City], n=3)
    assert [type(choice.parsed[0]) for choice in answer.choices] == [City] * 3
    assert answer.parsed == answer.choices[0].parsed
    sandbox.answer = "```py\nx\n```"
    codes = session.ask("hi", MODEL, format="code", n=2).choices
    assert [choice.parsed[0].code for choice in codes] == ["x\n"] * 2


def test_each_choice_that_does_not_fit_is_repaired_alone(
    session: Session, sandbox: Sandbox
) -> None:
    """By a request for one answer each; one that fails again is named."""
    scripted(sandbox, BAD, GOOD)
    answer = session.ask("hi", MODEL, schema=City, n=2)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert [choice.parsed.population for choice in answer.choices] == [3, 3]
    assert [body.get("n") for body in bodies(sandbox)] == [2, None, None]
    sandbox.requests.clear()
    scripted(sandbox, BAD, GOOD, BAD)
    with pytest.raises(AnswerInvalid, match="Choice 2 of 2"):
        session.ask("hi", MODEL, schema=City, n=2)
    assert session.history[-1].choices[0].parsed.population == 3


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (GOOD, ""),
        (f"Here:\n\n```json\n{GOOD}\n```\n", "a code block"),
        (f"As [1] says, it is {GOOD}. Ask again [any time]!", "between other words"),
    ],
)
@pytest.mark.parametrize("options", [{"schema": City}, {"format": "json"}])
def test_json_is_read_from_where_it_stands(
    session: Session, sandbox: Sandbox, text: str, where: str, options: dict[str, Any]
) -> None:
    """And the line under the answer says so."""
    sandbox.answer = text
    answer = session.ask("hi", MODEL, **options)
    assert answer.parsed in (City(name="Rome", population=3), json.loads(GOOD))
    assert ("JSON read from" in answer.about) == bool(where)
    assert where in answer.about


def test_a_schema_has_the_format_json(session: Session, sandbox: Sandbox) -> None:
    """Any other is refused before anything is sent."""
    for format in ("text", "markdown", "code"):
        with pytest.raises(RequestRefused, match="json"):
            session.ask("hi", MODEL, schema=City, format=format)
    assert bodies(sandbox) == []


def test_async_callers_have_it_all(session: Session, sandbox: Sandbox) -> None:
    """Repairs, too."""
    scripted(sandbox, BAD, GOOD)
    answer = asyncio.run(session.aask("hi", MODEL, schema=City))
    assert answer.parsed == City(name="Rome", population=3)


def test_a_replay_is_held_to_the_schema(session: Session, sandbox: Sandbox) -> None:
    """The request is the same, and what is read out of the answer, too."""
    session.ask("hi", MODEL, schema=City)
    assert isinstance(session.history.replay(0).parsed, City)
    assert bodies(sandbox)[0] == bodies(sandbox)[1]


def test_an_interrupted_repair_keeps_what_came(session: Session, sandbox: Sandbox) -> None:
    """The first answer, or what of the second one had come."""
    scripted(sandbox, BAD, GOOD)
    exchange = session.exchange("hi", MODEL, schema=City)

    def stopped() -> None:
        with exchange:
            for _ in exchange:
                if exchange.rounds.past:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert len(session.history) == 1
    assert session.history[-1].text.startswith('{"name"')


def test_a_stream_has_one_answer(session: Session, sandbox: Sandbox) -> None:
    """What did not fit, and was asked for again, does not stand before it."""
    scripted(sandbox, BAD, GOOD)
    assert list(session.stream("hi", MODEL, schema=City)) == [GOOD]

    async def pieces() -> list[str]:
        return [piece async for piece in session.astream("hi", MODEL, schema=City)]

    assert asyncio.run(pieces()) == [GOOD]


def test_streamed_pieces_end_in_the_value(session: Session, sandbox: Sandbox) -> None:
    """`stream` takes a schema, and the history has what it made."""
    assert json.loads("".join(session.stream("hi", MODEL, schema=City)))
    assert isinstance(session.history[-1].parsed, City)
