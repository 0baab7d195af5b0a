"""What a person does in a kernel to log in, and what they see."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from alcf_magics.sandbox import Sandbox
from alcf_magics.settings import CLIENT_ID
from support.kernels import Cell, Kernel
from support.outputs import Shown

LINK = re.compile(r"https?://\S+/v2/oauth2/authorize\?\S+")


def tokens(home: Path) -> Path:
    return home / ".globus/app" / CLIENT_ID / "alcf_magics/tokens.json"


def stored(home: Path, sandbox: Sandbox) -> dict[str, dict[str, str]]:
    """The entries of the sandbox's login in the token file, by resource server."""
    content = json.loads(tokens(home).read_text())
    return dict(content["data"][sandbox.globus_auth_url])


def link(cell: Shown) -> str:
    """The authorize URL in what a cell shows."""
    return str(LINK.findall(cell.text)[0])


def with_person(kernel: Kernel, code: str) -> Cell:
    """Run a cell from a front end in which a person sits (it allows input)."""
    return kernel.run(code, answer="")


def enter(kernel: Kernel, box: str) -> None:
    """Press Enter in the box, as the front end reports it."""
    kernel.send_widget(box, {"event": "submit"})


def said(kernel: Kernel) -> str:
    """What the widgets say now."""
    return " ".join(str(s["value"]) for s in kernel.widgets.values() if "value" in s)


def wait_for(kernel: Kernel, condition: Callable[[], bool]) -> None:
    """Let the kernel go on until something is so, ten seconds at most."""
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        kernel.settle()
    assert condition(), said(kernel)


def log_in(kernel: Kernel, sandbox: Sandbox) -> Cell:
    """Load the extension and log in by pasting the code into a cell."""
    assert kernel.run("%load_ext alcf_magics").status == "ok"
    code = sandbox.approve(link(kernel.run("%alcf_login")))
    cell = kernel.run(f"%alcf_login {code}")
    assert "Logged in" in cell.text
    return cell
