"""What each magic takes: its options, with the texts of `--help`."""

from __future__ import annotations

import argparse
import builtins
import sys
from keyword import iskeyword
from typing import Any

from IPython.core.error import UsageError

from ..gateway.parameters import PARAMETERS, ROUNDS, Parameter
from ..settings import checked_number
from ..showing.formats import FORMATS
from .arguments import Parser


def login_parser() -> Parser:
    parser = Parser("alcf_login", "Log in to the ALCF inference service with Globus.", "[CODE]", 15)
    parser.option("--prompt", action="store_true", help="ask for the code in the cell, and wait")
    parser.option(
        "--sandbox", action="store_true", help="start a local sandbox instead, without an account"
    )
    parser.option(
        "--scenario",
        default="default",
        metavar="NAME",
        help="with --sandbox: what goes wrong there (Tab lists it)",
    )
    parser.option("--status", action="store_true", help="who is logged in, from where, until when")
    parser.option("--force", action="store_true", help="log in anew, whoever is logged in")
    parser.option(
        "--replace", action="store_true", help="take over a login that is another person's"
    )
    return parser


def check_login(options: argparse.Namespace, code: str) -> None:
    """One thing at a time: what would be ignored is refused.

    `--force` is no harm beside anything: people leave it in the line that they have just run.
    """
    if options.scenario != "default" and not options.sandbox:
        raise UsageError("%alcf_login: --scenario goes with --sandbox")
    chosen = [f"--{name}" for name in ("status", "sandbox", "prompt") if getattr(options, name)]
    if code:
        chosen.append("CODE")
    if options.replace and not code:
        chosen.append("--replace")
    if len(chosen) > 1:
        raise UsageError(f"%alcf_login: {' and '.join(chosen)} do not go together")


def check_chat(options: argparse.Namespace) -> None:
    """What would be ignored is refused."""
    if options.go_on and options.chat is not None:
        raise UsageError("-c and --chat do not go together: --chat NAME goes on by itself")
    if options.chat is not None and not options.chat.strip():
        raise UsageError("--chat takes the name of a chat (try: --chat physics)")
    if options.trim and not options.go_on and options.chat is None:
        raise UsageError("--trim goes with -c or --chat NAME")


def minutes_to_wait(options: argparse.Namespace) -> float | None:
    """For how long a model is waited for; None as the settings have it. Raises UsageError."""
    if options.no_wait and options.wait:
        raise UsageError("--wait and --no-wait do not go together")
    minutes: float | None = 0.0 if options.no_wait else options.wait
    return minutes


def check_out(options: argparse.Namespace) -> None:
    """A name that a variable can have, and that nothing of Python's has."""
    name = options.out
    if name and (not name.isidentifier() or iskeyword(name)):
        raise UsageError(f"--out {name}: not a name for a variable (try: --out answer)")
    if hasattr(builtins, name):
        raise UsageError(f"--out {name}: that is Python's own {name} (try: --out answer)")


def check_format(options: argparse.Namespace) -> None:
    """The format that an answer is read in, where none is given; two that are at odds."""
    options.schema = options.schema.strip()
    if options.format is None:
        options.format = "json" if options.schema else "markdown"
    if options.schema and options.format != "json":
        raise UsageError(f"--schema and --format {options.format} do not go together: it is json")
    if options.next_cell and options.format != "code":
        raise UsageError("--next-cell goes with --format code")


def check_tools(options: argparse.Namespace) -> None:
    """What would be ignored is refused."""
    if options.tools and (options.n or 1) > 1:
        raise UsageError("-n above 1 and --tools do not go together: tools take one answer")
    for name in ("ask", "rounds"):
        if getattr(options, name) and not options.tools:
            raise UsageError(f"--{name} goes with --tools")


def logout_parser() -> Parser:
    parser = Parser("alcf_logout", "Revoke and remove the login of this gateway.")
    parser.option("--all", action="store_true", help="also logins of other auth servers")
    return parser


def models_parser() -> Parser:
    parser = Parser("alcf_models", "What runs where, now, live models first.", "[PATTERN]")
    parser.option("--cluster", metavar="NAME", default="", help="models of one cluster")
    parser.option("--live", action="store_true", help="live models only")
    parser.option("--jobs", action="store_true", help="also host, job id and walltime used")
    parser.option(
        "--watch", action="store_true", help="follow what changes, until the cell is interrupted"
    )
    parser.option(
        "--start", metavar="MODEL", default="", help="have a model loaded, and return at once"
    )
    return parser


def check_models(options: argparse.Namespace, pattern: str) -> None:
    """What would be ignored is refused."""
    if options.start and pattern:
        raise UsageError(f"%alcf_models --start takes one model; {pattern!r} would be ignored")


#: As many cells as there are.
ALL_CELLS = sys.maxsize


def _cells(text: str) -> int:
    """What `--cells` takes. Raises ArgumentTypeError."""
    if text == "all":
        return ALL_CELLS
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"a number of cells, 1 or more, or all; not {text!r}")


def _minutes(text: str) -> float:
    """What `--wait` takes. Raises ArgumentTypeError."""
    try:
        return checked_number("wait", float(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number of minutes, 0 or more; not {text!r}") from None


def _rounds(text: str) -> int:
    """What `--rounds` takes. Raises ArgumentTypeError."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"a whole number, 1 or more, not {text!r}")


PARAMETER_NAMES = tuple(parameter.name for parameter in PARAMETERS)


class _Joined(argparse.Action):
    """What an option that may be repeated adds to what stood there before."""

    def __init__(self, *, parameter: Parameter, **settings: Any) -> None:
        super().__init__(**settings)
        self._kind = parameter.kind

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        try:
            joined = self._kind.joined(getattr(namespace, self.dest), values)
        except ValueError as error:
            raise argparse.ArgumentError(self, str(error)) from None
        setattr(namespace, self.dest, joined)


def _add_parameter(parser: Parser, parameter: Parameter) -> None:
    def read(text: str) -> Any:
        try:
            return parameter.parsed(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    parser.option(
        *parameter.flags,
        dest=parameter.name,
        type=read,
        action=_Joined,
        parameter=parameter,
        metavar=parameter.kind.metavar,
        help=parameter.help,
    )


def prompt_parser() -> Parser:
    parser = Parser(
        "alcf",
        "Send a prompt: the rest of the line (%alcf), or the cell (%%alcf). The answer streams.",
        "[PROMPT]",
    )
    parser.option("-m", "--model", default="", help="a model, or cluster:model; see %%alcf_models")
    parser.option("--cluster", metavar="NAME", default="", help="a model of this cluster")
    parser.option(
        "--fallback",
        metavar="A,B",
        default="",
        help="other models that may answer where this one is live nowhere",
    )
    parser.option(
        "--wait",
        metavar="MINUTES",
        type=_minutes,
        default=None,
        help="how long a model that is not live is waited for (20); 0 is --no-wait",
    )
    parser.option("--no-wait", action="store_true", help="send nothing to a model that is not live")
    parser.option("-s", "--system", metavar="TEXT", default=None, help="the system prompt")
    parser.as_typed.add("--system")  # its values are put in with those of the prompt
    parser.option(
        "-c",
        "--continue",
        dest="go_on",
        action="store_true",
        help="go on from the last answer, in its chat",
    )
    parser.option("--chat", metavar="NAME", default=None, help="start a chat, or go on with it")
    parser.option(
        "--trim",
        action="store_true",
        help="leave a chat's oldest turns out of what is sent where all do not fit",
    )
    parser.option(
        "-f",
        "--file",
        metavar="PATH",
        action="append",
        default=[],
        help="a text file to send along; several times for several",
    )
    parser.option(
        "--image",
        metavar="NAME|PATH|URL",
        action="append",
        default=[],
        help="a figure, image or array of the notebook, a file or an address; several times",
    )
    parser.as_typed.add("--image")  # which names a value, and not its text
    parser.option(
        "--cells",
        metavar="N|all",
        type=_cells,
        default=0,
        help="send the last N cells of this kernel along, with what they showed",
    )
    parser.option("--raw", action="store_true", help="leave {{name}} as typed")
    parser.option("--fresh", action="store_true", help="ask anew what is recorded, and record that")
    for parameter in PARAMETERS:
        _add_parameter(parser, parameter)
    parser.option(
        "--format",
        choices=tuple(FORMATS),
        default=None,
        help="; ".join(f"{name}: {format.help}" for name, format in FORMATS.items()),
    )
    parser.option(
        "--schema",
        metavar="NAME",
        default="",
        help="what the answer has to be: a JSON schema, pydantic model, dataclass, TypedDict of "
        "yours, or list[NAME] of one; .parsed is the value",
    )
    parser.option(
        "--tools",
        metavar="F,G",
        action="append",
        default=[],
        help="functions of yours that the model may call; they run here",
    )
    parser.option("--ask", action="store_true", help="with --tools: confirm each call")
    parser.option(
        "--rounds",
        metavar="N",
        type=_rounds,
        default=None,
        help=f"with --tools: how many times it may call some before it answers ({ROUNDS})",
    )
    parser.option(
        "--next-cell", action="store_true", help="with --format code: also into the next cell"
    )
    parser.option("--out", metavar="NAME", default="", help="a variable for the completion")
    return parser
