"""Where a completion comes from: a record of each, and the history of a session. Pure.

Prompts and answers stay in memory; a record itself holds only hashes of them. To disk goes
what somebody saves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import AlcfError
from .gateway.completions import ChatRequest, Completion, Usage
from .showing.tables import Cell, text_table

if TYPE_CHECKING:
    from .gateway.catalog import Model

COLUMNS = ("no", "started", "model", "cluster", "tokens in", "tokens out", "seconds", "ended")


@dataclass(frozen=True)
class Record:
    """How one completion came about.

    `asked` is the model as it was asked for (empty: the default), `model` as it was served.
    `parameters` is the request's body without the messages. `system_sha256` and `prompt_sha256`
    are of the texts in UTF-8 (empty where there is none). `started` is ISO 8601 in UTC;
    durations are in seconds. `finish_reason` is None for an answer that ended early.
    """

    asked: str
    model: str
    cluster: str
    framework: str
    parameters: Mapping[str, Any]
    system_sha256: str
    prompt_sha256: str
    started: str
    seconds: float
    first_token_seconds: float | None
    usage: Usage | None
    finish_reason: str | None
    version: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def record_of(
    completion: Completion,
    request: ChatRequest,
    place: Model,
    *,
    asked: str,
    started: str,
    version: str,
) -> Record:
    """The record of a completion, whole or as far as it came."""
    body = request.to_json(accepts_chat_template_kwargs=place.accepts_chat_template_kwargs)
    return Record(
        asked=asked,
        model=completion.model,
        cluster=completion.cluster,
        framework=place.framework,
        parameters={name: value for name, value in body.items() if name != "messages"},
        system_sha256=_hash(request, "system"),
        prompt_sha256=_hash(request, "user"),
        started=started,
        seconds=completion.seconds,
        first_token_seconds=completion.first_token_seconds,
        usage=completion.usage,
        finish_reason=completion.finish_reason,
        version=version,
    )


@dataclass(frozen=True, repr=False)
class Entry:
    """One prompt of a session: what was sent, where, and the completion with its record."""

    request: ChatRequest
    place: Model
    completion: Completion
    record: Record

    def __repr__(self) -> str:
        return f"{self.record.started} {self.record.model} on {self.record.cluster}"


class History:
    """The prompts of a session, oldest first. Shows as a table; `history[3]` is one entry."""

    def __init__(self, send: Callable[[Entry], Completion]) -> None:
        self._entries: list[Entry] = []
        self._send = send

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __getitem__(self, number: int) -> Entry:
        return self._entries[number]

    def __repr__(self) -> str:
        return text_table(COLUMNS, self.rows()) if self._entries else "(no prompts yet)"

    def rows(self) -> list[tuple[Cell, ...]]:
        """The table's rows, under COLUMNS; times in seconds."""
        return [
            (
                number,
                entry.record.started,
                entry.record.model,
                entry.record.cluster,
                entry.record.usage.prompt_tokens if entry.record.usage else None,
                entry.record.usage.completion_tokens if entry.record.usage else None,
                entry.record.seconds,
                entry.record.finish_reason or "early",
            )
            for number, entry in enumerate(self._entries)
        ]

    def totals(self) -> dict[str, Usage]:
        """Tokens by model, over all prompts whose usage is known."""
        totals: dict[str, Usage] = {}
        for entry in self._entries:
            usage = entry.record.usage
            if usage is not None:
                sum_ = totals.get(entry.record.model, Usage())
                totals[entry.record.model] = Usage(
                    sum_.prompt_tokens + usage.prompt_tokens,
                    sum_.completion_tokens + usage.completion_tokens,
                    sum_.total_tokens + usage.total_tokens,
                )
        return totals

    def replay(self, number: int) -> Completion:
        """Send the same request to the same place again. Raises an AlcfError."""
        try:
            entry = self._entries[number]
        except IndexError:
            raise AlcfError(
                f"There is no prompt number {number}: there are {len(self)}, counted from 0.",
                "See them: alcf_magics.session().history",
            ) from None
        return self._send(entry)

    def save(self, file: str | Path, *, texts: bool = False) -> int:
        """Append the records to a file as JSON Lines; how many there were.

        `texts` adds what was sent and what came back under `messages`, `text` and `reasoning`.
        """
        lines = []
        for entry in self._entries:
            value = entry.record.to_json()
            if texts:
                value["messages"] = [message.to_json() for message in entry.request.messages]
                value["text"] = entry.completion.text
                value["reasoning"] = entry.completion.reasoning
            lines.append(json.dumps(value, ensure_ascii=False) + "\n")
        with Path(file).expanduser().open("a", encoding="utf-8") as out:
            out.writelines(lines)
        return len(lines)

    def to_pandas(self) -> Any:
        """The records as a pandas DataFrame. Raises ImportError where pandas is not installed."""
        import pandas

        return pandas.json_normalize([entry.record.to_json() for entry in self._entries])


def _hash(request: ChatRequest, role: str) -> str:
    texts = [message.content for message in request.messages if message.role == role]
    if not texts:
        return ""
    return hashlib.sha256("\n".join(texts).encode("utf-8", "replace")).hexdigest()
