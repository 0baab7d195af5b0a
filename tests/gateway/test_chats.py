"""Chats by name, apart from any session: which one goes on, and what a mapping of them is."""

from __future__ import annotations

from typing import Any

import pytest

from alcf_magics.gateway.chats import Chats
from alcf_magics.gateway.conversations import Chat, Execution
from support.completions import PLACE, completion


class Cells:
    """Chats in which cells ask; nothing is sent."""

    def __init__(self) -> None:
        self.running: Execution | None = None
        self.chats = Chats(self.send, lambda: self.running)

    def send(self, chat: Chat | None, prompt: str, *given: Any, **more: Any) -> Any:
        asking = self.chats.asking(chat)
        answer = completion("yes", prompt=prompt)
        asking.along(answer.request, PLACE, keeps_system=True, trim=False)
        asking.begin()
        about = asking.about(answer)
        asking.keep(answer)
        return about

    def alone(self, prompt: str) -> Any:
        return self.send(None, prompt)

    def go_on(self, prompt: str) -> Any:
        return self.send(self.chats.continued(), prompt)


def test_an_answer_that_stood_alone_is_the_first_turn_of_a_new_chat() -> None:
    """Numbers are given in turn, and none twice."""
    cells = Cells()
    for number in (1, 2):
        cells.alone("a")
        assert cells.go_on("b") == f"chat {number} · turn 2"
    assert cells.go_on("c") == "chat 2 · turn 3"
    assert {name: len(chat) for name, chat in cells.chats.items()} == {"chat 1": 2, "chat 2": 3}


def test_nothing_is_kept_before_an_answer_begins() -> None:
    """Neither a chat that goes on, nor one with a name."""
    cells = Cells()
    cells.alone("a")
    for chat in (cells.chats.continued(), cells.chats.named("x")):
        cells.chats.asking(chat)
    assert not cells.chats


def test_a_chat_that_was_removed_does_not_go_on() -> None:
    """Its last answer begins another one."""
    cells = Cells()
    cells.send(cells.chats.named("x"), "a")
    cells.send(cells.chats["x"], "b")
    del cells.chats["x"]
    assert cells.go_on("c") == "chat 1 · turn 2"


def test_a_name_is_a_text_and_a_chat_a_chat() -> None:
    """A wrong assignment is a TypeError, as with other mappings of one kind."""
    chats = Cells().chats
    with pytest.raises(TypeError, match="a chat is a Chat"):
        chats["x"] = []  # type: ignore[assignment]
    with pytest.raises(TypeError, match="name"):
        chats[" "] = Chat()
    with pytest.raises(KeyError):
        chats["x"]
    assert repr(chats) == "(no chats yet)"
    chats["x"] = Chat()
    assert repr(chats) == "x · no turns yet"
