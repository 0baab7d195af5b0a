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


def reads_as_amount(content: str) -> bool:
    return (
        content[0].isdigit()
        and " " in content
        and _PROSE.search(content) is not None
        and not _TEX_SIGN.search(content)
    )


def ends_like_a_variable(content: str, following: str) -> bool:
    """`$HOME/bin:$PATH`, `$A$B`, but not the `$n$th`."""
    if _TEX_CODE.search(content):
        return False
    if following in ("(", "{"):
        return content[-1] in ":/@"
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
