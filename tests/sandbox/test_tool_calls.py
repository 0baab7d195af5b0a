"""The sandbox calls the tools of a request as a model server does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from alcf_magics._session import Session
from alcf_magics.sandbox import Sandbox
from support.logins import logged_in

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": SCHEMA}}
    for name in ("add", "area-2")
]


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[Session]:
    session = logged_in(sandbox)
    yield session
    session.close()


def asked(session: Session, sandbox: Sandbox, prompt: str, **fields: Any) -> httpx.Response:
    messages = fields.pop("messages", [{"role": "user", "content": prompt}])
    body = {"model": "gpt-oss-120b", "messages": messages, "tools": TOOLS, **fields}
    url = f"{sandbox.gateway_url}/metis/api/v1/chat/completions"
    return httpx.post(url, json={k: v for k, v in body.items() if v is not None}, auth=session.auth)


def calls(response: httpx.Response) -> list[tuple[str, Any]]:
    [choice] = response.raise_for_status().json()["choices"]
    found = choice["message"].get("tool_calls", [])
    assert (choice["finish_reason"] == "tool_calls") == bool(found)
    assert (choice["message"]["content"] is None) == bool(found)
    return [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in found]


@pytest.mark.parametrize(
    ("prompt", "fields", "expected"),
    [
        ("hi", {}, []),
        ("adding up", {}, []),
        ("please add", {}, [("add", {"a": 1, "b": "b"})]),
        ('Call add({"a": 5}) now', {}, [("add", {"a": 5})]),
        ("use `add` with a=7, b='x y'", {}, [("add", {"a": 7, "b": "x y"})]),
        ('call area-2 {"a": 1}, then add {"a": 2}', {}, [("area-2", {"a": 1}), ("add", {"a": 2})]),
        ('call nowhere({"x": 1})', {}, [("nowhere", {"x": 1})]),
        ("add", {"tool_choice": "none"}, []),
        ("add", {"tool_choice": "auto"}, [("add", {"a": 1, "b": "b"})]),
        ("hi", {"tool_choice": "required"}, [("add", {"a": 1, "b": "b"})]),
        (
            "add",
            {"tool_choice": {"type": "function", "function": {"name": "area-2"}}},
            [("area-2", {"a": 1, "b": "b"})],
        ),
        ("add", {"tools": None}, []),
    ],
)
def test_a_prompt_can_make_it_call_a_tool(
    session: Session, sandbox: Sandbox, prompt: str, fields: dict[str, Any], expected: Any
) -> None:
    """By its name, as far as `tool_choice` lets it, with what stands behind the name."""
    assert calls(asked(session, sandbox, prompt, **fields)) == expected


def test_what_tools_gave_is_in_the_answer(session: Session, sandbox: Sandbox) -> None:
    """It does not call them again, unless it has to."""
    messages = [
        {"role": "user", "content": "add"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "forty-two", "tool_call_id": "x"},
    ]
    answer = asked(session, sandbox, "", messages=messages)
    assert calls(answer) == []
    assert "forty-two" in answer.text
    assert calls(asked(session, sandbox, "", messages=messages, tool_choice="required"))


def test_calls_are_streamed_in_pieces(session: Session, sandbox: Sandbox) -> None:
    """First id and name, then the arguments bit by bit; they add up to the same."""
    streamed = session.ask(
        'call add({"a": 12345678901234567890})', "metis:gpt-oss-120b", extra={"tools": TOOLS}
    )
    [call] = streamed.tool_calls
    assert call["function"] == {"name": "add", "arguments": '{"a": 12345678901234567890}'}
    assert call["id"].startswith("call_")
    assert streamed.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": "perhaps"},
        {"tool_choice": {"type": "function", "function": {"name": "nowhere"}}},
        {"tools": None, "tool_choice": "auto"},
        {"tools": [{"type": "function"}]},
        {"tools": [{"function": "add"}]},
    ],
)
def test_what_no_server_takes_is_refused(
    session: Session, sandbox: Sandbox, fields: dict[str, Any]
) -> None:
    """With status 400, and which field it is."""
    answer = asked(session, sandbox, "hi", **fields)
    assert answer.status_code == 400
    assert "tool" in answer.text
