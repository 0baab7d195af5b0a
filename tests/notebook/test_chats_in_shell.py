"""Chats, typed into a shell in this process: what is sent along, and who owns which turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import alcf_magics
from alcf_magics import Chat
from alcf_magics.sandbox import Sandbox
from support.shell import Shell

MODEL = "-m metis:gpt-oss-120b"


def sent(sandbox: Sandbox) -> list[str]:
    """The contents of the messages that were sent last; answers are cut to their first word."""
    return [
        message["content"].split()[0] if message["role"] == "assistant" else message["content"]
        for message in sandbox.requests[-1].body["messages"]
    ]


def roles(sandbox: Sandbox) -> list[str]:
    return [message["role"] for message in sandbox.requests[-1].body["messages"]]


def asked(name: str) -> list[str]:
    """What was asked in a chat, turn by turn."""
    messages = alcf_magics.session().chats[name].messages
    return [message["content"] for message in messages if message["role"] == "user"]


@pytest.fixture
def brief(in_sandbox: Sandbox) -> Sandbox:
    """A sandbox whose answers are short."""
    in_sandbox.answer = "Yes."
    return in_sandbox


def test_a_prompt_stands_alone_unless_it_goes_on(shell: Shell, brief: Sandbox) -> None:
    """-c makes the answer that stood alone the first turn of a chat, and goes on in it."""
    shell.run(f"%alcf {MODEL} one")
    shell.run(f"%alcf {MODEL} two")
    assert sent(brief) == ["two"]
    assert not alcf_magics.session().chats
    cell = shell.run("%%alcf -c\nthree")
    assert sent(brief) == ["two", "Yes.", "three"]
    assert "chat 1 · turn 2 · window under 1% full (" in cell.html
    cell = shell.run("%%alcf --continue\nfour")
    assert sent(brief) == ["two", "Yes.", "three", "Yes.", "four"]
    assert roles(brief)[-2:] == ["assistant", "user"]
    assert "chat 1 · turn 3" in cell.html
    shell.run(f"%alcf {MODEL} five")
    assert "chat 2 · turn 2" in shell.run("%%alcf -c\nsix").html


def test_going_on_without_an_answer_begins_a_chat(shell: Shell, brief: Sandbox) -> None:
    """So that a loop of -c needs no first prompt of another kind."""
    shell.run(
        f"for word in ['a', 'b']:\n    get_ipython().run_line_magic('alcf', f'-c {MODEL} {{word}}')"
    )
    assert asked("chat 1") == ["a", "b"]


def test_a_named_chat_goes_on_whatever_came_between(shell: Shell, brief: Sandbox) -> None:
    """--chat starts it, then goes on; -c goes on with the last answer's."""
    shell.run(f"%alcf {MODEL} --chat physics one")
    shell.run(f"%alcf {MODEL} elsewhere")
    shell.run("%alcf --chat physics two")
    assert sent(brief) == ["one", "Yes.", "two"]
    shell.run("%alcf -c three")
    assert asked("physics") == ["one", "two", "three"]
    assert len(alcf_magics.session().chats["physics"]) == 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-c --chat a", "-c and --chat do not go together"),
        ("--chat ''", "--chat takes the name of a chat"),
        ("--trim", "--trim goes with -c or --chat"),
    ],
)
def test_what_does_not_go_together_is_said(shell: Shell, line: str, said: str) -> None:
    """Nothing that was given is ignored."""
    assert said in shell.run(f"%alcf {line} hi").said


def test_a_cell_run_again_replaces_its_turns_and_drops_what_followed(
    shell: Shell, brief: Sandbox
) -> None:
    """The line says how many; undo brings them back."""
    for id in "abc":
        shell.run(f"%%alcf {MODEL} --chat x\n{id}", id=id)
    cell = shell.run(f"%%alcf {MODEL} --chat x\nB", id="b")
    assert sent(brief) == ["a", "Yes.", "B"]
    assert "x · turn 2" in cell.html
    assert "2 turns dropped" in cell.html
    assert asked("x") == ["a", "B"]
    alcf_magics.session().chats["x"].undo()
    assert asked("x") == ["a", "b", "c"]


def test_a_refusal_changes_nothing(shell: Shell, brief: Sandbox) -> None:
    """The old turns go when the new answer has begun, and not before."""
    for id in "ab":
        shell.run(f"%%alcf {MODEL} --chat x\n{id}", id=id)
    brief.scenario = "maintenance"
    assert shell.run("%%alcf --chat x -m sophia:gpt-oss-120b\nA", id="a").status == "error"
    assert shell.run("%%alcf --chat y -m sophia:gpt-oss-120b\nA", id="a").status == "error"
    assert asked("x") == ["a", "b"]
    assert list(alcf_magics.session().chats) == ["x"]


def test_what_one_execution_adds_stays_together(shell: Shell, brief: Sandbox) -> None:
    """A loop of -c, and two of Chat.ask; again, all of them are replaced."""
    shell.run(f"%%alcf {MODEL} --chat x\nfirst", id="a")
    loop = "for word in words:\n    get_ipython().run_line_magic('alcf', f'-c {word}')"
    shell.run(f"words = ['b', 'c']\n{loop}", id="loop")
    shell.run(
        "import alcf_magics\nx = alcf_magics.session().chats['x']\nx.ask('d')\nx.ask('e')", id="py"
    )
    assert asked("x") == ["first", "b", "c", "d", "e"]
    cell = shell.run("x.ask('D')\nx.ask('E')", id="py")
    assert asked("x") == ["first", "b", "c", "D", "E"]
    assert "turn 5" in cell.html
    shell.run(f"words = ['B', 'C']\n{loop}", id="loop")
    assert asked("x") == ["first", "B", "C"]


def test_a_cell_that_goes_on_replaces_its_turns_where_they_are(
    shell: Shell, brief: Sandbox
) -> None:
    """Whatever answered last in between."""
    shell.run(f"%%alcf {MODEL} --chat x\none", id="a")
    shell.run("%%alcf -c\ntwo", id="b")
    shell.run(f"%%alcf {MODEL} --chat y\nother", id="c")
    shell.run("%%alcf -c\ntwo anew", id="b")
    assert sent(brief) == ["one", "Yes.", "two anew"]
    assert asked("y") == ["other"]


def test_a_cell_that_stood_alone_starts_anew(shell: Shell, brief: Sandbox) -> None:
    """All cells run again go on from the new answer, not from the old one."""
    shell.run(f"%%alcf {MODEL}\none", id="a")
    shell.run("%%alcf -c\ntwo", id="b")
    cell = shell.run(f"%%alcf {MODEL}\nONE", id="a")
    assert sent(brief) == ["ONE"]
    assert "2 turns of chat 1 dropped" in cell.html
    assert "session().chats[&#x27;chat 1&#x27;].undo() brings them back" in cell.html
    shell.run("%%alcf -c\ntwo", id="b")
    assert sent(brief) == ["ONE", "Yes.", "two"]
    assert asked("chat 2") == ["ONE", "two"]


def test_without_a_cell_s_name_turns_append(shell: Shell, brief: Sandbox) -> None:
    """nbclient and consoles name none."""
    for _ in range(2):
        shell.run(f"%%alcf {MODEL} --chat x\nagain")
    assert asked("x") == ["again", "again"]


def test_a_chat_keeps_its_model_and_system_text(shell: Shell, brief: Sandbox) -> None:
    """Until they are changed; what a dropped turn changed goes with it."""
    shell.run(f"%%alcf {MODEL} --chat x -s 'Be brief.'\none", id="a")
    shell.run("%config AlcfMagics.system = 'Rhyme.'")
    shell.run("%%alcf --chat x\ntwo", id="b")
    assert sent(brief) == ["Be brief.", "one", "Yes.", "two"]
    assert "gpt-oss-120b" in brief.requests[-1].body["model"]
    shell.run("%%alcf --chat x -s '' -m metis:Llama-4-Maverick-17B-128E-Instruct\nthree", id="c")
    assert sent(brief)[0] == "one"
    shell.run("%%alcf --chat x\nfour")
    assert sent(brief)[0] == "one"
    assert "Llama-4-Maverick" in brief.requests[-1].body["model"]
    shell.run("%%alcf --chat x\nTWO", id="b")
    assert sent(brief) == ["Be brief.", "one", "Yes.", "TWO"]
    assert "gpt-oss-120b" in brief.requests[-1].body["model"]
    shell.run(f"%alcf {MODEL} alone")
    assert sent(brief) == ["Rhyme.", "alone"]


def test_what_values_brought_in_is_not_read_again(shell: Shell, brief: Sandbox) -> None:
    """A chat keeps what was sent; a cell run again reads its names anew."""
    shell.run("word, text = 'first', '{{word}}'")
    shell.run(f"%%alcf {MODEL} --chat x\nsay {{{{text}}}}", id="a")
    shell.run("word = 'second'")
    shell.run("%%alcf --chat x\nand {{word}}", id="b")
    assert sent(brief) == ["say {{word}}", "Yes.", "and second"]
    shell.run("word = 'third'")
    shell.run("%%alcf --chat x\nand {{word}}", id="b")
    assert sent(brief) == ["say {{word}}", "Yes.", "and third"]


def test_an_interrupted_turn_is_kept_and_marked(shell: Shell, in_sandbox: Sandbox) -> None:
    """With the text that came."""
    in_sandbox.pace, in_sandbox.burst = 0.05, 2
    shell.run(f"%%alcf {MODEL} --chat x\none", interrupt=lambda c: "A sandbox" in c.html)
    chat = alcf_magics.session().chats["x"]
    assert len(chat) == 1
    assert chat.messages[-1]["content"].startswith("## A sandb")
    assert "[interrupted]" in repr(chat)


def test_of_several_choices_the_first_is_the_turn(shell: Shell, brief: Sandbox) -> None:
    """A chat has one answer to each question."""
    shell.run(f"%%alcf {MODEL} --chat x -n 2\none")
    assert [m["role"] for m in alcf_magics.session().chats["x"].messages] == ["user", "assistant"]


def test_a_chat_s_requests_share_an_identifier(shell: Shell, brief: Sandbox) -> None:
    """Its turns and its forks; prompts that stand alone have each their own."""

    def last() -> str:
        return dict(brief.requests[-1].headers)["x-alcf-session-id"]

    seen = []
    for line in ("--chat x", "-c", "--chat y", ""):
        shell.run(f"%alcf {MODEL} {line} hi")
        seen.append(last())
    alcf_magics.session().chats["x"].fork("z").ask("hi")
    assert seen[0] == seen[1] == last()
    assert len(set(seen)) == 3
    assert all(0 < len(one) <= 128 and one.isalnum() for one in seen)


def test_what_does_not_fit_the_window_is_said_before_sending(shell: Shell, brief: Sandbox) -> None:
    """With numbers; --trim leaves the oldest turns out of what is sent, and the chat keeps them."""
    shell.run(f"%%alcf {MODEL} --chat x\nfirst {'word ' * 60_000}")
    shell.run("%%alcf --chat x\nsecond")
    before = len(brief.requests)
    shell.run(f"text = {'word ' * 80_000!r}")
    refused = shell.run("%%alcf --chat x\nthird {{text}}")
    assert refused.ename == "RequestRefused"
    assert "tokens do not fit the window" in refused.error_text
    assert "--trim" in refused.error_text
    assert len(brief.requests) == before
    cell = shell.run("%%alcf --chat x --trim\nthird {{text}}")
    assert "turn 1 left out of what was sent" in cell.html
    assert sent(brief)[0] == "second"
    assert len(alcf_magics.session().chats["x"]) == 3


def test_a_chat_goes_to_a_file_and_comes_back(shell: Shell, brief: Sandbox, tmp_path: Path) -> None:
    """Model, system text and all turns, in the format of history.save."""
    shell.run(f"%%alcf {MODEL} --chat x -s 'Be brief.'\none")
    shell.run("%%alcf --chat x\ntwo")
    chats: Any = alcf_magics.session().chats
    assert chats["x"].save(tmp_path / "x.jsonl") == 2
    chats["y"] = Chat.load(tmp_path / "x.jsonl")
    assert chats["y"].messages == chats["x"].messages
    chats["y"].ask("three")
    assert sent(brief) == ["Be brief.", "one", "Yes.", "two", "Yes.", "three"]
    assert "gpt-oss-120b" in brief.requests[-1].body["model"]
    assert (len(chats["y"]), len(chats["x"])) == (3, 2)
    del chats["y"]
    assert list(chats) == ["x"]
    alcf_magics.session().history.save(tmp_path / "history.jsonl", texts=True)
    assert len(Chat.load(tmp_path / "history.jsonl")) == 3


def test_a_chat_shows_as_a_transcript(shell: Shell, brief: Sandbox) -> None:
    """In text and as safe HTML."""
    shell.run(f"%%alcf {MODEL} --chat x\nis <b> bold?")
    cell = shell.run("import alcf_magics\nalcf_magics.session().chats['x']")
    assert "is &lt;b&gt; bold?" in cell.html
    assert "Yes." in cell.html
    assert "is <b> bold?" in repr(cell.value)


def test_a_cell_that_asks_in_another_chat_takes_its_turns_along(
    shell: Shell, brief: Sandbox
) -> None:
    """All that its earlier run added goes, also where the name was corrected."""
    shell.run(f"%%alcf {MODEL} --chat wrogn\none", id="a")
    cell = shell.run(f"%%alcf {MODEL} --chat wrong\none", id="a")
    assert "1 turn of wrogn dropped" in cell.html
    assert (asked("wrogn"), asked("wrong")) == ([], ["one"])


def test_a_cell_that_forks_can_run_again(shell: Shell, brief: Sandbox) -> None:
    """Its fork is made anew; another cell may not take the name."""
    shell.run(f"%%alcf {MODEL} --chat x\none", id="a")
    code = "import alcf_magics\nalcf_magics.session().chats['x'].fork('y').ask('aside')"
    for _ in range(2):
        assert shell.run(code, id="b").status == "ok"
        assert asked("y") == ["one", "aside"]
    assert "There is a chat y already" in shell.run(code, id="c").said
    assert asked("x") == ["one"]


def test_a_turn_can_be_asked_from_python_with_all_that_ask_takes(
    shell: Shell, brief: Sandbox
) -> None:
    """Parameters, the system text and the model; the default of a setting counts after it."""
    chats = alcf_magics.session().chats
    chats["x"] = Chat()
    shell.run("%config AlcfMagics.system = 'Rhyme.'")
    chats["x"].ask("one", "metis:gpt-oss-120b", temperature=0)
    assert sent(brief) == ["Rhyme.", "one"]
    assert brief.requests[-1].body["temperature"] == 0
    completion = chats["x"].ask("two", system="Be brief.", format="text")
    assert sent(brief) == ["Be brief.", "one", "Yes.", "two"]
    assert "x · turn 2 · window" in completion.about
    assert chats["x"].system == "Be brief."


def test_a_turn_that_breaks_off_is_kept_and_marked(shell: Shell, in_sandbox: Sandbox) -> None:
    """The next one goes on from what came."""
    in_sandbox.scenario = "cut_mid_stream"
    assert shell.run(f"%%alcf {MODEL} --chat x\none", id="a").ename == "StreamBroken"
    in_sandbox.scenario = "default"
    part = alcf_magics.session().chats["x"].messages[-1]["content"]
    assert part
    assert "[interrupted]" in repr(alcf_magics.session().chats["x"])
    shell.run("%%alcf -c\ntwo", id="b")
    assert in_sandbox.requests[-1].body["messages"][1] == {"role": "assistant", "content": part}


def test_in_a_terminal_the_line_says_the_turn_too(terminal: Shell, brief: Sandbox) -> None:
    """Where no cell has a name, turns append."""
    terminal.run(f"%alcf {MODEL} one")
    assert "chat 1 · turn 2 · window" in terminal.run("%alcf -c two").text
    assert "chat 1 · turn 3 · window" in terminal.run("%alcf -c three").text
    assert asked("chat 1") == ["one", "two", "three"]


def test_an_answer_as_it_was_is_asked_for_again_outside_its_chat(
    shell: Shell, brief: Sandbox
) -> None:
    """A replay of the history sends the same messages, and adds no turn."""
    shell.run(f"%%alcf {MODEL} --chat x\none")
    shell.run("%%alcf --chat x\ntwo")
    alcf_magics.session().history.replay(-1)
    assert sent(brief) == ["one", "Yes.", "two"]
    assert len(alcf_magics.session().chats["x"]) == 2
