"""The sandbox's own model: a deterministic answer that says no model was asked."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import secrets
import string
import time
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from .clusters import Cluster, Model
from .envelopes import DONE, JSON, error_body, event
from .forms import about_form, formed
from .images import about_images, images_of, said
from .settings import Script, Settings
from .tool_calls import about_tools, asked_calls, in_pieces, results

# The field of the delta ("content", "reasoning_content", "tool_calls") and its value.
Delta = tuple[str, Any]

ANSWER = r"""## A sandbox answered

No model was asked. This text comes from the local sandbox, in place of `{model}` on `{cluster}`. \
Your prompt began with `{quote}`.{seen}

What you can practise here:

- streaming, interrupting, and asking again
- how headings, lists, code, formulas and tables look
- what happens when something fails: choose another scenario

```python
def mean(values: list[float]) -> float:
    '''Return the arithmetic mean.'''
    return sum(values) / len(values)
```

The mean of $n$ values is

$$\bar{{x}} = \frac{{1}}{{n}} \sum_{{i=1}}^{{n}} x_i$$

| values | mean |
|---|---|
| 1, 2, 3 | 2 |
| 10, 20 | 15 |

Log in at the real gateway to ask a real model.
""".replace("\\\n", "")
REAL = (
    "Only `{real}` is a real model here, so ask `-m {real}`: "
    "`{model}` answers with a prepared text.\n\n"
)
REASONING = (
    "The prompt reached a sandbox, so there is no model that could think about it. "
    "I answer with the text that was prepared for this case."
)
QUOTE_LENGTH = 60
NUMBERS = (
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "seed",
    "top_logprobs",
    "presence_penalty",
    "frequency_penalty",
)


def pieces(script: Script) -> list[str]:
    """A text in token-sized pieces that join to the text again; a list stays as it is."""
    if isinstance(script, str):
        return re.findall(r"\s*\S{1,8}|\s+", script)
    return list(script)


def tokens(text: str) -> int:
    """A rough count: four tokens for three words."""
    return round(len(text.split()) * 4 / 3)


def prompt_text(body: JSON) -> str:
    """The last user message of a chat body (its text parts joined), or the prompt of another."""
    if "messages" not in body:
        return body["prompt"] if isinstance(body.get("prompt"), str) else ""
    for message in reversed(body["messages"]):
        if isinstance(message, dict) and message.get("role") == "user":
            return message_text(message)
    return ""


def message_text(message: JSON) -> str:
    """The text of a message, its parts' joined."""
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return " ".join(text for text in texts if isinstance(text, str))


def tokens_sent(body: JSON) -> int:
    """Tokens of all messages of a chat body, or of the prompt of another; 1 or more."""
    messages = [m for m in body.get("messages", ()) if isinstance(m, dict)]
    texts = map(message_text, messages) if messages else [prompt_text(body)]
    return max(1, tokens(" ".join(texts)) + sum(image.tokens for image in images_of(body)))


def quote(text: str) -> str:
    """The beginning of a prompt, fit for inline code."""
    line = " ".join(text.replace("`", "").split())
    return (line[:QUOTE_LENGTH].rstrip() + "…") if len(line) > QUOTE_LENGTH else line or "(nothing)"


def _too_long(model: Model, body: JSON) -> str:
    """What vLLM says to a prompt that does not fit the window; empty if it does."""
    sent = tokens_sent(body)
    if sent < model.window:
        return ""
    return (
        f"This model's maximum context length is {model.window} tokens. However, your request has "
        f"{sent} input tokens. Please reduce the length of the input messages."
    )


def _invalid(message: str) -> bytes:
    found = {"code": 400, "message": message, "type": "invalid_request_error"}
    return json.dumps({"error": found}).encode()


def complaint(route: str, model: Model, body: JSON, settings: Settings) -> bytes | None:
    """What a model server says to a request it cannot serve: a JSON body of status 400."""
    wanted = "embeddings" if route == "embeddings" else "chat"
    if wanted not in model.capabilities:
        message = f"The model {model.name} does not support {wanted} requests."
        return json.dumps(error_body(400, "BadRequestError", message)).encode()
    if wrong := about_images(model, body):
        return json.dumps(error_body(400, "BadRequestError", wrong)).encode()
    for name in NUMBERS:
        value = body.get(name)
        if value is not None and not isinstance(value, int | float):
            return _invalid(f"Field '{name}': type must be number, but is {type(value).__name__}")
    if unknown := sorted(settings.refuses.intersection(body)):
        return _invalid(f"Unsupported parameter: '{unknown[0]}' is not supported by this model.")
    wrong = about_form(body.get("response_format")) or about_tools(body) or _too_long(model, body)
    return _invalid(wrong) if wrong else None


@dataclass(frozen=True)
class Choice:
    """One of the answers: its deltas, and why it ended ("stop" or "length")."""

    index: int
    deltas: tuple[Delta, ...]
    finish_reason: str
    calls: tuple[JSON, ...] = ()

    def text(self, name: str = "content") -> str:
        """The deltas of one field, joined."""
        return "".join(text for field_name, text in self.deltas if field_name == name)


@dataclass(frozen=True)
class Answer:
    """One answer with its choices and the prompt's token count.

    `top` is how many other tokens the log probabilities name; None where none were asked for.
    """

    model: str
    choices: tuple[Choice, ...]
    prompt_tokens: int
    top: int | None = None
    id: str = field(default_factory=lambda: "chatcmpl-" + _random(32))
    created: int = field(default_factory=lambda: int(time.time()))

    def usage(self) -> JSON:
        """Token counts, estimated from words; those of all choices together."""
        spent = sum(tokens(c.text("reasoning_content")) + tokens(c.text()) for c in self.choices)
        return {
            "completion_tokens": spent,
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + spent,
            "prompt_tokens_details": {"cached_tokens": 0},
        }

    def opening(self, route: str) -> list[str]:
        """Events before the first text: a chat starts with a role and a null content."""
        if route == "completions":
            return []
        start = {"role": "assistant", "content": None}
        return [self._event(self._choice(route, choice, start)) for choice in self.choices]

    def middle(self, route: str) -> list[str]:
        """One event a delta, the choices in turn."""
        turns = itertools.zip_longest(*(choice.deltas for choice in self.choices))
        return [
            self._event(self._choice(route, choice, {delta[0]: delta[1]}))
            for turn in turns
            for choice, delta in zip(self.choices, turn, strict=True)
            if delta is not None and (route != "completions" or delta[0] == "content")
        ]

    def closing(self, route: str, include_usage: bool) -> list[str]:
        """The finish reasons, the usage if it was asked for, and [DONE]."""
        events = [
            self._event(self._choice(route, choice, {}, choice.finish_reason))
            for choice in self.choices
        ]
        if include_usage:
            events.append(self._event(None, usage=self.usage()))
        return [*events, DONE]

    def completion(self, route: str, *, measured: bool, finished: bool) -> JSON:
        """The whole answer as one JSON. Globus Compute adds how long it took; an unfinished
        answer has neither a finish_reason nor a usage."""
        answer: JSON = {
            "choices": [self._whole(route, choice, finished) for choice in self.choices],
            "created": self.created,
            "model": self.model,
            "system_fingerprint": "sandbox",
            "object": "text_completion" if route == "completions" else "chat.completion",
            "id": self.id,
        }
        if finished:
            answer["usage"] = self.usage()
        if measured:
            answer |= {"response_time": 0.1, "throughput_tokens_per_second": 100.0}
        return answer

    def _whole(self, route: str, choice: Choice, finished: bool) -> JSON:
        reason = choice.finish_reason if finished else None
        whole: JSON = {"finish_reason": reason, "index": choice.index}
        if route == "completions":
            return {**whole, "text": choice.text(), "logprobs": None}
        message: JSON = {"role": "assistant", "content": choice.text()}
        if choice.text("reasoning_content"):
            message["reasoning_content"] = choice.text("reasoning_content")
        if choice.calls:
            message |= {"content": choice.text() or None, "tool_calls": list(choice.calls)}
        whole["message"] = message
        if self.top is not None:
            said = [text for name, text in choice.deltas if name == "content"]
            whole["logprobs"] = logprobs(said, self.top)
        return whole

    def _choice(self, route: str, choice: Choice, delta: JSON, reason: str | None = None) -> JSON:
        part: JSON = {"finish_reason": reason, "index": choice.index}
        if route == "completions":
            return {**part, "text": delta.get("content", ""), "logprobs": None}
        if self.top is not None:
            said = delta.get("content")
            part["logprobs"] = logprobs([said], self.top) if said else None
        return {**part, "delta": delta}

    def _event(self, choice: JSON | None, **more: JSON) -> str:
        return event(
            {
                "choices": [] if choice is None else [choice],
                "created": self.created,
                "id": self.id,
                "model": self.model,
                "system_fingerprint": "sandbox",
                "object": "chat.completion.chunk",
                **more,
            }
        )


def logprobs(said: list[str], top: int) -> JSON:
    """An entry for each token, with the `top` likeliest ones in its place, itself first."""
    return {"content": [_token(text, top) for text in said]}


def _token(text: str, top: int) -> JSON:
    share = hashlib.sha256(text.encode()).digest()[0] / 256  # the same for the same token
    rivals = [(text, -share), *((f" other{rank}", -share - rank) for rank in range(1, top))]
    entries: list[JSON] = [
        {"token": token, "logprob": logprob, "bytes": list(token.encode())}
        for token, logprob in rivals
    ]
    return {**entries[0], "top_logprobs": entries[:top]}


def compose(body: JSON, model: Model, cluster: Cluster, settings: Settings) -> Answer:
    """The answer to a prompt: the settings' script, else the built-in text."""
    text = prompt_text(body)
    reasoning = settings.reasoning
    if reasoning is None:
        thinks = body.get("reasoning_effort") or settings.reasons_unasked
        reasoning = REASONING if model.reasoning and thinks else []
    thoughts = [("reasoning_content", piece) for piece in pieces(reasoning)]
    seen = said(images_of(body))
    built_in = ANSWER.format(model=model.name, cluster=cluster.name, quote=quote(text), seen=seen)
    if settings.real_model:
        built_in = REAL.format(real=settings.real_model, model=model.name) + built_in
    form = formed(body["response_format"]) if body.get("response_format") else None

    calls = asked_calls(body, text) if settings.answer is None else []

    def choice(index: int) -> Choice:
        if calls:
            pieces_of = [("tool_calls", [piece]) for piece in in_pieces(calls)]
            return Choice(index, (*thoughts, *pieces_of), "tool_calls", tuple(calls))
        script = settings.answer
        if script is None:
            script = form or built_in + results(body) + _draw(body.get("seed"), index)
        return _chosen(index, [*thoughts, *(("content", piece) for piece in pieces(script))], body)

    count = body.get("n")
    return Answer(
        model=model.name,
        choices=tuple(map(choice, range(count if _is_count(count) else 1))),
        prompt_tokens=tokens_sent(body),
        top=(body.get("top_logprobs") or 0) if body.get("logprobs") is True else None,
    )


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and 1 <= value <= 128


def _draw(seed: object, index: int) -> str:
    """What sampling adds to the built-in text: the same for the same seed and choice."""
    if seed is None and index == 0:
        return ""
    drawn = hashlib.sha256(f"{seed}/{index}".encode()).hexdigest()[:8]
    return f"\nChoice {index + 1}, drawn with seed {seed}: {drawn}\n"


def _chosen(index: int, deltas: list[Delta], body: JSON) -> Choice:
    """One choice, as far as the request lets it go."""
    limit = body.get("max_completion_tokens")
    limit = body.get("max_tokens") if limit is None else limit
    stopped = _before(deltas, body.get("stop"))
    kept = stopped if limit is None else _within(stopped, limit)
    return Choice(index, tuple(kept), "stop" if len(kept) == len(stopped) else "length")


def _before(deltas: list[Delta], stop: object) -> list[Delta]:
    """The deltas with their content cut before the first stop text, whichever that is."""
    stops = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    said = "".join(text for name, text in deltas if name == "content")
    ends = [said.find(text) for text in stops if isinstance(text, str) and text in said and text]
    if not ends:
        return deltas
    left, kept = min(ends), []
    for name, text in deltas:
        if name == "content":
            text, left = text[:left], left - min(left, len(text))
        if text:
            kept.append((name, text))
    return kept


def _within(deltas: list[Delta], limit: float) -> list[Delta]:
    said = ""
    for index, (_, text) in enumerate(deltas):
        said += text
        if tokens(said) > limit:
            return deltas[:index]
    return deltas


def _random(length: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))
