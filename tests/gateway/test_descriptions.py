"""What the server says of its models goes before the tables, in both forms that it has."""

from __future__ import annotations

from typing import Any

import pytest

from alcf_magics.gateway.descriptions import described
from alcf_magics.gateway.families import capabilities_of
from alcf_magics.gateway.listings import build_catalog
from alcf_magics.gateway.models import Capabilities

GPT = capabilities_of("gpt-oss-120b")
WHOLE = {
    "schema_version": 1,
    "api_protocols": ["chat_completions", "responses"],
    "context_window_tokens": 4096,
    "input_modalities": ["text", "image"],
    "streaming": True,
    "reasoning": {"supported": False, "separate_output": False},
    "tool_calling": {"supported": False},
}


def test_the_documented_object_is_read() -> None:
    """Protocols, window, modalities, reasoning and tools, each over what was known."""
    told = described(GPT, {"capabilities": WHOLE})
    assert told.words == ("chat", "vision")
    assert (told.context_window, told.reasoning_levels) == (4096, ())


def test_the_list_is_complete() -> None:
    """What the list leaves out is not there."""
    assert described(GPT, {"capabilities": ["chat", "reasoning"]}).words == ("chat", "reasoning")
    assert described(GPT, {"capabilities": ["embeddings"]}).words == ("embeddings",)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"schema_version": 1},
        {"context_window_tokens": -1},
        {"context_window_tokens": 10**400},
        {"context_window_tokens": "many"},
        {"context_window_tokens": True},
        {"reasoning": {}},
        {"tool_calling": {"supported": "yes"}},
        {"api_protocols": "chat", "input_modalities": 5},
        [],
        "chat",
        5,
        None,
    ],
)
def test_what_says_nothing_changes_nothing(said: Any) -> None:
    """A key that is missing, or of another kind, leaves what is known of the family."""
    assert described(GPT, {"capabilities": said}) == GPT


def test_a_protocol_that_is_not_chat_makes_no_chat_model() -> None:
    """A model that speaks embeddings alone is not asked to chat."""
    told = described(Capabilities(), {"capabilities": {"api_protocols": ["embeddings"]}})
    assert told.words == ("embeddings",)


def test_names_from_outside_are_lines() -> None:
    """Whatever a listing calls its clusters, models and states, the table has nothing but text."""
    odd = "a\x1b]52;c;x\x07\u202eb\ud800"
    catalog = build_catalog(
        "https://gateway.example/r",
        {"clusters": {odd: {"frameworks": {odd: {"models": [odd]}}}, odd + "2": 5}},
        {},
        {odd: {"queued": [{"Models": odd, "Estimated Start Time": odd}]}},
        {odd: [{"id": odd, "description": odd}]},
        notes=[odd],
    )
    shown = repr(catalog) + catalog._repr_html_() + repr(catalog.models) + str(catalog.clusters)
    for hostile in ("\x1b", "\x07", "\u202e", "\ud800"):
        assert hostile not in shown
    shown.encode()
    assert catalog.models[0].estimated_start
