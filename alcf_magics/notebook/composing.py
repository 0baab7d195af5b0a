"""What a person typed becomes what is sent: values, files and the cells above are put in.

A prompt that names none of them is sent byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .arguments import expanded
from .blocks import file_block, file_text
from .expansion import Expansion, expand, expand_option, single_braced
from .redaction import Redaction
from .values import Hide, characters

if TYPE_CHECKING:
    from .._session import Session
    from ..told import Told
    from .cells_above import CellsAbove, CellsText

#: Names that a line about them mentions.
_MOST_NAMES = 3


@dataclass(frozen=True)
class Typed:
    """A prompt and a system text as they were typed, and what is to go along.

    `files` are paths, `cells` is how many of the cells above, `raw` leaves braces alone.
    """

    prompt: str
    system: str = ""
    files: tuple[str, ...] = ()
    cells: int = 0
    raw: bool = False

    @property
    def brings(self) -> bool:
        """Whether anything may come in that was not typed."""
        braces = not self.raw and "{{" in self.prompt + self.system
        return braces or bool(self.files or self.cells)


@dataclass(frozen=True)
class Composed:
    """What is sent."""

    prompt: str
    system: str


def compose(typed: Typed, shell: Any, above: CellsAbove, session: Session, told: Told) -> Composed:
    """Put values, files and cells in, and tell what was put in. Raises UsageError.

    Tokens stay out of all that comes in; what was typed is the person's own.
    """
    hide: Hide = Redaction.of(session) if typed.brings else str
    prompt, system = _expanded(typed, shell.user_ns, hide)
    files = [(name, hide(file_text(name))) for name in typed.files]
    cells = above.last(typed.cells, hide) if typed.cells else None
    brought = [
        *_about_cells(cells),
        *(f"{name} ({characters(text)})" for name, text in files),
        *dict.fromkeys(prompt.brought + system.brought),
    ]
    if brought:
        told.notice(f"with {', '.join(brought)}")
    for notice in (*dict.fromkeys(prompt.notices + system.notices), *_hints(typed, shell)):
        told.notice(notice)
    before = [cells.text] if cells is not None and cells.text else []
    before += [file_block(name, text) for name, text in files]
    return Composed("\n\n".join([*before, prompt.text]), system.text)


def _expanded(
    typed: Typed, variables: Mapping[str, Any], hide: Hide
) -> tuple[Expansion, Expansion]:
    """The prompt and the system text with their values."""
    if typed.raw:
        return Expansion(typed.prompt), Expansion(expanded(typed.system, variables))
    return expand(typed.prompt, variables, hide), expand_option(typed.system, variables, hide)


def _about_cells(cells: CellsText | None) -> Iterator[str]:
    if cells is None:
        return
    if not cells.asked:
        yield "no cells (none has run since the magics were loaded)"
        return
    which = "the last cell" if cells.count == 1 else f"the last {cells.count} cells"
    left_out = cells.asked - cells.count
    more = f", {left_out} before left out for size" if left_out else ""
    yield f"{which} ({characters(cells.text)}{more})"


def _hints(typed: Typed, shell: Any) -> Iterator[str]:
    """Of names in single braces: how their values are sent."""
    names = single_braced(typed.prompt, shell.user_ns, shell.user_ns_hidden)
    if names and not typed.raw:
        shown = ", ".join(f"{{{name}}}" for name in names[:_MOST_NAMES])
        more = " and others" if len(names) > _MOST_NAMES else ""
        yield f"{shown}{more} sent as typed: {{{{{names[0]}}}}} sends its value"
