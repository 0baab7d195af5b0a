"""The sandbox's own model: a deterministic answer that says no model was asked."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import secrets
import string
import struct
import time
from dataclasses import dataclass, field

from .clusters import Cluster, Model
from .envelopes import DONE, JSON, event
from .settings import Script, Settings

Delta = tuple[str, str]  # the field of the delta ("content", "reasoning_content") and its text

ANSWER = r"""## A sandbox answered

No model was asked. This text comes from the local sandbox, in place of `{model}` on `{cluster}`. \
Your prompt began with `{quote}`.

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
REASONING = (
    "The prompt reached a sandbox, so there is no model that could think about it. "
    "I answer with the text that was prepared for this case."
)
QUOTE_LENGTH = 60
NUMBERS = ("temperature", "top_p", "max_tokens", "max_completion_tokens")


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
            content = message.get("content")
            parts = content if isinstance(content, list) else [{"text": content}]
            texts = [part.get("text") for part in parts if isinstance(part, dict)]
            return " ".join(text for text in texts if isinstance(text, str))
    return ""


def quote(text: str) -> str:
    """The beginning of a prompt, fit for inline code."""
    line = " ".join(text.replace("`", "").split())
    return (line[:QUOTE_LENGTH].rstrip() + "…") if len(line) > QUOTE_LENGTH else line or "(nothing)"


def complaint(route: str, model: Model, body: JSON) -> bytes | None:
    """What a model server says to a request it cannot serve: a JSON body of status 400."""
    wanted = "embeddings" if route == "embeddings" else "chat"
    if wanted not in model.capabilities:
        message = f"The model {model.name} does not support {wanted} requests."
        answer: JSON = {"object": "error", "message": message, "type": "BadRequestError"}
        return json.dumps({**answer, "param": None, "code": 400}).encode()
    for name in NUMBERS:
        value = body.get(name)
        if value is not None and not isinstance(value, int | float):
            message = f"Field '{name}': type must be number, but is {type(value).__name__}"
            found = {"code": 400, "message": message, "type": "invalid_request_error"}
            return json.dumps({"error": found}).encode()
    return None


@dataclass(frozen=True)
class Answer:
    """One answer: its deltas, why it ended ("stop" or "length") and the prompt's token count."""

    model: str
    deltas: tuple[Delta, ...]
    finish_reason: str
    prompt_tokens: int
    id: str = field(default_factory=lambda: "chatcmpl-" + _random(32))
    created: int = field(default_factory=lambda: int(time.time()))

    def text(self, name: str = "content") -> str:
        """The deltas of one field, joined."""
        return "".join(text for field_name, text in self.deltas if field_name == name)

    def usage(self) -> JSON:
        """Token counts, estimated from words."""
        spent = tokens(self.text("reasoning_content")) + tokens(self.text())
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
        return [self._event(self._choice(route, {"role": "assistant", "content": None}))]

    def middle(self, route: str) -> list[str]:
        """One event a delta."""
        return [
            self._event(self._choice(route, {field_name: text}))
            for field_name, text in self.deltas
            if route != "completions" or field_name == "content"
        ]

    def closing(self, route: str, include_usage: bool) -> list[str]:
        """The finish reason, the usage if it was asked for, and [DONE]."""
        events = [self._event(self._choice(route, {}, self.finish_reason))]
        if include_usage:
            events.append(self._event(None, usage=self.usage()))
        return [*events, DONE]

    def completion(self, route: str, choices: int, *, measured: bool, finished: bool) -> JSON:
        """The whole answer as one JSON. Globus Compute adds how long it took; an unfinished
        answer has neither a finish_reason nor a usage."""
        message: JSON = {"role": "assistant", "content": self.text()}
        if self.text("reasoning_content"):
            message["reasoning_content"] = self.text("reasoning_content")
        content: JSON = {"message": message}
        if route == "completions":
            content = {"text": self.text(), "logprobs": None}
        reason = self.finish_reason if finished else None
        answer: JSON = {
            "choices": [
                {"finish_reason": reason, "index": index, **content} for index in range(choices)
            ],
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

    def _choice(self, route: str, delta: JSON, reason: str | None = None) -> JSON:
        choice: JSON = {"finish_reason": reason, "index": 0}
        if route == "completions":
            return {**choice, "text": delta.get("content", ""), "logprobs": None}
        return {**choice, "delta": delta}

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


def compose(body: JSON, model: Model, cluster: Cluster, settings: Settings) -> Answer:
    """The answer to a prompt: the settings' script, else the built-in text."""
    text = prompt_text(body)
    reasoning = settings.reasoning
    if reasoning is None:
        reasoning = REASONING if model.reasoning and body.get("reasoning_effort") else []
    script = settings.answer
    if script is None:
        script = ANSWER.format(model=model.name, cluster=cluster.name, quote=quote(text))
    deltas = [("reasoning_content", piece) for piece in pieces(reasoning)]
    deltas += [("content", piece) for piece in pieces(script)]
    limit = body.get("max_completion_tokens")
    limit = body.get("max_tokens") if limit is None else limit
    kept = deltas if limit is None else _within(deltas, limit)
    return Answer(
        model=model.name,
        deltas=tuple(kept),
        finish_reason="stop" if len(kept) == len(deltas) else "length",
        prompt_tokens=max(1, tokens(text)),
    )


def embed(body: JSON, model: Model) -> JSON:
    """A small vector for each input, the same for the same text."""
    given = body.get("input")
    # One text or one list of token numbers is one input; a list of either is several.
    single = isinstance(given, str) or not given or (isinstance(given, list) and _numbers(given))
    inputs = given if isinstance(given, list) and not single else [given]
    as_base64 = body.get("encoding_format") == "base64"
    count = sum(max(1, tokens(str(item))) for item in inputs)
    return {
        "model": model.name,
        "object": "list",
        "usage": {"prompt_tokens": count, "total_tokens": count},
        "data": [
            {"embedding": _vector(str(item), as_base64), "index": index, "object": "embedding"}
            for index, item in enumerate(inputs)
        ],
    }


def _within(deltas: list[Delta], limit: float) -> list[Delta]:
    said = ""
    for index, (_, text) in enumerate(deltas):
        said += text
        if tokens(said) > limit:
            return deltas[:index]
    return deltas


def _numbers(values: list[object]) -> bool:
    return all(isinstance(value, int) for value in values)


def _vector(text: str, as_base64: bool) -> list[float] | str:
    digest = hashlib.sha256(text.encode()).digest()[:8]
    values = [byte / 127.5 - 1 for byte in digest]
    norm = math.sqrt(sum(value * value for value in values)) or 1.0
    values = [value / norm for value in values]
    if as_base64:
        return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
    return values


def _random(length: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))
