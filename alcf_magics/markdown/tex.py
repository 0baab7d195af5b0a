"""What a piece of TeX may do in a page that it shares with others. Pure.

Jupyter's typesetter (MathJax 3 without its "safe" extension) reads whole pages and keeps state
between formulas, so a piece is text if it reaches out of itself or would take the typesetter too
long, and loses what it would leave behind.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_MATHEMATICS = 10_000
"""Characters between delimiters; what is longer is text, so that one stray `\\[` ends somewhere."""
MAX_DEPTH = 50
"""Groups in groups: a hundred roots in one another kill a browser's tab."""
_MAX_SPACE = 100
"""Of lengths that a piece asks for, together, in em: a rule may be as long as a book."""
_MAX_EXPANSIONS = 3
"""Commands in one another that are typeset several times each."""

# Links, requests, styles, attributes; and what makes new names, for those or for the whole page. By
# name alone: what stands behind it may come out of a macro. A piece that holds any is text.
_REACHES_OUT = re.compile(
    r"\\(?:href|url|class|style|cssId|data|require|autoload|mmlToken|includegraphics|html[A-Za-z]*"
    r"|csname|texttip|mathtip|toggle|enclose|unicode|bbox|[gex]?def|let|futurelet"
    r"|(?:re)?newcommand|providecommand|(?:re)?newenvironment|DeclareMathOperator|DeclarePaired\w*"
    r"|Newextarrow|definecolor|tooltip|(?:re)?newtagform)(?![A-Za-z])"
)

# MathJax makes a style of what `\\fcolorbox` calls a colour, whatever else that says: a window over
# the page, a picture from elsewhere. A colour is a name or numbers.
_COLOURED = re.compile(r"\\(?P<name>(?:text|row|column|cell)?color|f?colorbox)(?![A-Za-z])")
_COLOUR = r"\s*\{[#A-Za-z0-9 ,.]*\}"
_COLOURS = {
    "fcolorbox": re.compile(_COLOUR * 2),
    "colorbox": re.compile(_COLOUR),
}
_MODEL_AND_COLOUR = re.compile(rf"(?:\s*\[[A-Za-z]*\])?(?:{_COLOUR}|\s*[A-Za-z])")

_EM = {
    **{"em": 1.0, "ex": 0.43, "mu": 1 / 18, "pt": 0.1, "pc": 1.2, "px": 1 / 16},
    **{"in": 7.2, "cm": 2.8, "mm": 0.28},
}
_UNITS = "|".join(_EM)
_SPACED = re.compile(
    r"\\(?:(?:[Rr]ule|Space|[hm]skip|[hmv]space|m?kern|raise|lower|raisebox|move(?:left|right)"
    r"|above(?:withdelims\s*\S\s*\S)?|genfrac|mathmakebox|minCD[a-z]+)(?![A-Za-z])\*?|\\)"
    rf"(?P<lengths>(?:[\s{{}}\[\]().,0-9*+-]|{_UNITS})*)"
)
_LENGTH = re.compile(
    rf"(?<![0-9])(?P<number>[0-9]++(?:[.,][0-9]*+)?+|[.,][0-9]++)\s*+(?P<unit>{_UNITS})"
)

# What stays in the page after its formula, and an argument in braces or of one sign. MathJax
# forgets no label between draws, and a second one of the same name is an error.
_PLAIN = r"[^{}\\]|\\."
_ARGUMENT = (
    r"(?![A-Za-z])(?:\s|%[^\n]*\n)*"
    rf"(?:\{{(?P<inside>(?:{_PLAIN}|\{{(?:{_PLAIN})*\}})*)\}}|(?P<sign>[^\s{{}}\\%$]))"
)
_BACKSLASH = r"(?<!\\)(?P<rows>(?:\\\\)*)\\"
_LEAVES_STATE = re.compile(rf"{_BACKSLASH}(?:label|mathtoolsset|usetagform){_ARGUMENT}", re.S)
_REFERENCE = re.compile(
    rf"{_BACKSLASH}(?P<name>eqref|refeq|ref|[cC]ref|autoref|pageref){_ARGUMENT}", re.S
)
_STILL_LEAVES_STATE = re.compile(r"\\(?:label|mathtoolsset|usetagform|eqref|refeq|ref)(?![A-Za-z])")
_SPECIAL = re.compile(r"[^\w\s.:;,()\[\]/|+*=!?'\"@-]|_")

_TOKEN = re.compile(
    r"""%[^\n]*                                       # a comment
    | \\begin\s*\{(?P<begin>[^{}]*)\} | \\end\s*\{(?P<end>[^{}]*)\}
    | \\(?P<name>[A-Za-z]+) | (?P<row>\\\\|&) | \\.
    | (?:[-=]>>?|<-)(?P<over>\[)                      # what stands over an arrow of chemistry
    | (?P<sign>[{}\[\]]) | (?P<mark>[_^\s*]+)""",
    re.X | re.S,
)
#: Each of these nests all that follows, or all before it, in its group or cell.
_DECLARATION = re.compile(
    r"\\(?:(?:display|text|script|scriptscript)style|[tT]iny|scriptsize|small|normalsize|[lL]arge"
    r"|LARGE|[hH]uge|color|(?:over|atop|above)(?:withdelims)?|choose|brace|brack"
    r"|(?:[bB]raket|[sS]et)(?!\s*\{))(?![A-Za-z])"
)
#: MathJax typesets what these stand before more than once: in one another they multiply.
_EXPANDS = re.compile(
    r"(?:pmb|centerOver|centernot|(?:over|under)bracket|adjustlimits|Aboxed|ce"
    r"|x[A-Za-z]*(?:arrow|harpoons?(?:up|down)?|mapsto|tofrom|equal))\Z"
)


def harmless(piece: str) -> str | None:
    """The piece without what it would leave behind, or None if it is to be shown as text."""
    if _REACHES_OUT.search(piece) or not _has_plain_colours(piece):
        return None
    if _space(piece) > _MAX_SPACE or not _is_bounded(piece):
        return None
    if _STILL_LEAVES_STATE.search(piece) or _REFERENCE.search(piece):
        piece = _REFERENCE.sub(_reference, _LEAVES_STATE.sub(r"\g<rows> ", piece))
        if _STILL_LEAVES_STATE.search(piece):
            return None
    return piece


def _space(piece: str) -> float:
    return sum(
        float(length["number"].replace(",", ".")) * _EM[length["unit"]]
        for found in _SPACED.finditer(piece)
        for length in _LENGTH.finditer(found["lengths"])
    )


def _has_plain_colours(piece: str) -> bool:
    return all(
        _COLOURS.get(found["name"], _MODEL_AND_COLOUR).match(piece, found.end())
        for found in _COLOURED.finditer(piece)
    )


def _reference(found: re.Match[str]) -> str:
    """The label itself: what it would be called in a page without numbers."""
    label = _SPECIAL.sub(_spelled, found["inside"] or found["sign"] or "")
    shown = f"({label})" if found["name"] in ("eqref", "refeq") else label
    return rf"{found['rows']}\text{{{shown}}}"


def _spelled(special: re.Match[str]) -> str:
    return r"\_" if special.group() == "_" else ""


@dataclass(slots=True)
class _Group:
    """A group that is open: what opened it, the command whose argument it is, and how many
    declarations in it nest what follows."""

    opening: str
    command: str = ""
    declared: int = 0


def _is_bounded(piece: str) -> bool:
    """Whether the typesetter ends soon: what is nested, and what expands, is not too deep.

    What closes nothing is passed over, so that the depth is never taken for less than it is.
    """
    groups = [_Group("")]
    command, end = "", 0  # whose arguments may follow, and where the last token ended
    braces_close = "\\verb" not in piece
    for token in _TOKEN.finditer(piece):
        if token.start() != end:
            command = ""
        end = token.end()
        closing = _closing(token) if braces_close else None
        while closing == "}" and groups[-1].opening == "]":
            groups.pop()  # `\ce{A ->[B}`
        if opening := _opening(token, command, groups):
            groups.append(_Group(opening, "ce" if token["over"] else command))
            command = ""
        elif closing == groups[-1].opening:
            command = groups.pop().command
        elif token["row"] and groups[-1].opening.startswith("\\"):
            groups[-1].declared = 0
        elif token["name"]:
            command = token["name"]
            groups[-1].declared += _DECLARATION.match(piece, token.start()) is not None
        if not _fits(groups):
            return False
    return True


def _opening(token: re.Match[str], command: str, groups: Sequence[_Group]) -> str:
    """What closes the group that a token opens, or nothing. A `[` opens one where it matters."""
    if token["begin"] is not None:
        return rf"\end{token['begin']}"
    if token["name"] == "left":
        return "right"
    if token["sign"] == "{":
        return "}"
    chemistry = token["over"] and any(group.command == "ce" for group in groups)
    return "]" if chemistry or (token["sign"] == "[" and _EXPANDS.match(command)) else ""


def _closing(token: re.Match[str]) -> str | None:
    if token["end"] is not None:
        return rf"\end{token['end']}"
    return "right" if token["name"] == "right" else token["sign"]


def _fits(groups: Sequence[_Group]) -> bool:
    commands = [group.command for group in groups]
    return (
        len(groups) + sum(group.declared for group in groups) <= MAX_DEPTH + 1
        and sum(_EXPANDS.match(command) is not None for command in commands) <= _MAX_EXPANSIONS
        and commands.count("pmb") <= 1
    )
