"""The pictures of README: a real JupyterLab against the sandbox, photographed in both themes.

    python tests/support/pictures.py

writes docs/pictures/NAME-light.png and NAME-dark.png, in some seconds each. It needs Chromium.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from alcf_magics.sandbox import Sandbox
from support.lab import Lab
from support.logins import log_in

FOLDER = Path(__file__).parents[2] / "docs/pictures"
THEMES = ("light", "dark")
#: The buttons of the active cell hide what it says.
STYLE = ".jp-cell-toolbar { display: none !important }"
ANSWER = r"""MPI and OpenMP both split work, but along **different lines**:

| | MPI | OpenMP |
|---|---|---|
| what runs | processes, on many nodes | threads, in one node |
| memory | each its own: data is *sent* | shared: data is *there* |
| you write | `MPI_Send`, `MPI_Recv` | `#pragma omp parallel for` |

With $p$ workers and a part $s$ that cannot be split, both obey Amdahl's law:

$$S(p) = \frac{1}{s + \frac{1-s}{p}}$$

A first program in each style:

```c
#pragma omp parallel for reduction(+:sum)   /* OpenMP: one memory */
for (int i = 0; i < n; i++)
    sum += x[i];
```

```python
total = comm.allreduce(x.sum(), op=MPI.SUM)  # MPI: everybody sends a part
```

1. Learn OpenMP first: one line makes a loop parallel.
2. Use MPI when one node is too small.
"""


@dataclass(frozen=True)
class Picture:
    """What a reader sees: the cells of a notebook, `width` pixels wide.

    `act` does what a person does with it, and returns when there is something to see.
    """

    cells: tuple[str, ...]
    act: Callable[[Lab], None]
    width: int = 1000
    height: int = 1100
    logged_in: bool = True
    scenario: str = "default"
    answer: str | None = None
    load_seconds: float | None = None


def run_all(lab: Lab) -> None:
    """Run every cell to its end."""
    lab.run_all()


def run_until_it_waits(lab: Lab) -> None:
    """Run the first cell, and the second until it says for what it waits."""
    lab.run(0)
    lab.start(1)
    lab.cell(1).get_by_text("estimated start").first.wait_for()


PICTURES = {
    "quickstart": Picture(
        (
            "%load_ext alcf_magics\n%alcf_login",
            "%alcf_models --live",
            "%%alcf -m gpt-oss-120b --effort low\n"
            "Explain the difference between MPI and OpenMP to a first-year student.",
        ),
        run_all,
        height=1500,
        answer=ANSWER,
    ),
    "login": Picture(
        ("%load_ext alcf_magics\n%alcf_login",), run_all, width=820, height=360, logged_in=False
    ),
    "waiting": Picture(
        ("%load_ext alcf_magics", "%%alcf -m sophia:gemma-4-31B-it\nWhat is a halo?"),
        run_until_it_waits,
        width=820,
        height=360,
        scenario="cold_start",
        load_seconds=120,  # it is still waited for when both pictures have been taken
    ),
}


def take(name: str, folder: Path) -> list[Path]:
    """Take one picture in both themes; the files."""
    picture = PICTURES[name]
    with tempfile.TemporaryDirectory() as home, _at_home(Path(home)):
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in picture.cells]
        )
        with (
            Sandbox(picture.scenario, pace=0.02) as sandbox,
            Lab(
                Path(home),
                env=sandbox.environment,
                notebook=notebook,
                size=(picture.width, picture.height),
            ) as lab,
        ):
            sandbox.be_lifelike()
            sandbox.answer, sandbox.load_seconds = picture.answer, picture.load_seconds
            lab.page.add_style_tag(content=STYLE)
            lab.page.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
            if picture.logged_in:
                log_in(sandbox, Path(home))
            picture.act(lab)
            return [_photograph(lab, folder / f"{name}-{theme}.png", theme) for theme in THEMES]


@contextmanager
def _at_home(home: Path) -> Iterator[None]:
    before = os.environ.get("HOME", "")
    os.environ["HOME"] = str(home)
    try:
        yield
    finally:
        os.environ["HOME"] = before


def _photograph(lab: Lab, file: Path, theme: str) -> Path:
    """The cells alone, without JupyterLab's bars, in 256 colours: a picture is for reading."""
    from PIL import Image

    lab.screenshot(file, theme)
    cells = lab.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell")
    boxes = [cell.bounding_box() for cell in cells.all()]
    left = min(box["x"] for box in boxes)
    top = min(box["y"] for box in boxes)
    right = max(box["x"] + box["width"] for box in boxes)
    bottom = max(box["y"] + box["height"] for box in boxes)
    whole = Image.open(io.BytesIO(file.read_bytes())).convert("RGB")
    cut = whole.crop((int(left), int(top), int(right), int(bottom)))
    cut.quantize(256).save(file, optimize=True)
    return file


def main() -> None:
    for name in PICTURES:
        for file in take(name, FOLDER):
            print(f"{file.name}: {file.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
