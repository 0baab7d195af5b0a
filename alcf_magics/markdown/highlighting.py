"""Code as a box with its language named, in colours of Jupyter's theme. Pure.

What a model writes also chooses the lexer, so only languages whose lexers are quick get colours,
and only code of a shape that cannot hang them.
"""

from __future__ import annotations

import functools
import html
import re
import zlib
from collections.abc import Sequence
from typing import Any

MAX_HIGHLIGHTED = 30_000
"""Characters; longer code is shown without colours."""
_MAX_HIGHLIGHTED_LINE = 500
_MAX_OPENINGS = 50
_BLANK = re.compile(r"\s{80}")
_SHORT = 4_000
_MAX_REPEATED = 20
"""How often code may say the same, as zlib sees it; real programs stay below fifteen."""


# Colours that are readable on white and on black stand in where there is no theme of Jupyter's.
_COLOURS: dict[str, tuple[str, str]] = {
    "c": (
        "Comment",
        "color:var(--jp-mirror-editor-comment-color,#6b7f80);font-style:italic",
    ),
    "s": ("Literal.String", "color:var(--jp-mirror-editor-string-color,#c0504d)"),
    "n": ("Literal.Number", "color:var(--jp-mirror-editor-number-color,#2e8555)"),
    "w": ("Operator.Word", "color:var(--jp-mirror-editor-keyword-color,#2f8a2f);font-weight:bold"),
    "o": ("Operator", "color:var(--jp-mirror-editor-operator-color,#a050c8)"),
    "k": ("Keyword", "color:var(--jp-mirror-editor-keyword-color,#2f8a2f);font-weight:bold"),
    "b": ("Name.Builtin", "color:var(--jp-mirror-editor-builtin-color,#2f8a2f)"),
    "d": ("Name.Function", "color:var(--jp-mirror-editor-def-color,#4070e0)"),
    "D": ("Name.Class", "color:var(--jp-mirror-editor-def-color,#4070e0)"),
    "m": ("Name.Decorator", "color:var(--jp-mirror-editor-meta-color,#a050c8)"),
    "t": ("Name.Tag", "color:var(--jp-mirror-editor-tag-color,#2f8a2f)"),
    "a": ("Name.Attribute", "color:var(--jp-mirror-editor-attribute-color,#4070e0)"),
    "v": ("Name.Variable", "color:var(--jp-mirror-editor-variable-2-color,#4070e0)"),
    "p": ("Comment.Preproc", "color:var(--jp-mirror-editor-meta-color,#a050c8)"),
}
"""Class: the token type of Pygments that has it, and its style."""


LANGUAGES = frozenset(
    [
        *("python", "py", "python3", "ipython", "pycon", "bash", "sh", "shell", "zsh", "console"),
        *("c", "cpp", "c++", "cuda", "cu", "fortran", "f90", "julia", "jl", "r", "matlab"),
        *("octave", "json", "yaml", "yml", "toml", "ini", "cfg", "html", "xml", "css", "sql"),
        *("javascript", "js", "typescript", "ts", "go", "golang", "rust", "rs", "ruby", "rb"),
        *("php", "tex", "latex", "diff", "cmake", "make", "makefile", "docker"),
        *("dockerfile", "haskell", "lua", "awk", "lisp", "scheme", "clojure", "nasm"),
    ]
)
"""Languages with colours. The model picks the language, and some lexers (Java's, C#'s, Perl's)
take minutes on what looks like nothing."""

_ALIASES = {
    **dict.fromkeys(("py3", "ipython3", "pyi", "jupyter"), "python"),
    **dict.fromkeys(("ksh", "bash-session"), "bash"),
    **dict.fromkeys(("shell-session", "shellsession", "terminal"), "console"),
    **dict.fromkeys(("h",), "c"),
    **dict.fromkeys(("cc", "cxx", "hpp", "hh", "hxx", "h++"), "cpp"),
    **dict.fromkeys(("f", "f77", "f95", "f03", "f08", "for"), "fortran"),
    **dict.fromkeys(("jsonc", "json5", "jsonl", "ndjson"), "json"),
    **dict.fromkeys(("mjs", "cjs", "jsx", "node"), "javascript"),
    **dict.fromkeys(("mts", "tsx"), "typescript"),
    **dict.fromkeys(("svg", "xhtml"), "xml"),
    "patch": "diff",
}
"""Other names of languages with colours: each is highlighted as one of those."""

_OPENINGS = (
    *(("/*", "*/"), ("<!--", "-->"), ("[=", "]="), ("[[", "]]"), ('r#"', '"#')),
    *(("<?", "?>"), ("<script", "</script"), ("<style", "</style"), ('R"', "\0")),
)
"""What some lexers look for the end of, each time anew."""


def _may_hang(code: str) -> bool:
    """Whether a lexer may take more time than grows with the code."""
    return (
        max(map(len, code.split("\n"))) > _MAX_HIGHLIGHTED_LINE
        or _BLANK.search(code) is not None
        or any(
            code.count(opening, max(code.rfind(closing), 0)) > _MAX_OPENINGS
            for opening, closing in _OPENINGS
        )
        or _is_a_loop(code)
    )


def _is_a_loop(code: str) -> bool:
    """Whether the code says the same again and again, as models do that are stuck."""
    if len(code) < _SHORT:
        return False
    return len(zlib.compress(code.encode(), 1)) * _MAX_REPEATED < len(code)


def highlighted(code: str, language: str) -> str | None:
    """The code in coloured spans, or None if there is no telling how."""
    known = language.lower()
    known = _ALIASES.get(known, known)
    if known not in LANGUAGES or len(code) > MAX_HIGHLIGHTED:
        return None
    if _may_hang(code):
        return None
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(known, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None
    parts: list[str] = []
    length = 0
    run: list[str] = []
    current: str | None = None
    for kind, value in lexer.get_tokens(code):
        name = _class_of(kind)
        length += len(value)
        if name != current and not value.isspace():
            parts.append(_span(current, run))
            run = []
            current = name
        run.append(value)
    parts.append(_span(current, run))
    return "".join(parts) if length == len(code) else None


def _span(name: str | None, run: Sequence[str]) -> str:
    if not run:
        return ""
    shown = html.escape("".join(run))
    return f'<span class="alcf-{name}">{shown}</span>' if name else shown


@functools.cache
def _class_of(kind: Any) -> str | None:
    from pygments.token import string_to_tokentype

    known = {string_to_tokentype(name): key for key, (name, _) in _COLOURS.items()}
    while kind is not None:
        if kind in known:
            return known[kind]
        kind = kind.parent
    return None


def style_sheet() -> str:
    """The `<style>` element with the colours of code, from the variables of Jupyter's theme."""
    rules = "".join(
        f".alcf-code .alcf-{name}{{{declaration}}}" for name, (_, declaration) in _COLOURS.items()
    )
    return f"<style>{rules}</style>\n"


def with_style(body: str) -> str:
    """The body, with the style sheet in front if a code block in it has colours."""
    return style_sheet() + body if '<span class="alcf-' in body else body
