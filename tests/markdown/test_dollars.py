"""Dollars are those of formulas, of prices, or of cells: what stands between two of them tells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.pages import mathematics, safe

AMOUNTS = st.one_of(
    st.integers(0, 2000).map(str),
    st.integers(1, 99).map(lambda n: f".{n:02}"),
    st.integers(100, 9999).map(lambda n: f"{n / 100:.2f}"),
    st.integers(1, 99).map(lambda n: f"{n},000"),
)
SIGNED = st.tuples(st.sampled_from(["", "-", "+", "−"]), AMOUNTS).map("".join)


@pytest.mark.parametrize(
    "text",
    [
        "$50-$65=$-15",
        "30*25=$750 and has 500-750=$-250",
        "6*.25=$1.5 and 2*.25=$.50",
        "6*.25=$1.5, so that 2*.25=$.50 each",
        "$750 and has 3*25=75$ left",
        "$.50-$.25=$.25",
        "$5+$-3",
        "($5)-($-3)",
        "$1,000/$-500",
        "$-5 and $-6",
        "x=$.5 to $.75",
        "cost $5 at C:\\Users\\new $",
        "$5 for \\textbf{one} and 6 $",
    ],
)
def test_sums_of_money_are_no_formulas(text: str) -> None:
    """A dollar before an amount, with a sign or without a zero, closes no formula."""
    assert mathematics(text) == []
    safe(text)


@given(SIGNED, st.sampled_from(["+", "-", "*", "/", "=", " or so, that is 3*4="]), SIGNED, SIGNED)
def test_any_sum_of_money_is_no_formula(one: str, sign: str, other: str, total: str) -> None:
    """Whatever the amounts are, and whatever stands between them."""
    assert mathematics(f"${one}{sign}${other}=${total}") == []


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("$.48$ and $.5x$", ["$.48$", "$.5x$"]),
        ("so $ x = \\boxed{-1}$.", ["$ x = \\boxed{-1}$"]),
        ("thus $\\frac{3}{2}= $ 1.5", ["$\\frac{3}{2}= $"]),
        ("$||x|-1|+||y|-1| \\leq 1 $", ["$||x|-1|+||y|-1| \\leq 1 $"]),
        ("$ \\text{if this holds} \\le y$", ["$ \\text{if this holds} \\le y$"]),
        ("the $x-$axis, $y-$intercept", ["$x-$", "$y-$"]),
        ("the $xy-$plane", ["$xy-$"]),
        ("$n-$th and $\\alpha-$helix", ["$n-$", "$\\alpha-$"]),
        ("$x$-1, $5$-10 and $2n$-1", ["$x$", "$5$", "$2n$"]),
        ("```math\nx^2 < 1\n```", ["$$x^2 < 1\n$$"]),
        ("- a\n\n  ```math\n  \\sqrt{x}\n  ```", ["$$\\sqrt{x}\n$$"]),
    ],
)
def test_formulas_of_unusual_form(text: str, pieces: list[str]) -> None:
    """A space on one side, a point without zero, a hyphen at the end, a fence of mathematics."""
    assert mathematics(text) == pieces
    safe(text)


@pytest.mark.parametrize(
    "text",
    [
        "```math\nx^2",
        "```math\n\n```",
        "```math\na $$ b\n```",
        "```math\n\\href{javascript:alert(1)}{x}\n```",
        f"```math\n{'x' * 10_001}\n```",
    ],
)
def test_a_fence_of_mathematics_that_is_none(text: str) -> None:
    """One that is open, empty, too long, or holds dollars or more than mathematics is shown."""
    assert mathematics(text) == []
    safe(text)


BARRED = st.sampled_from(["a | b", "|x|", "P(A|B)", "x|y", "\\|v\\|", "b \\mid c | d", "A | B | C"])


@given(st.lists(BARRED, min_size=1, max_size=5))
def test_bars_outside_a_table_are_mathematics(formulas: list[str]) -> None:
    """No line is a row of a table because of its bars: the parser says where tables are."""
    typed = [f"${formula}$" for formula in formulas]
    assert mathematics(f"If {' and '.join(typed)} then.") == typed
    assert mathematics(f"- {' | '.join(typed)}\n\n| no table |") == typed


@given(st.lists(st.sampled_from(["$a", "b$", "$5", "3$", "x", "$5.00", "$"]), min_size=2))
def test_cells_of_a_full_row_stay_cells(cells: list[str]) -> None:
    """Where the bars of a row make as many cells as the head has, none is in a formula."""
    row = f"| {' | '.join(cells)} |"
    line = f"|{'---|' * len(cells)}"
    table = f"| {' | '.join('h' for _ in cells)} |\n{line}\n{row}"
    for text in (table, f"> {table.replace(chr(10), chr(10) + '> ')}"):
        assert safe(text).count("</td>") == len(cells)
        assert not any("|" in formula for formula in mathematics(text))
    assert safe(f"{row}\n{line}").count("</th>") == len(cells)


@given(st.lists(BARRED.filter(lambda formula: " | " not in formula), min_size=1, max_size=4))
def test_formulas_in_cells_stay_formulas(formulas: list[str]) -> None:
    """Bars that are too many for the head of the table stand in the formulas."""
    typed = [f"${formula}$" for formula in formulas]
    head = "h" + " | h" * len(formulas)
    text = f"| {head} |\n|{'---|' * (len(formulas) + 1)}\n| x | {' | '.join(typed)} |"
    assert mathematics(text) == typed
    assert safe(text).count("</td>") == len(formulas) + 1
