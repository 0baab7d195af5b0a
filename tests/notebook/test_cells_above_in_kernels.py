"""The cells above in a real kernel: everything that they show, in its order, and nothing secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from alcf_magics.sandbox import Sandbox
from support.kernels import Kernel
from support.logins import log_in

pytestmark = pytest.mark.kernel

MODEL = "-m gpt-oss-120b"


@pytest.fixture
def ready(request: pytest.FixtureRequest, home: Path, sandbox: Sandbox) -> Iterator[Kernel]:
    """A kernel with the magics, where somebody has logged in before; an ipykernel 6 if asked."""
    older = [request.getfixturevalue("older_kernel_path")] if hasattr(request, "param") else []
    log_in(sandbox, home)
    with Kernel(env=sandbox.environment, home=home, pythonpath=older) as kernel:
        assert kernel.run("%load_ext alcf_magics").status == "ok"
        yield kernel


def sent(sandbox: Sandbox) -> str:
    """The last prompt that arrived."""
    bodies = [r.body for r in sandbox.requests if r.path.endswith("/chat/completions")]
    return str(bodies[-1]["messages"][-1]["content"])


SHOWS = """
import subprocess, threading, sys
from IPython.display import display, Markdown, update_display
print("printed")
print("to stderr", file=sys.stderr)
display(Markdown("a *display*"))
display({"text/plain": "old"}, raw=True, display_id="d")
update_display({"text/plain": "updated"}, raw=True, display_id="d")
thread = threading.Thread(target=print, args=("from a thread",))
thread.start(); thread.join()
subprocess.run(["echo", "from a child"])
for n in range(3): print(f"step {n}", end="\\r")
print()
"the result"
"""


@pytest.mark.parametrize("ready", ["older"], indirect=True)
def test_an_older_kernel_is_heard_too(ready: Kernel, sandbox: Sandbox) -> None:
    """Its messages are sent in another way."""
    ready.run("print('printed'[::-1])\n'result'[::-1]")
    ready.run("1 / 0")
    assert ready.run(f"%%alcf {MODEL} --cells 2\nhi").status == "ok"
    text = sent(sandbox)
    assert text.index("detnirp") < text.index("'tluser'") < text.index("ZeroDivisionError")


def test_all_that_cells_show_goes_along(ready: Kernel, sandbox: Sandbox) -> None:
    """Streams, displays as they stand now, results and tracebacks, in the order of the cells.

    Between stdout and stderr the kernel promises no order, but both come before what is displayed
    after them; a child process writes into a pipe of its own, that is read sooner or later.
    """
    ready.run("before = 0")
    assert ready.run(SHOWS).status == "ok"
    assert ready.run("import time\ntime.slow()").status == "error"
    cell = ready.run(f"%%alcf {MODEL} --cells 2\nWhy is this slow?")
    assert cell.status == "ok", cell.error_text
    text = sent(sandbox)
    shown = [
        *("The last 2 cells", "printed", "a *display*", "updated", "from a thread"),
        *("step 2", "'the result'", "time.slow()", "AttributeError", "Why is this"),
    ]
    source_ends = text.index("It showed:")
    places = [text.index(one, 0 if n == 0 else source_ends) for n, one in enumerate(shown)]
    assert sorted(places) == places, text
    output = text[source_ends:]
    assert "to stderr" in output[: output.index("a *display*")]
    assert "from a child" in output[: output.index("Cell:")]
    assert "old" not in output
    assert "step 1" not in output
    assert "\x1b" not in output
    assert "before = 0" not in text
    assert "with the last 2 cells (" in cell.html


def test_no_token_that_a_cell_showed_goes_along(
    ready: Kernel, sandbox: Sandbox, home: Path
) -> None:
    """Printed, returned, or typed: the stored grant becomes (token); login cells are left out."""
    ready.run("%alcf_login --status")
    ready.run(
        "import json, pathlib\n"
        "(path,) = pathlib.Path.home().glob('.globus/app/*/alcf_magics/tokens.json')\n"
        "print(path.read_text())\npath.read_text()"
    )
    assert ready.run(f"%%alcf {MODEL} --cells all\nhi").status == "ok"
    text = sent(sandbox)
    assert "(token)" in text
    (stored,) = home.glob(".globus/app/*/alcf_magics/tokens.json")
    for token in _tokens(stored.read_text()):
        assert token not in text
    assert "alcf_login" not in text


def _tokens(stored: str) -> list[str]:
    found = re.findall(r'"(?:access|refresh)_token": ?"([^"]+)"', stored)
    assert found
    return found


def test_unloading_takes_the_log_away(ready: Kernel, sandbox: Sandbox) -> None:
    """The kernel sends as it did before; cells that ran without the magics are known by source."""
    tapped = "'send' in vars(get_ipython().kernel.session)"
    assert ready.value(tapped) == "True"
    ready.run("%unload_ext alcf_magics")
    assert ready.value(tapped) == "False"
    ready.run("print('unseen'[::-1])")
    ready.run("%load_ext alcf_magics")
    assert ready.run(f"%%alcf {MODEL} --cells all\nhi").status == "ok"
    assert "print('unseen'[::-1])" in sent(sandbox)
    assert "neesnu" not in sent(sandbox)


def test_of_many_lines_the_first_and_the_last_go_along(ready: Kernel, sandbox: Sandbox) -> None:
    """The log keeps a bounded part of what is printed, and says what it left out."""
    ready.run("for n in range(20_000): print('line', n)")
    assert ready.run(f"%%alcf {MODEL} --cells 1\nhi").status == "ok"
    text = sent(sandbox)
    assert len(text) < 6_000
    assert "line 0\n" in text
    assert "line 19999\n" in text
    assert "characters left out" in text
