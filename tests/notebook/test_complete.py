"""Tab on the line of a magic: what is being typed, and what fits it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import alcf_magics
from alcf_magics.gateway.catalog import Catalog
from alcf_magics.gateway.families import capabilities_of
from alcf_magics.gateway.models import Model, Status
from alcf_magics.notebook.complete import listed_models, model_names, paths, typed
from alcf_magics.sandbox import Sandbox
from support.shell import Shell


def model(name: str, cluster: str, status: Status = Status.LIVE) -> Model:
    return Model(name, cluster, "fw", "https://x", status, capabilities=capabilities_of(name))


CATALOG = Catalog(
    (
        model("google/gemma-4-31B-it", "red", Status.QUEUED),
        model("openai/gpt-oss-120b", "red"),
        model("gpt-oss-20b", "blue"),
        model("BAAI/bge-m3", "blue"),
    ),
    ("red", "blue"),
)


@pytest.mark.parametrize(
    ("word", "first"),
    [
        ("", "gpt-oss-120b"),
        ("gpt-oss-120b,", "gpt-oss-120b,openai/gpt-oss-120b"),
        ("GPT-OSS-120b,blue:gpt", "GPT-OSS-120b,blue:gpt-oss-20b"),
    ],
)
def test_a_list_of_models_is_completed_at_its_end(word: str, first: str) -> None:
    """What stands before the last comma stays, and is not offered a second time."""
    offered = listed_models(CATALOG, [], word)
    assert next(name for name in offered if name.startswith(word)) == first
    assert "gpt-oss-120b,gpt-oss-120b" not in [name.casefold() for name in offered]


@pytest.mark.parametrize(
    ("code", "option", "word"),
    [
        ("%%alcf -m gp", "--model", "gp"),
        ("%%alcf -m ", "--model", ""),
        ("%%alcf --model=meta/llama-3.1:", "--model", "meta/llama-3.1:"),
        ("\n  %alcf --cluster m", "--cluster", "m"),
        ("x = 1\nanswer = %alcf -t 1 -m g", "--model", "g"),
        ("%%alcf -s 'be \"brief\" -m' --effort l", "--effort", "l"),
        ("%%alcf -s 'still open -m g", "--system", "'still open -m g"),
        ("%%alcf --te", "", "--te"),
        ("%%alcf -t 1 ", "", ""),
        ("%alcf_models llama --cl", "", "--cl"),
        ("%alcf_models llama --cluster m", "--cluster", "m"),
        ("%alcf_login --f", "", "--f"),
    ],
)
def test_what_is_typed_at_the_end(code: str, option: str, word: str) -> None:
    """The option whose value it is, and the word so far, whatever signs are in it."""
    lines = code.split("\n")
    found = typed(code, len(lines) - 1, len(lines[-1]))
    assert found is not None
    assert found[1:] == (option, word)


@pytest.mark.parametrize(
    "code",
    [
        "%%alcf -m x what about -m g",
        "%%alcf -m x -- -m g",
        "%%alcf\n%alcf -m g",
        "%%alcf\n%%alcf -m g",
        "%%time\n%alcf -m g",
        "x = 1\n%%alcf -m g",
        "%alcfs -m g",
        "%alc",
        "print(%alcf -m g",
        "",
    ],
)
def test_a_prompt_and_other_code_are_left_alone(code: str) -> None:
    """Only the line of a magic is ours, and on it only the options."""
    lines = code.split("\n")
    assert typed(code, len(lines) - 1, len(lines[-1])) is None


def test_what_follows_the_cursor_does_not_count() -> None:
    """Tab in the middle of a line completes what stands before."""
    found = typed("%%alcf -m gp -t 1\nhi", 0, len("%%alcf -m gp"))
    assert found is not None
    assert found[1:] == ("--model", "gp")


def test_models_have_all_their_names() -> None:
    """Aliases, bare and whole names, live ones first; a cluster's own once it is named."""
    assert model_names(CATALOG, ["fast"], "") == [
        "fast",
        "gpt-oss-120b",
        "openai/gpt-oss-120b",
        "gpt-oss-20b",
        "gpt-oss-20b",
        "gemma-4-31B-it",
        "google/gemma-4-31B-it",
        "red:",
        "blue:",
    ]
    assert model_names(CATALOG, [], "BLUE:g")[-2:] == ["blue:gpt-oss-20b", "blue:gpt-oss-20b"]


# In a shell


def tab(shell: Shell, code: str) -> list[str]:
    """The texts that are offered at the end of a cell."""
    matcher = shell.ip.Completer.custom_matchers[-1]
    lines = code.split("\n")

    class Context:
        full_text = code
        cursor_line = len(lines) - 1
        cursor_position = len(lines[-1])

    return [completion.text for completion in matcher(Context)["completions"]]


def test_choices_files_and_variables(shell: Shell, home: Path, monkeypatch: Any) -> None:
    """Each option has its own values; what fits none is offered as it stands."""
    monkeypatch.chdir(home)
    shell.run("answer = 1")
    assert tab(shell, "%%alcf --effort ") == ["low", "medium", "high", "none"]
    assert tab(shell, "%%alcf --format j") == ["json"]
    assert tab(shell, "%%alcf --out an") == ["answer"]
    assert tab(shell, "%%alcf --stop pri") == ["pri"]
    assert tab(shell, "%%alcf --pre") == ["--presence-penalty"]
    assert tab(shell, "%alcf_login --re") == ["--replace"]
    assert tab(shell, "%alcf_login --sandbox --scenario cold") == ["cold_model", "cold_start"]
    for name in ("physics", "chat 1"):
        alcf_magics.session().chats[name] = alcf_magics.Chat()
    assert tab(shell, "%%alcf --chat ") == ["physics", "'chat 1'"]
    assert tab(shell, "%%alcf --chat 'ch") == ["'chat 1'"]
    assert tab(shell, "%alcf --chat P") == ["physics"]
    assert "-n" in tab(shell, "%%alcf -")
    assert tab(shell, "%%alcf\nimp") == []


def test_a_first_tab_reads_the_catalog_behind_it(shell: Shell, in_sandbox: Sandbox) -> None:
    """Nothing is waited for; aliases are there at once, the gateway's names soon."""
    shell.run("%config AlcfMagics.aliases = {'gpu': 'metis:gpt-oss-120b'}")
    in_sandbox.pace = 0.005
    begun = time.monotonic()
    assert tab(shell, "%%alcf -m gp") == ["gpu"]
    assert time.monotonic() - begun < 0.5
    deadline = time.monotonic() + 10
    while alcf_magics.session().known_catalog() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert tab(shell, "%%alcf -m GP") == ["gpu", "gpt-oss-120b"]
    asked = len(in_sandbox.requests)
    assert tab(shell, "%alcf_models --cluster m") == ["metis", "minerva"]
    assert tab(shell, "%%alcf -m sophia:gp") == ["sophia:gpt-oss-120b"]
    assert len(in_sandbox.requests) == asked


def test_tab_where_there_is_no_gateway_offers_what_was_typed(shell: Shell) -> None:
    """An address that no token may go to is no error at a Tab."""
    shell.run("%config AlcfMagics.gateway_url = 'nonsense'")
    assert tab(shell, "%%alcf -m gp") == ["gp"]


def test_unloading_takes_tab_away(shell: Shell) -> None:
    """And loading again adds it once."""
    before = len(shell.ip.Completer.custom_matchers)
    shell.run("%reload_ext alcf_magics")
    assert len(shell.ip.Completer.custom_matchers) == before
    shell.run("%unload_ext alcf_magics")
    assert len(shell.ip.Completer.custom_matchers) == before - 1


def test_paths_are_completed_as_they_were_begun(home: Path, monkeypatch: Any) -> None:
    """Folders end with a slash, hidden files wait for a dot, spaces make quotes."""
    monkeypatch.chdir(home)
    (home / "data").mkdir()
    for name in ("notes.txt", "two words.txt", ".hidden", "data/a.csv"):
        (home / name).touch()
    assert [name for name in paths("") if "." not in name[:1]][:3] == [
        "data/",
        "notes.txt",
        "'two words.txt'",
    ]
    assert paths("data/") == ["data/a.csv"]
    assert paths("~/no") == ["~/notes.txt"]
    assert paths('"tw') == ['"two words.txt"']
    assert paths(".h") == [".hidden"]
    assert paths("none/x") == []
