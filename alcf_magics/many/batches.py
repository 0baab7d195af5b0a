"""Batches at the facility: submitted, looked after, and taken up again in a later kernel.

batch = session().batch(frame, "Classify: {{abstract}}", model=…, folder="/eagle/PROJECT/x")
batch.wait().to_pandas()
session().batch_of(ID).results()          # a week later
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload
from urllib.parse import quote

from ..errors import (
    SEE_BATCHES,
    AlcfError,
    GatewayError,
    GatewayUnreachable,
    RateLimited,
    RequestRefused,
    in_one_line,
)
from ..gateway.batches import (
    ACTIVE,
    ROUTE,
    STATES,
    Listed,
    lines_done,
    listed,
    outcome_of,
    status_of,
)
from ..gateway.schemas import Schema
from ..showing.display import line_html
from ..showing.tables import Cell, html_table, text_table
from ..text import line
from .answers import Answers, BatchResults, line_count
from .files import About, progress_value, read_about, read_index
from .progress import Progress
from .results import Results

if TYPE_CHECKING:
    from ..connection import Connection
    from .retrying import Again

#: Seconds between two looks at a batch: at first, and at most.
FIRST_LOOK = 0.5
LAST_LOOK = 30.0
#: Seconds for which a gateway that fails does not end the waiting.
PATIENCE = 900.0
COLUMNS = ("batch", "status", "cluster", "began", "ended", "input file")
UNBROKEN = (0,)  # its id is typed again


class Batch:
    """One batch. Shows its state, and its progress where the progress file can be read."""

    def __init__(
        self,
        connection: Connection,
        known: Listed,
        schema: Schema | None = None,
        again: Again | None = None,
    ) -> None:
        self._connection = connection
        self._known = known
        self._schema = schema
        self._again = again
        self._about = read_about(known.input_file) if known.input_file else None
        self._lines: int | None = self._about.lines if self._about is not None else None
        self._results: Results | None = None

    @property
    def id(self) -> str:
        """What the gateway calls it."""
        return self._known.id

    @property
    def status(self) -> str:
        """pending, running, failed or completed, asked for now. Raises an AlcfError."""
        if self._known.status in ACTIVE or self._known.status not in STATES:
            found = status_of(self._get(self._path))
            self._known = replace(self._known, status=found)
        return self._known.status

    @property
    def cluster(self) -> str:
        """The cluster that runs it."""
        return self._known.cluster

    @property
    def model(self) -> str:
        """The model that answers, by its name there; empty where nothing beside the input says."""
        return self._about.model if self._about is not None else ""

    @property
    def input_file(self) -> str:
        """The path of its input."""
        return self._known.input_file

    @property
    def output_folder(self) -> str:
        """The folder in which its own one is; empty where it is not known."""
        return self._about.output_folder if self._about is not None else ""

    @property
    def lines(self) -> int | None:
        """How many rows the data had; None where the input cannot be read."""
        if self._lines is None and self._known.input_file:
            try:
                self._lines = line_count(self._known.input_file)
            except AlcfError:
                return None
        return self._lines

    @property
    def done(self) -> int | None:
        """How many lines are answered by now; None where the progress file cannot be read."""
        return lines_done(progress_value(self.output_folder, self.id))

    def results(self) -> Results:
        """The answers, in the order of the data: a sequence like that of `map`.

        Each is read from the files when it is asked for. Raises RequestRefused while the batch is
        under way, GatewayError for one that failed.
        """
        __tracebackhide__ = True
        if self._results is None:
            self._results = self._read()
        return self._results

    def wait(self, timeout: float | None = None) -> Results:
        """Wait until the batch is done, with a bar; the answers.

        An interrupt, or `timeout` in seconds, ends the waiting and not the batch.
        """
        __tracebackhide__ = True
        end = None if timeout is None else time.monotonic() + timeout
        try:
            self._wait(end)
        except KeyboardInterrupt as interrupt:
            in_one_line(interrupt, f"No longer waiting; {self._goes_on}")
            raise
        return self.results()

    @property
    def _goes_on(self) -> str:
        return f"the batch goes on: alcf_magics.session().batch_of({self.id!r})"

    def _wait(self, end: float | None) -> None:
        look, failing, done = FIRST_LOOK, _Failing(), 0
        with Progress(self.lines or 0, unit="line") as bar:
            while (status := failing.asked(lambda: self.status)) in ("", *ACTIVE):
                left = look if end is None else end - time.monotonic()
                if left <= 0:
                    raise AlcfError(f"The batch is still {status or 'under way'}.", self._goes_on)
                done = max(done, self.done or 0)  # the file may be just being written
                bar.show(done, waiting=status)
                time.sleep(min(look, left))
                look = min(look * 1.5, LAST_LOOK)
            if status == "completed":
                bar.show(self.lines or 0)

    def _read(self) -> Results:
        status = self.status
        if status in ACTIVE:
            raise RequestRefused(
                f"The batch is not done yet: it is {self._state(status)}.", "Wait for it: .wait()"
            )
        outcome = outcome_of(self._get(f"{self._path}/result"))  # raises for one that failed
        about = self._about
        if about is None:
            about = self._foreign()
        answers = Answers(about, outcome.results_file, self._schema)
        again = self._again
        return BatchResults(
            answers,
            read_index(about.index, about.lines),
            None if again is None else lambda places: again(answers, places),
        )

    def _foreign(self) -> About:
        """What is known of a batch that another tool submitted."""
        known = self._known
        if not known.input_file:
            raise AlcfError("The gateway no longer says where its input is.", SEE_BATCHES)
        return About(
            known.input_file,
            "",
            line_count(known.input_file),
            cluster=known.cluster,
            framework=known.framework,
        )

    @property
    def _path(self) -> str:
        return f"v1/{ROUTE}/{quote(self.id, safe='')}"

    def _get(self, path: str) -> Any:
        return _get(self._connection, path)

    # How it looks

    def __repr__(self) -> str:
        try:
            state = self._state(self.status)
        except AlcfError as error:
            state = f"{self._known.status or 'state not known'} ({error.what})"
        model = f"{self.model} on {self.cluster}" if self.model else self.cluster
        return line(" · ".join(filter(None, [f"batch {self.id}", state, model, self.input_file])))

    def _repr_html_(self) -> str:
        return line_html(repr(self))

    def _state(self, status: str) -> str:
        """The status, and how far it has come."""
        lines, done = self.lines, self.done if status == "running" else None
        if lines is None:
            return status
        count = f"{lines:,} lines" if done is None else f"{done:,} of {lines:,} lines"
        return f"{status}, {count}"


class Batches(Sequence[Batch]):
    """A person's batches, as the gateway lists them."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._batches = tuple(batches)

    def __len__(self) -> int:
        return len(self._batches)

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Batch]: ...
    def __getitem__(self, index: int | slice) -> Batch | Sequence[Batch]:
        return self._batches[index]

    def __repr__(self) -> str:
        return text_table(COLUMNS, self._rows(), UNBROKEN) if self else "(no batches)"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # IPython would show a sequence as its items

    def _repr_html_(self) -> str:
        return (
            html_table(COLUMNS, self._rows(), unbroken=UNBROKEN) if self else line_html(repr(self))
        )

    def _rows(self) -> list[tuple[Cell, ...]]:
        known = [batch._known for batch in self]
        return [(b.id, b.status, b.cluster, b.began, b.ended, line(b.input_file)) for b in known]


class _Failing:
    """Lets a gateway fail for a while: a batch takes hours, and a network has its moments."""

    def __init__(self) -> None:
        self._since: float | None = None

    def asked(self, ask: Callable[[], str]) -> str:
        """What is answered; empty where nothing was, and that may pass."""
        try:
            found = ask()
        except (GatewayError, GatewayUnreachable, RateLimited):
            now = time.monotonic()
            self._since = now if self._since is None else self._since
            if now - self._since > PATIENCE:
                raise
            return ""
        self._since = None
        return found


# What the gateway lists


def check_quota(connection: Connection) -> None:
    """Raises RequestRefused where the person has a batch under way."""
    for known in listing(connection):
        if known.active:
            raise RequestRefused(
                f"You have a batch under way ({known.id}, {known.status}), and one at a time is "
                "allowed.",
                f"Nothing was submitted. Wait for it: session().batch_of({known.id!r}).wait()",
            )


def listing(connection: Connection, status: str = "") -> list[Listed]:
    """The batches that the gateway lists, of one status or all."""
    return listed(_get(connection, f"v1/{ROUTE}" + (f"?status={status}" if status else "")))


def checked_status(status: object) -> str:
    """A status to list, or none. Raises UsageError."""
    if status == "" or status in STATES:
        return str(status)
    from .misuse import UsageError

    raise UsageError(f"status is one of {', '.join(STATES)}, not {status!r:.60}.")


def known_batch(connection: Connection, batch_id: str) -> Listed:
    """A batch by its id. Raises RequestRefused for none, AccessDenied for another person's."""
    if not isinstance(batch_id, str) or not batch_id.strip():
        from .misuse import UsageError

        raise UsageError(f"A batch's id is a text, not {batch_id!r:.60}.", SEE_BATCHES)
    batch_id = batch_id.strip()
    for known in listing(connection):
        if known.id == batch_id:
            return known
    status = status_of(_get(connection, f"v1/{ROUTE}/{quote(batch_id, safe='')}"))
    return Listed(batch_id, status)


def _get(connection: Connection, path: str) -> Any:
    gateway = connection.gateway
    return connection.ask(lambda: gateway.get(path))
