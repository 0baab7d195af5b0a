"""Bare addresses are links, four tags are elements, emphasis knows writing without spaces."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.pages import safe


def links(text: str) -> list[str]:
    return re.findall(r'<a href="([^"]*)"', safe(text))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("See https://docs.alcf.anl.gov/ for more.", "https://docs.alcf.anl.gov/"),
        ("at https://docs.alcf.anl.gov/.", "https://docs.alcf.anl.gov/"),
        ("https://a.b/c?d=e&f=g#h, and", "https://a.b/c?d=e&amp;f=g#h"),
        ("(https://a.b/c)", "https://a.b/c"),
        ("(see https://a.b/c_(d)).", "https://a.b/c_(d)"),
        ("**https://a.b/c**!", "https://a.b/c"),
        ("_https://a.b/c_d_", "https://a.b/c_d"),
        ("“https://a.b”", "https://a.b"),
        ("'https://a.b'", "https://a.b"),
        ("http://localhost:8000/lab?token=x", "http://localhost:8000/lab?token=x"),
        ("请看https://a.b/c。谢谢", "https://a.b/c"),
        ("HTTPS://A.B/C...", "HTTPS://A.B/C"),
        ("https://a.b/é", "https://a.b/%C3%A9"),
        ("| https://a.b | c |\n|---|---|\n| d | e |", "https://a.b"),
        ("- https://a.b\n", "https://a.b"),
        ("<https://a.b>", "https://a.b"),
        ("[https://a.b](https://c.d)", "https://c.d"),
        ("[*https://a.b*](https://c.d)", "https://c.d"),
    ],
)
def test_a_bare_address_is_a_link(text: str, address: str) -> None:
    """With what belongs to it, without the marks of the sentence around it."""
    assert links(text) == [address]


@pytest.mark.parametrize(
    "text",
    [
        "`https://a.b`",
        "```\nhttps://a.b\n```",
        "    https://a.b",
        "![https://a.b](c)",
        "ftp://a.b and file:///etc/passwd and javascript://a.b",
        "xhttps://a.b and 1http://a.b",
        "https:// and https://. and https:///x",
        "https://\u202ea.b",
        "www.a.b",
    ],
)
def test_what_is_no_address_of_the_web_is_no_link(text: str) -> None:
    """Code, other schemes, and addresses without a host stay text."""
    assert links(text) == []


URL_PIECES = ["https://", "http://", "a.b", "/", "(", ")", ".", "_", "*", "~", "'", '"', "<", ">"]
URL_PIECES += ["[", "]", "`", "&quot;", "javascript:", "onclick=", " ", "é", "。", "$x$", "|", "\\"]


@given(st.lists(st.sampled_from(URL_PIECES), max_size=15).map("".join))
def test_no_address_is_unsafe(text: str) -> None:
    """Whatever stands in an address, it is of the web, and quotes nothing into the page."""
    for address in links(f"x https://{text} y"):
        assert re.match(r"https?://", address, re.I)
        assert not re.search(r"[\s<>\"'`]", address)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("H<sub>2</sub>O", "H<sub>2</sub>O"),
        ("x<sup>*n*</sup>", "x<sup><em>n</em></sup>"),
        ("<kbd>Ctrl</kbd>+<KBD>C</kbd>", "<kbd>Ctrl</kbd>+<kbd>C</kbd>"),
        ("a<br>b<br/>c<BR />d", "a<br />\nb<br />\nc<br />\nd"),
        ("<sub><sup>a</sup></sub>", "<sub><sup>a</sup></sub>"),
        ("**a<sub>b</sub>**", "<strong>a<sub>b</sub></strong>"),
        ("[a<sub>b</sub>](c)", "[a<sub>b</sub>](c)"),
        ("<sub>a", "&lt;sub&gt;a"),
        ("a</sub>", "a&lt;/sub&gt;"),
        ("<sub>a</sup></sub>", "<sub>a&lt;/sup&gt;</sub>"),
        ("</kbd><sub>a</kbd></kbd></sub>", "&lt;/kbd&gt;<sub>a&lt;/kbd&gt;&lt;/kbd&gt;</sub>"),
        ("<sub>a<sup></sub>b</sup>", "<sub>a&lt;sup&gt;</sub>b&lt;/sup&gt;"),
        ("*a<sub>b*c</sub>", "<em>a&lt;sub&gt;b</em>c&lt;/sub&gt;"),
        ("<sub>*a</sub>b*", "&lt;sub&gt;<em>a&lt;/sub&gt;b</em>"),
        ("`<sub>a</sub>`", "<code>&lt;sub&gt;a&lt;/sub&gt;</code>"),
        ("<sub onclick=x>a</sub>", "&lt;sub onclick=x&gt;a&lt;/sub&gt;"),
        ("<sub/>a< sub>b</sub >", "&lt;sub/&gt;a&lt; sub&gt;b&lt;/sub &gt;"),
        ("<br class=x><br/x>", "&lt;br class=x&gt;&lt;br/x&gt;"),
        ("<b>a</b><i>b</i></p>", "&lt;b&gt;a&lt;/b&gt;&lt;i&gt;b&lt;/i&gt;&lt;/p&gt;"),
        ("\\<sub>a</sub>", "&lt;sub&gt;a&lt;/sub&gt;"),
        ("&lt;sub&gt;a&lt;/sub&gt;", "&lt;sub&gt;a&lt;/sub&gt;"),
    ],
)
def test_four_tags_are_elements(text: str, expected: str) -> None:
    """`br`, `sub`, `sup`, `kbd`: in pairs, without attributes; any other tag is text."""
    assert safe(text) == f"<p>{expected}</p>\n"


def test_a_line_may_break_in_a_cell() -> None:
    """A table has no other way to say so."""
    rendered = safe("| A | x<br>y |\n|---|---|\n| H<sub>2</sub>O | <kbd>a</kbd> |")
    assert ">x<br />\ny</th>" in rendered
    assert ">H<sub>2</sub>O</td>" in rendered
    assert "<kbd>a</kbd></td>" in rendered


TAGS = [f"<{slash}{tag}>" for tag in ("sub", "sup", "kbd", "SUB") for slash in ("", "/")]
AROUND = [
    "<br>",
    "*",
    "**",
    "~~",
    "`",
    "[",
    "](http://a.b)",
    "a",
    " ",
    "\n",
    "\n\n",
    "|",
    "> ",
    "- ",
]
AROUND += [
    "<sub ",
    "onclick=x>",
    '"',
    "<",
    ">",
    "&lt;",
    "\\",
    "$x$",
    "$",
    "^[",
    "![",
    "_",
    "\n|-|\n",
]


@given(st.lists(st.sampled_from(TAGS + AROUND), max_size=25).map("".join))
def test_tags_are_always_balanced(text: str) -> None:
    """Whatever they are crossed with, each element ends where it began, and in its own block."""
    safe(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("这是**重要。**所以", "这是<strong>重要。</strong>所以"),
        ("これは**「重要」**な点", "これは<strong>「重要」</strong>な点"),
        ("한국어**(Korean)**은", "한국어<strong>(Korean)</strong>은"),
        ("他说：**“好的。”**然后", "他说：<strong>“好的。”</strong>然后"),
        ("价格*（含税）*是", "价格<em>（含税）</em>是"),
        ("删~~「旧」~~新", "删<s>「旧」</s>新"),
        ("**`x`**は", "<strong><code>x</code></strong>は"),
        ("a **b.**c", "a **b.**c"),
        ("a**(b)** c", "a**(b)** c"),
        ("变量_「x」_名", "变量_「x」_名"),
        ("**重要** 和 *次要*", "<strong>重要</strong> 和 <em>次要</em>"),
    ],
)
def test_emphasis_beside_writing_without_spaces(text: str, expected: str) -> None:
    """Wide letters beside a mark stand for the spaces of other writing; Latin ones do not."""
    assert safe(text) == f"<p>{expected}</p>\n"


WIDE = st.sampled_from("这重要漢字かなカナ한국어")
MARKS = st.sampled_from(["。", "，", "」", "）", "！", "”", ")", ".", "%", "：", "、"])


@given(WIDE, WIDE, MARKS, WIDE, st.sampled_from(["*", "**"]))
def test_any_mark_may_end_emphasis_before_a_wide_letter(
    before: str, inside: str, mark: str, after: str, sign: str
) -> None:
    """The letters and the mark do not matter."""
    tag = "em" if sign == "*" else "strong"
    text = f"{before}{sign}{inside}{mark}{sign}{after}"
    assert safe(text) == f"<p>{before}<{tag}>{inside}{mark}</{tag}>{after}</p>\n"


def test_emphasis_in_emphasis_is_bounded() -> None:
    """Beyond fifty levels, or thousands of signs, a block is text; the next one is not."""
    for text in ["*a **b " * 60 + "c** d*" * 60, "*a " * 17_000, "<sub>" * 60 + "</sub>" * 60]:
        first, _, second = safe(f"{text}\n\n*b*").partition("</p>\n")
        assert not re.search("<(?:em|strong|sub)>", first)
        assert second == "<p><em>b</em></p>\n"
    assert safe("*a **b " * 20 + "c** d*" * 20).count("<em>") == 20


def deepest(tags: Sequence[str]) -> int:
    depth = most = 0
    for tag in tags:
        depth += -1 if tag.startswith("</") else 1
        most = max(most, depth)
    return most


@given(st.lists(st.sampled_from(["*a ", "**a ", "~~a ", "<sub>", "_a ", "<kbd>"]), max_size=30))
def test_no_block_is_deep(openings: list[str]) -> None:
    """However marks and tags are mixed, elements stand at most fifty deep in a block."""
    pairs = [(o, {"<sub>": "</sub>", "<kbd>": "</kbd>"}.get(o, f"b{o[:-2]}")) for o in openings]
    text = "".join(o for o, _ in pairs * 4) + "x" + "".join(c for _, c in reversed(pairs * 4))
    assert deepest(re.findall(r"</?(?:em|strong|s|sub|kbd)>", safe(text))) <= 50
