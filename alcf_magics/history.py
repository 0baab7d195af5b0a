"""The completions of a session, in memory. To disk goes what somebody saves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from .errors import AlcfError
from .gateway.answer_file import AnswerFile, saved
from .gateway.chunks import Usage
from .gateway.completions import Completion
from .showing.display import line_html
from .showing.tables import Cell, html_table, text_table
from .showing.times import clock, moment
from .text import line

COLUMNS = ("no", "when", "model", "prompt", "answer", "tokens in", "tokens out", "seconds", "ended")
#: The columns that are best read in one line: when, and on a page also which model. In a terminal
#: its name would leave no room for prompt and answer.
UNBROKEN = (1, 2)
UNBROKEN_TEXT = (1,)
#: Characters of a prompt or an answer that the table shows.
BEGINNING = 30


class History(Sequence[Completion]):
    """Every completion of a session, whole or as far as it came, oldest first.

    Shows as a table, in which `no` is the index to type: `history[3]`.
    """

    def __init__(self, send: Callable[[Completion], Completion]) -> None:
        self._completions: list[Completion] = []
        self._send = send

    def add(self, completion: Completion) -> None:
        """Keep one more; from any thread."""
        self._completions.append(completion)

    def __len__(self) -> int:
        return len(self._completions)

    def __iter__(self) -> Iterator[Completion]:
        return iter(self._completions)

    @overload
    def __getitem__(self, index: int) -> Completion: ...
    @overload
    def __getitem__(self, index: slice) -> list[Completion]: ...
    def __getitem__(self, index: int | slice) -> Completion | list[Completion]:
        return self._completions[index]

    def __repr__(self) -> str:
        if not self:
            return "(no prompts yet)"
        times = [clock(completion.started) for completion in self]
        rows = [(no, when, *rest) for when, (no, _, *rest) in zip(times, self.rows(), strict=True)]
        return text_table(COLUMNS, rows, UNBROKEN_TEXT)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # IPython would show a sequence as its items

    def _repr_html_(self) -> str:
        """The table, and the tokens by model."""
        totals = [
            line_html(f"{name}: {usage.prompt_tokens or 0:,} tokens in, {_out(usage)} out")
            for name, usage in self.totals().items()
        ]
        return html_table(COLUMNS, self.rows(), unbroken=UNBROKEN) + "".join(totals)

    def rows(self) -> list[tuple[Cell, ...]]:
        """The table's rows, under COLUMNS; durations in seconds."""
        return [
            (
                index,
                moment(completion.started),
                completion.model,
                _beginning(completion.prompt_shown),
                _beginning(completion.text),
                completion.usage.prompt_tokens if completion.usage else None,
                completion.usage.completion_tokens if completion.usage else None,
                completion.seconds,
                _ended(completion),
            )
            for index, completion in enumerate(self)
        ]

    def totals(self) -> dict[str, Usage]:
        """Tokens by model, over all completions whose usage is known; recorded ones cost none."""
        totals: dict[str, Usage] = {}
        for completion in self:
            if completion.usage is not None and not completion.recorded:
                before = totals.get(completion.model, Usage())
                totals[completion.model] = before + completion.usage
        return totals

    def replay(self, number: int) -> Completion:
        """Send the same request to the same place again. Raises an AlcfError."""
        try:
            completion = self[number]
        except IndexError:
            raise AlcfError(
                f"There is no prompt number {number}: there are {len(self)}, counted from 0.",
                "See them: alcf_magics.session().history",
            ) from None
        return self._send(completion)

    def save(self, file: str | Path, *, texts: bool = False) -> int:
        """Append the records to a file as JSON Lines; how many there were.

        `texts` adds what was sent and what came back under `messages`, `text` and `reasoning`, so
        that `session().map(…, save=file)` need not ask it again.
        """
        lines = [saved(completion, texts) for completion in self]
        AnswerFile(file).append(*lines)
        return len(lines)

    def to_pandas(self) -> Any:
        """The records as a pandas DataFrame. Raises ImportError where pandas is not installed."""
        import pandas

        return pandas.json_normalize([completion.record.to_json() for completion in self])


def _beginning(text: str) -> str:
    # A row is a line: what turns its direction stays in the answer's own block.
    return line(text[: 4 * BEGINNING], BEGINNING)


def _ended(completion: Completion) -> str:
    ended = completion.finish_reason or "early"
    return f"{ended}, recorded" if completion.recorded else ended


def _out(usage: Usage) -> str:
    return f"{usage.completion_tokens or 0:,}"
