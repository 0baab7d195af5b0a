"""What Python warns of, in a cell in which every warning is shown, or is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from alcf_magics.sandbox import Sandbox
from support.kernels import Kernel
from support.logins import log_in

pytestmark = pytest.mark.kernel

CELLS = (
    "%load_ext alcf_magics",
    "%config AlcfMagics",
    "%alcf_models",
    "%%alcf -m gpt-oss-120b\nhi $x$",
    "%alcf -c more",
    "%alcf_login --status",
    "import alcf_magics\nsession = alcf_magics.session()\nsession.ask('hi').text",
    "(await session.aask('hi')).text",
    "async for piece in session.astream('hi'):\n    break",
    "for piece in session.stream('hi'):\n    break",
    "%alcf -m nosuch hi",
    "session.history",
    "%reload_ext alcf_magics",
    "%alcf -m gpt-oss-120b hi",
    "%unload_ext alcf_magics",
    "import gc; gc.collect()",
)


def test_no_warning_reaches_a_cell(home: Path, sandbox: Sandbox) -> None:
    """Neither as a line nor, where they are errors, in place of an answer."""
    log_in(sandbox, home)
    with Kernel(env=sandbox.environment, home=home) as kernel:
        for action in ("always", "error"):
            kernel.run(f"import warnings; warnings.simplefilter('{action}')")
            for code in CELLS:
                cell = kernel.run(code)
                assert "Warning" not in f"{cell.text} {cell.error_text}", code
                assert (cell.status == "ok") != ("nosuch" in code), code
