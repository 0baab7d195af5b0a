"""A prompt as a chat request; the stream's chunks; the completion they add up to. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..history import Record

_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Message:
    """One message of a chat. `content` is a text: the strict gateway refuses parts."""

    role: str
    content: str

    def to_json(self) -> dict[str, Any]:
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True)
class ChatRequest:
    """What is asked of one model at one place. A field that is None is not sent.

    `model` is the name as the catalog spells it. `temperature` is 0 to 2, `max_tokens` counts
    completion tokens, `reasoning_effort` is low, medium or high.
    """

    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    stream: bool = True
    chat_template_kwargs: Mapping[str, Any] | None = None

    @classmethod
    def prompt(cls, model: str, text: str, system: str = "", **options: Any) -> ChatRequest:
        """The request that one prompt is; `options` are further fields by name."""
        messages = [Message("system", system)] if system else []
        return cls(model, (*messages, Message("user", text)), **options)

    def to_json(self, *, accepts_chat_template_kwargs: bool = False) -> dict[str, Any]:
        """The request body. `chat_template_kwargs` leaves only for a server known to take it."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [message.to_json() for message in self.messages],
        }
        if self.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.max_tokens is not None:
            body["max_tokens"] = self.max_tokens
        if self.reasoning_effort is not None:
            body["reasoning_effort"] = self.reasoning_effort
        if self.chat_template_kwargs is not None and accepts_chat_template_kwargs:
            body["chat_template_kwargs"] = dict(self.chat_template_kwargs)
        return body


@dataclass(frozen=True)
class Usage:
    """Token counts as the server gives them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0

    @classmethod
    def from_json(cls, value: object) -> Usage | None:
        if not isinstance(value, Mapping):
            return None
        prompt, completion = _count(value, "prompt_tokens"), _count(value, "completion_tokens")
        return cls(prompt, completion, _count(value, "total_tokens") or prompt + completion)


@dataclass(frozen=True)
class Delta:
    """What one chunk adds to one choice. `index` counts choices from 0."""

    index: int = 0
    content: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Chunk:
    """One event of a stream, or a whole answer that came without streaming."""

    id: str = ""
    model: str = ""
    deltas: tuple[Delta, ...] = ()
    usage: Usage | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Chunk:
        """Read a `chat.completion.chunk` or a `chat.completion`; unknown fields are ignored."""
        choices = value.get("choices")
        return cls(
            id=_text(value.get("id")),
            model=_text(value.get("model")),
            deltas=tuple(
                _delta(choice, position)
                for position, choice in enumerate(choices if isinstance(choices, list) else [])
                if isinstance(choice, Mapping)
            ),
            usage=Usage.from_json(value.get("usage")),
        )


@dataclass(frozen=True)
class Choice:
    """One of the answers to a prompt (there is one unless more were asked for)."""

    index: int
    text: str
    reasoning: str
    finish_reason: str | None
    tool_calls: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, repr=False)
class Completion:
    """An answer, whole or as far as it came. Its repr is its text.

    `model` and `cluster` say where it comes from; `finish_reason` is `stop`, `length`, … or None
    when it broke off; `seconds` counts from sending to the last chunk, `first_token_seconds` to
    the first piece of text or reasoning (None if there was none). `choices` holds all answers;
    `text`, `reasoning`, `finish_reason` and `tool_calls` are the first one's. `format` is how it
    is shown, `parsed` what that format read out of the text, and `record` where it comes from.
    """

    text: str
    reasoning: str = ""
    model: str = ""
    cluster: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    seconds: float = 0.0
    first_token_seconds: float | None = None
    choices: tuple[Choice, ...] = ()
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    parsed: Any = None
    id: str = ""
    format: str = "markdown"
    record: Record | None = None

    def __repr__(self) -> str:
        # A terminal would obey a control sequence that a model wrote; `.text` has all of it.
        return printable(self.text)

    __str__ = __repr__

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


class Text:
    """A text that grows piece by piece; a character may be split between two pieces.

    In JSON, a character beyond the first 65,536 may come as two halves, in two chunks. A half
    waits for the other; one that stays alone becomes the replacement character.
    """

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._half = ""

    def add(self, piece: str) -> None:
        if not piece:
            return
        if self._half or not piece.isascii():
            piece, self._half = self._half + piece, ""
            if "\ud800" <= piece[-1] <= "\udbff":
                piece, self._half = piece[:-1], piece[-1]
            if _SURROGATE.search(piece):
                piece = piece.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        self._pieces.append(piece)

    def __str__(self) -> str:
        if len(self._pieces) > 1:
            self._pieces[:] = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def whole(self) -> str:
        """The text when nothing more comes."""
        return str(self) + ("\ufffd" if self._half else "")


@dataclass
class _Parts:
    content: Text = field(default_factory=lambda: Text())
    reasoning: Text = field(default_factory=lambda: Text())
    finish_reason: str | None = None
    tool_calls: dict[int, dict[str, Any]] = field(default_factory=dict)


class Accumulator:
    """Adds chunks up. `model` and `cluster` are the place asked, in case the answer is silent.

    Seconds count from `started`, on the same clock that stamps each `add`.
    """

    def __init__(self, model: str, cluster: str, started: float) -> None:
        self.model = model
        self.cluster = cluster
        self.started = started
        self.usage: Usage | None = None
        #: The completion, with its record, once the session has kept it.
        self.kept: Completion | None = None
        self._id = ""
        self._first_token: float | None = None
        self._last = started
        self._choices: dict[int, _Parts] = {}

    def sent(self, at: float) -> None:
        """The request leaves now: what it waited for before is no time of the model's."""
        if not self._choices:
            self.started = self._last = at

    def add(self, chunk: Chunk, at: float) -> None:
        """Add one chunk that arrived at time `at`."""
        self._last = at
        self._id = chunk.id or self._id
        self.model = chunk.model or self.model
        self.usage = chunk.usage or self.usage
        for delta in chunk.deltas:
            parts = self._choices.setdefault(delta.index, _Parts())
            parts.content.add(delta.content)
            parts.reasoning.add(delta.reasoning)
            if self._first_token is None and (delta.content or delta.reasoning):
                self._first_token = at
            for call in delta.tool_calls:
                _merge_tool_call(parts.tool_calls, call)
            parts.finish_reason = delta.finish_reason or parts.finish_reason

    @property
    def text(self) -> str:
        """The first choice's text so far."""
        return self._first("content")

    @property
    def reasoning(self) -> str:
        """The first choice's reasoning so far."""
        return self._first("reasoning")

    @property
    def began(self) -> bool:
        """Whether any text or reasoning has come."""
        return self._first_token is not None

    @property
    def finished(self) -> bool:
        """Whether every choice that began has a finish reason."""
        return bool(self._choices) and all(parts.finish_reason for parts in self._choices.values())

    def completion(self) -> Completion:
        """The completion as far as it has come."""
        choices = tuple(
            Choice(
                index,
                parts.content.whole(),
                parts.reasoning.whole(),
                parts.finish_reason,
                tuple(call for _, call in sorted(parts.tool_calls.items())),
            )
            for index, parts in sorted(self._choices.items())
        )
        first = choices[0] if choices else Choice(0, "", "", None)
        return Completion(
            text=first.text,
            reasoning=first.reasoning,
            model=self.model,
            cluster=self.cluster,
            finish_reason=first.finish_reason,
            usage=self.usage,
            seconds=round(self._last - self.started, 3),
            first_token_seconds=(
                None if self._first_token is None else round(self._first_token - self.started, 3)
            ),
            choices=choices,
            tool_calls=first.tool_calls,
            id=self._id,
        )

    def _first(self, name: str) -> str:
        if not self._choices:
            return ""
        return str(getattr(self._choices[min(self._choices)], name))


def printable(text: str) -> str:
    """A text without control characters other than line ends and tabs."""
    return _CONTROL.sub("", text)


def parse_event(data: str) -> dict[str, Any] | None:
    """The JSON object of one event; None for anything else (`[DONE]`, noise)."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _delta(choice: Mapping[str, Any], position: int) -> Delta:
    part = choice.get("delta")
    if not isinstance(part, Mapping):
        part = choice.get("message")
    if not isinstance(part, Mapping):
        part = {}
    index = choice.get("index")
    calls = part.get("tool_calls")
    return Delta(
        index=index if isinstance(index, int) else position,
        content=_text(part.get("content")),
        reasoning=_text(part.get("reasoning_content")) or _text(part.get("reasoning")),
        finish_reason=_text(choice.get("finish_reason")) or None,
        tool_calls=tuple(
            call for call in (calls if isinstance(calls, list) else []) if isinstance(call, Mapping)
        ),
    )


def _merge_tool_call(calls: dict[int, dict[str, Any]], piece: Mapping[str, Any]) -> None:
    """Tool calls arrive in pieces by index; the arguments are a text that grows."""
    index = piece.get("index")
    call = calls.setdefault(index if isinstance(index, int) else len(calls), {})
    for name, value in piece.items():
        if name == "function" and isinstance(value, Mapping):
            function = call.setdefault("function", {"name": "", "arguments": ""})
            for key in ("name", "arguments"):
                function[key] = function[key] + _text(value.get(key))
        elif name not in ("index", "function") and value is not None:
            call[name] = value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Mapping[str, Any], name: str) -> int:
    number = value.get(name)
    return number if isinstance(number, int) else 0
