"""Parameters and their defaults, typed into a shell in this process: what each sends and shows."""

from __future__ import annotations

from typing import Any

import pytest

import alcf_magics
from alcf_magics.sandbox import Sandbox
from support.shell import Shell

MODEL = "-m metis:gpt-oss-120b"


def sent(sandbox: Sandbox) -> dict[str, Any]:
    """The fields of the last body that arrived, but for those of every request."""
    own = ("model", "messages", "stream", "stream_options")
    return {name: value for name, value in sandbox.requests[-1].body.items() if name not in own}


def prompts(sandbox: Sandbox) -> int:
    return sum(request.path.endswith("/chat/completions") for request in sandbox.requests)


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ("--top-p 0.5", {"top_p": 0.5}),
        ("--seed 7", {"seed": 7}),
        ("--stop END", {"stop": ["END"]}),
        ("--stop 'a b' --stop=-x", {"stop": ["a b", "-x"]}),
        ("--presence-penalty -2", {"presence_penalty": -2.0}),
        ("--frequency-penalty 1.5", {"frequency_penalty": 1.5}),
        ("-n 2", {"n": 2}),
        ("--logprobs 0", {"logprobs": True}),
        ("--logprobs 5", {"logprobs": True, "top_logprobs": 5}),
        ("--effort high", {"reasoning_effort": "high"}),
        ("--effort none", {}),
        (
            '--extra top_k=5 --extra \'guided_choice=["a", "{b}"]\'',
            {"top_k": 5, "guided_choice": ["a", "{b}"]},
        ),
    ],
)
def test_an_option_is_sent_under_its_name_at_openai(
    shell: Shell, in_sandbox: Sandbox, options: str, fields: dict[str, Any]
) -> None:
    """Everything that is given reaches the body, and nothing else does."""
    assert shell.run(f"%%alcf {MODEL} {options}\nhi").status == "ok"
    assert sent(in_sandbox) == fields


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--top-p 1.5", "a number from 0 to 1, not '1.5'"),
        ("--seed 1.5", "a whole number of 64 bits"),
        ("--stop ''", "none of them empty"),
        ("--stop a --stop b --stop c --stop d --stop e", "1 to 4 texts"),
        ("--presence-penalty 3", "a number from -2 to 2"),
        ("-n 0", "a whole number from 1 to 128"),
        ("--logprobs 21", "a whole number from 0 to 20"),
        ("--extra user=me", "key=json"),
        ("--extra a=1 --extra a=2", "a is given twice"),
        ("-t 1 --extra temperature=1", "temperature is given twice"),
        ("--extra chat_template_kwargs={}", "metis does not take chat_template_kwargs"),
    ],
)
def test_a_wrong_value_is_said_and_nothing_is_sent(
    shell: Shell, in_sandbox: Sandbox, options: str, said: str
) -> None:
    """One line with the reason."""
    cell = shell.run(f"%%alcf {MODEL} {options}\nhi")
    assert cell.status == "error"
    assert said in cell.said
    assert prompts(in_sandbox) == 0


def test_an_effort_that_a_model_has_not_is_refused(shell: Shell, in_sandbox: Sandbox) -> None:
    """It would be dropped in silence, or taken for something else."""
    cell = shell.run("%%alcf -m Llama-4-Maverick-17B-128E-Instruct --effort low\nhi")
    assert "has no such levels" in cell.said
    assert prompts(in_sandbox) == 0


def test_all_choices_are_shown_and_kept(shell: Shell) -> None:
    """`-n` above 1 has a title above each answer, in the cell's one output."""
    cell = shell.run(f"%%alcf {MODEL} -n 3\nhi")
    assert [choice.index for choice in cell.value.choices] == [0, 1, 2]
    assert all(choice.text for choice in cell.value.choices)
    [output] = cell.outputs
    for form in ("text/html", "text/plain"):
        assert output["data"][form].count("choice 3 of 3") == 1
        assert output["data"][form].count("A sandbox answered") == 3


def test_all_choices_are_shown_beside_other_code(shell: Shell) -> None:
    """Where the answer is a display, too."""
    cell = shell.run(f"x = 1\nanswer = %alcf {MODEL} -n 2 hi")
    assert cell.outputs[-1]["data"]["text/plain"].count("A sandbox answered") == 2


def test_a_terminal_shows_all_choices(terminal: Shell) -> None:
    """The first one as it comes, the others below it under a title each."""
    cell = terminal.run(f"%%alcf {MODEL} -n 2\nhi")
    assert cell.text.count("A sandbox answered") == 2
    assert "choice 2 of 2" in cell.text


# Defaults


def test_an_option_goes_before_a_default(shell: Shell, in_sandbox: Sandbox) -> None:
    """`%config` sets defaults under the Python names, None takes one back; `ask` has them, too."""
    shell.run("%config AlcfMagics.temperature = 0.5")
    shell.run("%config AlcfMagics.stop = ['END', 'STOP']")
    shell.run(f"%%alcf {MODEL}\nhi")
    assert sent(in_sandbox) == {"temperature": 0.5, "stop": ["END", "STOP"]}
    shell.run(f"%%alcf {MODEL} -t 1 --stop x\nhi")
    assert sent(in_sandbox) == {"temperature": 1.0, "stop": ["x"]}
    shell.run("%config AlcfMagics.stop = None")
    alcf_magics.session().ask("hi", "metis:gpt-oss-120b", seed=1)
    assert sent(in_sandbox) == {"temperature": 0.5, "seed": 1}


def test_a_default_is_shown_and_checked(shell: Shell, caplog: pytest.LogCaptureFixture) -> None:
    """`%config AlcfMagics` shows each; a value out of range changes nothing, and says its range."""
    shell.run("%config AlcfMagics.max_tokens = 5")
    assert "max_tokens" in shell.run("%config AlcfMagics").said
    assert shell.run("%config AlcfMagics.max_tokens").value == 5
    shell.run("%config AlcfMagics.max_tokens = 0")  # IPython logs what a setting complains of
    assert "max_tokens is a whole number, 1 or more, not 0" in caplog.text
    assert alcf_magics.session().defaults == {"max_tokens": 5}


def test_a_default_that_a_model_does_not_take_is_left_out_and_said(
    shell: Shell, in_sandbox: Sandbox
) -> None:
    """Only what was given is refused; `--effort none` leaves a default out in silence."""
    shell.run("%config AlcfMagics.effort = 'low'")
    cell = shell.run("%%alcf -m Llama-4-Maverick-17B-128E-Instruct\nhi")
    assert cell.status == "ok"
    assert sent(in_sandbox) == {}
    [output] = cell.outputs
    assert "The default effort" in output["data"]["text/html"]
    assert "no such levels" in output["data"]["text/html"]
    cell = shell.run(f"%%alcf {MODEL} --effort none\nhi")
    assert sent(in_sandbox) == {}
    assert "default" not in cell.outputs[0]["data"]["text/html"]


def test_the_default_system_text_is_for_whoever_says_none(
    shell: Shell, in_sandbox: Sandbox
) -> None:
    """An option goes before it, also an empty one, and so does a message of the list."""

    def roles() -> list[str]:
        messages = in_sandbox.requests[-1].body["messages"]
        return [m["content"] for m in messages if m["role"] == "system"]

    shell.run("%config AlcfMagics.system = 'Be brief.'")
    shell.run(f"%%alcf {MODEL}\nhi")
    assert roles() == ["Be brief."]
    shell.run(f"%%alcf {MODEL} -s Shout.\nhi")
    assert roles() == ["Shout."]
    shell.run(f"%%alcf {MODEL} -s ''\nhi")
    assert roles() == []
    own = [{"role": "system", "content": "Sing."}, {"role": "user", "content": "hi"}]
    alcf_magics.session().ask(own, "metis:gpt-oss-120b")
    assert roles() == ["Sing."]


def test_an_alias_is_a_name_of_a_persons_own(
    shell: Shell,
    in_sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In any case, in Python, and as the default model; a dict of texts it has to be."""
    shell.run("%config AlcfMagics.aliases = {'fast': 'metis:Llama-4-Maverick-17B-128E-Instruct'}")
    shell.run("%%alcf -m FAST\nhi")
    assert in_sandbox.requests[-1].body["model"] == "Llama-4-Maverick-17B-128E-Instruct"
    monkeypatch.setenv("ALCF_MODEL", "fast")
    place = alcf_magics.session().resolve()
    assert (place.cluster, place.name) == ("metis", "Llama-4-Maverick-17B-128E-Instruct")
    shell.run("%config AlcfMagics.aliases = ['fast']")
    assert "aliases is a dict of names" in caplog.text
    assert alcf_magics.session().settings.aliases.keys() == {"fast"}


def test_the_default_model_is_one_to_chat_with(shell: Shell, in_sandbox: Sandbox) -> None:
    """Of the first family in models.yaml that is live, whatever the gateway lists first."""
    assert shell.run("%alcf hello").value.model == "openai/gpt-oss-120b"
