"""The table of formats: how each reads an answer and shows it."""

from __future__ import annotations

import html
import re

import pytest

from alcf_magics.errors import AnswerInvalid
from alcf_magics.showing.formats import FORMATS, CodeBlock

ANSWER = 'See:\n\n```json\n{"b": [1], "a": "<é>"}\n```\n\nand\n\n~~~python\nprint("`" * 4)\n~~~\n'


def shown(format: str, text: str) -> str:
    entry = FORMATS[format]
    return entry.show(text, entry.parse(text))


def words(page: str) -> str:
    return html.unescape(re.sub("<style>.*?</style>\n|<[^>]*>", "", page))


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


@pytest.mark.parametrize("text", ["NaN", '{"a": Infinity}', "[-Infinity]", "1e999", "[-1e999]"])
def test_numbers_that_json_has_not_are_no_json(text: str) -> None:
    """What Python's reader takes beyond RFC 8259 is refused, and named."""
    for answer in (text, f"```json\n{text}\n```"):
        with pytest.raises(AnswerInvalid, match="is no number of JSON"):
            FORMATS["json"].parse(answer)


def test_a_byte_order_mark_before_json_is_fine() -> None:
    """A mark in front, of the answer or of its block, changes no value."""
    assert FORMATS["json"].parse("\ufeff[1.5, 2e3]") == [1.5, 2000]
    assert FORMATS["json"].parse("So:\n\n```\n\ufeff[1]\n```") == [1]


def test_json_of_any_depth_that_was_read_is_shown() -> None:
    """What is too deep to be written prettily is shown as it came."""
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    assert words(FORMATS["json"].show(" [[1]] ", deep)) == "json[[1]]\n\n"
    assert words(FORMATS["json"].show(" [[1]] ", {"a": deep})) == "json[[1]]\n\n"
    assert words(FORMATS["json"].show(" [1] ", [1])) == "json[\n  1\n]\n\n"


@pytest.mark.parametrize(
    ("before", "prefix", "after"),
    [
        ("<details>\n", "", "\n</details>"),
        ("<!--\n", "", "\n-->"),
        ("$x$\n", "", ""),
        ("", "> " * 30, ""),
    ],
)
def test_code_is_what_the_rendered_answer_shows_as_code(
    before: str, prefix: str, after: str
) -> None:
    """Raw HTML hides no block, nor do quotations in quotations."""
    fence = "\n".join(prefix + line for line in ["```py", "a = '$x$'", "```"])
    assert FORMATS["code"].parse(before + fence + after) == (CodeBlock("a = '$x$'\n", "py"),)


def test_a_block_is_shown_whole_whatever_its_language_is_called() -> None:
    """A name that no fence of backticks may have is shown, with the code."""
    page = shown("code", "~~~a`b\ncode\n~~~\n")
    assert ">a`b</div>" in page
    assert ">code\n</code>" in page


def test_an_answer_without_code_is_shown() -> None:
    """Nothing is hidden from a person who expected code."""
    page = shown("code", "only *words*")
    assert page == "<p>(the answer holds no code block)</p>\n<p>only <em>words</em></p>\n"


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
