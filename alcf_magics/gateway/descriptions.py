"""What a cluster's `/models` says of its models, over what is known of their families. Pure.

Both forms are read: the documented object, and a list of words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..text import line
from .models import Capabilities

#: Words of the list, each a field of Capabilities.
_FLAGS = ("chat", "tools", "vision", "embeddings")
#: Protocols of the object, and what they say a model does.
_PROTOCOLS = {"chat_completions": "chat", "embeddings": "embeddings"}
#: A window beyond this is none.
_MOST_TOKENS = 10**9


def descriptions_by_name(entries: Sequence[Any] | None) -> dict[str, Mapping[str, Any]]:
    """The entries of a `/models` answer, by the model's name in lower case."""
    return {
        entry["id"].casefold(): entry
        for entry in entries or ()
        if isinstance(entry, Mapping) and isinstance(entry.get("id"), str)
    }


def described(known: Capabilities, said: Mapping[str, Any]) -> Capabilities:
    """What the server says goes before what is known of the family."""
    capabilities = said.get("capabilities")
    if isinstance(capabilities, list) and capabilities:
        return _by_words(known, {line(word).casefold() for word in capabilities})
    if isinstance(capabilities, Mapping):
        return _by_object(known, capabilities)
    return known


def _by_words(known: Capabilities, words: set[str]) -> Capabilities:
    """The list is complete; what it leaves out is not there."""
    flags: dict[str, Any] = {flag: flag in words for flag in _FLAGS} | {"vision_known": True}
    return replace(known, **flags, **_reasoning(known, "reasoning" in words))


def _by_object(known: Capabilities, said: Mapping[str, Any]) -> Capabilities:
    """What the object does not mention stays as it is known."""
    found: dict[str, Any] = {}
    protocols = said.get("api_protocols")
    if isinstance(protocols, list) and protocols:
        found |= {flag: name in protocols for name, flag in _PROTOCOLS.items()}
    modalities = said.get("input_modalities")
    if isinstance(modalities, list) and modalities:
        found |= {"vision": "image" in modalities, "vision_known": True}
    tools, reasons = _supported(said, "tool_calling"), _supported(said, "reasoning")
    if tools is not None:
        found["tools"] = tools
    if reasons is not None:
        found |= _reasoning(known, reasons)
    window = said.get("context_window_tokens")
    if type(window) is int and 0 < window < _MOST_TOKENS:
        found["context_window"] = window
    return replace(known, **found)


def _reasoning(known: Capabilities, reasons: bool) -> dict[str, Any]:
    """Whether a model reasons, by its server; its levels are those of a family that does, too."""
    if not reasons:
        return {"reasoning": False, "reasoning_levels": (), "levels_known": True}
    return {"reasoning": True, "levels_known": known.reasoning and known.levels_known}


def _supported(said: Mapping[str, Any], name: str) -> bool | None:
    """Whether the object says that something is supported; None where it does not say."""
    value = said.get(name)
    answer = value.get("supported") if isinstance(value, Mapping) else value
    return answer if isinstance(answer, bool) else None
