"""The lessons in notebooks/, run from the first cell to the last, live or from a recording.

    python tests/support/lessons.py

records notebooks/recorded.jsonl anew with what the real small model answers, in some ten seconds.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from alcf_magics import demo
from alcf_magics.sandbox import Sandbox
from support.model_server import model_server

LESSONS = Path(__file__).parents[2] / "notebooks"
#: In the order in which they lead to each other.
ORDER = ("quickstart", "prompting", "answers", "many", "troubles", "recorded")
#: A cell that fails without a gateway has this tag.
NEEDS_LOGIN = "needs-login"
CASSETTE = '%config AlcfMagics.cassette = "lesson.jsonl"'
#: Every connection fails from here on; a kernel's own messages go another way. Nobody is there who
#: would want to read along.
NO_NETWORK = """
import socket

from alcf_magics.gateway import replaying


def refuse(*_, **__):
    raise AssertionError("the network was used")


socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
replaying.PAUSE = 0
"""


def lesson(name: str, *more: str) -> Any:
    """A lesson's notebook, with more cells below the one that loads the magics."""
    notebook = nbformat.read(LESSONS / f"{name}.ipynb", as_version=4)
    is_load = (cell.source.startswith("%load_ext") for cell in notebook.cells)
    below = list(is_load).index(True) + 1
    notebook.cells[below:below] = map(nbformat.v4.new_code_cell, more)
    return notebook


def run(
    notebook: Any,
    folder: Path,
    home: Path,
    sandbox: Sandbox,
    environment: Mapping[str, str] | None = None,
) -> list[Any]:
    """Run a lesson in a folder as a person does; its cells with their outputs.

    `environment` leads to the sandbox unless another one is given. AssertionError for a cell that
    fails and is not meant to.
    """
    folder.mkdir(exist_ok=True)
    values = sandbox.environment if environment is None else environment
    with demo._entered(demo.environment(home, values)):
        failure = demo._run(notebook, folder, sandbox)
    assert failure == "", failure
    return list(notebook.cells)


def record(name: str, home: Path, sandbox: Sandbox) -> list[Any]:
    """Run a lesson in `home / "live"`, where its answers are recorded."""
    return run(lesson(name, CASSETTE), home / "live", home, sandbox)


def replay(name: str, home: Path, sandbox: Sandbox) -> list[Any]:
    """Run it again in `home / "replay"` with what was recorded alone: nobody is logged in at the
    gateway that counts there, and the network is switched off."""
    files = (home / "live" / name for name in ("lesson.jsonl", "fields.jsonl"))
    beside(home / "replay", filter(Path.exists, files))
    sandbox.requests.clear()
    return run(lesson(name, NO_NETWORK, CASSETTE), home / "replay", home, sandbox, {})


def beside(folder: Path, files: Iterable[Path]) -> None:
    """Copy files into a folder."""
    folder.mkdir(exist_ok=True)
    for file in files:
        shutil.copy(file, folder)


def main() -> None:
    """Record the answers of the lesson that replays."""
    steps = ("%alcf_login",)
    with (
        tempfile.TemporaryDirectory() as base,
        model_server() as url,
        Sandbox(model_server=url, pace=0) as sandbox,
    ):
        notebook = lesson("recorded", *steps)
        for cell in notebook.cells:  # nobody waits here
            cell.source = cell.source.replace("per_minute = 4", "per_minute = 0")
        run(notebook, Path(base, "lesson"), Path(base), sandbox)
        shutil.copy(Path(base, "lesson", "recorded.jsonl"), LESSONS / "recorded.jsonl")


if __name__ == "__main__":
    main()
