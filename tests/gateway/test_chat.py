"""A request holds what was asked and nothing else, and a wrong one is never made."""

from __future__ import annotations

import json
import os

import pytest

from alcf_magics.errors import RequestRefused
from alcf_magics.gateway.chat import ChatRequest, Message


def test_a_prompt_is_two_messages_at_most() -> None:
    """The system text goes in front; the rest of the body is what was set."""
    request = ChatRequest.of("m", "hi", "be brief", temperature=0, max_tokens=5, effort="low")
    assert request.to_json() == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hi"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0,
        "max_tokens": 5,
        "reasoning_effort": "low",
    }


def test_a_list_of_openais_messages_is_sent_as_it_is() -> None:
    """Roles, parts, calls of tools and their results: every field stays."""
    parts = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages: list[dict[str, object]] = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": parts, "name": "ann"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "4", "tool_call_id": "1"},
    ]
    request = ChatRequest.of("m", messages)
    assert request.to_json()["messages"] == messages
    assert [m.text for m in request.messages] == ["s", "see", "", "4"]
    assert ChatRequest.of("m", request.messages) == request


def test_what_a_server_refuses_is_not_sent_to_it() -> None:
    """Fields are left out by the endpoint's row, whichever they are."""
    request = ChatRequest("m", (Message("user", "hi"),), {"seed": 1, "chat_template_kwargs": {}})
    assert "chat_template_kwargs" not in request.to_json({"chat_template_kwargs"})
    assert request.to_json({"chat_template_kwargs"})["seed"] == 1
    assert request.to_json()["chat_template_kwargs"] == {}


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        " \n",
        [],
        ["a"],
        [{"role": "user"}],
        [{"role": "king", "content": "x"}],
        [{"content": "x"}],
        [{"role": "user", "content": [1]}],
        [{"role": "user", "content": []}],
        {"role": "user", "content": "x"},
        b"bytes",
        5,
        None,
    ],
)
def test_what_is_no_prompt_is_said_in_a_line(prompt: object) -> None:
    """Nothing is sent, and the line shows the shape."""
    with pytest.raises(RequestRefused) as caught:
        ChatRequest.of("m", prompt)  # type: ignore[arg-type]
    assert caught.value.next_step
    assert len(str(caught.value)) < 200


def test_a_lone_surrogate_can_be_sent() -> None:
    """A file name that is no UTF-8 does not break the request, its hash or its file."""
    broken = "x" + os.fsdecode(b"\xe9")
    request = ChatRequest.of("m", broken, broken)
    assert [m.content for m in request.messages] == ["x\ufffd"] * 2
    [message] = ChatRequest.of("m", [{"role": "user", "content": broken}]).messages
    assert message.content == "x\ufffd"
    part = {"type": "text", "text": broken}
    [message] = ChatRequest.of("m", [{"role": "user", "content": [part]}]).messages
    assert message.text == "x\ufffd"


def test_a_prompt_is_sent_to_the_letter() -> None:
    """Line ends, tabs and odd signs of a person's own text are theirs."""
    typed = "a\r\n\tb\x0c{x} $y$ \u202e"
    assert ChatRequest.of("m", typed).messages[0].content == typed


def test_no_part_of_a_message_holds_half_a_character() -> None:
    """Names, addresses and calls are sent, too: a lone surrogate in one would stop it all."""
    half = "a\ud800"
    call = {"id": half, "type": "function", "function": {"name": half, "arguments": half}}
    for message in (
        {"role": "user", "content": "x", "name": half},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": half}}]},
        {"role": "assistant", "tool_calls": [call]},
    ):
        body = ChatRequest.of("m", [message]).to_json()
        assert "a\ufffd" in json.dumps(body, ensure_ascii=False).encode().decode()


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}])
def test_what_json_cannot_say_is_refused_before_sending(value: object) -> None:
    """One short error, whatever stands in a message."""
    with pytest.raises(RequestRefused, match="JSON"):
        ChatRequest.of("m", [{"role": "user", "content": "x", "name": value}])


def test_a_part_without_its_text_costs_no_history() -> None:
    """Whether to take it is the server's to say; here it reads as an empty text."""
    request = ChatRequest.of("m", [{"role": "user", "content": [{"type": "text"}]}])
    assert request.messages[0].text == ""
