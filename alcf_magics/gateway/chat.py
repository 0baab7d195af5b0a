"""A chat request: messages, and what is asked of one model. Pure."""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import RequestRefused
from .forms import FIELD, Form
from .image_parts import is_image, kept, left_out, mark_of, tokens_of
from .parameters import on_the_wire
from .schemas import Schema

#: What a message may be of.
ROLES = ("system", "developer", "user", "assistant", "tool")
#: The shape of a message, in words.
SHAPE = "A message is {'role': 'user', 'content': '…'}."

#: Characters of a text that make a token, roughly.
TOKEN_CHARACTERS = 4

#: A text, or parts as OpenAI has them (text, image_url): the strict gateway takes parts of users.
Content = str | tuple[Mapping[str, Any], ...] | None


@dataclass(frozen=True)
class Message:
    """One message of a chat; `more` holds its other fields (`name`, `tool_calls`, …)."""

    role: str
    content: Content
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, value: object) -> Message:
        """A message of ours, or one as OpenAI has it. Raises RequestRefused."""
        if isinstance(value, Message):
            return value
        if not isinstance(value, Mapping) or value.get("role") not in ROLES:
            raise RequestRefused(f"This is no message of a chat: {value!r:.80}", SHAPE)
        value = _sendable(value)
        content: Any = value.get("content")
        if _are_parts(content):
            content = tuple(map(kept, content))
        elif not isinstance(content, str) and (content is not None or not value.get("tool_calls")):
            raise RequestRefused(f"This message has no content: {value!r:.80}", SHAPE)
        more = {key: value[key] for key in value if key not in ("role", "content")}
        return cls(str(value["role"]), content, more)

    @property
    def text(self) -> str:
        """The text of the message, that of its parts with line ends between them."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(
            str(part.get("text", "")) for part in self.content or () if part["type"] == "text"
        )

    @property
    def shown(self) -> str:
        """What a reader sees of it: its text, with a mark where something else stands."""
        if not isinstance(self.content, tuple):
            return self.text
        return "\n".join(
            str(part.get("text", "")) if part["type"] == "text" else mark_of(part)
            for part in self.content
        )

    @property
    def images(self) -> tuple[Mapping[str, Any], ...]:
        """Its parts that are images."""
        return tuple(filter(is_image, self.content)) if isinstance(self.content, tuple) else ()

    def without_images(self, most: int = sys.maxsize) -> Message:
        """The same with a text in the place of each image, of the first `most`."""
        if not self.images or not most:
            return self
        assert isinstance(self.content, tuple)
        gone = {id(part) for part in self.images[:most]}
        parts = (left_out(part) if id(part) in gone else part for part in self.content)
        return replace(self, content=tuple(parts))

    @property
    def image_tokens(self) -> int:
        """About how many tokens its images make."""
        return sum(map(tokens_of, self.images))

    def to_json(self) -> dict[str, Any]:
        content = list(self.content) if isinstance(self.content, tuple) else self.content
        return {"role": self.role, "content": content, **self.more}


@dataclass(frozen=True)
class ChatRequest:
    """What is asked of one model. `model` is the name as the catalog spells it.

    `fields` are the body's further fields by their names on the wire; only what is there is sent.
    `form` is the form that the answer is to have; `in_words` says that it is asked in words, in
    the system text of this request alone: `messages` know nothing of it.
    """

    model: str
    messages: tuple[Message, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)
    stream: bool = True
    form: Form | None = None
    in_words: bool = False

    @classmethod
    def of(
        cls,
        model: str,
        prompt: str | Sequence[Message | Mapping[str, Any]],
        system: str = "",
        **parameters: Any,
    ) -> ChatRequest:
        """The request of a prompt, or of a whole list of messages.

        `parameters` go by their Python names, see parameters.py. Raises RequestRefused for a
        wrong value, an empty prompt or something that is no message; TypeError for a wrong name.
        """
        messages = messages_of(prompt, system)
        try:
            return cls(model, messages, on_the_wire(parameters))
        except ValueError as error:
            wrong = str(error)
        raise RequestRefused(f"{wrong}.", "Nothing was sent; give another value.")

    @property
    def schema(self) -> Schema | None:
        """The schema that the answer is to fit."""
        return self.form.schema if self.form is not None else None

    @property
    def sent_messages(self) -> tuple[Message, ...]:
        """The messages, with the form in words in the first system text where there is one."""
        if self.form is None or not self.in_words:
            return self.messages
        first, *others = self.messages
        if first.role in ("system", "developer") and isinstance(first.content, str):
            content = f"{first.content}\n\n{self.form.words}"
            return (replace(first, content=content), *others)
        return (Message("system", self.form.words), *self.messages)

    def to_json(self, refused: Set[str] = frozenset()) -> dict[str, Any]:
        """The request body, without the fields that the server there is known to refuse."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [message.to_json() for message in self.sent_messages],
        }
        if self.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if self.form is not None and not self.in_words and FIELD not in self.fields:
            body[FIELD] = self.form.field
        return body | {name: v for name, v in self.fields.items() if name not in refused}

    @property
    def has_images(self) -> bool:
        return any(message.images for message in self.messages)

    def sha256(self, role: str) -> str:
        """The hash of all texts of a role in UTF-8, in hexadecimal; empty where there is none."""
        texts = [message.text for message in self.sent_messages if message.role == role]
        return hashlib.sha256("\n".join(texts).encode()).hexdigest() if texts else ""


def one_token(model: str) -> dict[str, Any]:
    """The smallest request that makes a model answer, or be loaded. It is not streamed.

    A stream would be refused while the model loads.
    """
    hello = {"role": "user", "content": "Hi"}
    return {"model": model, "messages": [hello], "max_tokens": 1, "stream": False}


def estimate(messages: Iterable[Message]) -> int:
    """About how many tokens messages make, their images with them."""
    messages = tuple(messages)
    letters = sum(len(message.text) for message in messages)
    return letters // TOKEN_CHARACTERS + sum(message.image_tokens for message in messages)


def new_session_id() -> str:
    """What requests that belong together carry; it says nothing of anybody."""
    return secrets.token_hex(16)


def messages_of(
    prompt: str | Iterable[Message | Mapping[str, Any]], system: str = ""
) -> tuple[Message, ...]:
    """A prompt or a list of messages as messages, a system text in front."""
    first = [Message("system", clean_prompt(system))] if system else []
    if isinstance(prompt, str):
        if not prompt.strip():
            raise RequestRefused("The prompt is empty.", "Say what to ask: ask('…').")
        return (*first, Message("user", clean_prompt(prompt)))
    if isinstance(prompt, bytes | Mapping) or not isinstance(prompt, Iterable):
        raise RequestRefused(
            f"A prompt is a text or a list of messages, not {type(prompt).__name__}.", SHAPE
        )
    messages = tuple(map(Message.of, prompt))
    if not messages:
        raise RequestRefused("There is no message to send.", SHAPE)
    return (*first, *messages)


def default_system(prompt: str | Sequence[Message | Mapping[str, Any]], default: str) -> str:
    """The default system text, for whoever does not say one, also among the messages."""
    if isinstance(prompt, str | bytes | Mapping) or not isinstance(prompt, Sequence):
        return default
    roles = [m.get("role") if isinstance(m, Mapping) else getattr(m, "role", "") for m in prompt]
    return "" if "system" in roles or "developer" in roles else default


def clean_prompt(text: str) -> str:
    """A person's own text as it is, but for lone surrogates: no request could carry them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _are_parts(content: object) -> bool:
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(p, Mapping) and isinstance(p.get("type"), str) for p in content)
    )


def _sendable(message: Mapping[Any, Any]) -> dict[str, Any]:
    """A message as JSON has it, whatever it is made of, and without lone surrogates anywhere."""
    try:
        written = json.dumps(dict(message), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        wrong = str(error)
    else:
        sent: dict[str, Any] = json.loads(clean_prompt(written))
        return sent
    raise RequestRefused(f"This message cannot be sent as JSON: {wrong}.", "Nothing was sent.")
