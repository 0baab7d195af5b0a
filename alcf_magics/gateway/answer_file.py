"""Answers in a file, each under the key of what was asked: JSON Lines, one format for all of them.

    file = AnswerFile("answers.jsonl")
    known = file.answers({key_of("gpt-oss-120b", messages, {"temperature": 0})})
    file.append(saved(completion, texts=True))

A line is a completion's record, as `Record` has it, and with the texts also its `key`, `messages`,
`text`, `reasoning`, and its `choices` where the first one's text is not all. Files are appended to,
by several processes at once, too; of two lines with one key the last counts.
"""

from __future__ import annotations

import calendar
import contextlib
import hashlib
import json
import math
import re
import stat
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from ..errors import AlcfError
from ..text import clean, integer, line, words
from .chat import ChatRequest, Message
from .chunks import Usage
from .completions import Choice, Completion
from .models import Model

try:
    import fcntl
except ImportError:  # Windows: appending is safe there for one process at a time
    fcntl = None  # type: ignore[assignment]

#: A cluster in front of a model's name. What follows the colon of a tag begins with its size.
_CLUSTER = re.compile(r"[a-z][\w-]*:(?!\d|latest$)(?=.)")
#: Fields of a request that say how it was sent, and where to, not what was asked.
_SENDING = frozenset({"model", "stream", "stream_options"})
#: Seconds that an append waits for another process; what it does not get, it does without.
_LOCK_SECONDS = 2.0


# What was asked


def key_of(
    model: str,
    messages: Iterable[Message],
    parameters: Mapping[str, Any],
    *,
    schema: Any = None,
    tools: Any = None,
    repetition: int = 0,
) -> str:
    """The key of what is asked, in hexadecimal: the same question has it everywhere.

    `model` is the name as it was typed or set in the notebook, its alias resolved; its cluster and
    its case do not count, and no name is one, too. `messages` are those that are sent,
    `parameters` the fields of the body as they were asked for, whatever one place makes of them;
    `schema` and `tools` anything of JSON. `repetition` counts the same question within one call.
    """
    asked = {
        "model": _CLUSTER.sub("", model.casefold(), count=1),
        "messages": [message.to_json() for message in messages],
        "parameters": {name: v for name, v in parameters.items() if name not in _SENDING},
        "schema": schema,
        "tools": tools,
        "repetition": repetition,
    }
    written = json.dumps(_plain(asked), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()


def form_of(request: ChatRequest) -> Any:
    """What counts in a key of the form of an answer: its schema, {} for any JSON, None for none."""
    if request.form is None:
        return None
    return {} if request.schema is None else request.schema.json


def _plain(value: Any) -> Any:
    """A value of JSON in which one number is written in one way: 0.0 as 0."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


# One line


def saved(completion: Completion, texts: bool) -> dict[str, Any]:
    """A completion as a line of a file has it: its record, and its key and texts if wanted."""
    value = completion.record.to_json()
    if texts:
        if completion.key:
            value["key"] = completion.key
        value["messages"] = [message.to_json() for message in completion.request.messages]
        value["text"] = completion.text
        value["reasoning"] = completion.reasoning
        if len(completion.choices) != 1 or _has_more(completion.choices[0]):
            value["choices"] = [_choice(choice) for choice in completion.choices]
    return value


def _choice(choice: Choice) -> dict[str, Any]:
    """A choice as JSON has it: what was read out of its text can be read again."""
    value = asdict(replace(choice, parsed=None))
    del value["parsed"]
    return value


def _has_more(choice: Choice) -> bool:
    return bool(choice.tool_calls) or choice.logprobs is not None


def restored(value: Mapping[str, Any]) -> Completion:
    """The completion of a line with its texts, its place without an address.

    Raises ValueError, TypeError, KeyError, AttributeError or an AlcfError for what is none.
    """
    parameters = cleaned(dict(value["parameters"]))
    model = line(parameters["model"])
    cluster, framework = line(value["cluster"]), line(value["framework"])
    return Completion(
        choices=tuple(_choices(value)),
        request=ChatRequest(
            model,
            tuple(map(Message.of, value["messages"])),
            {name: v for name, v in parameters.items() if name not in _SENDING},
            stream=parameters.get("stream") is True,
        ),
        place=Model(model, cluster, framework, base_url=""),
        asked=line(value["asked"]),
        model=line(value["model"]),
        usage=Usage.from_json(value["usage"]),
        started=calendar.timegm(time.strptime(value["started"], "%Y-%m-%dT%H:%M:%SZ")),
        seconds=float(value["seconds"]),
        first_token_seconds=_seconds(value["first_token_seconds"]),
        key=str(value.get("key", "")),
    )


def _choices(value: Mapping[str, Any]) -> Iterator[Choice]:
    for index, choice in enumerate(value.get("choices") or [value]):
        logprobs = choice.get("logprobs")
        yield Choice(
            int(choice.get("index", index)),
            clean(choice["text"]),
            clean(choice["reasoning"]),
            line(choice["finish_reason"]) or None,
            tuple(cleaned(dict(call)) for call in choice.get("tool_calls") or ()),
            None if logprobs is None else dict(logprobs),
        )


def cleaned(value: Any) -> Any:
    """A value of JSON with all its texts cleaned, as those of a call are on the wire."""
    if isinstance(value, str):
        return words(value)
    if isinstance(value, list):
        return [cleaned(inner) for inner in value]
    if isinstance(value, dict):
        return {words(name): cleaned(inner) for name, inner in value.items()}
    return value


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)


def is_whole(completion: Completion) -> bool:
    """Whether nothing is missing: each choice ended, and none broke off."""
    choices = completion.choices
    return bool(choices) and all(choice.finish_reason is not None for choice in choices)


# The file


class AnswerFile:
    """A file of answers; it need not be there yet. Raises AlcfError where it cannot be used."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with self._usable():
            self.path = self.path.expanduser()

    def values(self) -> Iterator[dict[str, Any] | None]:
        """What each line holds; None for one that is no JSON object.

        A last line that was cut, by whatever ended its writer, is no line.
        """
        with self._open("rb") as file:
            for raw in file:
                value = _object(raw)
                if value is not None or raw.endswith(b"\n"):
                    yield value

    def answers(self, keys: Container[str]) -> dict[str, Completion]:
        """The last whole answer to each of these keys that has one."""
        found: dict[str, Completion] = {}
        if not self._is_there():
            return found
        for value in self.values():
            key = value.get("key") if value is not None else None
            if value is None or not isinstance(key, str) or key not in keys:
                continue
            with contextlib.suppress(*_NO_ANSWER):
                completion = restored(value)
                if is_whole(completion):
                    found[key] = completion
        return found

    def append(self, *lines: Mapping[str, Any]) -> None:
        """Add lines, at once. Behind a line that was cut, the first of them starts a new one."""
        data = _written(lines)
        with self._open("a+b") as file, _locked(file):
            _check(file, self.path)
            if data and not _ends_with_a_line(file):
                data = b"\n" + data
            while data:  # as a rule once: then nobody else's line can stand in between
                data = data[file.write(data) :]

    def replace(self, *lines: Mapping[str, Any]) -> None:
        """Let these be all lines of the file."""
        data = _written(lines)
        with self._open("wb") as file:
            while data:
                data = data[file.write(data) :]

    def check(self) -> None:
        """Whether answers can be kept here, made if it is not there yet. Raises AlcfError."""
        self.append()

    def _is_there(self) -> bool:
        """Whether there is a file. A device or a pipe, which may never end, is none."""
        with self._usable(), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            mode = self.path.stat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise ValueError("it is no file")
            return True
        return False

    def _open(self, mode: str) -> IO[bytes]:
        with self._usable():
            return self.path.open(mode, buffering=-1 if mode == "rb" else 0)

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        """Let what the operating system refuses name the file."""
        try:
            yield
            return
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: ~ of nobody
            wrong = getattr(error, "strerror", None) or str(error).rstrip(".")
        name = line(str(self.path))
        raise AlcfError(f"{name} cannot be used: {line(wrong)}.", "Name another file.")


#: What a line may raise that is no answer.
_NO_ANSWER = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    AlcfError,
)


def _written(lines: Iterable[Mapping[str, Any]]) -> bytes:
    text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in lines)
    return text.encode("utf-8", "backslashreplace")  # half a character as JSON escapes it


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        # A decoder that drops a byte order mark, which some editors put in front.
        text = raw.decode("utf-8-sig", "replace")
        value = json.loads(text, parse_int=integer, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _finite(written: str) -> float | None:
    """A number; None for one that no JSON may hold, as a notebook's metadata is."""
    number = float(written)
    return number if math.isfinite(number) else None


def _check(file: IO[bytes], path: Path) -> None:
    """Whether a file is empty, or one of ours. Raises AlcfError."""
    file.seek(0)
    begins = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    if begins and not begins.startswith(b"{"):
        raise AlcfError(
            f"{line(str(path))} holds something that is no JSON Lines.",
            "It is left as it is; name another file.",
        )


def _ends_with_a_line(file: IO[bytes]) -> bool:
    if not file.seek(0, 2):
        return True
    file.seek(-1, 2)
    return file.read(1) == b"\n"


@contextlib.contextmanager
def _locked(file: IO[bytes]) -> Iterator[None]:
    """The operating system's lock on the file while something is added; it goes with the file."""
    end = time.monotonic() + _LOCK_SECONDS
    while fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > end:
                break
            time.sleep(0.01)
        except OSError:  # a file system without locks: a line is written at once all the same
            break
    yield
