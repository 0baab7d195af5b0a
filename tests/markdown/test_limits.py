"""What a text of any kind costs grows with its length: HTML, and the work to make it."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alcf_magics.markdown.parsing import to_html

KINDS = [
    *("x|", "|", "||", "a|b\n-|-\n", "|א", "| a |\n|-|\n", "|-|\n", "-|-\n", "a|\n", "|a|b|c|\n"),
    *("*a ", "*a* ", "**a ", "_a ", "~~a ", "*_", "*a **b ", "**a* ", "***a", "重**要。**", "**「"),
    *("`", "`a`", "`a``b", "[", "[a]", "![a]", "[^1]", "^[x]", "^[", "![", "[*", "[^a]: b\n\n"),
    *("<", "<sub>", "</sub>", "<sub>a</sub>", "<br>", "<sup><sub>", "<kbd></sub>", "<!--", "<b>"),
    *(">", "> ", ">\n", "- ", "-\n", "- [ ] a\n", "  - a\n", "1. a\n", "-\t", "- - ", "+ * "),
    *("#\n", "# a\n", "***\n", "a\n\n", "a\n", "\n", "a\n--\n", "=\n", "\t", " ", "    a\n\nb\n\n"),
    *("```\n```\n", "```x\n```\n", "```c\n1+1\n```\n", "```\n", "~~~\n", "```math\nx\n```\n"),
    *("$", "$x$", "$x$ ", "$$x$$", "\\[x\\]", "\\[", "\\(", "\\(x\\)", "$a | b$ ", "$a|", "$5-$"),
    *("\\begin{align}", "\\begin{align}x\\end{align}", "$\\label{a}$", "\\label{a}", "$.5", "$ x"),
    *("$\\kern 1em$", "$\\fcolorbox{a}{b}{c}$", "$\\color{a}", "$\\kern 1" + "1" * 90 + "em$"),
    *("$\\eqref{a}$", "$5 ", "$x $", "\\", "\\$", "{", "\\text{", "$`x`$", "$x-$a", "=$-5"),
    *("&amp;", "&", '"', "&#0;", "\x00", "alcfm", "😀", "שלום\n\n", "😀**。**", "a<b "),
    *("https://a ", "https://", "https://a.b/)", "(https://a)", "https://a/é ", "<http:a>"),
    *("[a](https://b) ", "[](https://a)", "![a](b) ", "[a]: https://b\n", "<a@b.c>"),
    *("> [!NOTE]\n\n", "> [!NOTE]\n> a\n\n", "[!NOTE]", "{python}"),
]
MAX_BYTES = 80
"""Of HTML for each character. The dearest are an empty footnote, and an item of a list that is an
empty box of code; of a usual answer it is three."""


def work(text: str) -> int:
    """Lines of Python that are run for a text: the same on every machine, however busy."""
    lines = 0

    def count(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        lines += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        to_html(text)
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize("kind", KINDS)
def test_a_repeated_piece_costs_what_it_is_long(kind: str) -> None:
    """Four times the text is about four times the work, and bounded HTML."""
    short, long = kind * (300 // len(kind)), kind * (1200 // len(kind))
    to_html(short)
    assert work(long) < 6 * work(short) + 2_000
    text = kind * (8_000 // len(kind))
    assert len(to_html(text).encode()) < MAX_BYTES * len(text.encode()) + 2_000


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(KINDS), min_size=2, max_size=3).map("".join))
def test_a_mix_of_kinds_makes_bounded_html(kinds: str) -> None:
    """Whatever is mixed, each character becomes so many bytes at most."""
    text = kinds * (4_000 // len(kinds))
    assert len(to_html(text).encode()) < MAX_BYTES * len(text.encode()) + 2_000


def test_many_tasks_cost_what_one_costs() -> None:
    """Four thousand tasks are four times the work of a thousand."""
    assert work("- [ ] item\n" * 800) < 4.5 * work("- [ ] item\n" * 200)
