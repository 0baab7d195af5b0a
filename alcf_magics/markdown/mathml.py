"""The mathematics of a page that we write ourselves, as MathML: no typesetter may be near. Pure.

In a notebook TeX stays TeX, as JupyterLab strips MathML. math-core does not know all of TeX; what
it refuses, and everything where it is not installed, stays for the typesetter of the page.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable

from .masking import mask
from .tex import harmless

#: As `safe_html.typeset` writes a formula; a dollar or a backslash alone is one of the text.
_FORMULA = re.compile(r"<span>((?:\$|\\[(\[b])[^<]+)</span>")
_DELIMITED = re.compile(
    r"(?P<display>\$\$|\\\[)(?P<displayed>.*)(?:\$\$|\\\])|(?:\$|\\\()(?P<inline>.*)(?:\$|\\\))",
    re.S,
)
#: Jupyter numbers no formula, math-core those of such environments.
_NUMBERED = re.compile(r"\\(begin|end)\{(align|equation|gather|multline)\}")
_TAG = re.compile(r"\\tag\b")
#: Nothing but mathematics, and no element that browsers do not draw, as `menclose`.
_ELEMENT = re.compile(
    r"</?(?:math|m(?:i|n|o|s|text|space|row|frac|sqrt|root|style|padded|phantom|sub|sup|subsup"
    r"|under|over|underover|multiscripts|prescripts|table|tr|td))(?P<attributes>\s[^<>]*?)?/?>"
)
_REACHES_OUT = re.compile(r"\s(?:on\w*|href|src|id|xlink:\w+)\s*=|url\(|position", re.I)
_SIGN = re.compile(r"[!-%'-/:;=?@\[-`{-~]")


def with_mathml(page: str) -> str:
    """The HTML of our answers, its formulas as MathML where math-core can."""
    return _FORMULA.sub(lambda found: _mathml(html.unescape(found[1])) or found.group(), page)


def markdown_with_mathml(text: str) -> str:
    """Somebody's own Markdown, which keeps HTML, with such formulas in it."""
    masked = mask(text)
    return masked.restored(masked.text, lambda piece: _inline(_mathml(piece)) or piece)


def _inline(mathml: str) -> str:
    """MathML whose signs no Markdown reads."""
    parts = re.split(r"(<[^>]*>)", mathml)
    return "".join(
        part if part[:1] == "<" else _SIGN.sub(lambda sign: f"&#{ord(sign.group())};", part)
        for part in parts
    )


@functools.cache
def _convert() -> Callable[..., str] | None:
    try:
        from math_core import LatexToMathML

        convert: Callable[..., str] = LatexToMathML(fancy_error=False).convert_with_local_state
    except Exception:  # it is missing, or of a release that we do not know
        return None
    return convert


def _mathml(piece: str) -> str:
    """A piece of TeX with its delimiters as MathML, or nothing."""
    convert, tex = _convert(), harmless(piece)
    if convert is None or tex is None:
        return ""
    delimited = _DELIMITED.fullmatch(tex)
    displayed = delimited is None or delimited["display"] is not None
    inner = (delimited["displayed"] or delimited["inline"] or "") if delimited else tex
    inner = _NUMBERED.sub(r"\\\1{\2*}", inner)
    if displayed and _TAG.search(inner) and "\\begin" not in inner:
        inner = rf"\begin{{equation*}}{inner}\end{{equation*}}"
    try:
        made = convert(inner, displaystyle=displayed)
    except Exception:  # whatever a release of it raises, the formula stays as it is
        return ""
    return made if _is_mathematics(made) else ""


def _is_mathematics(made: str) -> bool:
    rest = _ELEMENT.sub("", made)
    return "<" not in rest and not any(
        _REACHES_OUT.search(element["attributes"] or "") for element in _ELEMENT.finditer(made)
    )
