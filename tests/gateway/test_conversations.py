"""Turns: what a cell that runs again replaces, what is undone, what fits, what a file keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcf_magics.errors import AlcfError, RequestRefused
from alcf_magics.gateway.asking import InChat, fit
from alcf_magics.gateway.chat import ChatRequest
from alcf_magics.gateway.conversations import Chat, Execution, Turn, kept_by
from alcf_magics.gateway.models import Capabilities
from support.completions import PLACE, completion

#: What happens to a chat: which cell runs, and how many turns it adds.
RUNS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3)), max_size=8)


def turn(text: str = "hi", owner: Execution | None = None, answer: str = "yes") -> Turn:
    return replace(Turn.of(completion(answer, prompt=text), (), 1), owner=owner)


def add(chat: Chat, execution: Execution | None, text: str = "hi") -> int:
    """Add a turn as an answer does that begins and ends; how many turns were dropped."""
    count = chat.replace_from(execution)
    chat.add(turn(text, execution))
    return count


def played(runs: list[tuple[str, int]]) -> Chat:
    chat = Chat()
    for number, (cell, count) in enumerate(runs):
        for _ in range(count):
            add(chat, Execution(cell, str(number)))
    return chat


@given(RUNS)
def test_a_chat_holds_the_turns_of_one_execution_of_a_cell(runs: list[tuple[str, int]]) -> None:
    """They stand together, in the order in which the executions came, and are the latest ones."""
    owners = [turn.owner for turn in played(runs).turns]
    blocks = list(dict.fromkeys(owners))
    assert owners == sorted(owners, key=blocks.index)
    cells = [owner.cell for owner in blocks if owner]
    assert len(cells) == len(set(cells))
    numbers = [int(owner.run) for owner in blocks if owner]
    assert numbers == sorted(numbers)
    if runs:
        assert owners[-runs[-1][1] :] == [Execution(runs[-1][0], str(len(runs) - 1))] * runs[-1][1]


@given(RUNS)
def test_a_cell_run_again_drops_its_turns_and_all_that_came_after(
    runs: list[tuple[str, int]],
) -> None:
    """What came before it stays as it was."""
    chat = played(runs)
    before = chat.turns
    first = next((n for n, t in enumerate(before) if t.owner and t.owner.cell == "a"), len(before))
    assert add(chat, Execution("a", "later")) == len(before) - first
    assert chat.turns[:-1] == before[:first]


@given(RUNS)
def test_undoing_everything_goes_back_step_by_step(runs: list[tuple[str, int]]) -> None:
    """Each answer is one step; in the end there is nothing left."""
    chat = Chat()
    seen = [chat.turns]
    for number, (cell, count) in enumerate(runs):
        for _ in range(count):
            add(chat, Execution(cell, str(number)))
            seen.append(chat.turns)
    while len(seen) > 1:
        assert chat.turns == seen.pop()
        chat.undo()
    assert chat.turns == ()
    with pytest.raises(AlcfError, match="nothing to undo"):
        chat.undo()


def test_without_a_cell_nothing_is_replaced() -> None:
    """Such turns append, and belong to nobody."""
    turns = [turn(), turn(owner=Execution("a", "1"))]
    assert kept_by(turns, None) == 2
    assert kept_by(turns, Execution("b", "1")) == 2
    assert kept_by(turns, Execution("a", "1")) == 2
    assert kept_by(turns, Execution("a", "2")) == 1


def test_a_reset_can_be_undone() -> None:
    """It is a change like others."""
    chat = Chat([turn("a"), turn("b")])
    chat.reset()
    assert (len(chat), chat.messages, chat.model, chat.system) == (0, [], "", "")
    chat.undo()
    assert len(chat) == 2


def test_a_fork_goes_its_own_way() -> None:
    """It shares what was said and the identifier; a cell owns nothing of it."""
    chat = Chat([turn("a", Execution("a", "1"))])
    fork = chat.fork("other")
    assert (fork.messages, fork.session_id) == (chat.messages, chat.session_id)
    assert add(fork, Execution("a", "2")) == 0
    assert (len(fork), len(chat)) == (2, 1)


def test_a_chat_of_no_session_says_what_it_needs() -> None:
    """The error names the next step."""
    with pytest.raises(AlcfError, match="belongs to no session"):
        Chat().ask("hi")


# What fits


@given(st.lists(st.integers(0, 400), max_size=6), st.integers(0, 400), st.integers(1, 500))
def test_only_as_many_turns_are_left_out_as_it_takes(
    lengths: list[int], asked: int, window: int
) -> None:
    """The oldest ones, and one less would not fit."""
    chat = Chat()
    for length in lengths:
        sent = completion("", prompt="x" * (length + 1))
        along = InChat(chat, None)
        request = along.along(sent.request, PLACE, keeps_system=True, trim=False)
        along.begin()
        along.keep(replace(sent, request=request))
    question = ChatRequest.of("m", "y" * (asked + 1)).messages
    fitted = fit(chat.turns, question, 0, window)
    if fitted.left_out:
        turns = chat.turns[fitted.left_out - 1].messages
        more = sum(len(message.text) for message in turns) // 4
        assert fitted.tokens + more > window
    assert fitted.left_out <= len(chat)
    assert fitted.tokens <= window or fitted.left_out == len(chat)


def test_what_cannot_fit_even_alone_is_refused() -> None:
    """--trim is no help then, and is not offered."""
    place = replace(PLACE, capabilities=Capabilities(context_window=10))
    with pytest.raises(RequestRefused, match=r"About 25 tokens do not fit .* has 10") as caught:
        InChat(Chat(), None).along(
            ChatRequest.of("m", "x" * 100), place, keeps_system=True, trim=True
        )
    assert "--trim" not in str(caught.value)


# Files


def saved(chat: Chat, file: Path) -> Chat:
    chat.save(file)
    return Chat.load(file)


def test_a_file_keeps_turns_that_were_left_out_of_a_request(tmp_path: Path) -> None:
    """What was sent of the third is the second and itself; the first stays the first."""
    chat = Chat()
    for text in ("one" * 20, "two" * 20, "three" * 20):
        along = InChat(chat, None)
        place = replace(PLACE, capabilities=Capabilities(context_window=45))
        request = along.along(ChatRequest.of(PLACE.name, text), place, keeps_system=True, trim=True)
        along.begin()
        along.keep(replace(completion("yes"), request=request))
    assert chat.turns[-1].record["messages"] != chat.messages[:-1]
    assert saved(chat, tmp_path / "chat").messages == chat.messages


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=4))
def test_a_file_brings_back_what_was_said(tmp_path_factory: Any, said: Any) -> None:
    """Any text, also one that stands there twice."""
    chat = Chat()
    for question, answer in said:
        if not question.strip():
            continue
        along = InChat(chat, None)
        asked = completion(answer, prompt=question)
        request = along.along(asked.request, PLACE, keeps_system=True, trim=False)
        along.begin()
        along.keep(replace(asked, request=request))
    again = saved(chat, tmp_path_factory.mktemp("chat") / "chat.jsonl")
    assert again.messages == chat.messages
    assert (len(again), again.model) == (len(chat), chat.model)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"messages": []}', "no JSON", "null"])
def test_a_file_that_is_no_chat_is_said_by_its_line(tmp_path: Path, text: str) -> None:
    """Nothing of Python's insides."""
    file = tmp_path / "chat.jsonl"
    file.write_text(text + "\n")
    with pytest.raises(AlcfError, match=r"Line 1 of .* is no turn"):
        Chat.load(file)
