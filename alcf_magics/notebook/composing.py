"""What a person typed becomes what is sent: values, files and the cells above are put in.

A prompt that names none of them is sent byte for byte.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from ..images.fitting import fitted
from ..images.picture import Picture
from ..images.prompts import content
from ..prompts.redaction import Redaction
from .arguments import expanded
from .blocks import file_block, file_text
from .expansion import Expansion, expand, expand_option, single_braced
from .images import images_of
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

    `files` are paths, `cells` is how many of the cells above, `raw` leaves braces alone. `images`
    are what `--image` names.
    """

    prompt: str
    system: str = ""
    files: tuple[str, ...] = ()
    cells: int = 0
    raw: bool = False
    images: tuple[str, ...] = ()

    @property
    def brings(self) -> bool:
        """Whether anything may come in that was not typed."""
        braces = not self.raw and "{{" in self.prompt + self.system
        return braces or bool(self.files or self.cells)


@dataclass(frozen=True)
class Composed:
    """What is sent; a prompt with images is a message."""

    prompt: str | list[dict[str, Any]]
    system: str


def compose(typed: Typed, shell: Any, above: CellsAbove, session: Session, told: Told) -> Composed:
    """Put values, files, cells and images in, and tell what was put in. Raises UsageError.

    Tokens stay out of all that comes in; what was typed is the person's own.
    """
    hide: Hide = Redaction.of(session) if typed.brings else str
    prompt, system = _expanded(typed, shell.user_ns, hide)
    files = [(name, hide(file_text(name))) for name in typed.files]
    cells = above.last(typed.cells, hide) if typed.cells else None
    pictures = _pictures(typed, prompt, shell.user_ns, session, told)
    brought = [
        *_about_cells(cells),
        *(f"{name} ({characters(text)})" for name, text in files),
        *dict.fromkeys(prompt.brought + system.brought),
        *(f"{picture.name} ({picture.about})" for picture in pictures),
    ]
    if brought:
        told.notice(f"with {', '.join(brought)}")
    for notice in (*dict.fromkeys(prompt.notices + system.notices), *_hints(typed, shell)):
        told.notice(notice)
    before = [cells.text] if cells is not None and cells.text else []
    before += [file_block(name, text) for name, text in files]
    first, *others = prompt.split()
    first = "\n\n".join([*before, first])
    if not pictures:
        return Composed(first, system.text)
    texts = [first, *others, *[""] * (len(pictures) - len(others))]
    pieces = itertools.chain.from_iterable(itertools.zip_longest(texts, pictures, fillvalue=""))
    return Composed([{"role": "user", "content": content(pieces)}], system.text)


def _pictures(
    typed: Typed, prompt: Expansion, variables: Mapping[str, Any], session: Session, told: Told
) -> list[Picture]:
    """The images of the prompt in its order, then those of `--image`, small enough together."""

    def fetch(address: str) -> bytes:
        return session.fetch_image(address, told)

    pictures = [picture for _, picture in prompt.images]
    for word in typed.images:
        pictures += images_of(word, variables, fetch)
    return fitted(pictures) if pictures else []


def _expanded(
    typed: Typed, variables: Mapping[str, Any], hide: Hide
) -> tuple[Expansion, Expansion]:
    """The prompt and the system text with their values."""
    if typed.raw:
        return Expansion(typed.prompt), Expansion(expanded(typed.system, variables))
    system = expand_option(typed.system, variables, hide)
    if system.images:
        name = system.images[0][1].name
        raise UsageError(
            f"--system {{{{{name}}}}}: an image cannot stand in the system text, which is text "
            f"alone; put {{{{{name}}}}} into the prompt, or send it with --image {name}"
        )
    return expand(typed.prompt, variables, hide), system


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
