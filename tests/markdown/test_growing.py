"""A growing text is rendered in pieces that add up to the rendering of the whole."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alcf_magics.markdown.growing import Growing, Piece
from alcf_magics.markdown.parsing import Parsed, normalise, parse, to_html
from alcf_magics.markdown.tex import MAX_MATHEMATICS

FOOTNOTE = re.compile(r"(?<=fn)(ref)?-[0-9a-f]{10}-")
COLOURED = re.compile(r'<span class="alcf-\w">([^<]*)</span>')
STYLE = re.compile(r"<style>.*?</style>\n", re.S)
DEFINITION = re.compile(r"\]:|\[\^|\^\[")


def plain(html: str) -> str:
    """Without the style element, the colours of code, and the text's mark in footnotes."""
    return FOOTNOTE.sub(r"\1-", COLOURED.sub(r"\1", STYLE.sub("", html)))


def check(text: str, cuts: list[int], minimum: int, *, each: bool = True) -> list[Piece]:
    """Feed the text in pieces; the pieces taken and the tail always add up to the whole."""
    growing = Growing()
    taken: list[Piece] = []
    borders = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)})
    for start, end in itertools.pairwise(borders):
        growing.add(text[start:end])
        if piece := growing.take(minimum):
            assert len(piece.markdown) >= minimum
            taken.append(piece)
        tail = growing.tail()
        if each or end == len(text):
            so_far = normalise(text[:end])
            assert growing.text == so_far
            assert "".join(piece.markdown for piece in [*taken, tail]) == so_far
            together = "".join(plain(piece.html) for piece in [*taken, tail])
            assert together == plain(to_html(so_far, highlight=False))
    assert growing.text == normalise(text)
    return taken


# Structured Markdown, also wrong in the ways of a model that is cut off.
WORDS = st.lists(
    st.sampled_from(
        [
            "word",
            "*em*",
            "**b**",
            "`x$y`",
            "$5",
            "$x_1$",
            r"\(a\)",
            "שלום",
            "漢字",
            "🙂",
            "1.",
            "-",
            "$",
            "a|b",
            "<b>",
            r"\[",
            r"\]",
            "$$",
            "`",
            "~~s~~",
            "[l](http://a.b)",
            r"\\(",
            "&amp;",
            r"\begin{align}",
            r"\end{align}",
            "\\",
            "*",
            "_a_",
            "https://a.b/.",
            "H<sub>2</sub>",
            "<kbd>",
            "</kbd>",
            "<br>",
            "**「x」**是",
            "$.5",
            "$50-$65=$-15",
            "$ x = \\alpha$",
            "$a | b$",
            "$\\label{a}\\pmb{\\pmb{x}}$",
            "the $x-$axis",
            "[!NOTE]",
        ]
    ),
    min_size=1,
    max_size=6,
).map(" ".join)
LEAVES = st.one_of(
    WORDS,
    WORDS.map(lambda w: f"## {w}"),
    WORDS.map(lambda w: f"{w}\n---"),
    st.just("---"),
    st.tuples(st.sampled_from(["```", "~~~", "````py", "```python"]), WORDS, st.booleans()).map(
        lambda p: f"{p[0]}\n{p[1]}\n\n{p[1]}" + ("\n" + p[0].rstrip("python") if p[2] else "")
    ),
    WORDS.map(lambda w: f"| a | b |\n|---|:-:|\n| {w} | $|x|$ |"),
    WORDS.map(lambda w: f"| $a | b |\n|---|---|---|\n| {w} |\n| $c | d$ | e |"),
    WORDS.map(lambda w: f"- [ ] {w}\n- [x] {w}"),
    WORDS.map(lambda w: f"> [!TIP]\n> {w}\n>\n> {w}"),
    st.tuples(WORDS, st.booleans()).map(lambda p: f"```math\n{p[0]}" + "\n```" * p[1]),
    st.integers(45, 55).map(lambda n: f"$${'{' * n}x{'}' * n}$$"),
    st.integers(1, 60).map(lambda n: f"{'*a **b ' * n}{'c** d*' * n}"),
    WORDS.map(lambda w: f"\\[\n{w}\n\n    x\n\\]"),
    WORDS.map(lambda w: f"$$\n{w}\n\n- b\n$$"),
    WORDS.map(lambda w: f"\\begin{{align}}\n{w}\n\n1. x\n\\end{{align}}"),
    WORDS.map(lambda w: f"    {w}\n\n    {w}"),
)


def _prefixed(first: str, rest: str, text: str) -> str:
    lines = text.split("\n")
    return "\n".join([first + lines[0], *(rest + line if line else line for line in lines[1:])])


def _containers(blocks: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.tuples(
        st.lists(blocks, min_size=1, max_size=3), st.sampled_from(["\n", "\n\n", "\n\n\n", "\n \n"])
    )
    return st.one_of(
        several.map(lambda p: p[1].join(_prefixed("- ", "  ", b) for b in p[0])),
        several.map(
            lambda p: p[1].join(_prefixed(f"{n}. ", "   ", b) for n, b in enumerate(p[0], 1))
        ),
        several.map(lambda p: _prefixed("> ", "> ", p[1].join(p[0]))),
        several.map(lambda p: p[1].join(p[0])),
    )


MARKDOWN = st.tuples(
    st.lists(st.recursive(LEAVES, _containers, max_leaves=5), min_size=1, max_size=6),
    st.sampled_from(["\n\n", "\n\n\n", "\r\n\r\n", "\n"]),
).map(lambda p: p[1].join(p[0]))
NASTY = st.text(
    st.sampled_from(list("\n\n\n\n  \t-*+1.)#>`~|$\\[](){}_a:b!<&\r=é漢\u05d0🙂\ud83d\ude00")),
    max_size=60,
)
FRAGMENTS = st.lists(
    st.sampled_from(
        [
            "\n",
            "\n\n",
            "    ",
            "  ",
            "- ",
            "1. ",
            "12) ",
            "* * *",
            "```",
            "~~~",
            "> ",
            "\\[",
            "\\]",
            "$$",
            "$",
            "a",
            "`",
            "|",
            "|-|",
            "\\begin{align}",
            "\\end{align}",
            "x y",
            "# ",
            "---",
            "===",
            "\t",
            "\r\n",
            "\\(",
            "\\)",
            "[x] ",
            "1",
            "\\",
            "<sub>",
            "</sub>",
            "https://",
            "$a | b$",
            "$.",
            "math\n",
            "[!NOTE]",
            "- [ ] ",
            "|-|-|",
            "。**",
        ]
    ),
    max_size=30,
).map("".join)
CUTS = st.lists(st.integers(0, 2000), max_size=25)
FEW = settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def without_definitions(text: str) -> bool:
    return not DEFINITION.search(normalise(text))


@FEW
@given(MARKDOWN.filter(without_definitions), CUTS, st.sampled_from([1, 20, 100]))
def test_pieces_of_markdown_add_up(text: str, cuts: list[int], minimum: int) -> None:
    """Structured Markdown in any split is the rendering of the whole at every moment."""
    check(text, cuts, minimum)


@FEW
@given((NASTY | FRAGMENTS).filter(without_definitions), st.sampled_from([1, 10]))
def test_pieces_of_anything_add_up(text: str, minimum: int) -> None:
    """A text of Markdown's own characters, one at a time, is the rendering of the whole."""
    check(text, list(range(len(text))), minimum)


DEFINED = "[a]: http://a.b\n[b c]: <mailto:$x$> '$y$ \"t'\n[d]: javascript:$z$\n\n"
USES = st.sampled_from(
    ["[a]", "[t][a]", "*[B  c]*", "[d]", "![i][a]", "[e]", "[a]: http://other\n", "x[^1] ", "^[i]"]
)


@FEW
@given(st.lists(USES | LEAVES.filter(without_definitions), max_size=8).map("\n\n".join), CUTS)
def test_pieces_know_the_references_before_them(text: str, cuts: list[int]) -> None:
    """What earlier pieces define is a link in later ones, the first definition first."""
    check(f"{DEFINED}Para.\n\n{text}", cuts, 1)


@FEW
@given(st.lists(USES | LEAVES.filter(without_definitions), max_size=8).map("\n\n".join), CUTS)
def test_pieces_and_footnotes_add_up(text: str, cuts: list[int]) -> None:
    """Notes defined before, and notes in the line, are numbered and stand as in the whole."""
    check(f"Para.\n\n[^1]: note with [a]\n\n{text}\n\nx[^1]", cuts, 1)


def test_a_reference_outlives_the_piece_that_defines_it() -> None:
    """A definition that was cut off still makes links, mathematics in its address included."""
    growing = Growing()
    growing.add("[a]: http://x.y/$z$\n\nPara.\n\nsee")
    assert growing.take(1) is not None
    growing.add(" [a] now\n\nend")
    piece = growing.take(1)
    assert piece is not None
    assert '<a href="http://x.y/$z$"' in piece.html


def test_pieces_know_what_was_repeated_before_them() -> None:
    """The bound for addresses that are used again counts through the pieces as in the whole."""
    text = f"[a]: http://x.y/{'z' * 3000}\n\n" + "[a] and *more*\n\n" * 60
    taken = check(text, list(range(0, len(text), 100)), 1, each=False)
    assert len(taken) > 5
    assert "".join(piece.html for piece in taken).count("<a ") < 60


def test_a_tail_that_means_something_new_is_drawn_anew() -> None:
    """The same words as an earlier tail become a link once they are defined."""
    growing = Growing()
    growing.add("[a]")
    assert "<a " not in growing.tail().html
    growing.add(": http://x.y\n\nPara.\n\n[a]")
    assert growing.take(1) is not None
    assert "<a " in growing.tail().html


def test_a_text_is_cut_before_its_first_footnote_only() -> None:
    """What stands before a footnote is a piece; the rest waits for the notes at its end."""
    growing = Growing()
    growing.add("one\n\ntwo\n\nthree[^1]\n\n[^1]: note\n\nfour\n\nfive[^1]\n\nsix")
    piece = growing.take(1)
    assert piece is not None
    assert piece.markdown == "one\n\ntwo\n\n"
    assert growing.take(1) is None


@FEW
@given(NASTY | MARKDOWN | st.text(), CUTS)
def test_the_markdown_of_the_pieces_is_the_text(text: str, cuts: list[int]) -> None:
    """Whatever is defined in it, the pieces' Markdown is the text itself."""
    growing = Growing()
    borders = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)})
    parts = []
    for start, end in itertools.pairwise(borders):
        growing.add(text[start:end])
        if piece := growing.take(1):
            parts.append(piece.markdown)
    assert "".join([*parts, growing.tail().markdown]) == normalise(text) == growing.text


ANSWER = """# Title

Some *text* with $x_1$ and $5 or $10.

1. one

   - nested
     more

   - two

2. two

10. ten

| a | b |
|---|---|
| $|x|$ | 2 |

~~~python
def f():

    return "1. x"
~~~

\\[
x

y
\\]

End, and שלום 漢字 🙂.
"""


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_an_answer_one_character_at_a_time(ends: str) -> None:
    """An answer of every kind of block adds up at each character, with any line ends."""
    text = ANSWER.replace("\n", ends)
    taken = check(text, list(range(len(text))), 1)
    assert len(taken) >= 5


@pytest.mark.parametrize(
    "inside",
    [
        "1. a\n\n2. b\n\n3. c\n",
        "- a\n\n  - b\n\n  text\n\n- c\n",
        "```\na\n\nb\n\n# c\n```\n",
        "~~~~\na\n\n~~~\n\nb\n~~~~\n",
        "- ```\n  a\n\n  b\n  ```\n",
        "\\[\na\n\nb\n\\]\n",
        "$$\na\n\nb\n$$\n",
        "\\begin{align}\na\n\nb\n\\end{align}\n",
        "| a |\n|---|\n| b |\n| c |\n",
    ],
)
def test_no_cut_inside_a_block(inside: str) -> None:
    """A list, a fence or mathematics with blank lines in it stays in one piece."""
    text = f"before\n\n{inside}\nafter\n"
    taken = check(text, list(range(len(text))), 1)
    assert [piece.markdown for piece in taken] == ["before\n\n", f"{inside}\n"]


@pytest.mark.parametrize("start", ["1", "12", "-", "*", "+", "1.", "1)"])
def test_what_may_become_a_list_item_is_waited_for(start: str) -> None:
    """A partial line that may become an item of the list before does not end that list."""
    growing = Growing()
    growing.add("1. a\n\n")
    growing.add(start)
    assert growing.take(1) is None
    assert growing.tail().markdown == f"1. a\n\n{start}"


def test_a_list_is_cut_off_by_what_follows_it() -> None:
    """A paragraph behind a list makes the list a finished piece."""
    growing = Growing()
    growing.add("1. a\n\n2. b\n\nT")
    piece = growing.take(1)
    assert piece is not None
    assert piece.markdown == "1. a\n\n2. b\n\n"
    assert piece.html.count("<li>") == 2


def test_take_waits_for_the_minimum() -> None:
    """What is finished is taken when there is enough of it, and until then is in the tail."""
    growing = Growing()
    growing.add("one\n\ntwo\n\nthree")
    assert growing.take(11) is None
    assert growing.tail().html == "<p>one</p>\n<p>two</p>\n<p>three</p>\n"
    piece = growing.take(10)
    assert piece == Piece("one\n\ntwo\n\n", "<p>one</p>\n<p>two</p>\n")
    assert growing.tail() == Piece("three", "<p>three</p>\n")
    assert growing.take(0) is None


def test_an_unfinished_fence_is_a_code_block() -> None:
    """A fence that is not closed yet shows as code without colours; colours come when it is."""
    growing = Growing()
    growing.add("```python\ndef f(): pass\n")
    assert '<div class="alcf-code"' in growing.tail().html
    assert "<span" not in growing.tail().html
    growing.add("```\n\nText")
    tail = growing.tail().html
    assert tail.startswith("<style>")
    assert '<span class="alcf-k">def </span>' in tail
    assert tail == to_html(growing.text)


def test_half_arrived_mathematics_is_text() -> None:
    """Mathematics without its end shows its delimiters as text, and then becomes whole."""
    growing = Growing()
    growing.add("\\[ x_1\n\n# y")
    assert "\\[" not in growing.tail().html
    assert growing.unfinished == len("\\[ x_1\n\n# y")
    growing.add(" \\]")
    assert growing.tail().html == "<p><span>\\[ x_1\n\n# y \\]</span></p>\n"


def test_stray_mathematics_holds_up_only_so_much() -> None:
    """A delimiter that is never closed stops cuts for a limited length, or until a fence."""
    for stray in ["\\[ a\n\n" + "word\n\n" * (MAX_MATHEMATICS // 5), "$$ a\n\n```\nx\n```\n\nb"]:
        growing = Growing()
        growing.add(stray)
        growing.add("\n\nend")
        piece = growing.take(1)
        assert piece is not None
        assert growing.unfinished < 20
        assert plain(piece.html) + growing.tail().html == plain(to_html(growing.text))


def test_characters_cut_in_two_come_out_whole() -> None:
    """Halves of a character and of a line end join; a lone half becomes U+FFFD."""
    growing = Growing()
    for piece in ["a\ud83d", "\ude42\r", "\nb\r", "c\ude00\ud83d"]:
        growing.add(piece)
    assert growing.text == "a🙂\nb\nc\ufffd\ufffd"
    assert growing.tail().markdown == growing.text
    assert growing.tail().html == "<p>a🙂\nb\nc\ufffd\ufffd</p>\n"
    growing.add("\ude42")
    assert growing.text == "a🙂\nb\nc\ufffd🙂"


def test_finished_parts_are_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The characters parsed grow with the text, not with the text times the draws."""
    parsed = 0

    def counted(text: str, earlier: Parsed | None) -> Parsed:
        nonlocal parsed
        parsed += len(text)
        return parse(text, earlier)

    monkeypatch.setattr("alcf_magics.markdown.growing.parse", counted)
    growing = Growing()
    for _ in range(300):
        growing.add("A paragraph of text.\n\n")
        growing.tail()
        growing.tail()
    assert parsed < 6 * len(growing.text)


def test_a_tail_that_did_not_change_is_not_rendered_anew() -> None:
    """Two draws with nothing in between give the same piece."""
    growing = Growing()
    assert growing.tail() == Piece("", "")
    growing.add("")
    growing.add("a *b*")
    assert growing.tail() == growing.tail()
    assert growing.unfinished == 5


def test_many_small_pieces() -> None:
    """A text in very many pieces of one character comes out whole."""
    text = ("word " * 20 + "\n\n") * 300
    growing = Growing()
    taken = []
    for number, character in enumerate(text):
        growing.add(character)
        if number % 500 == 0 and (piece := growing.take(2000)):
            taken.append(piece)
    assert len(taken) > 5
    assert "".join(p.html for p in [*taken, growing.tail()]) == to_html(text)


@given(MARKDOWN | NASTY | FRAGMENTS, CUTS)
def test_the_whole_is_what_rendering_at_once_gives(text: str, cuts: list[int]) -> None:
    """What is put together from the pieces is the page itself, or it is not put together."""
    growing = Growing()
    ends = sorted(min(cut, len(text)) for cut in cuts)
    for start, end in zip([0, *ends], [*ends, len(text)], strict=True):
        growing.add(text[start:end])
        growing.take(20)
    whole = growing.whole()
    assert whole is None or whole == to_html(text)
    if without_definitions(text) and "[" not in text:
        assert whole is not None
