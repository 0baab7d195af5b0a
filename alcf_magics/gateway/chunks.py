"""The events of a stream as chunks. Pure.

A chunk has slots and is not frozen: one is made for each token, and a frozen one costs four times
as much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..text import line

#: A count beyond this is none: no model has a window of a million million tokens.
_MOST_TOKENS = 10**12
_NOTHING: dict[str, Any] = {}


@dataclass(frozen=True)
class Usage:
    """Token counts as the server gives them; None for what it does not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None

    @classmethod
    def from_json(cls, value: object) -> Usage | None:
        """The counts in an answer; None where there are none to speak of."""
        if not isinstance(value, Mapping):
            return None
        prompt, completion = _count(value, "prompt_tokens"), _count(value, "completion_tokens")
        total = _count(value, "total_tokens")
        if total is None and prompt is not None and completion is not None:
            total = prompt + completion
        if prompt is completion is total is None:
            return None
        return cls(prompt, completion, total)

    def __add__(self, other: Usage) -> Usage:
        """Both together; what one of them does not say counts as nothing."""
        return Usage(
            _sum(self.prompt_tokens, other.prompt_tokens),
            _sum(self.completion_tokens, other.completion_tokens),
            _sum(self.total_tokens, other.total_tokens),
        )


@dataclass(slots=True)
class Delta:
    """What one chunk adds to one choice. `index` counts choices from 0.

    `whole` says that it is a whole message, as an answer without streaming has it.
    """

    index: int = 0
    content: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    whole: bool = False
    logprobs: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Chunk:
    """One event of a stream, or a whole answer that came without streaming."""

    id: str = ""
    model: str = ""
    deltas: tuple[Delta, ...] = ()
    usage: Usage | None = None


def chunk_of(value: Mapping[str, Any]) -> Chunk:
    """Read a `chat.completion.chunk` or a `chat.completion`; unknown fields are ignored."""
    choices, usage = value.get("choices"), value.get("usage")
    id, model = value.get("id"), value.get("model")
    return Chunk(
        (_NAMES.get(id) if type(id) is str else "") or _name(id),
        (_NAMES.get(model) if type(model) is str else "") or _name(model),
        (_delta(choices[0], 0),)
        if type(choices) is list and len(choices) == 1 and type(choices[0]) is dict
        else _deltas(choices),
        None if usage is None else Usage.from_json(usage),
    )


#: Names that came, and how they are shown: the same few stand in every chunk of an answer.
_NAMES: dict[str, str] = {}


def _name(value: object) -> str:
    shown = line(value)
    if isinstance(value, str) and len(value) < 200:
        if len(_NAMES) > 100:
            _NAMES.clear()
        _NAMES[value] = shown
    return shown


def _deltas(choices: object) -> tuple[Delta, ...]:
    return tuple(
        _delta(choice, position)
        for position, choice in enumerate(choices if isinstance(choices, list) else [])
        if isinstance(choice, dict)
    )


def _delta(choice: dict[str, Any], position: int) -> Delta:
    part: Any = choice.get("delta")
    whole = False
    if type(part) is not dict:
        part = choice.get("message")
        whole = type(part) is dict
        if not whole:  # older servers put the text beside the index
            part = {"content": choice["text"]} if "text" in choice else _NOTHING
    content = part.get("content")
    is_text = type(content) is str
    if not is_text:
        content = _text_of(content)
    index, reason = choice.get("index"), choice.get("finish_reason")
    delta = Delta(
        index if type(index) is int else position,
        content,
        "",
        None if reason is None else _finish_reason(reason),
        (),
        whole,
        _mapping(choice.get("logprobs")),
    )
    if len(part) > 1 or not is_text:  # most hold nothing but content
        delta.content += _text(part.get("refusal"))
        delta.reasoning = (
            _text_of(part.get("reasoning_content"))
            or _text_of(part.get("reasoning"))
            or _thinking(part.get("content"))
        )
        delta.tool_calls = _calls(part.get("tool_calls")) or _older_call(part.get("function_call"))
    return delta


def _finish_reason(value: object) -> str | None:
    """Why the choice ended; some servers write the word null."""
    reason = line(value)
    return None if reason in ("", "null", "None") else reason


def _text_of(content: object) -> str:
    """A text, or that of a part, or of a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(
        part if isinstance(part, str) else _text(part.get("text")) or _text(part.get("refusal"))
        for part in _parts(content)
    )


def _thinking(content: object) -> str:
    """The reasoning among the parts of a content, as Mistral and Anthropic have it."""
    parts = [part for part in _parts(content) if isinstance(part, dict)]
    return "".join(_text_of(part.get("thinking")) for part in parts)


def _parts(content: object) -> list[str | dict[str, Any]]:
    if isinstance(content, dict):
        return [content]
    found = content if isinstance(content, list) else []
    return [part for part in found if isinstance(part, str | dict)]


def _calls(value: object) -> tuple[Mapping[str, Any], ...]:
    return tuple(c for c in value if isinstance(c, Mapping)) if isinstance(value, list) else ()


def _older_call(function: object) -> tuple[Mapping[str, Any], ...]:
    """The one call that an answer could have before there were tools."""
    return ({"index": 0, "function": function},) if isinstance(function, Mapping) else ()


def _mapping(value: object) -> Mapping[str, Any] | None:
    return value if type(value) is dict else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Mapping[str, Any], name: str) -> int | None:
    """A count of tokens. What is none is left out: it must not cost the answer."""
    number = value.get(name)
    if isinstance(number, bool) or not isinstance(number, int):
        return None
    return number if 0 <= number < _MOST_TOKENS else None


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else one + other
