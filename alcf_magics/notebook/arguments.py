"""The options of the magics: parsed with argparse, split from the prompt by rules of our own.

Options stop at the first word that is not one, and the rest of the line is kept as it was typed,
so that `%alcf -m x what does -t mean` and an apostrophe in a prompt just work.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from IPython.core.error import UsageError
from IPython.utils.text import DollarFormatter

from .spelling import did_you_mean, is_bent, nearest, quoted, straightened

_WORD = re.compile(r"""\s*((?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s'"\\]|['"\\])+)""", re.S)
#: A variable in an option's value: `$name`, `{name}`; `{{name}}` is expansion.py's.
NAMED = re.compile(
    r"(?<![\\\w$}^])(?:\$(?P<dollar>[A-Za-z_]\w*)(?![\w$])"
    r"|(?<!\{)\{(?P<brace>[A-Za-z_]\w*)\}(?!\{))"
)
_PIECE = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|(.)""", re.S)


class Help(Exception):
    """`--help` was asked for; the text is the argument."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one-line usage errors, and which never exits.

    A word of more than `longest` characters is no option even if it begins with a dash: a code
    of Globus may.
    """

    def __init__(
        self, magic: str, description: str, rest: str = "", longest: int | None = None
    ) -> None:
        super().__init__(
            prog=f"%{magic}",
            description=description,
            add_help=False,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            usage=argparse.SUPPRESS,
        )
        self.rest = rest
        self.longest = longest
        self.names: set[str] = set()
        self.takes_value: dict[str, str] = {}  # to the option's longest name
        self.as_typed: set[str] = set()  # the longest names of options that `split` expands not
        self.option("--help", "-h", action="store_true", help="show this text")

    def option(self, *names: str, **settings: Any) -> None:
        """Add one option; its names and whether it takes a value guide the splitting."""
        action = self.add_argument(*names, **settings)
        self.names.update(names)
        if action.nargs != 0:
            self.takes_value.update(dict.fromkeys(names, max(names, key=len)))

    def error(self, message: str) -> NoReturn:
        # argparse names an option by all its names; the first line is the whole complaint.
        text = " ".join(message.split())
        end = "" if text.endswith("?") else "."
        raise UsageError(f"{self.prog}: {text}{end} See {self.prog} --help")

    def format_help(self) -> str:
        names = " ".join(part for part in (self.prog, "[options]", self.rest) if part)
        return f"{names}\n\n{super().format_help().strip()}\n"

    def split(
        self, line: str, expand: Callable[[str], str] = str
    ) -> tuple[argparse.Namespace, str]:
        """The options at the head of a line, and the rest as typed.

        `expand` is applied to each option's value. Raises UsageError, or Help.
        """
        words, position = self._head(line, expand)
        return self._parsed(words), line[position:].strip()

    def rest_of(self, line: str) -> str:
        """What is behind the options of a line, right or wrong ones. Raises nothing."""
        try:
            _, position = self._head(line, str)
        except UsageError:
            return ""
        return line[position:].strip()

    def words(self, line: str) -> tuple[argparse.Namespace, str]:
        """The options of a line, wherever they stand, and the one other word that it may hold."""
        words, position = self._head(line, str)
        other = ""
        while match := _WORD.match(line, position):
            if match[1] == "#":
                self.error("a comment is not taken here")
            # Where a word may be a code, it is not repeated, and may stand in any quotes.
            if not self.longest:
                self._check_quotes("", match[1], line[match.start(1) :])
            if other:
                word = "word" if self.longest else repr(_unquoted(match[1]))
                self.error(f"unexpected second {word}")
            other, line = _unquoted(match[1]), line[match.end() :]
            more, position = self._head(line, str)
            words += more
        return self._parsed(words), other

    def _head(self, line: str, expand: Callable[[str], str]) -> tuple[list[str], int]:
        """The option words that a line begins with, as argparse wants them, and where they end."""
        words: list[str] = []
        position = 0
        while match := _WORD.match(line, position):
            raw = match[1]
            if raw == "--":
                position = match.end()
                break
            self._check_dashes(raw)
            if not self._is_option(raw):
                break
            position = match.end()
            name, value = self._named(raw)
            if name in self.takes_value and value is None:
                value, position = self._following(name, line, position)
            if value is not None:
                self._check_quotes(f"{name} ", value, line[position - len(value) :])
                name = self._with_value(name, value, expand)
            words.append(name)
        return words, position

    def _check_dashes(self, word: str) -> None:
        """A dash that is none of the keyboard's makes an option into a prompt."""
        if is_bent(word) and (self.longest is None or len(word) <= self.longest):
            straight = straightened(word)
            meant = nearest(straight, self.names)
            name = word.partition("=")[0]
            self.error(
                f"the dash of {name} is not the keyboard's: "
                f"type {meant[0] if meant else straight.partition('=')[0]}"
                " (a prompt that begins so goes behind -- and a space)"
            )

    def _check_quotes(self, before: str, word: str, text: str) -> None:
        """A quote that is none of the keyboard's makes a word out of what was meant for several.

        `text` is the line from the word on.
        """
        if right := quoted(text):
            self.error(f"{word[0]} is not the keyboard's quote: type {before}{right}")

    def _named(self, word: str) -> tuple[str, str | None]:
        """An option's name, and the value that stands in the same word, as typed, if one does."""
        name, equals, value = word.partition("=")
        if name in self.names or name.startswith("--"):
            return name, value if equals else None
        if (short := word[:2]) in self.takes_value:  # `-t0.5`
            if meant := [n for n in nearest(word, self.names) if n.startswith("--")]:
                self.error(f"unknown option {name}. Did you mean {' or '.join(meant)}?")
            return short, word[2:]
        return word, None

    def _following(self, name: str, line: str, position: int) -> tuple[str, int]:
        """The word behind an option, which is its value as typed, and where it ends."""
        following = _WORD.match(line, position)
        if following is None:
            self.error(f"argument {name}: expected one argument")
        value = following[1]
        if value.partition("=")[0] in self.names:
            self.error(f"argument {name}: expected one argument, not {value}")
        return value, following.end()

    def _with_value(self, name: str, value: str, expand: Callable[[str], str]) -> str:
        """`--name=value`, so that a value may begin with a dash, or be empty."""
        if value[:1] in ("'", '"') and (len(value) < 2 or value[-1] != value[0]):
            self.error(f"argument {name}: the quote is not closed")
        longest, value = self.takes_value.get(name, name), _unquoted(value)
        return f"{longest}={value if longest in self.as_typed else expand(value)}"

    def _parsed(self, words: list[str]) -> argparse.Namespace:
        arguments, unknown = self.parse_known_args(words)
        if unknown:
            self.error(f"unknown option {unknown[0]}{did_you_mean(unknown[0], self.names)}")
        if arguments.help:
            raise Help(self.format_help())
        return arguments

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Choices in words of our own."""
        if action.choices is not None and value not in action.choices:
            near = difflib.get_close_matches(str(value), action.choices, 1)
            raise argparse.ArgumentError(
                action,
                f"one of {', '.join(map(repr, action.choices))}, not {value!r}"
                + (f". Did you mean {near[0]}?" if near else ""),
            )

    def _is_option(self, word: str) -> bool:
        """A word that begins with a dash and is not a number, a lone dash or quoted."""
        short = self.longest is None or len(word) <= self.longest
        return short and bool(re.match(r"--?[A-Za-z]", word))


def expanded(value: str, variables: Mapping[str, Any]) -> str:
    """An option's value with the variables that it names, as far as there are such variables.

    `$name` and `{name}` are replaced, also inside a text, where they are not part of LaTeX
    (`\\frac{a}{b}`, `x_{n}`, `$x$`); `{expression}` where it is the whole value. All else stays
    as typed: a price is a price. Raises UsageError if the whole value is a `$name` without one.
    """
    whole = re.fullmatch(r"\$([A-Za-z_]\w*)", value)
    if whole and whole[1] not in variables:
        raise UsageError(f"There is no variable {whole[1]!r} for an option to take its value from.")
    if re.fullmatch(r"\{[^{}]+\}", value):
        try:
            return str(DollarFormatter().vformat(value, (), variables))
        except Exception:  # as IPython does: what cannot be expanded stays as typed
            return value
    return NAMED.sub(lambda match: named(match, variables), value)


def named(match: re.Match[str], variables: Mapping[str, Any]) -> str:
    """What stands for a match of NAMED: the variable's value, else what was typed."""
    name = match["dollar"] or match["brace"]
    return str(variables[name]) if name in variables else match.group()


def _unquoted(word: str) -> str:
    """A word without its quotes. A quote that is never closed is a character like any other.

    A backslash outside quotes counts before a space, a quote and itself; in a path it is a letter.
    """

    def piece(match: re.Match[str]) -> str:
        single, double, escaped, plain = match.groups()
        if single is not None:
            return single
        if double is not None:
            return re.sub(r"\\([\"\\])", r"\1", double)
        if escaped is not None:
            return escaped if escaped.isspace() or escaped in "\\'\"" else f"\\{escaped}"
        return plain

    return _PIECE.sub(piece, word)
