"""Answers in a file: what a key counts, what a line keeps, what a file survives."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcf_magics.errors import AlcfError
from alcf_magics.gateway.answer_file import AnswerFile, key_of, restored, saved
from alcf_magics.gateway.chat import ChatRequest, Message
from alcf_magics.gateway.chunks import Usage
from alcf_magics.gateway.completions import Choice, Completion
from alcf_magics.gateway.conversations import Chat
from support.completions import completion

MESSAGES = (Message("system", "Brief."), Message("user", "Why?"))
KEY = key_of("m", MESSAGES, {})


def whole(text: str = "because", key: str = KEY, **fields: Any) -> Completion:
    asked: Completion = replace(completion(text, **fields), key=key)
    return asked


def line_of(one: Completion) -> dict[str, Any]:
    return saved(one, texts=True)


# What a key counts


@pytest.mark.parametrize("name", ["gpt-oss-120b", "metis:gpt-oss-120b", "Sophia:GPT-OSS-120B"])
def test_neither_cluster_nor_case_make_another_model(name: str) -> None:
    """The same model, wherever it runs."""
    assert key_of(name, MESSAGES, {}) == key_of("gpt-oss-120b", MESSAGES, {})


def test_a_tag_behind_a_colon_is_no_model_on_a_cluster() -> None:
    """Servers behind a sandbox name models so."""
    names = ["gemma:7b", "llama:7b", "gemma:latest", "llama:latest", "metis:", "org/m:x", ""]
    assert len({key_of(name, MESSAGES, {}) for name in names}) == len(names)


def test_a_number_has_one_key_however_it_is_written() -> None:
    """`-t 0` brings a float, `temperature=0` a whole number; their order says nothing."""
    one = key_of("m", MESSAGES, {"temperature": 0.0, "seed": 1, "stream": True})
    assert one == key_of("m", MESSAGES, {"seed": 1, "temperature": 0})
    assert one != key_of("m", MESSAGES, {"seed": 1, "temperature": 0.5})


def test_whatever_is_asked_otherwise_has_another_key() -> None:
    """Model, messages, parameters, schema, tools, and which repetition it is."""
    others: list[dict[str, Any]] = [
        {},
        {"model": "other"},
        {"messages": MESSAGES[1:]},
        {"messages": (*MESSAGES, Message("assistant", "x"))},
        {"parameters": {"temperature": 1}},
        {"parameters": {"temperature": True}},
        {"parameters": {"temperature": "1"}},
        {"schema": {"type": "object"}},
        {"tools": ["f"]},
        {"repetition": 1},
        {"repetition": 2},
    ]
    asked = {"model": "m", "messages": MESSAGES, "parameters": {}}
    assert len({key_of(**(asked | other)) for other in others}) == len(others)


# What a line keeps

TEXTS = st.text().map(lambda text: "".join(c for c in text if c.isprintable()))


@given(TEXTS, TEXTS, st.sampled_from(["stop", "length"]))
def test_a_line_brings_the_answer_back(text: str, reasoning: str, finish: str) -> None:
    """All that a line holds: texts, request, where from, usage, times to the second."""
    one = whole(text, reasoning=reasoning, finish=finish, usage=Usage(1, 2, 3), seconds=1.5)
    one = replace(one, request=ChatRequest.of("org/Name", MESSAGES, temperature=0.5), started=99.0)
    again = restored(json.loads(json.dumps(line_of(one))))
    assert (again.text, again.reasoning, again.finish_reason) == (text, reasoning, finish)
    assert again.request == one.request
    assert replace(again, place=one.place) == one
    assert (again.place.name, again.cluster) == ("org/Name", "red")


def test_a_line_keeps_every_choice() -> None:
    """Their texts, ends, calls of tools and log probabilities."""
    choices = (
        Choice(0, "a", "r", "stop", ({"id": "1", "function": {"name": "f"}},), {"content": []}),
        Choice(1, "b", "", "length"),
    )
    one = replace(whole(), choices=choices)
    assert restored(json.loads(json.dumps(line_of(one)))).choices == choices


def test_a_file_is_foreign_text() -> None:
    """What somebody wrote into it reaches no terminal."""
    value = line_of(whole()) | {
        "text": "a\x1b]52;c;x\x07b",
        "model": "m\u202ex",
        "cluster": "\x00c",
    }
    again = restored(value)
    assert (again.text, again.model, again.cluster) == ("a]52;c;xb", "mx", "c")


def test_a_record_without_texts_has_no_key() -> None:
    """It is no answer, and may not stand in the way of one."""
    assert "key" not in saved(whole(), texts=False)


# The file


@pytest.fixture
def file(tmp_path: Path) -> AnswerFile:
    return AnswerFile(tmp_path / "answers.jsonl")


def test_the_last_whole_answer_to_a_key_counts(file: AnswerFile) -> None:
    """What broke off is no answer, also behind one; other keys are left where they are."""
    cut = replace(whole("cu"), choices=(Choice(0, "cu"),))
    file.append(line_of(whole("first")), line_of(whole("other", key="other")))
    file.append(line_of(whole("last")), line_of(cut), line_of(replace(cut, key="cut")))
    found = file.answers({KEY, "cut", "missing"})
    assert {key: one.text for key, one in found.items()} == {KEY: "last"}


def test_a_file_that_is_not_there_has_no_answers(file: AnswerFile) -> None:
    """And is not made by looking."""
    assert file.answers({KEY}) == {}
    assert not file.path.exists()


LINES = [json.dumps(line_of(whole(f"é {n}", key=str(n))), ensure_ascii=False) for n in range(3)]
DATA = "\n".join([*LINES, ""]).encode()


@given(st.integers(0, len(DATA)))
def test_a_file_cut_anywhere_is_read_up_to_there(tmp_path_factory: Any, end: int) -> None:
    """Whole lines count, and the next answer starts a line of its own."""
    file = AnswerFile(tmp_path_factory.mktemp("cut") / "answers.jsonl")
    file.path.write_bytes(DATA[:end])
    there = DATA[:end].count(b"\n") + (end == len(DATA) - 1 or DATA[end : end + 1] == b"\n")
    assert len(file.answers({"0", "1", "2"})) == min(there, 3)
    file.append(line_of(whole("next", key="next")))
    assert file.answers({"next"})["next"].text == "next"
    assert len(file.answers({"0", "1", "2"})) == min(there, 3)


@pytest.mark.parametrize(
    "line", ["", "no JSON", "[]", "null", '{"key": 5}', f'{{"key": "{KEY}"}}', "[" * 100_000]
)
def test_a_line_that_is_no_answer_costs_no_other(file: AnswerFile, line: str) -> None:
    """It is passed over."""
    file.path.write_text(f"{LINES[0]}\n{line}\n{LINES[1]}\n", encoding="utf-8")
    assert len(file.answers({"0", "1", KEY})) == 2


def test_lines_of_an_older_version_are_still_read(file: AnswerFile) -> None:
    """They have no key, and so are no answers to anything; a chat is made of them."""
    older = line_of(whole())
    del older["key"]
    file.path.write_text(json.dumps(older) + "\n")
    assert file.answers({KEY, ""}) == {}
    assert Chat.load(file.path).turns[0].answer == "because"
    assert restored(older).key == ""


def test_half_a_character_is_no_trouble(file: AnswerFile) -> None:
    """JSON has a way to write it."""
    file.append(line_of(whole()) | {"text": "a\ud800"})
    assert file.answers({KEY})[KEY].text == "a\ufffd"


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "\x89PNG\r\n", "[1]\n", "\n\nwords"])
def test_a_file_of_something_else_is_left_alone(file: AnswerFile, content: str) -> None:
    """A slip of the keyboard costs nobody their table."""
    file.path.write_text(content)
    before = file.path.read_bytes()
    with pytest.raises(AlcfError, match=r"answers.jsonl holds something that is no JSON Lines"):
        file.check()
    assert file.path.read_bytes() == before


def test_a_place_where_nothing_can_be_kept_is_said(tmp_path: Path) -> None:
    """One line with the reason, before anything is asked."""
    for path, why in ((tmp_path, "directory"), (tmp_path / "no" / "x", "No such"), ("\0", "null")):
        with pytest.raises(AlcfError, match=f"cannot be used: .*{why}"):
            AnswerFile(path).check()


WRITER = """
import sys
from alcf_magics.gateway.answer_file import AnswerFile
file = AnswerFile(sys.argv[1])
for number in range(200):
    file.append({"key": f"{sys.argv[2]} {number}", "text": sys.argv[2] * 20_000})
"""


def test_two_processes_append_to_one_file(file: AnswerFile) -> None:
    """No line is lost, and none stands in another, however long they are."""
    command = [sys.executable, "-c", WRITER, str(file.path)]
    writers = [subprocess.Popen([*command, name]) for name in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    values = list(file.values())
    assert len(values) == 400
    assert {value["key"] for value in values if value} == {
        f"{name} {number}" for name in "ab" for number in range(200)
    }
