"""A completion: what a model answered to one request, whole or as far as it came. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import AnswerInvalid
from ..showing.display import answer_html, call_html, line_html
from ..showing.formats import FORMATS
from ..text import line, words
from .calls import Call
from .chat import ChatRequest
from .chunks import Usage
from .models import Model
from .records import Record, version


@dataclass(frozen=True)
class Choice:
    """One of the answers to a prompt (there is one unless more were asked for).

    `logprobs` is what the server gave of each token, as OpenAI has it; None unless asked for.
    `parsed` is what the format read out of the text.
    """

    index: int
    text: str
    reasoning: str = ""
    finish_reason: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    logprobs: Mapping[str, Any] | None = None
    parsed: Any = None


#: Seconds below which tokens came at once: a rate would say nothing.
LEAST_SECONDS = 0.05
#: Stands for the first choice where nothing came.
_NO_CHOICE = Choice(0, "")


@dataclass(frozen=True, repr=False)
class Completion:
    """An answer, whole or as far as it came. Its repr is its text, that of all choices if several.

    `choices` holds all answers; `text`, `reasoning`, `finish_reason` and `tool_calls` are the
    first one's (`finish_reason` is `stop`, `length`, … or None when it broke off). `request` is
    what was sent, `place` the model and cluster that it was sent to, `asked` the model's name as
    it was asked for (empty: the default), `model` the name as it was served. `started` counts
    seconds since 1970, `seconds` from sending to the last chunk, `first_token_seconds` to the
    first piece of text or reasoning, `first_text_seconds` to the first text that a reader sees,
    `token_seconds` from the first token to the last, `reasoning_seconds` from the reasoning's
    first to its last (None where there was none). `format` is how it is shown, `parsed` what that
    format read out of the first choice's text. `noted` says what else there is to know: how it was
    read, where in a chat it stands. `key` is that of what was asked, see answer_file.py (empty
    where nobody said). `calls` are those of tools that were run for it; `usage` is that of all its
    requests, `turn_usage` that of the one which its turn in a chat is. `recorded` is the day
    (2026-11-20) of an answer that came from a file; its usage was of then.
    """

    choices: tuple[Choice, ...]
    request: ChatRequest
    place: Model
    asked: str = ""
    model: str = ""
    id: str = ""
    usage: Usage | None = None
    started: float = 0.0
    seconds: float = 0.0
    first_token_seconds: float | None = None
    format: str = "markdown"
    parsed: Any = None
    noted: str = ""
    calls: tuple[Call, ...] = ()
    turn_usage: Usage | None = None
    key: str = ""
    first_text_seconds: float | None = None
    token_seconds: float | None = None
    reasoning_seconds: float | None = None
    recorded: str = ""

    @property
    def _first(self) -> Choice:
        return self.choices[0] if self.choices else _NO_CHOICE

    @property
    def text(self) -> str:
        """The first choice's text."""
        return self._first.text

    @property
    def reasoning(self) -> str:
        """The first choice's reasoning, apart from its text."""
        return self._first.reasoning

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended; None when it broke off."""
        return self._first.finish_reason

    @property
    def tool_calls(self) -> tuple[Mapping[str, Any], ...]:
        """The first choice's calls of tools, as OpenAI has them."""
        return self._first.tool_calls

    @property
    def cluster(self) -> str:
        """The cluster that answered."""
        return self.place.cluster

    @property
    def prompt(self) -> str:
        """The text of the last message of the person's."""
        texts = [m.text for m in self.request.messages if m.role == "user"]
        return texts[-1] if texts else ""

    @property
    def prompt_shown(self) -> str:
        """The same as a reader sees it, with marks where images stand."""
        shown = [m.shown for m in self.request.messages if m.role == "user"]
        return shown[-1] if shown else ""

    @property
    def record(self) -> Record:
        """Where this completion comes from, with hashes in place of the texts."""
        body = self.request.to_json(self.place.refuses)
        del body["messages"]
        return Record(
            asked=self.asked,
            model=self.model,
            cluster=self.cluster,
            framework=self.place.framework,
            parameters=body,
            system_sha256=self.request.sha256("system"),
            prompt_sha256=self.request.sha256("user"),
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            seconds=self.seconds,
            first_token_seconds=self.first_token_seconds,
            usage=self.usage,
            finish_reason=self.finish_reason,
            version=version(),
            recorded=self.recorded,
        )

    @property
    def about(self) -> str:
        """The line under the answer: where from, tokens, seconds, how it ended if not by itself."""
        source, costs = self.model, self._costs()
        if self.recorded:
            source, costs = f"recorded {self.recorded} from {self.model or self.place.name}", []
        return " · ".join(
            filter(None, [source, self.cluster, *costs, _end(self._first), self.noted])
        )

    def _costs(self) -> list[str]:
        parts = []
        tokens_in = self.usage.prompt_tokens if self.usage else None
        tokens_out = self.usage.completion_tokens if self.usage else None
        if tokens_in is not None or tokens_out is not None:
            counts = [f"{tokens_in:,} tokens in"] if tokens_in is not None else []
            if tokens_out is not None:
                counts.append(f"{tokens_out:,} out" if counts else f"{tokens_out:,} tokens out")
            parts.append(", ".join(counts))
        return [*parts, *self._times(), *self._rate(tokens_out)]

    def _times(self) -> list[str]:
        """How long it reasoned, how long until there was something to read, and in all."""
        first, text = self.first_token_seconds, self.first_text_seconds
        parts = []
        if self.reasoning and self.reasoning_seconds is not None:
            length = f"{len(self.reasoning):,} characters"
            parts.append(f"reasoned for {self.reasoning_seconds:.1f} s, {length}")
        if first is None:
            return parts
        begun = f"first token after {first:.1f} s"
        if text is not None and text != first:
            begun = f"first text after {text:.1f} s"
        return [*parts, f"{begun}, {self.seconds:.1f} s in total"]

    def _rate(self, tokens: int | None) -> list[str]:
        """Tokens a second, over the time in which tokens came."""
        seconds, first = self.token_seconds, self.first_token_seconds
        if seconds is None and first is not None:
            seconds = self.seconds - first
        if tokens is None or seconds is None or seconds <= LEAST_SECONDS:
            return []
        return [f"{tokens / seconds:,.0f} tokens/s"]

    @property
    def metadata(self) -> dict[str, Any]:
        """What an output's metadata says of where the answer comes from."""
        return {"alcf_magics": self.record.to_json()}

    def __hash__(self) -> int:
        return hash((self.id, self.model, self.started, self.text))

    def __repr__(self) -> str:
        """The text; where there is none, a line that says so, and what is there instead."""
        first = self.first_shown
        return f"{self._title(0)}\n{first}\n\n{self.others}" if self.others else first

    @property
    def first_shown(self) -> str:
        """What a reader sees of the first choice alone."""
        return _shown(self._first)

    @property
    def others(self) -> str:
        """The choices but the first as plain text, each under a title; empty where there is one."""
        return "\n\n".join(
            f"{self._title(position)}\n{_shown(choice)}"
            for position, choice in enumerate(self.choices)
            if position
        )

    @property
    def others_html(self) -> str:
        """The same as safe HTML, read and shown as the first one is where that can be done."""
        return "".join(
            line_html(self._title(position))
            + answer_html(_shown(choice), choice.reasoning, *_readable(self.format, choice.text))
            for position, choice in enumerate(self.choices)
            if position
        )

    def _title(self, position: int) -> str:
        end = _end(self.choices[position])
        return f"[choice {position + 1} of {len(self.choices)}{end and f', {end}'}]"

    def __str__(self) -> str:
        return self.text

    def __format__(self, spec: str) -> str:
        return format(self.text, spec)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        # A terminal has no block of its own for an answer: what turns the line stays out.
        printer.text(words(repr(self)))

    def _repr_html_(self) -> str:
        """Reasoning folded, the answer, and a grey line about it: safe HTML."""
        return self.page()

    def page(self, body: str | None = None, *, calls: bool = True, opened: bool = False) -> str:
        """The same; `body` is the answer's own part, where that has been made already.

        `calls` says whether those of tools are to stand above it, `opened` that its reasoning is
        not to be folded.
        """
        if self.text:
            page = answer_html(
                self.text, self.reasoning, self.format, self.parsed, opened=opened, body=body
            )
            page += line_html("; ".join(map(_call, self.tool_calls))) if self.tool_calls else ""
        else:
            page = answer_html("", self.reasoning, "text", opened=True)
            page += line_html(self.first_shown)
        others = self.others_html
        first = line_html(self._title(0)) if others else ""
        above = "".join(map(call_html, self.calls)) if calls else ""
        return above + first + page + others + line_html(self.about)

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """What a notebook keeps: text, safe HTML, and the record in the output's metadata."""
        return {"text/plain": repr(self), "text/html": self._repr_html_()}, self.metadata


def _shown(choice: Choice) -> str:
    """A choice's text; where there is none, a line that says so, and what is there instead."""
    calls = [_call(call) for call in choice.tool_calls]
    if not choice.text:
        return f"({'; '.join(['no text', *calls])})"
    return f"{choice.text}\n\n({'; '.join(calls)})" if calls else choice.text


def _end(choice: Choice) -> str:
    """How a choice ended, if not by itself."""
    if choice.finish_reason == "length":
        return "cut at the token limit: ask for more with --max-tokens"
    if choice.finish_reason is None:
        return "ended early"
    return "" if choice.finish_reason == "stop" else f"ended: {choice.finish_reason}"


def _readable(format: str, text: str) -> tuple[str, Any]:
    """The format that a text can be shown in, and what it reads out of the text."""
    try:
        return format, FORMATS[format].parse(text)
    except AnswerInvalid:
        return "text", None


def _call(call: Mapping[str, Any]) -> str:
    """A call of a tool as a reader sees it."""
    function = call.get("function")
    if not isinstance(function, Mapping):
        return "a call that cannot be read"
    return line(f"calls {function.get('name')}({function.get('arguments')})")
