"""Values of the notebook in a text: `{{name}}`, `{{obj.attr}}`, `{{rows[0]["k"]}}`, `{{x:.3f}}`.

Never `eval`: a name, attributes, items with constant keys, and a format. Whatever else stands in
braces stays as typed, because prompts are full of them. What came in is not read again.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..images.kinds import is_drawn
from ..images.loading import from_value
from ..images.picture import Picture
from ..text import line
from .arguments import NAMED, expanded, named
from .values import ValueText, value_text

_NAME = r"[^\W\d]\w*"
_KEYS = r"""\[(?:[^\[\]{}"'\\]|"[^"\\\n]*"|'[^'\\\n]*')*\]"""
#: A format stands right behind its colon. Behind a space it needs a sign of being one: in code
#: and in CSS a space follows a colon (`style={{color: red}}`).
_SPEC = r"""[^\s{}"'][^{}"'\n]*|[ ]+[^{}"'\n]*[.%,<>^][^{}"'\n]*"""
_OPEN = r"(?<![{$])\{\{\s*"
_VALUE = re.compile(
    rf"{_OPEN}(?P<path>{_NAME}(?:\.{_NAME}|{_KEYS})*)\s*(?::(?P<spec>{_SPEC}))?\}}\}}"
)
#: A value, or a variable as an option's value names it: both in one pass.
_IN_OPTION = re.compile(f"{_VALUE.pattern}|{NAMED.pattern}")
#: What begins as a value does and is more: a call, a sum.
_MORE = re.compile(rf"{_OPEN}(?P<name>{_NAME})(?P<more>[^{{}}\n]*)\}}\}}")
#: A name in single braces, where it is no part of LaTeX (`\frac{a}{b}`, `x_{n}`).
_SINGLE = re.compile(rf"(?<![\\\w${{}}^])\{{(?P<name>{_NAME})\}}(?![{{}}])")

Variables = Mapping[str, Any]
Hide = Callable[[str], str]


class _Unresolved(Exception):
    """There is no value; the text says why."""


@dataclass(frozen=True)
class Expansion:
    """A text with the values that it named.

    `brought` says of each value what was put in (`df (12 of 3,400 rows)`), `notices` of each
    that was not, why. `images` are values that are no text: each one's place in the text, and
    its picture.
    """

    text: str
    brought: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    images: tuple[tuple[int, Picture], ...] = ()

    def split(self) -> list[str]:
        """The text in pieces, one more than there are images between them."""
        places = [0, *(place for place, _ in self.images), len(self.text)]
        return [self.text[start:end] for start, end in itertools.pairwise(places)]


def expand(text: str, variables: Variables, hide: Hide = str) -> Expansion:
    """The text, with its value for each `{{…}}` that has one. One pass.

    `hide` takes out of what comes in what must not be sent.
    """
    return _expand(_VALUE, text, variables, hide)


def expand_option(text: str, variables: Variables, hide: Hide = str) -> Expansion:
    """The same for an option's value, which may name variables as `$name` and `{name}`, too.

    Raises UsageError if the whole value is a `$name` without one.
    """
    if "{{" not in text:
        return Expansion(expanded(text, variables))
    return _expand(_IN_OPTION, text, variables, hide)


def single_braced(text: str, variables: Variables, hidden: Container[str] = ()) -> list[str]:
    """Names of variables that stand in single braces, and so are no values; each once.

    What is `hidden` or begins with an underscore is IPython's, and nobody means it.
    """
    names = dict.fromkeys(match["name"] for match in _SINGLE.finditer(text))
    return [n for n in names if n in variables and n not in hidden and not n.startswith("_")]


def _expand(pattern: re.Pattern[str], text: str, variables: Variables, hide: Hide) -> Expansion:
    if "{{" not in text:
        return Expansion(text)
    brought: dict[str, str] = {}
    notices: dict[str, None] = {}
    images: list[tuple[int, Picture]] = []

    def put(match: re.Match[str]) -> str:
        if match["path"] is None:
            return named(match, variables)
        label = line(match["path"], 80)
        try:
            value = _valued(match, variables, hide)
        except _Unresolved as why:
            notices[_as_typed(match, str(why))] = None
            return match.group()
        if isinstance(value, Picture):
            images.append((length, value.named(label)))
            return ""
        brought[label] = f"{label} ({value.extent})"
        return value.text

    pieces: list[str] = []
    length = end = 0
    for match in pattern.finditer(text):
        pieces.append(text[end : match.start()])
        length += len(pieces[-1])
        pieces.append(put(match))
        length += len(pieces[-1])
        end = match.end()
    notices |= dict.fromkeys(_more(text, variables))
    new = "".join([*pieces, text[end:]])
    return Expansion(new, tuple(brought.values()), tuple(notices), tuple(images))


def _more(text: str, variables: Variables) -> Iterator[str]:
    """Notices of what looks like a value and is no path, where its name is a variable's."""
    for match in _MORE.finditer(text):
        is_code = match["more"].lstrip()[:1] in ("(", "[", ".")
        if is_code and match["name"] in variables and not _VALUE.match(text, match.start()):
            yield _as_typed(match, "a value is a name with attributes and constant keys, no call")


def _as_typed(match: re.Match[str], why: str) -> str:
    return f"{line(match.group(), 80)} was sent as typed: {line(why, 200)}"


def _valued(match: re.Match[str], variables: Variables, hide: Hide) -> ValueText | Picture:
    """The value as text, in its own form or in the format that was typed; of an image, a picture.

    Raises _Unresolved.
    """
    try:
        value = resolve(match["path"], variables)
        if match["spec"] is None and is_drawn(value):
            return from_value(value, match["path"])
        if match["spec"] is None:
            return value_text(value, hide)
        if isinstance(value, str):
            value = hide(value)  # before a format may cut it
        return ValueText.of(hide(format(value, match["spec"].strip())))
    except _Unresolved:
        raise
    except Exception as error:  # a property, a key, a format: whatever a value raises
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    # Outside, so that nothing hangs on to what was tried.
    raise _Unresolved(hide(reason))


def resolve(path: str, variables: Variables) -> Any:
    """What a path leads to: a name, attributes, items with constant keys. Calls nothing.

    Raises _Unresolved where it is no path or there is no such variable, and whatever an attribute
    or a key raises.
    """
    try:
        body = ast.parse(path, mode="eval").body
    except (SyntaxError, RecursionError, MemoryError):  # a keyword, a key of many signs
        body = None
    if body is None:
        raise _Unresolved("it cannot be read")
    return _follow(body, variables)


def _follow(node: ast.expr, variables: Variables) -> Any:
    match node:
        case ast.Name(id=name):
            if name not in variables:
                raise _Unresolved(f"there is no variable {name}")
            return variables[name]
        case ast.Attribute(value=inner, attr=name):
            return getattr(_follow(inner, variables), name)
        case ast.Subscript(value=inner, slice=key):
            constant = _key(key)
            return _follow(inner, variables)[constant]
    raise _Unresolved("a value is a name with attributes and constant keys, no call")


def _key(node: ast.expr) -> Any:
    """A constant key: a number, a text, a slice of numbers, or several of them."""
    match node:
        case ast.Slice(lower=lower, upper=upper, step=step):
            return slice(*(None if part is None else _key(part) for part in (lower, upper, step)))
        case ast.Tuple(elts=parts):
            return tuple(map(_key, parts))
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise _Unresolved("a key is a number or a text in quotes") from None
