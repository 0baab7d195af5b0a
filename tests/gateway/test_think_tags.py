"""Reasoning between tags in the text is reasoning; code that shows such a tag is code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcf_magics.gateway.think_tags import ThinkTags


def sorted_out(*pieces: str) -> tuple[str, str]:
    tags = ThinkTags()
    for piece in pieces:
        tags.add(piece)
    return tags.whole()


CASES = [
    ("<think>why</think>\n\nanswer", "answer", "why"),
    ("\n<think>\nwhy\n</think>answer", "\nanswer", "why\n"),
    ("why</think>answer", "answer", "why"),
    ("why\n</think>\n\n{}", "{}", "why\n"),
    ("<think></think>answer", "answer", ""),
    ("<think>never closed", "", "never closed"),
    ("<think>a < b</think>a < b <thin", "a < b <thin", "a < b"),
    ("<think>a</think>b\n<think>c</think>d", "b\nd", "ac"),
    ("no tag at all", "no tag at all", ""),
    ("write `<think>` and `</think>` so", "write `<think>` and `</think>` so", ""),
    ("```\n<think>\nx\n</think>\n```\n", "```\n<think>\nx\n</think>\n```\n", ""),
    ("~~~~\n~~~\n</think>\n~~~~\n", "~~~~\n~~~\n</think>\n~~~~\n", ""),
    ("    </think>", "    </think>", ""),
    ("in a line <think> is a word", "in a line <think> is a word", ""),
    ("<think>a</think>b</think>c", "b</think>c", "a"),
    ("<think>see `x` and\n```\ny</think>z", "z", "see `x` and\n```\ny"),
    ("```py\nx\n```\n<think>y</think>z", "```py\nx\n```\nz", "y"),
]


@pytest.mark.parametrize(("text", "content", "reasoning"), CASES)
def test_tags_are_read_however_they_are_split(text: str, content: str, reasoning: str) -> None:
    """Whole, letter by letter, and in pairs of letters, the same comes out."""
    for size in (len(text), 1, 2):
        pieces = [text[i : i + size] for i in range(0, len(text), size)]
        assert sorted_out(*pieces) == (content, reasoning)


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "`", "```\n", "\n", "a", "<", "thi", " "])),
    st.data(),
)
def test_no_split_changes_anything(parts: list[str], data: st.DataObject) -> None:
    """Whatever stands in a text, where it is cut is of no matter, and nothing is lost."""
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    content, reasoning = sorted_out(text)
    assert sorted_out(*pieces) == (content, reasoning)

    def bare(some: str) -> list[str]:
        return sorted(some.replace("<think>", "").replace("</think>", "").split())

    if "<" not in text.replace("<think>", "").replace("</think>", ""):
        assert "".join(bare(content) + bare(reasoning)).count("a") == text.count("a")
