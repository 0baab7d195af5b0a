"""Images in a real kernel: figures as people make them."""

from __future__ import annotations

from pathlib import Path

import pytest

from alcf_magics.sandbox import Sandbox
from support.images import sent
from support.kernels import Kernel
from support.logins import log_in

pytestmark = pytest.mark.kernel

MODEL = "-m Llama-4-Maverick-17B-128E-Instruct"


@pytest.fixture
def ready(kernel: Kernel, sandbox: Sandbox, home: Path) -> Kernel:
    log_in(sandbox, home)
    assert kernel.run("%load_ext alcf_magics").status == "ok"
    return kernel


def test_a_figure_goes_into_a_prompt(ready: Kernel, sandbox: Sandbox) -> None:
    """Drawn with pyplot in a cell before, in braces and with --image; a chat keeps it."""
    drawn = ready.run(
        "import matplotlib.pyplot as plt\n"
        "fig, ax = plt.subplots(figsize=(4, 3)); ax.plot([3, 1, 2]); dots = fig.dpi",
        timeout=60,
    )
    assert drawn.status == "ok", drawn.error_text
    cell = ready.run(f"%%alcf {MODEL} --image ax\nWhat does {{{{fig}}}} show?")
    assert cell.status == "ok", cell.error_text
    assert "with fig (image " in cell.html
    assert "2 images arrived" in cell.result["text/plain"]  # type: ignore[index]
    before, figure, after, axes = sent(sandbox.requests[-1].body["messages"][-1])
    assert (before, after) == ("What does ", " show?")
    dots = float(ready.value("dots"))
    assert figure.size == axes.size == pytest.approx((4 * dots, 3 * dots), rel=0.15)
    follow = ready.run("%%alcf -c\nAnd its title?")
    assert "1 image" not in follow.error_text
    messages = sandbox.requests[-1].body["messages"]
    assert len([p for p in messages[0]["content"] if p["type"] == "image_url"]) == 2
    assert "[image " in ready.value("repr(__import__('alcf_magics').session().history)")
