"""The mathematics of pages that we write ourselves: MathML of what is known, TeX of the rest."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcf_magics.markdown import mathml
from alcf_magics.markdown.mathml import markdown_with_mathml, with_mathml
from alcf_magics.markdown.parsing import to_html

MATHEMATICS = re.compile(r"<math\b.*?</math>", re.S)


def page(text: str) -> str:
    return with_mathml(to_html(text))


@pytest.mark.parametrize(
    "formula",
    [
        *(r"$x^2$", r"\(x_1\)", r"$$\frac{1}{2}$$", r"\[\sqrt{x}\]", r"$a<b$", r"$\mathrm{d}x$"),
        *(r"\begin{align}a&=b\\c&=d\end{align}", r"$$x=1\tag{3}$$", "```math\nx^2\n```"),
        *(r"$$\begin{pmatrix}1&2\end{pmatrix}$$", r"$\text{a < b}$", r"$$x=1 \label{eq:a}$$"),
    ],
)
def test_what_is_known_is_mathml(formula: str) -> None:
    """Between any delimiters, and no TeX is left beside it."""
    made = page(f"So {formula} is.") if formula[0] != "`" else page(formula)
    assert len(MATHEMATICS.findall(made)) == 1
    assert not re.search(r"[$\\]", made)
    assert (' display="block"' in made) == (formula[:2] in ("$$", "\\[", "\\b", "``"))


@pytest.mark.parametrize("formula", [r"$\ce{H2O}$", r"$\nosuchthing$", r"$\boxed{x}$", "$}x$"])
def test_what_is_not_known_stays_tex(formula: str) -> None:
    """So does what browsers would show without its box or its stroke."""
    assert page(f"So {formula}") == to_html(f"So {formula}")


@pytest.mark.parametrize("text", ["$5 and $10", r"`$x$` and \\", "```\n$x$\n```", "a `\\(x\\)`"])
def test_what_is_no_mathematics_stays(text: str) -> None:
    """Prices, code and escapes are as they were."""
    assert page(text) == to_html(text)


@pytest.mark.parametrize("name", ["align", "equation", "gather", "multline"])
def test_no_formula_is_numbered_by_itself(name: str) -> None:
    """As in a notebook, where only a tag gives a number."""
    assert "(1)" not in page(rf"\begin{{{name}}}x=2\end{{{name}}}")
    assert "(7)" in page(rf"\begin{{{name}}}x=2\tag{{7}}\end{{{name}}}")


TEX = st.lists(
    st.sampled_from(
        [
            *(r"\text{", r"\textbf{", r"\mathrm{", r"\operatorname{", r"\color{", r"\tag{", "{"),
            *("}", "<img src=x onerror=alert(1)>", '"', "'", "&lt;", "<", ">", "&", "x", "^2", " "),
            *(r"\href{javascript:alert(1)}", r"\class{a}", r"\style{position:fixed}", r"\url{u}"),
            *(r"\htmlId{a}", r"\label{a}", r"\eqref{a}", r"\includegraphics{u}", r"\begin{align}"),
            *(r"\end{align}", r"\\", r"\left(", r"\right)", r"\verb|<b>|", "%\n", "#1", "|"),
        ]
    ),
    max_size=12,
).map("".join)


@given(TEX, st.sampled_from([("$", "$"), ("$$", "$$"), ("\\[", "\\]"), ("", "")]))
def test_no_page_holds_more_than_mathematics(tex: str, delimiters: tuple[str, str]) -> None:
    """Whatever a model writes: no element, no attribute that acts, and the rest is as it was."""
    text = f"a {delimiters[0]}{tex}{delimiters[1]} b"
    made = page(text)
    for element in re.findall(r"<[^>]*>", "".join(MATHEMATICS.findall(made))):
        assert re.match(r"</?m[a-z]+[ />]", element)
        assert not re.search(r"\b(?:on\w+|href|src|id|class)\s*=|url|position", element)
    assert MATHEMATICS.sub("", made).count("<img") == 0
    assert markdown_with_mathml(text)


def test_ones_own_markdown_is_read_as_before() -> None:
    """Signs in a formula are no Markdown: no emphasis, no link, no cell of a table."""
    made = markdown_with_mathml("A *b*, $5, `$x$`, $[a](b)$\n\n| a |\n|-|\n| $|x|$ |\n")
    assert len(MATHEMATICS.findall(made)) == 2
    rest = MATHEMATICS.sub("m", made)
    assert rest == "A *b*, $5, `$x$`, m\n\n| a |\n|-|\n| m |\n"
    words = re.sub("<[^>]*>", "", "".join(MATHEMATICS.findall(made)))
    assert not re.search(r"[\[\]()|*_`]", words)


@pytest.fixture
def unknown_release(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    mathml._convert.cache_clear()
    monkeypatch.setitem(sys.modules, "math_core", None)
    yield
    mathml._convert.cache_clear()


@pytest.mark.usefixtures("unknown_release")
def test_without_math_core_everything_stays_tex() -> None:
    """A page is never refused for its mathematics."""
    assert page("So $x$") == to_html("So $x$")
    assert markdown_with_mathml("So $x$") == "So $x$"
