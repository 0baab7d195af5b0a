"""A cassette: a file of recorded answers, from which the same questions are answered again. Pure.

    cassette = Cassette(AnswerFile("lesson.jsonl"))
    cassette.answer(key, request, "markdown")      # None for what is not recorded
    cassette.keep(completion, told)

Key and format are those of answer_file.py. Nothing is asked for an answer that is recorded; one
that cannot be read as it is asked for now counts as none.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import AlcfError, GatewayUnreachable, LoginExpired, NotLoggedIn, RequestRefused
from ..text import line, words
from ..told import Silent, Told
from .answer_file import AnswerFile, cleaned, is_whole, saved
from .calls import Call
from .chat import ChatRequest, Message
from .completions import Completion
from .models import Model, Status
from .rounds import Rounds

#: Where a request goes that is only to be looked up: it has no window, and refuses nothing.
NOWHERE = Model("", "", "", base_url="")
#: Fields of a request that may say who asked.
_PERSONAL = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key"})

Hide = Callable[[str], str]


@dataclass(frozen=True)
class Cassette:
    """A file of recorded answers. `fresh` asks anew, whatever is recorded.

    `hide` makes what takes secrets out of a text, when something is recorded.
    """

    file: AnswerFile
    fresh: bool = False
    hide: Callable[[], Hide] = lambda: str

    @property
    def name(self) -> str:
        """The file, as it is named to a reader."""
        return line(str(self.file.path))

    def answer(self, key: str, request: ChatRequest, format: str) -> Completion | None:
        """The answer that is recorded under a key, to a request with the same messages."""
        if self.fresh:
            return None
        found = self.file.answers({key}).get(key)
        return None if found is None else replayed(found, request, format)

    def keep(self, completion: Completion, told: Told) -> None:
        """Record a whole answer. One that cannot be recorded costs nobody the answer."""
        if not is_whole(completion):
            return
        try:
            self.file.append(self.line(completion))
        except (OSError, AlcfError) as error:
            _tell(f"The answer is not recorded: {error}", told)

    def line(self, completion: Completion) -> dict[str, Any]:
        """A completion as the file has it: without secrets, and without the person's own."""
        value = saved(completion, texts=True)
        parameters = value["parameters"]
        value["parameters"] = {n: v for n, v in parameters.items() if n not in _PERSONAL}
        hide = self.hide()
        hidden: dict[str, Any] = _changed(value, lambda text: _without_home(hide(text)))
        return hidden

    def ready(self) -> Cassette:
        """The same for many answers: what hides secrets is made once, now."""
        hide = self.hide()
        return replace(self, hide=lambda: hide)

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Let what keeps from asking name the file."""
        try:
            yield
        except AlcfError as error:
            self.note(error)
            raise

    def note(self, error: BaseException) -> None:
        """Let an error that only keeps from asking say that nothing is recorded here, either."""
        if self.fresh or not isinstance(error, NotLoggedIn | LoginExpired | GatewayUnreachable):
            return
        if self.name not in error.what:
            where = self.name if self.file.path.exists() else f"{self.name}: there is no such file"
            error.what = f"This prompt is not recorded in {where}. {error.what}"
            error.args = (error.what, error.next_step)


def cassette_of(
    name: object, fresh: bool, hide: Callable[[], Hide], folder: str = ""
) -> Cassette | None:
    """The cassette of a path; None for an empty one. Raises RequestRefused for what is none.

    `folder` is where a path begins that does not say it.
    """
    if not isinstance(name, str | os.PathLike):
        raise RequestRefused(
            f"cassette is the path of a file, not {type(name).__name__}.", "Nothing was sent."
        )
    if not str(name).strip():
        return None
    file = AnswerFile(Path(name))
    if folder and folder != here():
        file.path = Path(folder, file.path)
    return Cassette(file, fresh, hide)


def here() -> str:
    """The folder where relative paths begin; empty where it is gone."""
    with contextlib.suppress(OSError):
        return os.getcwd()  # noqa: PTH109
    return ""


def replayed(found: Completion, request: ChatRequest, format: str) -> Completion | None:
    """A recorded answer as that to a request now; None where it cannot be read so."""
    behind = _behind(found.request.messages, request.messages)
    completion = replace(
        found,
        request=replace(found.request, messages=(*request.messages, *behind), form=request.form),
        place=replace(found.place, status=Status.LIVE),
        calls=tuple(_calls(behind)),
        recorded=time.strftime("%Y-%m-%d", time.gmtime(found.started)),
    )
    _, wrong = Rounds(request, format).read(completion)
    return completion if wrong is None else None


def _behind(recorded: Sequence[Message], asked: Sequence[Message]) -> tuple[Message, ...]:
    """What the rounds of a recorded prompt added to its messages: calls of tools, and results.

    Both end with what came behind the person's last message. All the rest is the asker's.
    """
    added = _last_run(recorded)[len(_last_run(asked)) :]
    is_round = all(m.role == "tool" or m.more.get("tool_calls") for m in added)
    return tuple(map(_cleaned, added)) if is_round else ()


def _cleaned(message: Message) -> Message:
    content = None if message.content is None else words(message.text)
    return Message(message.role, content, cleaned(dict(message.more)))


def _last_run(messages: Sequence[Message]) -> list[Message]:
    """The messages of models and tools at the end."""
    run: list[Message] = []
    for message in reversed(messages):
        if message.role not in ("assistant", "tool"):
            break
        run.insert(0, message)
    return run


def _calls(messages: Sequence[Message]) -> Iterator[Call]:
    """The calls that messages tell of, with their results."""
    results = {message.more.get("tool_call_id"): message.text for message in messages}
    number = 0
    for message in messages:
        for value in message.more.get("tool_calls", ()):
            if isinstance(value, dict):
                call = Call.of(number, value)
                yield replace(call, result=words(results.get(value.get("id"), "")))
                number += 1


def _changed(value: Any, change: Hide) -> Any:
    """A value of JSON with all its texts changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list | tuple):
        return [_changed(inner, change) for inner in value]
    if isinstance(value, dict):
        return {name: _changed(inner, change) for name, inner in value.items()}
    return value


def _without_home(text: str) -> str:
    """A text with ~ for the folder whose name is the person's."""
    home = os.path.expanduser("~")  # noqa: PTH111  (raises without a home)
    return re.sub(rf"{re.escape(home)}(?![\w-])", "~", text) if len(home) > 1 else text


def _tell(what: str, told: Told) -> None:
    if isinstance(told, Silent):  # of a plain call of Python's: then Python says it
        warnings.warn(what, stacklevel=2)
    told.notice(what)
