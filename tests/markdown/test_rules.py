"""Task lists, notes, labels of code, tables and links: what becomes of the blocks of a text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcf_magics.markdown.parsing import code_of, normalise, parse, to_html
from support.pages import safe


def test_a_task_has_a_box_and_no_bullet() -> None:
    """An item of an ordered list keeps its number; what only looks like a box is text."""
    rendered = safe("- [ ] a\n- [x] *b*\n- c\n  - [X] d\n\n1. [ ] e\n")
    assert rendered.count("list-style-type:none") == 3
    assert rendered.count('<input type="checkbox" disabled') == 4
    assert rendered.count(" checked>") == 2
    assert '<li class="task-list-item"><input type="checkbox" disabled> e</li>' in rendered
    for text in ["- [ ]x", "- [y] a", "[ ] a", "- `[ ] a`", "- [x] a\n\n[x]: http://a.b"]:
        assert "<input" not in safe(text)


@pytest.mark.parametrize("name", ["NOTE", "TIP", "IMPORTANT", "WARNING", "CAUTION", "note", "Tip"])
def test_a_quotation_may_be_a_note(name: str) -> None:
    """The mark becomes a title, and the quotation has a colour."""
    title = f"<p><strong>{name.title()}</strong></p>"
    rendered = safe(f"> [!{name}]\n> a *b*\n>\n> c")
    assert rendered.startswith('<blockquote style="border-left:4px solid var(')
    assert f"{title}\n<p>a <em>b</em></p>\n<p>c</p>" in rendered
    assert f"{title}\n<ul>" in safe(f"> [!{name}]\n>\n> - c")
    assert safe(f"> [!{name}]").count("<p>") == 1


@pytest.mark.parametrize(
    "text",
    ["[!NOTE]", "> [!NOTE] a", "> a\n> [!NOTE]", "> [!OTHER]", "> [!NOTE]\n\n[!note]: http:a"],
)
def test_other_quotations_are_no_notes(text: str) -> None:
    """The mark stands alone on the first line of a quotation, and is one of five."""
    assert "<strong>" not in to_html(text)


@pytest.mark.parametrize(
    ("info", "label", "coloured"),
    [
        ("python", "python", True),
        ("{python}", "python", True),
        ("{.python .numberLines}", "python", True),
        ("{code-cell} ipython3", "ipython3", True),
        ("py3", "py3", True),
        ("Python3", "Python3", True),
        ("c\\+\\+", "c++", True),
        ("c&#43;&#43;", "c++", True),
        ("python:main.py", "python", True),
        ('python title="a"', "python", True),
        ("hpp", "hpp", True),
        ("tsx", "tsx", True),
        ("brainfuck", "brainfuck", False),
        ("{}", "", False),
        ("", "", False),
    ],
)
def test_a_fence_names_its_language_in_many_ways(info: str, label: str, coloured: bool) -> None:
    """Braces, attributes, escapes and other names of a language; the label is the name alone."""
    text = f"```{info}\nint = 1\n```"
    rendered = safe(text)
    assert re.findall(r"font-size:smaller[^>]*>([^<]*)<", rendered) == [label] * bool(label)
    assert ('<span class="alcf-' in rendered) == coloured
    assert list(code_of(parse(normalise(text)))) == [("int = 1\n", label)]


def test_a_fence_of_mathematics_is_no_code() -> None:
    """What is shown as a formula is not among the code blocks, what is not one is."""
    parsed = parse("```math\nx\n```\n\n```math\n$\n```\n\n```math\ny")
    assert list(code_of(parsed)) == [("$\n", "math"), ("y", "math")]


def test_a_table_has_no_more_cells_than_were_typed() -> None:
    """The missing cells of a row are one; too many columns, or too many cells, are text."""
    short = safe(f"{'a|' * 100}\n{'-|' * 100}\n{'x|' * 3}\n" + "y|\n" * 150)
    assert short.count("<td") == 4 + 2 * 150
    assert '<td colspan="97"' in short
    assert "<table" not in safe("|".join("a" * 1000) + "\n" + "|".join("-" * 1000))
    assert len(safe("x|" * 256 + "\n" + "-|" * 256 + "\n" + "x|\n" * 256)) < 5_000
    long = safe("a|b\n-|-\n" + "x|y\n" * 15_000)
    assert long.count("<td") <= 20_000
    assert "x|y\nx|y" in long


CELL = st.text("ab \\$*`<", max_size=4).filter(lambda cell: cell.strip() and "\\" not in cell)


@given(st.lists(st.lists(CELL, min_size=1, max_size=6), min_size=1, max_size=5), st.integers(1, 6))
def test_rows_of_any_length_fill_the_width(rows: list[list[str]], columns: int) -> None:
    """Each row of a table is as wide as its head, whatever was typed."""
    text = "|h" * columns + "|\n" + "|-" * columns + "|\n"
    text += "\n".join(f"|{'|'.join(row)}|" for row in rows)
    for row in safe(text).split("<tr>")[2:]:
        spans = re.findall(r'<td(?: colspan="(\d+)")?', row)
        assert sum(int(span or 1) for span in spans) == columns


def test_an_address_defined_once_is_not_repeated_without_end() -> None:
    """A long address that is used again and again adds a bounded length; its words stay."""
    for defined in [
        "https://a.b/" + "z" * 9000,
        "javascript:" + "$" * 9000,
        "http://a '" + "<" * 9000,
        "http://a/" + f"${'x' * 9000}$" * 3,
    ]:
        defined += "'" * ("'" in defined)
        for use in ("[a] ", "[a]\n\n", "![a] "):
            text = f"[a]: {defined}\n\n" + use * 4000
            rendered = safe(text)
            assert len(rendered) < 60 * len(text)
            assert "a" in rendered[-30:]
    assert safe("[a]: https://a.b\n\n" + "[a] " * 500).count("<a ") == 500
    assert safe(("[a](https://a.b/" + "z" * 900 + ") ") * 500).count("<a ") == 500
