"""The body of an answer, read as it arrives: bytes in, chunks out, and how it ended. Pure.

All ways in which a body can end, and what is made of each:

| what came                                             | what it is                              |
|-------------------------------------------------------|-----------------------------------------|
| a finish reason for every choice that was asked for   | complete, whatever comes or breaks then |
| `[DONE]`, or the end, with every choice finished      | complete, also if fewer came            |
| `[DONE]`, or the end, with a choice unfinished        | StreamBroken, with what came            |
| `[DONE]`, or the end, and no choice at all            | StreamBroken: empty, or no answer       |
| an error in an event, before any text                 | the error that it is                    |
| an error in an event, after text                      | StreamBroken (RateLimited for a 429)    |
| an event that is no JSON object                       | StreamBroken, with what came before     |
| one JSON object in place of a stream                  | complete; its finish reason may lack    |
| anything else                                         | GatewayError                            |
"""

from __future__ import annotations

import codecs
import json
from typing import Any

from ..errors import CHECK_NETWORK, RUN_AGAIN, AlcfError, GatewayError, StreamBroken
from ..text import integer
from .chunks import Chunk, Delta, chunk_of
from .envelopes import API_ERROR_ID, read_reason
from .refusals import error_in_event
from .sse import Decoder, Event, LineTooLong

#: Bytes of an answer that comes as one JSON object.
MAX_WHOLE = 64 * 1024 * 1024

#: Bytes of a body without events that are shown.
_LOOKED_AT = 500
#: Characters of a secret, at least: fewer may be anybody's words.
_SHORTEST_SECRET = 16

_DECODE = json.JSONDecoder().raw_decode
#: Costs more, and reads what holds a number of thousands of digits.
_DECODE_ALL = json.JSONDecoder(parse_int=integer).raw_decode


class StreamReader:
    """Reads one answer. After each read: the chunks, then perhaps `failure`, or `done`.

    `asked` names what was asked for, for the words of an error; in these `secret`, which the
    other side may repeat, reads as `(token)`. `choices` is how many answers were asked for.
    """

    def __init__(
        self,
        content_type: str = "text/event-stream",
        asked: str = "the model",
        secret: str = "",
        choices: int = 1,
    ) -> None:
        self._secret = json.dumps(secret)[1:-1]
        self._hides = len(secret) >= _SHORTEST_SECRET
        self._is_stream = content_type.startswith("text/event-stream")
        self._asked = asked
        self._choices = choices
        self._decoder = Decoder()
        self._whole: list[bytes] | None = None
        self._size = 0
        self._sniffed = False
        self._eventful = False
        self._begun = b""  # what a body begins with, as long as it holds no event
        self._head = b""
        self._finished: dict[int, bool] = {}
        #: Whether `[DONE]` was read: nothing follows it.
        self.done = False
        #: Whether any text or reasoning has come.
        self.began = False
        #: Whether any token has come, that of a tool call among them.
        self.came = False
        #: What ends the answer before its time.
        self.failure: AlcfError | None = None

    @property
    def complete(self) -> bool:
        """Whether every choice that began has a finish reason."""
        return bool(self._finished) and all(self._finished.values())

    @property
    def owes_nothing(self) -> bool:
        """Whether the answer is complete, and no choice that was asked for has yet to begin."""
        return self.complete and len(self._finished) >= self._choices

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks that a read completes; what a failure follows is among them."""
        if not self._sniffed:
            data = self._sniff(data)
        if self._whole is not None:
            self._collect(data)
            return []
        if not self._eventful and len(self._begun) < _LOOKED_AT:
            self._begun += data[:_LOOKED_AT]
        try:
            return self._chunks(self._decoder.feed(data))
        except LineTooLong:
            self._fail("The gateway sent something that is no stream of chunks.")
            return []

    def end(self) -> list[Chunk]:
        """The chunks that the end of the body completes; then `failure` says if it ended badly."""
        chunks: list[Chunk] = []
        if self._whole is not None:
            body = b"".join(self._whole).decode("utf-8-sig", "replace")
            chunks = self._chunks([Event(body)] if body.strip() else [])
        elif not self.done and self.failure is None:
            chunks = self._chunks(self._decoder.end())
        if self.failure is None and not self.complete:
            self._judge()
        return chunks

    def _sniff(self, data: bytes) -> bytes:
        """What begins as a JSON object is one, whatever its label; all else is a stream."""
        data, self._head = self._head + data, b""
        if codecs.BOM_UTF8.startswith(data):  # what begins as a mark may go on as anything
            self._head = data
            return b""
        head = data.removeprefix(codecs.BOM_UTF8).lstrip()
        if head:
            self._sniffed = True
            if head.startswith(b"{"):
                self._whole, self._is_stream = [], False
        return data

    def _collect(self, data: bytes) -> None:
        assert self._whole is not None
        self._size += len(data)
        if self._size > MAX_WHOLE:
            self._whole.clear()
            self._fail("The gateway's answer has no end.")
        else:
            self._whole.append(data)

    def _chunks(self, events: list[Event]) -> list[Chunk]:
        chunks: list[Chunk] = []
        if events and self._whole is None:
            self._is_stream = self._eventful = True  # whatever it calls itself
        for event in events:
            data = event.data
            if data == "[DONE]":
                self.done = True
                break
            if self._hides and self._secret in data:
                data = event.data = data.replace(self._secret, "(token)")
            try:
                value, end = _DECODE(data)
            except (ValueError, RecursionError):
                value = None
            # An event is one object, and that a chunk, as a rule.
            is_one = type(value) is dict and end == len(data)
            for one in (value,) if is_one else self._objects(event):
                if (
                    "choices" in one and "error" not in one and one.get("id") != API_ERROR_ID
                ) or not self._is_error(one, event.event):
                    chunk = chunk_of(one)
                    chunks.append(chunk)
                    for delta in chunk.deltas:
                        self._see(delta)
            if self.failure is not None:
                break
        return chunks

    def _objects(self, event: Event) -> list[dict[str, Any]]:
        """The JSON objects of an event: one, as a rule; some servers join two."""
        text, position, values = event.data.strip(), 0, []
        try:
            while position < len(text):
                value, position = _DECODE_ALL(text, position)
                if type(value) is not dict:
                    raise ValueError("no object")
                values.append(value)
                while text[position : position + 1].isspace():
                    position += 1
        except (ValueError, RecursionError):
            if not self._is_stream:
                return []  # judged at the end
            if event.event == "error":
                return [*values, {"message": text}]
            self._fail("A piece of the answer could not be read; what came before it is kept.")
        return values

    def _is_error(self, value: dict[str, Any], name: str) -> bool:
        """Whether an object is no chunk but an error; notes it as the failure that it is."""
        try:
            error = self._error(value, name)
        except RecursionError:  # what could be read just so cannot be written again
            error = StreamBroken("The model server broke off: no reason given.", RUN_AGAIN)
        # What goes wrong behind the end of an answer takes nothing from it.
        if error is not None and not self.owes_nothing and self.failure is None:
            self.failure = error
        return error is not None

    def _error(self, value: dict[str, Any], name: str) -> AlcfError | None:
        if self._secret:
            value = json.loads(json.dumps(value).replace(self._secret, "(token)"))
        return error_in_event(value, name=name, began=self.began, asked=self._asked)

    def _see(self, delta: Delta) -> None:
        if delta.content or delta.reasoning:
            self.began = self.came = True
        elif delta.tool_calls:
            self.came = True
        if delta.finish_reason is not None:
            self._finished[delta.index] = True
        elif delta.index not in self._finished:
            self._finished[delta.index] = False

    def _judge(self) -> None:
        if not self._is_stream:
            # A whole answer in one piece has all there is; its finish reason may be missing.
            if not self._finished:
                self.failure = GatewayError(
                    "The gateway answered with something that is no answer of a model.",
                    CHECK_NETWORK,
                )
        elif self._finished:
            self._fail("The answer was cut off before its end.")
        elif self.done:
            self._fail("The gateway sent an empty answer.")
        else:
            said = read_reason(self._begun, {}).shown
            self._fail(f"The gateway sent no answer{f': {said}' if said else ''}.")

    def _fail(self, what: str) -> None:
        if not self.owes_nothing:
            self.failure = StreamBroken(what, RUN_AGAIN)
