"""Formulas in a real JupyterLab: what one leaves behind harms no other, and none holds it up."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from support.lab import Lab, require_browser

pytestmark = pytest.mark.browser

SHOW = """from IPython.display import HTML
from alcf_magics.markdown.parsing import to_html
HTML(to_html({text!r}))"""

LABELLED = r"""
$$x=1 \label{eq:a}$$

\begin{equation} y=2 \label{eq:b} \end{equation}

\begin{align} z&=3 \label{eq:c}\\ z&=\alpha\label{eq:d}w \end{align}

$\mathtoolsset{prescript-sub-format=\mathbf}u$, see $\eqref{eq:a}$

```math
v=4 \label{eq:a}
```
"""
NESTED = "\n\n".join(
    f"$${opening * 49}x{closing * 49}$$"
    for opening, closing in [
        (r"\sqrt{", "}"),
        (r"\frac{1}{", "}"),
        (r"\cfrac{1}{", "}"),
        (r"\left(", r"\right)"),
        (r"\begin{cases}a\\b&", r"\end{cases}"),
        (r"\overset{a}{", "}"),
        (r"\displaystyle ", ""),
    ]
)
TOO_MUCH = "\n\n".join(
    f"$${opening * levels}x{closing * levels}$$"
    for opening, closing, levels in [
        (r"\sqrt{", "}", 110),
        (r"\frac{1}{", "}", 100),
        (r"\pmb{", "}", 12),
        (r"\xrightarrow{", "}", 40),
        (r"\overbracket{", "}", 20),
        (r"\left(", r"\right)", 200),
    ]
)


def notebook(*texts: str) -> nbformat.NotebookNode:
    """The reader's own formula, and an output for each text."""
    own = new_markdown_cell(r"$$r=0 \label{eq:a}$$")
    cells = [own, *(new_code_cell(SHOW.format(text=text)) for text in texts)]
    made: nbformat.NotebookNode = new_notebook(cells=cells)
    return made


def typeset(lab: Lab, cell: int) -> int:
    """Formulas in a cell's output, once there are some; no error is among them."""
    lab.outputs(cell).locator("mjx-container").first.wait_for(timeout=30_000)
    lab.page.wait_for_timeout(1000)
    assert lab.page.locator("mjx-merror, [data-mjx-error]").count() == 0
    return int(lab.outputs(cell).locator("mjx-container").count())


def test_labels_are_forgotten(home: Path) -> None:
    """The same labels in two cells, drawn again, and in the reader's own text: no error box."""
    require_browser()
    with Lab(home, notebook=notebook(LABELLED, LABELLED)) as lab:
        for cell in (1, 2, 1, 2):
            lab.run(cell)
            assert typeset(lab, cell) == 6
        assert "(eq:a)" in lab.output_text(1)


def test_deep_formulas_do_not_hold_up_the_page(home: Path) -> None:
    """As deep as is let through is typeset; what is deeper, or multiplies, is shown as text."""
    require_browser()
    with Lab(home, notebook=notebook(NESTED, f"{TOO_MUCH}\n\n$y$")) as lab:
        lab.run(1)
        assert typeset(lab, 1) == 7
        lab.run(2)
        assert typeset(lab, 2) == 1
        assert lab.output_text(2).count("$$") == 12


HOSTILE = "\n\n".join(
    [
        r"$\fcolorbox{red;position:fixed;inset:0;background:url(http://evil.example/)}{blue}{x}$",
        r"$\colorbox{red;position:fixed}{x}$",
        r"$\color{red;background:url(//evil.example)}x$",
        r"$\rule{100000em}{100000em}$",
        r"$x\\[100000em]y$",
        r"$\raise 100000em x$",
        r"$\color{red}y$",
    ]
)


def test_colours_and_lengths_stay_in_their_place(home: Path) -> None:
    """No formula fetches anything, lays itself over the page, or makes it endless."""
    require_browser()
    with Lab(home, notebook=notebook(HOSTILE)) as lab:
        asked: list[str] = []
        lab.page.on("request", lambda request: asked.append(request.url))
        lab.run(1)
        assert typeset(lab, 1) >= 1
        box = lab.outputs(1).bounding_box()
        assert box is not None
        assert box["height"] < 2000
        styles = (
            lab.outputs(1).locator("[style]").evaluate_all("all => all.map(e => e.style.cssText)")
        )
        assert not any("fixed" in style or "url(" in style for style in styles)
        assert not any("evil.example" in url for url in asked)
