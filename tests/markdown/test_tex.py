"""TeX in a page that it shares with others leaves nothing behind, and ends soon."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcf_magics.markdown.tex import MAX_DEPTH, harmless
from support.pages import mathematics, safe

WRAPPINGS = [
    ("$", "$"),
    ("$$", "$$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("\\begin{equation}", "\\end{equation}"),
    ("\\begin{align}", "\\end{align}"),
    ("```math\n", "\n```"),
]


@pytest.mark.parametrize(("before", "after"), WRAPPINGS)
@pytest.mark.parametrize(
    "state",
    [
        r"\label{eq:a}",
        r"\label {eq:a_{1}}",
        "\\label%\n{a}",
        r"\label a",
        r"\mathtoolsset{showonlyrefs}",
        r"\mathtoolsset{prescript-sub-format=\mathbf}",
        r"\usetagform{zz}",
    ],
)
def test_what_would_stay_in_the_page_is_dropped(state: str, before: str, after: str) -> None:
    """Labels and settings go, the formula around them stays, wherever it stands."""
    (formula,) = mathematics(f"{before}\\alpha{state}y=1{after}")
    assert "\\alpha y=1" in formula
    assert not any(name in formula for name in ("label", "set", "tagform"))
    assert safe(f"{before}x{state}{after}").count("x") == 1


def test_a_reference_is_the_words_of_its_label() -> None:
    r"""`\eqref` and `\ref` look nothing up; signs that a text may not hold are left out."""
    assert harmless(r"$\eqref{eq:a_1}$") == r"$\text{(eq:a\_1)}$"
    assert harmless(r"$x \ref{fig: 2}$") == r"$x \text{fig: 2}$"
    assert harmless(r"$\cref a$") == r"$\text{a}$"
    assert harmless(r"$\eqref{a$b^#~&%c}$") == r"$\text{(abc)}$"


@pytest.mark.parametrize(
    "tex",
    [r"$\label$", r"$\label\x$", r"$\label{a{b{c}}}$", r"$\eqref$", r"$\label{$", r"\(\label\)"],
)
def test_state_that_cannot_be_told_from_the_formula_makes_it_text(tex: str) -> None:
    """Where an argument ends is not guessed: such a piece is not typeset at all."""
    assert harmless(tex) is None


def test_a_tag_and_words_that_begin_like_state_stay() -> None:
    r"""`\tag` is the formula's own; `\labels`, `\reflectbox` and `\\label` are other words."""
    for tex in [r"$$x \tag{1}$$", r"$\labels x$", r"$\reflectbox{x}$", r"$\left(x\right)$"]:
        assert harmless(tex) == tex


NESTS = [
    (r"\sqrt{", "}"),
    (r"\frac{1}{", "}"),
    (r"{\sqrt[3]{", "}}"),
    ("{", "}"),
    ("x^{", "}"),
    (r"\left(", r"\right)"),
    (r"\left\{", r"\right\}"),
    (r"\begin{matrix}", r"\end{matrix}"),
    (r"\begin {cases}a&", r"\end {cases}"),
    (r"\text{$", "$}"),
    (r"\displaystyle ", ""),
    (r"\large ", ""),
    (r"\color{red}", ""),
    (r"x\over ", ""),
    (r"\sqrt{%}" + "\n", "}"),
    (r"{\verb|}|", "}"),
    (r"\sqrt{\end{matrix}", "}"),
    (r"\left({\right)", "}"),
]
"""Pairs that nest what stands between them; some look as if they ended it, and do not."""


@pytest.mark.parametrize(("opening", "closing"), NESTS)
def test_depth_is_bounded(opening: str, closing: str) -> None:
    """Some levels are mathematics, more than the typesetter can take are text."""
    for levels, is_formula in ((20, True), (MAX_DEPTH + 1, False), (110, False), (600, False)):
        tex = f"$${opening * levels}x{closing * levels}$$"
        assert (harmless(tex) is not None) == is_formula, levels
        assert len(mathematics(tex)) == is_formula


@given(st.lists(st.sampled_from(NESTS), min_size=MAX_DEPTH + 1, max_size=120))
def test_depth_of_a_mix_is_bounded(pairs: list[tuple[str, str]]) -> None:
    """It does not matter what is nested in what."""
    tex = "".join(opening for opening, _ in pairs) + "x"
    assert harmless(f"$${tex}{''.join(closing for _, closing in reversed(pairs))}$$") is None


@given(st.lists(st.sampled_from([n for n in NESTS if n[1]]), max_size=6), st.integers(1, 400))
def test_what_stands_side_by_side_is_not_deep(pairs: list[tuple[str, str]], times: int) -> None:
    """Groups that were closed count no more, however many there are."""
    well = [pair for pair in pairs if "verb" not in pair[0] and "\\end" not in pair[0]]
    well = [pair for pair in well if "right" not in pair[0]]
    tex = "".join(opening for opening, _ in well) + "x"
    tex += "".join(closing for _, closing in reversed(well))
    assert harmless(f"$${tex * times}$$") is not None


EXPANDING = [r"\overbracket{", r"\underbracket[1pt]{", r"\centernot{", r"\xrightarrow{"]
EXPANDING += [r"\xleftarrow[a]{", r"\xmapsto{", r"\adjustlimits{a}_{", r"\Aboxed{", r"\ce{A ->["]


@given(st.lists(st.sampled_from(EXPANDING), min_size=4, max_size=12))
def test_what_is_typeset_several_times_multiplies_little(nested: list[str]) -> None:
    """Commands that typeset their argument more than once stand in one another thrice at most."""
    tex = "".join(nested) + "x"
    ends = "".join("]}" if opening[-1] == "[" else "}" for opening in reversed(nested))
    assert harmless(f"$${tex}{ends}$$") is None


@pytest.mark.parametrize("between", ["", r"\frac{1}{", r"\text{$", "{", r"\left(\sqrt{"])
def test_bold_in_bold_is_never_typeset(between: str) -> None:
    r"""`\pmb` typesets its argument three times: one in another, however far inside, is text."""
    ends = "".join({"{": "}", "$": "$", "(": r"\right)"}.get(c, "") for c in reversed(between))
    assert harmless(f"$\\pmb{{{between}\\pmb{{x}}{ends}}}$") is None
    assert harmless(r"$\pmb{x} + \pmb{\frac{\mathbf{y}}{2}} \pmb x$") is not None


@pytest.mark.parametrize(
    "tex",
    [
        r"$\xrightarrow[\text{low}]{\ce{H2O}}$",
        r"$\ce{2H2 + O2 ->[\Delta] 2H2O}$",
        r"$\overbracket{\underbracket{a+b}_{c}}^{d}$",
        r"\begin{array}{cc}" + r"\displaystyle a & \displaystyle b \\" * 200 + r"\end{array}",
        r"\begin{aligned}" + r"x &\in [0, 1) \\" * 200 + r"\end{aligned}",
        r"$f\colon A->[0, 1)" + r", \frac{x \in ]0, 1]}{2}" * 200 + "$",
        r"$\braket{a|b}" + r" + \braket{a|b}" * 100 + "$",
    ],
)
def test_usual_formulas_are_within_the_bounds(tex: str) -> None:
    """What people write, long as it may be, is not deep."""
    assert harmless(tex) == tex


@pytest.mark.parametrize("name", ["newtagform", "renewtagform", "newcommand", "let", "definecolor"])
def test_definitions_make_a_piece_text(name: str) -> None:
    """What defines names for the whole page is never typeset."""
    assert mathematics(f"$x \\{name}{{a}}{{b}}$ and $y$") == ["$y$"]


STYLE = "red;position:fixed;top:0;width:100vw;background:url(https://a.b/x)"


@pytest.mark.parametrize("before", ["", " ", "%\n", r"[named]"])
@pytest.mark.parametrize(
    "command",
    [
        *(r"\fcolorbox{STYLE}{red}{x}", r"\fcolorbox{red}{STYLE}{x}", r"\colorbox{STYLE}{x}"),
        *(r"\color{STYLE}x", r"\textcolor{STYLE}{x}", r"\rowcolor{STYLE}x"),
        *(r"\cellcolor{STYLE}x", r"\columncolor{STYLE}x", r"\fcolorbox{{STYLE}}{red}{x}"),
        *(r"\text{\fcolorbox{STYLE}{red}{x}}", r"\ce{\fcolorbox{STYLE}{red}{x}}"),
    ],
)
def test_a_colour_is_no_style(command: str, before: str) -> None:
    """What would put a window over the page, or fetch a picture, is text."""
    tex = command.replace("color{", f"color{before}{{").replace("box{", f"box{before}{{")
    assert harmless(f"${tex.replace('STYLE', STYLE)}$") is None


@given(st.text("redblu#0123;:()/%\\{[] \n", max_size=12), st.sampled_from(["", "text", "cell"]))
def test_no_colour_says_more_than_a_colour(colour: str, kind: str) -> None:
    """Whatever stands there: it has no sign that a style would need."""
    for tex in (rf"\fcolorbox{{{colour}}}{{red}}{{x}}", rf"\{kind}color{{{colour}}}{{x}}"):
        shown = harmless(f"${tex}$")
        assert shown is None or not re.search(r"[;:(]", tex)


@pytest.mark.parametrize(
    "tex",
    [
        *(r"$\color{red}x$", r"$\textcolor{#ff0000}{x}$", r"$\color[rgb]{1, 0.5, 0}x$"),
        *(r"$\fcolorbox{red}{white}{$x$}$", r"$\colorbox {yellow}{x}$", r"$\color r x$"),
        r"$\begin{array}{c}\rowcolor[gray]{0.9}x\end{array}$",
    ],
)
def test_colours_stay(tex: str) -> None:
    """Names, numbers and models of colours are what people write."""
    assert harmless(tex) == tex


@pytest.mark.parametrize(
    "tex",
    [
        *(
            r"\rule{1em}{LENGTH}",
            r"\rule [1em] {1em} {LENGTH}",
            r"\hspace*{LENGTH}x",
            r"\Space{LENGTH}{1em}{1em}",
        ),
        *(r"\kern LENGTH x", r"\kern-LENGTH x", r"\raise LENGTH{x}", r"\lower LENGTH {x}"),
        *(r"\moveleft LENGTH{x}", r"\begin{matrix}x\\[LENGTH]y\end{matrix}", r"x\above LENGTH y"),
        *(r"\raisebox{LENGTH}{x}", r"\genfrac{}{}{LENGTH}{}{x}{y}", r"\text{\rule{1em}{LENGTH}}"),
    ],
)
@pytest.mark.parametrize("unit", ["em", "ex", "mu", "pt", "pc", "px", "in", "cm", "mm", " em"])
def test_lengths_are_bounded(tex: str, unit: str) -> None:
    """A formula that would be longer than a page, in any unit, is text; a little space is not."""
    for number in ("9999", "99999.5", "3000,5"):
        assert harmless(f"${tex.replace('LENGTH', number + unit)}$") is None
    assert harmless(f"${tex.replace('LENGTH', '.5' + unit)}$") is not None


def test_lengths_are_bounded_together() -> None:
    """Much of a little is too much; what is said of lengths is none."""
    assert harmless("$" + r"\raise 9em{" * 20 + "x" + "}" * 20 + "$") is None
    rows = r"\begin{aligned}" + r"x &= y \\[6pt]" * 100 + r"\end{aligned}"
    assert harmless(rows) == rows
    for tex in (r"$9999\text{ mm}$", r"$\text{a rod of 5000 cm}$", r"$\text{in 2026 in}$"):
        assert harmless(tex) == tex


@pytest.mark.parametrize("unit", ["1", "1.", " ", "1 ", "1e", "[", "-", r"\\", r"\kern", "1em"])
def test_what_may_be_a_length_is_looked_at_once(unit: str) -> None:
    """Four times the text is about four times the time, and never much."""

    def seconds(length: int) -> float:
        tex = r"$\kern " + unit * (length // len(unit)) + "$"
        start = time.perf_counter()
        harmless(tex)
        return time.perf_counter() - start

    few, many = (min(seconds(length) for _ in range(3)) for length in (2_500, 10_000))
    assert many < 8 * few + 0.02
