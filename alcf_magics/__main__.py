"""The command line: `alcf-magics sandbox` and `alcf-magics demo`."""

from __future__ import annotations

import argparse
import contextlib
import functools
import math
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from .sandbox import Sandbox


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong; the usage is for `--help`."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 2 for a wrong option, 1 for a failure."""
    parsers = _parsers()
    options = parsers[""].parse_args(arguments)
    parser = parsers[options.command]
    try:
        from .sandbox import SCENARIOS, Sandbox
    except ImportError as error:
        missing = str(error.name).partition(".")[0]
        extra = options.command  # the extras are named as the commands
        return _fail(f"{missing} is missing. Install it: pip install 'alcf-magics[{extra}]'")
    if options.command == "sandbox" and options.list:
        from .showing.tables import text_rows

        print(text_rows(list(SCENARIOS.items())))
        return 0
    build = functools.partial(
        Sandbox,
        options.scenario,
        validation=options.validation,
        upstream=options.upstream,
        upstream_model=options.upstream_model,
        pace=options.pace,
    )
    try:
        build()  # says what is wrong with the options, before anything is fetched
    except ValueError as error:
        parser.error(str(error))
    if options.command == "demo":
        _check_demo(options, parser)
    _stop_on_signals()
    try:
        with _real_model(options) as model_server, build(model_server=model_server) as sandbox:
            sandbox.be_lifelike()
            return {"sandbox": _sandbox, "demo": _demo}[options.command](sandbox, options)
    except RuntimeError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        print(f"The {options.command} has stopped.", flush=True)
        return 130 if options.command == "demo" and options.execute else 0


@contextlib.contextmanager
def _real_model(options: argparse.Namespace) -> Iterator[str | None]:
    """The address of the real model's server; None where it is not wanted, or, as one line says,
    not to be had."""
    from .sandbox.model_file import NAME, ModelUnavailable, model_file
    from .sandbox.model_server import check, model_server

    with contextlib.ExitStack() as ends:
        address = None
        if options.model and not options.upstream:
            try:
                check()
                address = ends.enter_context(model_server(model_file()))
            except ModelUnavailable as reason:
                why = " ".join(str(reason).split())
                print(f"Without {NAME}, as {why}. A prepared text answers.", flush=True)
        yield address


def _parsers() -> dict[str, _Parser]:
    """The whole parser under "", and that of each command."""
    whole = _Parser(prog="alcf-magics", description="A local stand-in for the ALCF service.")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    sandbox = commands.add_parser(
        "sandbox",
        help="run a local Globus Auth and gateway",
        description="Run a local Globus Auth and a local gateway until Ctrl-C.",
        allow_abbrev=False,
    )
    sandbox.add_argument("--list", action="store_true", help="list the scenarios and end")
    sandbox.add_argument(
        "--model",
        action="store_true",
        help="let SmolLM2-135M-Instruct answer for real (93 MB, fetched once)",
    )
    demo = commands.add_parser(
        "demo",
        help="run the quickstart notebook against a sandbox",
        description="Open a copy of the quickstart notebook in JupyterLab, against a sandbox.",
        allow_abbrev=False,
    )
    demo.add_argument(
        "--execute", action="store_true", help="run the notebook here, without JupyterLab"
    )
    demo.add_argument("--html", type=_new_file, metavar="FILE", help="write the executed page")
    demo.add_argument("--no-browser", action="store_true", help="open no browser")
    demo.add_argument("--port", type=_port, default=0, metavar="N", help="JupyterLab's port")
    demo.add_argument(
        "--no-model",
        dest="model",
        action="store_false",
        help="fetch no real model: a prepared text answers",
    )
    for parser in (sandbox, demo):
        group = parser.add_argument_group("what answers")
        group.add_argument(
            "--scenario",
            default="default",
            metavar="NAME",
            help="what happens; `alcf-magics sandbox --list` lists them",
        )
        group.add_argument(
            "--validation",
            choices=("current", "strict"),
            default="current",
            help="which request fields the gateway refuses",
        )
        group.add_argument(
            "--upstream",
            type=_http_url,
            metavar="URL",
            help="forward prompts to an OpenAI-compatible server, such as Ollama",
        )
        group.add_argument("--upstream-model", metavar="NAME", help="the model to ask there")
        group.add_argument(
            "--pace",
            type=_seconds,
            default=0.01,  # some 100 tokens a second, so that one sees it stream
            metavar="SECONDS",
            help="time between two pieces of an answer (default: %(default)s)",
        )
    return {"": whole, "sandbox": sandbox, "demo": demo}


def _http_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise argparse.ArgumentTypeError(f"not an http address: {text!r}")
    return text


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text!r}")
    return value


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"not a port: {text!r}")
    return int(text)


def _new_file(text: str) -> Path:
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"no file can be written there: {text!r}")
    return path


def _stop_on_signals() -> None:
    """Let Ctrl-C and SIGTERM end the command once, and not disturb its cleaning up."""

    def stop(number: int, frame: FrameType | None) -> None:
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_IGN)
        raise KeyboardInterrupt

    # Set for SIGINT, too: a shell starts a background command with Ctrl-C switched off.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)


def _sandbox(sandbox: Sandbox, options: argparse.Namespace) -> int:
    asked = f"Prompts go to {options.upstream}." if options.upstream else "No model is asked."
    if sandbox.real_model:
        asked = f"{sandbox.real_model} is a real model on this machine; no other one is asked."
    print(f"A sandbox is running (scenario {sandbox.scenario}). {asked}")
    print("To use it, set these where your notebook or shell starts:\n")
    for name, value in sandbox.environment.items():
        print(f"export {name}={value}")
    print("\nCtrl-C stops it.", flush=True)
    while True:
        time.sleep(3600)


def _check_demo(options: argparse.Namespace, parser: _Parser) -> None:
    from . import demo

    if options.html and not options.execute:
        parser.error("--html needs --execute")
    if options.port and options.execute:
        parser.error("--port is for JupyterLab: not with --execute")
    if options.port and not demo.is_free(options.port):
        parser.error(f"argument --port: {options.port} is in use")


def _demo(sandbox: Sandbox, options: argparse.Namespace) -> int:
    from . import demo

    try:
        if options.execute:
            demo.execute(sandbox, options.html)
        else:
            demo.open_lab(sandbox, options.port, browser=not options.no_browser)
    except demo.DemoError as error:
        return _fail(str(error))
    return 0


def _fail(reason: str) -> int:
    print(f"alcf-magics: {' '.join(reason.split())}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
