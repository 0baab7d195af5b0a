"""What stands between two dollars: a formula, prices, a shell variable, cells of a table. Pure."""

from __future__ import annotations

import re

_TEX_SIGN = re.compile(r"[\\^_={}<>+*|]")
_PROSE = re.compile(r"[^\W\d_]{2,}")
_PROSE_WORDS = re.compile(r"\b[^\W\d_]{3,}+\W++[^\W\d_]{3}")
_NAME_START = re.compile(r"[A-Za-z_]")
_ENDS_BEFORE_NAME = re.compile(r"[0-9A-Za-z)\]}']\Z")
_AMOUNTS = re.compile(r"[0-9][0-9.,]*[kKmMbB]?\s*\|(?:.*\|)?\s*[0-9][0-9.,]*[kKmMbB]?", re.S)
_TEX_CODE = re.compile(r"[\\^]")
_TEX_OF_A_FORMULA = re.compile(r"[\\^_{}]")
_NOT_AFTER_DOLLAR = frozenset("\t\n),.:;!?/'\"")
_AMOUNT = re.compile(r"[-+−]?\.?[0-9]")
_AMOUNT_ALONE = re.compile(r"[-+−]?[0-9.,]*[0-9]\w*")
_AMOUNT_AHEAD = re.compile(r"[-+−]\.?[0-9]|\.[0-9]")
_SPACED_TWICE = re.compile(r" +(?! )(?=.*(?:\\[A-Za-z]|[\^_])).*[^ ] +")
_SPACED_ONCE = re.compile(r"(?=.*\\[A-Za-z])(?:(?! ).*[^ ] +| +(?! ).*\S)")
_COMMAND = re.compile(r"\\[A-Za-z]+(?:\{[A-Za-z ]*\})?")
_SYMBOL = re.compile(r"[A-Za-z]{1,2}[-–]")
_REST_OF_WORD = re.compile(r"[a-z]{2,}(?![\w$])")


def opens(text: str, start: int) -> bool:
    """Whether the `$` at `start` may open a formula: not before a mark, but before `.5`."""
    following = text[start + 1 : start + 2]
    if following == ".":
        return text[start + 2 : start + 3].isdigit()
    return bool(following) and following not in _NOT_AFTER_DOLLAR


def is_spaced_well(content: str) -> bool:
    """Whether no space stands beside the dollars, or the content looks like TeX: `$ \\alpha $`."""
    first, last = content[0].isspace(), content[-1].isspace()
    if not (first or last):
        return True
    if first and last:
        return _SPACED_TWICE.fullmatch(content) is not None
    words = _COMMAND.sub(" ", content)
    return (
        _SPACED_ONCE.fullmatch(content) is not None
        and content.count("{") == content.count("}")
        and not _PROSE_WORDS.search(words)
        and not (_AMOUNT.match(content) and _PROSE.search(words))
    )


def meets_amount(content: str, following: str) -> bool:
    """`$50-$-65`, `$1.5 and 2*.25=$.50`: both dollars stand before an amount."""
    return (
        _AMOUNT_AHEAD.match(following) is not None
        and _AMOUNT.match(content) is not None
        and not _AMOUNT_ALONE.fullmatch(content)
        and not _TEX_OF_A_FORMULA.search(content)
    )


def reads_as_amount(content: str) -> bool:
    """`$5 or so, that is 10$`, `$750 and has 30*25$`: an amount, and words."""
    if not _AMOUNT.match(content) or " " not in content or not _PROSE.search(content):
        return False
    if not _TEX_SIGN.search(content):
        return True
    return _PROSE_WORDS.search(content) is not None and not _TEX_OF_A_FORMULA.search(content)


def ends_like_a_variable(content: str, following: str) -> bool:
    """`$HOME/bin:$PATH`, `$A$B`, but not the `$n$th` or the `$x-$axis`."""
    if _TEX_CODE.search(content):
        return False
    if following[:1] in ("(", "{"):
        return content[-1] in ":/@"
    if _SYMBOL.fullmatch(content) and _REST_OF_WORD.match(following):
        return False
    return _NAME_START.match(following) is not None and (
        not _ENDS_BEFORE_NAME.search(content) or _PROSE.search(content) is not None
    )


def is_unbalanced(content: str) -> bool:
    """Whether a bracket is open at the end, or closed before; `[0, 1)` and `]0, 1[` are not."""
    depth = lowest = 0
    for bracket in re.findall(r"[()\[\]]", content):
        depth += 1 if bracket in "([" else -1
        lowest = min(lowest, depth)
    return depth != 0 or (lowest < 0 and content[0] != "]")


def has_bold(content: str) -> bool:
    return "**" in content and "^" not in content


def covers_cells(content: str) -> bool:
    """Whether bars in a content divide cells of a table, and are no sign of the mathematics."""
    if _AMOUNTS.fullmatch(content):
        return True
    if " | " not in content or re.search(r"[\\^{]", content):
        return False
    return not is_unbalanced(content.split(" | ", 1)[0])


def reads_as_words(content: str) -> bool:
    return (
        "\n" not in content
        and _PROSE_WORDS.search(content) is not None
        and not _TEX_SIGN.search(content)
    )
