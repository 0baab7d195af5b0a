"""Where an answer comes from: its record, and the history of a session."""

from __future__ import annotations

import hashlib
import json
import re
import time
from pathlib import Path

import pytest

import alcf_magics
from alcf_magics.errors import AlcfError, StreamBroken
from alcf_magics.gateway.chunks import Usage
from alcf_magics.history import COLUMNS, History
from alcf_magics.sandbox import Sandbox
from support.completions import completion
from support.logins import logged_in


def test_a_completion_carries_its_record(sandbox: Sandbox) -> None:
    """Asked and served, where, what was sent, hashes, durations, usage and version."""
    session = logged_in(sandbox)
    completion = session.ask("Explain.", "GPT-oss-120B", system="Brief.", temperature=0.5)
    record = completion.record
    assert record is not None
    assert (record.asked, record.model) == ("GPT-oss-120B", "gpt-oss-120b")
    assert (record.cluster, record.framework) == ("metis", "api")
    sent = dict(sandbox.requests[-1].body)
    sent.pop("messages")
    assert record.parameters == sent
    assert record.prompt_sha256 == hashlib.sha256(b"Explain.").hexdigest()
    assert record.system_sha256 == hashlib.sha256(b"Brief.").hexdigest()
    assert record.started.endswith("Z")
    assert record.seconds == completion.seconds
    assert (record.usage, record.finish_reason) == (completion.usage, "stop")
    assert record.version == alcf_magics.__version__
    assert "Explain." not in json.dumps(record.to_json())
    session.close()


def test_the_history_counts_replays_and_shows(sandbox: Sandbox) -> None:
    """Each prompt once, oldest first; totals by model; the same request sent again."""
    session = logged_in(sandbox)
    first = session.ask("one", model="gpt-oss-120b")
    session.ask("two", model="llama-3.1-8b-instruct")
    again = session.history.replay(0)
    assert again.text == first.text
    bodies = [r.body for r in sandbox.requests if r.path.endswith("/chat/completions")]
    assert bodies[0] == bodies[2]
    assert [completion.record.model for completion in session.history] == [
        "gpt-oss-120b",
        "meta-llama/Meta-Llama-3.1-8B-Instruct",
        "gpt-oss-120b",
    ]
    assert first.usage is not None
    assert first.usage.completion_tokens is not None
    total = session.history.totals()["gpt-oss-120b"]
    assert total.completion_tokens == 2 * first.usage.completion_tokens
    assert re.findall(r"^ ?(no|\d+)  ", repr(session.history), re.M) == ["no", "0", "1", "2"]
    assert max(map(len, repr(session.history).splitlines())) <= 100
    assert session.history[-1] is again
    assert [c.text for c in session.history[:1]] == [first.text]
    assert next(iter(session.history.to_pandas()["model"])) == "gpt-oss-120b"
    with pytest.raises(AlcfError, match="no prompt number 99: there are 3"):
        session.history.replay(99)
    session.close()


def test_a_broken_answer_is_in_the_history_too(sandbox: Sandbox) -> None:
    """What came is kept with its record, and marked as ended early."""
    session = logged_in(sandbox)
    sandbox.scenario = "cut_mid_stream"
    with pytest.raises(StreamBroken) as caught:
        session.ask("hello")
    assert caught.value.completion is session.history[0]
    assert session.history[0].record.finish_reason is None
    assert "early" in repr(session.history)
    session.close()


def test_nothing_is_written_until_it_is_asked_for(sandbox: Sandbox, home: Path) -> None:
    """`save` appends JSON Lines; without `texts` neither prompt nor answer is among them."""
    session = logged_in(sandbox)
    session.ask("a secret question")
    session.ask("another")
    for path in home.rglob("*"):
        assert not path.is_file() or b"secret question" not in path.read_bytes()
    file = home / "log.jsonl"
    assert session.history.save(file) == 2
    assert session.history.save(str(file), texts=True) == 2
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 4
    assert "secret question" not in json.dumps(lines[:2])
    assert lines[2]["messages"] == [{"role": "user", "content": "a secret question"}]
    assert "sandbox" in lines[2]["text"]
    session.close()


def test_the_table_shows_what_one_looks_for(sandbox: Sandbox) -> None:
    """Index to type, moment with its zone, model, beginnings, tokens, seconds and end."""
    session = logged_in(sandbox)
    asked = session.ask("Why is the sky blue,\nand the sea? " * 5, model="gpt-oss-120b")
    [row] = session.history.rows()
    shown = dict(zip(COLUMNS, row, strict=True))
    assert (shown["no"], shown["model"], shown["ended"]) == (0, "gpt-oss-120b", "stop")
    assert str(shown["when"]).endswith(time.strftime("%Z"))
    assert shown["prompt"] == "Why is the sky blue, and the…"
    assert " ".join(asked.text.split()).startswith(str(shown["answer"]).removesuffix("…"))
    assert shown["seconds"] == asked.seconds
    page = session.history._repr_html_()
    assert "gpt-oss-120b: " in page
    assert "Why is the sky blue" in page
    session.close()


def test_an_unusual_number_of_tokens_is_no_trouble() -> None:
    """Counts that a server does not give leave gaps, and totals of what is known."""
    history = History(lambda completion: completion)
    for usage in (None, Usage(1, None, None), Usage(2, 5, 7)):
        history.add(completion("x", usage=usage))
    assert history.totals() == {"org/Name": Usage(3, 5, 7)}
    assert "None" not in repr(history) + history._repr_html_()
    assert repr(History(lambda c: c)) == "(no prompts yet)"


def test_what_turns_a_line_is_in_no_row() -> None:
    """Bidi signs stay in the block of an answer; a row of the table is a line."""
    history = History(lambda old: old)
    history.add(completion("a\u202eb\u2066", prompt="c\u202ed"))
    row = history.rows()[0]
    assert (row[3], row[4]) == ("cd", "ab")
    assert history[0].text == "a\u202eb\u2066"
