"""Tables as text: aligned, at most 100 columns wide, and nothing in them is cut."""

from __future__ import annotations

import random

import pytest

from alcf_magics import history
from alcf_magics.__main__ import main
from alcf_magics.auth.account import LoginStatus
from alcf_magics.gateway import catalog
from alcf_magics.gateway.models import Job, Model, Status
from alcf_magics.many import batches, results
from alcf_magics.showing.tables import html_table, text_lines, text_rows, text_table
from alcf_magics.showing.widths import folded, width

LONG = "meta-llama/Llama-4-Maverick-17B-128E-Instruct"


def shows(texts: str, table: str) -> bool:
    """Whether all characters of a text are in a table, in their order."""
    rest = iter("".join(table.split()))
    return all(character in rest for character in "".join(texts.split()))


@pytest.mark.parametrize(
    ("text", "columns"),
    [("abc", 3), ("é", 1), ("e\u0301", 1), ("東京", 4), ("ｱ", 1), ("👩", 2), ("a\u200db", 2)],
)
def test_width_counts_the_columns_of_a_terminal(text: str, columns: int) -> None:
    """An accent takes none, a Chinese character two."""
    assert width(text) == columns


@pytest.mark.parametrize(
    ("text", "most", "lines"),
    [
        ("short", 10, ["short"]),
        ("", 10, [""]),
        ("some words here", 10, ["some words", "here"]),
        ("meta-llama/Llama-4", 11, ["meta-llama/", "Llama-4"]),
        ("aaaaaaaaaaaa", 5, ["aaaaa", "aaaaa", "aa"]),
        ("東京東京", 5, ["東京", "東京"]),
        ("a  b", 1, ["a", "b"]),
    ],
)
def test_a_text_is_folded_between_words(text: str, most: int, lines: list[str]) -> None:
    """And within them where one is longer than a line."""
    assert folded(text, most) == lines


def test_nothing_is_lost_when_a_text_is_folded() -> None:
    """Whatever it is made of: only spaces at a line's end go."""
    draw = random.Random(7)
    for _ in range(2000):
        text = "".join(draw.choice("ab 東é\u0301/-_ ") for _ in range(draw.randrange(40)))
        most = draw.randrange(2, 12)
        lines = folded(text, most)
        assert "".join("".join(lines).split()) == "".join(text.split())
        assert max(map(width, lines)) <= max(most, 2)


def test_a_table_that_fits_is_a_line_a_row() -> None:
    """Two columns between two columns; less where that keeps it from being folded."""
    assert text_table(("a", "n"), [("x", 1), ("yy", None), ("z", 12345)]) == (
        "a        n\nx        1\nyy\nz   12,345"
    )
    tight = text_table(("a", "b"), [("x" * 60, "y" * 39)])
    assert tight.splitlines()[1] == "x" * 60 + " " + "y" * 39


#: Rows of every table that is shown, and the columns of each that are best left whole.
JOB = ("x3209c0s13b0n0.hsn.cm.polaris", "1234567.polaris-pbs-01.hsn.cm.polaris", "05:12:33")
WHEN = "Thu 26 Nov 2026 14:05 CST"
TABLES = [
    (catalog.COLUMNS, (0, 1), (LONG, "sophia", "maintenance", "chat, tools, vision", 131072)),
    (
        catalog.COLUMNS + catalog.JOB_COLUMNS,
        (0, 1),
        (LONG, "sophia", "offline", "chat, tools, vision, reasoning", 131072, *JOB),
    ),
    (
        history.COLUMNS,
        (1, 2),
        (10, WHEN, LONG, "What is the capital…", "The capital…", 12345678, 512, 12.34, "length"),
    ),
    (results.COLUMNS, (), (123, "What is the capital of the US…", "RateLimited: " + "x" * 47)),
    (
        batches.COLUMNS,
        (0,),
        ("0f8fad5b-d9cb-469f-a165-70867728950e", "completed", "sophia", WHEN, WHEN, "/l/" * 40),
    ),
]


@pytest.mark.parametrize(("columns", "whole", "row"), TABLES)
@pytest.mark.parametrize("worst", ["", "W" * 256, "東" * 256, "a b " * 64])
def test_no_table_is_wider_than_100_columns(
    columns: tuple[str, ...],
    whole: tuple[int, ...],
    row: tuple[str | int | float, ...],
    worst: str,
) -> None:
    """With long names, and with hostile ones in every cell; each shows all that it has."""
    hostile = tuple(10**40 if isinstance(cell, int | float) else worst for cell in row)
    rows = [row, hostile] if worst else [row]
    table = text_table(columns, rows, whole)
    assert max(map(width, table.splitlines())) <= 100
    for cell in rows[-1]:
        assert shows(f"{cell:,}" if isinstance(cell, int | float) else str(cell), table)
    page = html_table(columns, rows, unbroken=whole)
    assert "nowrap" not in page
    assert all(str(cell) in page for cell in rows[-1] if isinstance(cell, str))


def test_what_shows_itself_as_a_table_fits() -> None:
    """The models with their jobs and notices, the login, lines about them, the command line."""
    models = tuple(
        Model(
            name=name,
            cluster=cluster,
            framework="vllm",
            base_url="https://example.invalid/v1",
            status=Status.MAINTENANCE,
            notice="All nodes are down until Monday, " * 8,
            job=Job(*JOB),
        )
        for name, cluster in ((LONG, "sophia"), ("m" * 256, "c" * 256))
    )
    table = catalog.Catalog(models, notes=("x" * 300,), with_jobs=True)
    status = LoginStatus((("stored", "/home/" + "somebody/" * 40), ("gateway", "https://x.y/")))
    for text in (repr(table), repr(table.select("zzz")), repr(status), text_lines(["word " * 90])):
        assert max(map(width, text.splitlines())) <= 100
    assert shows("m" * 256, repr(table))
    assert repr(status).splitlines()[-1] == "gateway  https://x.y/"
    assert text_rows([("a", "1"), ("bb", "2")]) == "a   1\nbb  2"


def test_the_list_of_scenarios_fits(capsys: pytest.CaptureFixture[str]) -> None:
    """`alcf-magics sandbox --list`: a name, and what happens, folded beside it."""
    assert main(["sandbox", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.startswith("policy_timeout  ") for line in lines)
