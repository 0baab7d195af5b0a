"""What was meant for an option, and would go out as a prompt: it is told, and nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from ..errors import (
    GatewayUnreachable,
    LoginExpired,
    ModelNotFound,
    ModelNotReady,
    NotLoggedIn,
)
from .arguments import Help
from .spelling import nearest, straightened

if TYPE_CHECKING:
    from .._session import Session
    from ..told import Told
    from .arguments import Parser

#: Options of any text: a line that begins with one and goes on may well be a prompt.
_OF_ANY_TEXT = frozenset({"-s", "-f"})
#: What keeps the catalog from being read.
_UNREAD = (NotLoggedIn, LoginExpired, GatewayUnreachable)
_AS_TEXT = "To send it as it is, put -- in front of the prompt: %alcf -- …"


def joined(parser: Parser, line: str, cell: str | None) -> tuple[str, str | None]:
    """The line and the cell below it, where a backslash at the line's end joins the next to it."""
    while cell is not None and parser.rest_of(line) == "\\":
        more, _, cell = cell.partition("\n")
        line = f"{line.rstrip().removesuffix(chr(92))}{more}"
    return line, cell


def check(parser: Parser, line: str, rest: str, cell: str | None) -> None:
    """Refuse a comment, `name=value`, and options on the second line. Raises UsageError."""
    if _is_text(line, rest):
        return
    head = line.strip().removesuffix(rest)
    if rest.startswith("#") and (rest[1:2].strip() == "" or head):
        raise UsageError(f"%alcf takes no comment: {rest:.40} would be sent. {_AS_TEXT}")
    if pairs := _pairs(parser, rest):
        raise UsageError(f"{rest:.60} would be sent: type {pairs}. {_AS_TEXT}")
    first = next((line for line in (cell or "").split("\n") if line.strip()), "").strip()
    if not rest and first and _is_options(parser, first):
        raise UsageError(
            f"{first:.60} would be sent: options go on the line of %%alcf. "
            "To send it as it is, begin with %%alcf -- on the first line."
        )


def _is_text(line: str, rest: str) -> bool:
    """Whether `--` says that what follows is the prompt, whatever it looks like."""
    return line.strip().removesuffix(rest).split()[-1:] == ["--"]


def _pairs(parser: Parser, rest: str) -> str:
    """`--temperature 0` for a prompt of nothing but `temperature=0`; empty for any other."""
    stems = {name.lstrip("-"): name for name in parser.takes_value}
    typed = []
    for word in rest.split():
        name, _, value = word.partition("=")
        option = stems.get(name.replace("_", "-").casefold())
        if not option or not value:
            return ""
        typed.append(f"{option} {value}")
    return " ".join(typed)


def _is_options(parser: Parser, line: str) -> bool:
    """Whether a line of a prompt is, as far as anybody can see, one of options."""
    name = straightened(line.split()[0]).partition("=")[0]
    long = name.startswith("--")
    if name not in parser.names:
        return long and bool(nearest(name, parser.names))
    try:
        _, rest = parser.split(line)
    except Help:
        return True
    except UsageError:
        return long or line.split()[0] != straightened(line.split()[0])
    return not rest or long or (name in parser.takes_value and name not in _OF_ANY_TEXT)


def check_model(parser: Parser, session: Session, line: str, rest: str, told: Told) -> None:
    """Refuse a prompt that is nothing but the name of a model or cluster, or that and options.

    Raises UsageError, and what reading the catalog raises; but where nobody can read it, nothing:
    the prompt may be recorded, and else says that itself.
    """
    word, _, more = rest.partition(" ")
    name = word.strip("'\"").rstrip(":,")
    if not name or _is_text(line, rest) or (more.strip() and parser.rest_of(more)):
        return
    for what, option, model, cluster in (
        ("model", "-m", name, ""),
        ("cluster", "--cluster", "", name),
    ):
        try:
            session.resolve(model, cluster, told=told)
        except _UNREAD:
            return
        except (ModelNotFound, ModelNotReady):
            continue
        raise UsageError(
            f"{name} is the name of a {what}, and would be sent: type {option} {name}. {_AS_TEXT}"
        )
