"""What many prompts became: completions and errors, in the order of the data. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, overload

from ..errors import AlcfError
from ..gateway.chunks import Usage
from ..gateway.completions import Completion
from ..showing.display import line_html
from ..showing.tables import Cell, html_table, text_lines, text_table
from ..text import line

Item = Completion | AlcfError

COLUMNS = ("no", "prompt", "answer")
#: The columns that every data frame of results has.
FRAME_COLUMNS = (
    "text",
    "error",
    "model",
    "cluster",
    "finish_reason",
    "prompt_tokens",
    "completion_tokens",
    "seconds",
)
#: Rows of the table that is shown, and characters of a prompt or an answer in it.
SHOWN = 10
BEGINNING = 60


class Results(Sequence[Item]):
    """The answers to many prompts: each a completion, or the error in its place.

    `items` may be any sequence, also one that reads each item when it is asked for. `index` is the
    index of the data (None: plain numbers). `again` asks those at some positions anew, and changes
    the items.
    """

    def __init__(
        self,
        items: Sequence[Item],
        index: Any = None,
        again: Callable[[list[int]], None] | None = None,
    ) -> None:
        self._items = items
        self._again = again
        #: The index of the data, as pandas has it; None where it had none.
        self.data_index = index

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        return list(self._items[index]) if isinstance(index, slice) else self._items[index]

    @property
    def failed(self) -> list[AlcfError]:
        """The errors, in the order of the data; empty where every prompt was answered."""
        return [item for item in self if isinstance(item, AlcfError)]

    @property
    def usage(self) -> Usage:
        """The tokens of all answers together, as far as they are known."""
        counted = (item.usage for item in self if isinstance(item, Completion))
        return sum(filter(None, counted), Usage())

    def retry(self) -> Results:
        """Ask what failed once more; these same results, with the answers in their places.

        Raises an AlcfError where nothing can be asked any more.
        """
        __tracebackhide__ = True
        missing = [n for n, item in enumerate(self) if isinstance(item, AlcfError)]
        if missing and self._again is None:
            raise AlcfError("These answers come from a file.", "Ask anew: session().map(…)")
        if missing and self._again is not None:
            self._again(missing)
        return self

    def to_pandas(self) -> Any:
        """A row a prompt, with the data's index. Raises ImportError where pandas is not installed.

        First the fields of what was read out of the answers (`parsed` where these have no fields),
        then text, error, model, cluster, finish_reason, prompt_tokens, completion_tokens, seconds.
        """
        import pandas

        rows = [_row(item) for item in self]
        read = dict.fromkeys(name for _, parsed in rows for name in parsed)
        table = [parsed | _renamed(own, read) for own, parsed in rows]
        names = [*read, *_renamed(dict.fromkeys(FRAME_COLUMNS), read)]
        return pandas.DataFrame(table, index=self.data_index, columns=names)

    # How it looks

    def __repr__(self) -> str:
        return "\n".join([text_table(COLUMNS, self._rows()), text_lines([self._about])])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # IPython would show a sequence as its items

    def _repr_html_(self) -> str:
        """The first rows, and how many there are."""
        return html_table(COLUMNS, self._rows()) + line_html(self._about)

    def _rows(self) -> list[tuple[Cell, ...]]:
        return [(n, *_shown(item)) for n, item in enumerate(self[:SHOWN])]

    @property
    def _about(self) -> str:
        failed, usage = len(self.failed), self.usage
        parts = [f"{len(self) - failed:,} of {len(self):,} answered"]
        if usage.total_tokens is not None:
            tokens = f"{usage.prompt_tokens or 0:,} tokens in, {usage.completion_tokens or 0:,} out"
            parts.append(tokens)
        if failed:
            parts.append(f"{failed:,} failed: see .failed, ask them again with .retry()")
        return " · ".join(parts)


def _row(item: Item) -> tuple[dict[str, Any], dict[str, Any]]:
    """A row of the table: our own columns, and those of what was read out of the answer."""
    if isinstance(item, AlcfError):
        return {"error": f"{type(item).__name__}: {item}"}, {}
    usage = item.usage or Usage()
    own = {
        "text": item.text,
        "model": item.model,
        "cluster": item.cluster,
        "finish_reason": item.finish_reason,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "seconds": item.seconds,
    }
    return own, _fields(item)


def _fields(completion: Completion) -> dict[str, Any]:
    """What was read out of an answer, by column."""
    parsed = completion.parsed
    if parsed is None or parsed == completion.text:
        return {}
    if is_dataclass(parsed) and not isinstance(parsed, type):
        parsed = asdict(parsed)
    elif callable(dump := getattr(parsed, "model_dump", None)):
        parsed = dump()
    if isinstance(parsed, Mapping):
        return {str(name): value for name, value in parsed.items()}
    return {"parsed": parsed}


def _renamed(row: Mapping[str, Any], taken: Mapping[str, Any]) -> dict[str, Any]:
    """Our columns, those whose name an answer has taken with a line under it."""
    return {f"{name}_" if name in taken else name: value for name, value in row.items()}


def _shown(item: Item) -> tuple[str, str]:
    """A prompt and its answer, or the error in its place, as a row shows them."""
    if isinstance(item, AlcfError):
        return "", line(f"{type(item).__name__}: {item}", 2 * BEGINNING)
    prompt, text = item.prompt[: 4 * BEGINNING], item.first_shown[: 4 * BEGINNING]
    return line(prompt, BEGINNING), line(text, BEGINNING)
