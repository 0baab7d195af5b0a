"""How options are spelt: other dashes and quotes than the keyboard's, and names misspelt. Pure.

Word processors, chats and phones make `--` into a dash and `"` into a quotation mark.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_DASHES = "‐‑‒–—―−﹘﹣－"
_UNSEEN = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
#: Quotation marks that are not the keyboard's.
QUOTES = frozenset("“”„‟‘’‚‛«»‹›＂＇")
#: How like an option's name a word is that was meant for it.
_CLOSE = 0.7

_OPTION = re.compile(rf"([{_UNSEEN}]*[-{_DASHES}][-{_DASHES}{_UNSEEN}]*)[A-Za-z]")


def straightened(word: str) -> str:
    """A word that begins as options do, with the dashes of a keyboard; any other as it is."""
    if not is_bent(word):
        return word
    name = word.lstrip(f"-{_DASHES}{_UNSEEN}")
    return f"{'--' if name.partition('=')[0][1:2] else '-'}{name}"


def is_bent(word: str) -> bool:
    """Whether a word begins as options do, but not with a keyboard's dashes alone."""
    match = _OPTION.match(word)
    return match is not None and bool(re.search(f"[{_DASHES}{_UNSEEN}]", match[1]))


def quoted(text: str) -> str:
    """What a text begins with in quotes that are not the keyboard's, in quotes that are.

    Empty where it begins with none.
    """
    if text[:1] not in QUOTES:
        return ""
    match = re.match(f"[^{''.join(QUOTES)}]*", text[1:])
    inside = match[0].rstrip() if match else ""
    return f"'{inside}'" if '"' in inside else f'"{inside}"'


def nearest(word: str, names: Iterable[str]) -> list[str]:
    """The option names that a word may have been meant for, the likeliest first, at most three."""
    stem = _stem(word)
    scores = {name: _likeness(stem, _stem(name)) for name in names}
    close = [name for name, score in scores.items() if score >= _CLOSE]
    best = sorted(close, key=lambda name: (-scores[name], name))
    return best[:1] if best and scores[best[0]] == 1 else best[:3]


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """`. Did you mean --max-tokens?`; empty where nothing is near."""
    near = nearest(word, names)
    return f". Did you mean {' or '.join(near)}?" if near else ""


def _stem(word: str) -> str:
    return word.partition("=")[0].lstrip("-").replace("_", "-").casefold()


def _likeness(stem: str, name: str) -> float:
    """From 0 to 1: the same, its beginning, made of its parts, or like it letter by letter."""
    if stem == name:
        return 1.0
    if len(stem) < 2 or len(name) < 2:
        return 0.0
    parts, wanted = set(name.split("-")), set(stem.split("-"))
    if name.startswith(stem) or parts <= wanted or wanted <= parts:
        return 0.9
    return difflib.SequenceMatcher(None, stem.replace("-", ""), name.replace("-", "")).ratio()
