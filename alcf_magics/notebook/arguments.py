"""The options of the magics: parsed with argparse, split from the prompt by rules of our own.

Options stop at the first word that is not one, and the rest of the line is kept as it was typed,
so that `%alcf -m x what does -t mean` and an apostrophe in a prompt just work.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from IPython.core.error import UsageError
from IPython.utils.text import DollarFormatter

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
        raise UsageError(f"{self.prog}: {text}. See {self.prog} --help")

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

    def words(self, line: str) -> tuple[argparse.Namespace, str]:
        """The options of a line, wherever they stand, and the one other word that it may hold."""
        words, position = self._head(line, str)
        other = ""
        while match := _WORD.match(line, position):
            if other:
                # Where a word may be a code, it is not repeated.
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
            word = _unquoted(match[1])
            if match[1] == "--":
                position = match.end()
                break
            name, equals, value = word.partition("=")
            if not self._is_option(match[1]):
                break
            position = match.end()
            if name in self.takes_value and not equals:
                following = _WORD.match(line, position)
                if following is None:
                    self.error(f"argument {name}: expected one argument")
                position = following.end()
                value = following[1]
                if value.partition("=")[0] in self.names:
                    self.error(f"argument {name}: expected one argument, not {value}")
                if value[0] in "'\"" and (len(value) < 2 or value[-1] != value[0]):
                    self.error(f"argument {name}: the quote is not closed")
                # `--name=value`, so that a value may begin with a dash, or be empty.
                longest, value = self.takes_value[name], _unquoted(value)
                words.append(f"{longest}={value if longest in self.as_typed else expand(value)}")
            elif equals and name.startswith("--"):
                words.append(f"{name}={value if name in self.as_typed else expand(value)}")
            else:
                words.append(word)
        return words, position

    def _parsed(self, words: list[str]) -> argparse.Namespace:
        arguments, unknown = self.parse_known_args(words)
        if unknown:
            self.error(f"unknown option {unknown[0]}")
        if arguments.help:
            raise Help(self.format_help())
        return arguments

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
    """A word without its quotes. A quote that is never closed is a character like any other."""

    def piece(match: re.Match[str]) -> str:
        single, double, escaped, plain = match.groups()
        if single is not None:
            return single
        if double is not None:
            return re.sub(r"\\([\"\\])", r"\1", double)
        return escaped if escaped is not None else plain

    return _PIECE.sub(piece, word)
