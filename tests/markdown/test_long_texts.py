"""A text of any length is shown: its beginning rendered, its rest as it came."""

from __future__ import annotations

import html
import re

import pytest

from alcf_magics.markdown.long_texts import to_bounded_html
from alcf_magics.markdown.parsing import to_html

LIMIT = 200_000
PROSE = "## Part\n\nSome **bold** words and $x_1$ in a paragraph.\n\n- a\n- b\n\n"


def words(page: str) -> str:
    return html.unescape(re.sub("<style>.*?</style>\n|<[^>]*>", "", page))


def test_what_is_not_long_is_rendered_whole() -> None:
    """Up to the limit nothing changes."""
    text = (PROSE * (LIMIT // len(PROSE)))[:LIMIT]
    assert to_bounded_html(text, LIMIT) == (to_html(text), 0)


@pytest.mark.parametrize(
    "unit",
    [
        PROSE,
        "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 10,
        "```\ncode\n",
        "> " * 40 + "x\n",
        "<b>&",
    ],
    ids=["prose", "tables", "open fences", "quotes", "tags"],
)
def test_nothing_of_a_long_text_is_lost_or_live(unit: str) -> None:
    """The rest is text, whatever it is: its letters are all there, and none of its tags."""
    text = unit * (2 * LIMIT // len(unit) + 1)
    page, left = to_bounded_html(text, LIMIT)
    assert LIMIT // 4 < left <= len(text)
    assert text[-1000:].strip() in words(page)
    assert "<b>" not in page
    assert len(page) < 12 * len(text)
