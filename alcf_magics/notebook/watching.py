"""The table of models, looked at again and again until somebody interrupts it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..errors import AlcfError, LoginExpired, NotLoggedIn
from ..showing.display import line_html
from ..showing.times import clock, lasting
from ..told import Told
from .outputs import clear, publish
from .shells import is_kernel

if TYPE_CHECKING:
    from .._session import Session
    from ..gateway.catalog import Catalog

#: Changes that stand below the table, at most.
MOST_CHANGES = 20
#: Seconds between two changes of the line that counts down.
TICK_SECONDS = 0.2


def watch(shell: Any, look: Callable[[], Catalog], told: Told) -> Catalog:
    """Show the table, and what changes in it; the last one, when somebody interrupts.

    `look` reads it. What goes wrong with a later look is told, and looked past; a login that is
    over ends it.
    """
    view = (NotebookWatch if is_kernel(shell) else TerminalWatch)()
    table = look()
    view.show(table)
    try:
        while True:
            _count_down(table.counts_for, told)
            try:
                before, table = table, look()
            except (NotLoggedIn, LoginExpired):
                raise
            except AlcfError as error:
                view.add([f"{clock(time.time())} {error.what}"])
            else:
                view.add([f"{clock(time.time())} {line}" for line in changes(before, table)])
                view.show(table)
    except KeyboardInterrupt:
        return table
    finally:
        told.waiting("")
        view.close()


def start(session: Session, model: str, cluster: str, told: Told) -> str:
    """Have a model loaded, and say so at once."""
    place = session.start(model, cluster, told=told)
    what = f"{place.name} on {place.cluster}"
    follow = f"follow it: %alcf_models --watch {place.name}"
    if place.live:
        return f"{what} is live: there is nothing to start."
    if place.on_its_way:
        return f"{what} is {place.state} already; {follow}"
    return f"Asked for {what}, which was {place.state}: loading takes 10 to 15 minutes; {follow}"


def changes(before: Catalog, after: Catalog) -> Iterator[str]:
    """What is different, a line for each place."""
    old = {(model.place, model.framework): model for model in before.models}
    new = {(model.place, model.framework): model for model in after.models}
    for key in dict.fromkeys([*new, *old]):
        was = old[key].state if key in old else "not listed"
        now = new[key].state if key in new else "not listed"
        same = key in old and key in new and old[key].status is new[key].status
        if not same:
            yield f"{key[0]}: {was} → {now}"


def _count_down(seconds: float, told: Told) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        told.waiting(f"watching · looking again in {lasting(left)} · interrupt the cell to stop")
        time.sleep(min(left, TICK_SECONDS))


class NotebookWatch:
    """One output with the table and what changed below it."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._table: Catalog | None = None
        self._changes: deque[str] = deque(maxlen=MOST_CHANGES)

    def show(self, table: Catalog) -> None:
        self._table = table
        self._draw()

    def add(self, lines: list[str]) -> None:
        self._changes.extend(lines)
        if lines:
            self._draw()

    def _draw(self) -> None:
        bundle = {
            "text/plain": "\n".join([repr(self._table), *self._changes]),
            "text/html": (self._table._repr_html_() if self._table is not None else "")
            + "".join(map(line_html, self._changes)),
        }
        self._handle = publish(self._handle, bundle)

    def close(self) -> None:
        """The cell's result takes the table's place; what changed stays."""
        clear()
        for line in self._changes:
            print(line)


class TerminalWatch:
    """The table once, then a line for each change."""

    def __init__(self) -> None:
        self._shown = False

    def show(self, table: Catalog) -> None:
        if not self._shown:
            print(table, flush=True)
        self._shown = True

    def add(self, lines: list[str]) -> None:
        for line in lines:
            print(line, flush=True)

    def close(self) -> None:
        """Everything stands there already."""
