"""The answers of a batch, read from its files one by one, when they are asked for.

Of 100,000 answers it remembers where each line begins; the texts stay in the files.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, overload

from ..errors import AlcfError, GatewayError, RequestRefused
from ..gateway.batches import body_of, completion_of, error_of, read_line, usage_of
from ..gateway.chat import ChatRequest, Message
from ..gateway.chunks import Usage
from ..gateway.completions import Completion
from ..gateway.forms import Form
from ..gateway.rounds import Rounds
from ..gateway.schemas import Schema
from .files import About
from .results import Item, Results

_NOWHERE = -1


class Answers(Sequence[Item]):
    """What became of each row: an answer, or the error in its place.

    Lines are found by their `custom_id`, whatever their order; of two with one the last counts.
    Raises AlcfError where a file cannot be read.
    """

    def __init__(self, about: About, results_file: str, schema: Schema | None = None) -> None:
        self.about = about
        self.form = Form(schema or _schema_of(about))
        self._results = results_file
        #: Where the lines begin, by the row's place in the data.
        self._asked = array("q", [_NOWHERE]) * about.lines
        self._answered = array("q", [_NOWHERE]) * about.lines
        #: Places that hold errors, and the tokens of the rest.
        self.failed: list[int] = []
        self.usage = Usage()
        #: Answers that came later, from elsewhere.
        self.later: dict[int, Item] = {}
        self._find()

    def _find(self) -> None:
        places = _Places(self.about)
        for offset, value in _lines(self.about.input_file):
            place = places.added(str(value.get("custom_id")))
            if place is not None:
                self._asked[place] = offset
        good = bytearray(self.about.lines)
        for offset, value in _lines(self._results):
            place = places.found(str(value.get("custom_id")))
            if place is None:
                continue
            body = body_of(value)
            self._answered[place] = offset
            good[place] = body is not None
            if body is not None:
                self.usage += usage_of(body)
        self.failed = [place for place, is_good in enumerate(good) if not is_good]

    def __len__(self) -> int:
        return self.about.lines

    def __iter__(self) -> Iterator[Item]:
        with _opened(self.about.input_file) as asked, _opened(self._results) as answered:
            for place in range(len(self)):
                yield self._item(place, asked, answered)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        with _opened(self.about.input_file) as asked, _opened(self._results) as answered:
            if isinstance(index, slice):
                places = range(*index.indices(len(self)))
                return [self._item(place, asked, answered) for place in places]
            return self._item(range(len(self))[index], asked, answered)

    def request(self, place: int) -> ChatRequest | None:
        """What was asked of a row; None for one that had nothing to ask."""
        with _opened(self.about.input_file) as asked:
            return self._request(place, asked)

    def _item(self, place: int, asked: IO[bytes], answered: IO[bytes]) -> Item:
        if place in self.later:
            return self.later[place]
        request = self._request(place, asked)
        if request is None:
            why = self.about.refused.get(str(place), f"Row {place} is not in the input.")
            return RequestRefused(why, "Nothing was sent for it.")
        value = _at(answered, self._answered[place])
        if value is None:
            return GatewayError("The batch left no answer to this row.", "Ask it again: .retry()")
        body = body_of(value)
        if body is None:
            return error_of(value, self.about.place)
        about = self.about
        completion = completion_of(body, request, about.place, about.asked, about.submitted)
        return self._read(completion)

    @property
    def always_read(self) -> bool:
        """Whether every answer can be read, as texts can."""
        return self.about.format in ("markdown", "text") and self.form.schema is None

    def _read(self, completion: Completion) -> Item:
        """The answer with what its format reads, or the error that it cannot be read."""
        asked = replace(completion.request, form=self.form)
        read, unread = Rounds(asked, self.about.format).read(completion)
        if unread is not None:
            unread.completion = read
        return unread or read

    def _request(self, place: int, asked: IO[bytes]) -> ChatRequest | None:
        value = _at(asked, self._asked[place])
        body = value.get("body") if value is not None else None
        return _request_of(body) if isinstance(body, Mapping) else None


def _schema_of(about: About) -> Schema | None:
    """The schema that was kept beside the input; None for none that can be read."""
    kept = about.schema
    if kept is not None:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return Schema.restored(kept["name"], kept["text"], kept["wrapped"])
    return None


class _Places:
    """Which row a `custom_id` means: of our own batches it is the row's number, of others the
    order of the lines counts."""

    def __init__(self, about: About) -> None:
        self._count = about.lines
        self._names: dict[str, int] | None = None if about.version else {}

    def added(self, name: str) -> int | None:
        """The row of a line of the input; None for a line too many."""
        if self._names is not None and name not in self._names:
            self._names[name] = len(self._names)
        return self.found(name)

    def found(self, name: str) -> int | None:
        """The row of a line of the output; None where nothing was asked under that name."""
        if self._names is not None:
            place = self._names.get(name, self._count)
        else:
            place = int(name) if name.isascii() and name.isdigit() and len(name) < 9 else -1
        return place if 0 <= place < self._count else None


class BatchResults(Results):
    """Results of a batch: what a look at the files has shown is not read again."""

    _items: Answers

    @property
    def failed(self) -> list[AlcfError]:
        """The errors, in the order of the data; empty where every prompt was answered."""
        if not self._items.always_read:
            return super().failed
        found = [self._items[place] for place in self._items.failed]
        return [item for item in found if isinstance(item, AlcfError)]

    @property
    def usage(self) -> Usage:
        """The tokens of all answers together, as far as they are known."""
        later = [getattr(item, "usage", None) for item in self._items.later.values()]
        return sum(filter(None, later), self._items.usage)


def line_count(path: str) -> int:
    """The lines of an input that hold a request."""
    return sum(1 for _ in _lines(path))


def _request_of(body: Mapping[str, Any]) -> ChatRequest | None:
    fields = {name: v for name, v in body.items() if name not in ("model", "messages")}
    messages = body.get("messages")
    try:
        told = tuple(map(Message.of, messages if isinstance(messages, list) else []))
    except AlcfError:
        return None
    return ChatRequest(str(body.get("model", "")), told, fields, stream=False)


def _lines(path: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The lines of a file that can be read, each with where it begins."""
    offset = 0
    with _opened(path) as lines:
        for written in lines:
            value = read_line(written)
            if value is not None:
                yield offset, value
            offset += len(written)


def _at(file: IO[bytes], offset: int) -> Mapping[str, Any] | None:
    if offset == _NOWHERE:
        return None
    file.seek(offset)
    return read_line(file.readline())


def _opened(path: str) -> IO[bytes]:
    try:
        return Path(path).open("rb")
    except OSError as error:
        trouble = error.strerror or type(error).__name__
    raise AlcfError(
        f"{path} cannot be read here: {trouble}.",
        "Read the answers where the batch's file system is, and its files are readable.",
    )
