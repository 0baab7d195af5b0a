"""Chunks that add up to an answer, while they come. Pure."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..text import Text, words
from .chat import ChatRequest
from .chunks import Chunk, Delta, Usage
from .completions import Choice, Completion
from .models import Model
from .think_tags import ThinkTags


@dataclass(slots=True)
class _Parts:
    """One choice so far."""

    texts: ThinkTags = field(default_factory=ThinkTags)
    finish_reason: str | None = None
    tool_calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    logprobs: dict[str, Any] | None = None

    def add(self, delta: Delta) -> None:
        texts = self.texts
        # A whole message behind the pieces of the same says nothing new.
        repeated = delta.whole and (texts.content.length or texts.reasoning.length)
        if delta.content and not repeated:
            texts.add(delta.content)
        if delta.reasoning and not repeated:
            texts.reasoning.add(delta.reasoning)
        if delta.finish_reason is not None:
            self.finish_reason = delta.finish_reason
        if delta.logprobs is not None and not repeated:
            self.logprobs = _more_logprobs(self.logprobs or {}, delta.logprobs)
        for call in delta.tool_calls:
            _merge_tool_call(self.tool_calls, call)

    def choice(self, index: int) -> Choice:
        calls = tuple(call for _, call in sorted(self.tool_calls.items()))
        text, reasoning = self.texts.whole()
        return Choice(index, text, reasoning, self.finish_reason, calls, self.logprobs)


class Accumulator:
    """Adds chunks up. `model` is the name asked for, in case the answer is silent.

    Times are on the clock that stamps each `add`: `started` when the request left, `first_token`
    the first piece of text or reasoning, `last_token` the last one, `first_text` the first text
    that a reader sees, `first_thought` and `last_thought` the reasoning's, and `last` the last
    chunk.
    """

    def __init__(self, model: str, started: float) -> None:
        self.model = model
        self.id = ""
        self.usage: Usage | None = None
        self.started = started
        self.first_token: float | None = None
        self.last_token: float | None = None
        self.first_text: float | None = None
        self.first_thought: float | None = None
        self.last_thought: float | None = None
        self.last = started
        self._choices: dict[int, _Parts] = {}
        self._content: Text | None = None
        self._thought = 0

    def sent(self, at: float) -> None:
        """The request leaves now: what it waited for before is no time of the model's."""
        if not self._choices:
            self.started = self.last = at

    def add(self, chunk: Chunk, at: float) -> None:
        """Add one chunk that arrived at time `at`."""
        self.last = at
        if chunk.id:
            self.id = chunk.id
        if chunk.model:
            self.model = chunk.model
        if chunk.usage is not None:
            self.usage = chunk.usage
        for delta in chunk.deltas:
            parts = self._choices.get(delta.index)
            if parts is None:
                parts = self._choices[delta.index] = _Parts()
            parts.add(delta)
            if delta.content or delta.reasoning:
                self._note_token(at)

    def _note_token(self, at: float) -> None:
        if self.first_token is None:
            self.first_token = at
        self.last_token = at
        texts = self._first.texts
        if texts.reasoning.length != self._thought:
            self._thought = texts.reasoning.length
            self.last_thought = at
            if self.first_thought is None:
                self.first_thought = at
        if texts.content is not self._content:  # what came before was reasoning
            self._content, self.first_text = texts.content, None
        if self.first_text is None and texts.content.length and str(texts.content).strip():
            self.first_text = at

    @property
    def content(self) -> Text:
        """The first choice's text so far; another one when it turned out to be reasoning."""
        return self._first.texts.content

    @property
    def reasoning(self) -> Text:
        """The first choice's reasoning so far."""
        return self._first.texts.reasoning

    @property
    def began(self) -> bool:
        """Whether any text or reasoning has come."""
        return self.first_token is not None

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The choices as far as they have come, by index."""
        return tuple(parts.choice(index) for index, parts in sorted(self._choices.items()))

    def completion(
        self, request: ChatRequest, place: Model, *, asked: str = "", key: str = ""
    ) -> Completion:
        """The completion as far as it has come; see there for what it is given."""
        return Completion(
            choices=self.choices,
            request=request,
            place=place,
            asked=asked,
            model=self.model,
            id=self.id,
            usage=self.usage,
            started=time.time() - (time.monotonic() - self.started),
            seconds=self.seconds,
            first_token_seconds=self.first_token_seconds,
            key=key,
        )

    @property
    def seconds(self) -> float:
        """Seconds from sending to the last chunk."""
        return round(self.last - self.started, 3)

    @property
    def first_token_seconds(self) -> float | None:
        """Seconds from sending to the first piece of text or reasoning; None before it."""
        return None if self.first_token is None else round(self.first_token - self.started, 3)

    @property
    def first_text_seconds(self) -> float | None:
        """Seconds from sending to the first text that a reader sees; None before it."""
        return None if self.first_text is None else round(self.first_text - self.started, 3)

    @property
    def token_seconds(self) -> float | None:
        """Seconds from the first token to the last; None where none came."""
        return _between(self.first_token, self.last_token)

    @property
    def reasoning_seconds(self) -> float | None:
        """Seconds from the first token of the reasoning to the last; None where none came."""
        return _between(self.first_thought, self.last_thought)

    @property
    def _first(self) -> _Parts:
        return self._choices[min(self._choices)] if self._choices else _Parts()


def _between(first: float | None, last: float | None) -> float | None:
    return None if first is None or last is None else round(last - first, 3)


class Follower:
    """Follows the text of an answer that grows, for whoever passes it on piece by piece."""

    def __init__(self) -> None:
        self._text: Text | None = None
        #: Characters passed on, of the text that counts now.
        self.seen = 0

    def new(self, answer: Accumulator) -> str:
        """What came since; from the start when what came before turned out to be reasoning."""
        if answer.content is not self._text:
            self._text, self.seen = answer.content, 0
        piece = self._text.since(self.seen)
        self.seen += len(piece)
        return piece

    def rest(self, text: str) -> str:
        """What is left of the whole text."""
        return text[self.seen :]


class Pieces:
    """Passes the text of a prompt's answers on to a reader from whom no piece can be taken back.

    A later answer begins behind an empty line. `at_end` says that an answer may give way to
    another one: then nothing is passed on before the last one is whole.
    """

    def __init__(self, at_end: bool = False) -> None:
        self._at_end = at_end
        self._answer: Accumulator | None = None
        self._text = Follower()
        self._passed = self._behind = False

    def new(self, answer: Accumulator) -> str:
        """What came since."""
        if self._at_end:
            return ""
        if answer is not self._answer:
            self._answer, self._text, self._behind = answer, Follower(), self._passed
        return self._piece(self._text.new(answer))

    def rest(self, text: str) -> str:
        """What is left of the whole text of the last answer."""
        return self._piece(self._text.rest(text))

    def _piece(self, piece: str) -> str:
        if not piece:
            return ""
        gap = "\n\n" if self._behind else ""
        self._passed, self._behind = True, False
        return gap + piece


def _more_logprobs(before: dict[str, Any], piece: Mapping[str, Any]) -> dict[str, Any]:
    """Lists (`content`, `refusal`) grow by an entry a token; all else is as it came last."""
    for name, value in piece.items():
        if isinstance(value, list) and isinstance(before.get(name), list):
            before[name] += value
        elif value is not None or name not in before:
            before[name] = list(value) if isinstance(value, list) else value
    return before


def _written(value: object) -> str:
    """A piece of a call's text; some servers send its arguments as the object that they are."""
    if value is None or isinstance(value, str):
        return words(value)
    try:
        return json.dumps(value)
    except (ValueError, RecursionError):
        return ""


def _merge_tool_call(calls: dict[int, dict[str, Any]], piece: Mapping[str, Any]) -> None:
    """Tool calls arrive in pieces by index; the arguments are a text that grows."""
    index = piece.get("index")
    call = calls.setdefault(index if isinstance(index, int) else len(calls), {})
    for name, value in piece.items():
        if name == "function" and isinstance(value, Mapping):
            function = call.setdefault("function", {"name": "", "arguments": ""})
            for key in ("name", "arguments"):
                function[key] = function[key] + _written(value.get(key))
        elif name not in ("index", "function") and value is not None:
            call[name] = words(value) if isinstance(value, str) else value
