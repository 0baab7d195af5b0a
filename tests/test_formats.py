"""The table of formats: how each reads an answer and shows it."""

from __future__ import annotations

import pytest

from alcf_magics.errors import AnswerInvalid
from alcf_magics.formats import FORMATS, CodeBlock

ANSWER = 'See:\n\n```json\n{"b": [1], "a": "<é>"}\n```\n\nand\n\n~~~python\nprint("`" * 4)\n~~~\n'


def shown(format: str, text: str) -> str:
    entry = FORMATS[format]
    return entry.show(text, entry.parse(text))


def test_json_is_read_alone_or_from_a_code_block() -> None:
    """Models wrap JSON in a block and in words; the value is the same."""
    assert FORMATS["json"].parse(' {"a": 1} ') == {"a": 1}
    assert FORMATS["json"].parse(ANSWER) == {"b": [1], "a": "<é>"}
    page = shown("json", ANSWER)
    assert "é" in page
    assert "<é>" not in page


@pytest.mark.parametrize("text", ["", "no json", "{'a': 1}", "```json\n{\n```", "[" * 100_000])
def test_what_is_no_json_is_said(text: str) -> None:
    """An answer that cannot be read is told in one line."""
    with pytest.raises(AnswerInvalid, match="no valid JSON"):
        FORMATS["json"].parse(text)


def test_code_is_the_blocks_alone() -> None:
    """Every block with its language; the words around them are left out."""
    assert FORMATS["code"].parse(ANSWER) == (
        CodeBlock('{"b": [1], "a": "<é>"}\n', "json"),
        CodeBlock('print("`" * 4)\n', "python"),
    )
    assert "and" not in shown("code", ANSWER).replace("alcf-", "").split("print")[0][-40:]
    assert "no code block" in shown("code", "words")


def test_code_with_fences_in_it_stays_one_block() -> None:
    """A block that holds fences itself is shown whole."""
    text = "````markdown\n```\ninner\n```\n````\n"
    (block,) = FORMATS["code"].parse(text)
    assert block.code == "```\ninner\n```\n"
    assert shown("code", text).count("<pre") == 1


def test_text_is_text() -> None:
    """Plain text is neither rendered nor run."""
    assert "<b>" not in shown("text", "**x** <b>y</b>")
    assert "**x**" in shown("text", "**x**")
