"""Tables in a real JupyterLab, in an output of 700 pixels: nothing is wider, nothing is cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from support.lab import Lab, require_browser

pytestmark = pytest.mark.browser

#: Every table that is shown, with what stands in it on a usual day, and with the worst.
TABLES = """\
from IPython.display import HTML, display
from alcf_magics import history
from alcf_magics.auth.account import LoginStatus
from alcf_magics.gateway import catalog
from alcf_magics.many import batches, results
from alcf_magics.showing.tables import html_table

name, host = "meta-llama/Llama-4-Maverick-17B-128E-Instruct", "x3209c0s13b0n0.hsn.cm.polaris.alcf"
job, when = "1234567.polaris-pbs-01.hsn.cm.polaris.alcf.anl.gov", "Thu 26 Nov 2026 14:05 CST"
path = "/lus/eagle/projects/AuroraGPT/somebody/alcf-magics/batches/2026-11-26/prompts.jsonl"
words = "chat, tools, vision, reasoning"
usual = {
    catalog.COLUMNS + catalog.JOB_COLUMNS: (
        catalog.UNBROKEN, (name, "sophia", "maintenance", words, 131072, host, job, "05:12:33")
    ),
    history.COLUMNS: (
        history.UNBROKEN,
        (10, when, name, "What is the capital of the US…", "The capital of the United…",
         12345678, 131072, 1234.567, "length"),
    ),
    results.COLUMNS: ((), (123, "What is the capital of the US…", "The capital of the United…")),
    batches.COLUMNS: (
        batches.UNBROKEN,
        ("0f8fad5b-d9cb-469f-a165-70867728950e", "completed", "sophia", when, when, path),
    ),
    ("login", ""): ((), ("stored", path)),
}
for columns, (unbroken, row) in usual.items():
    short = tuple(cell if isinstance(cell, int | float) else cell.split()[0][:9] for cell in row)
    worst = tuple(10**20 if isinstance(c, int | float) else "W" * 256 for c in row)
    for rows in ([short], [row, short], [worst, row, short]):
        display(HTML(html_table(columns, rows, unbroken=unbroken)))
"""

MEASURE = """() => [...document.querySelectorAll('.jp-RenderedHTML')].map((output) => {
    const table = output.querySelector('table');
    const cut = [...table.querySelectorAll('td,th')].filter((c) => c.scrollWidth > c.clientWidth);
    return [output.clientWidth, output.scrollWidth, table.offsetWidth, cut.length];
})"""


def test_every_table_fits_700_pixels(home: Path) -> None:
    """In light and dark, with long names and with hostile ones, and each cell shows all it has."""
    require_browser()
    notebook = new_notebook(cells=[new_code_cell(TABLES)])
    with Lab(home, notebook=notebook) as lab:
        lab.page.add_style_tag(
            content=".jp-OutputArea-output { flex: none !important; width: 700px }"
        )
        lab.run(0)
        assert lab.outputs(0).count() == 15, lab.output_text(0)
        for theme in ("light", "dark"):
            lab.screenshot(home / f"{theme}.png", theme)
            for inside, all_of_it, table, cut in lab.page.evaluate(MEASURE):
                assert inside <= 700
                assert all_of_it <= inside
                assert table <= inside
                assert cut == 0
