"""Lets a line's prompt end in a question mark: IPython would take it for a request for help.

`%alcf what is MPI?` is a prompt; `%alcf?` stays IPython's own way to ask for help.
"""

from __future__ import annotations

import tokenize
from typing import Any

from IPython.core.inputtransformer2 import EscapedCommand, MagicAssign

MAGIC = "alcf"
_LAYOUT = {tokenize.INDENT, tokenize.DEDENT, tokenize.NEWLINE, tokenize.NL, tokenize.ENDMARKER}


class Question(EscapedCommand):
    """A line `%alcf …?`, taken before IPython's help syntax (whose priority is 5)."""

    priority = 4

    @classmethod
    def find(cls, tokens_by_line: list[list[Any]]) -> Question | None:
        for line in tokens_by_line:
            words = [token for token in line if token.type not in _LAYOUT]
            if _is_question(words):
                return cls(words[0].start)
        return None


class AssignedQuestion(MagicAssign):
    """A line `name = %alcf …?`."""

    priority = 4

    def __init__(self, start: tuple[int, int], percent: int) -> None:
        # Sorted by where the line starts, as IPython's help syntax is.
        super().__init__(start)  # type: ignore[no-untyped-call]
        self._percent = percent

    @classmethod
    def find(cls, tokens_by_line: list[list[Any]]) -> AssignedQuestion | None:
        for line in tokens_by_line:
            words = [token for token in line if token.type not in _LAYOUT]
            if len(words) > 2 and words[1].string == "=" and _is_question(words[2:]):
                return cls(words[0].start, words[2].start[1])
        return None

    def transform(self, lines: list[str]) -> list[str]:
        self.start_col = self._percent
        return list(super().transform(lines))


def _is_question(words: list[Any]) -> bool:
    texts = [word.string for word in words]
    return texts[:2] == ["%", MAGIC] and texts[-1] == "?" and set(texts[2:]) != {"?"}


def install(shell: Any) -> None:
    """Register with a shell."""
    shell.input_transformer_manager.token_transformers += [Question, AssignedQuestion]


def remove(shell: Any) -> None:
    """Take back what `install` registered."""
    transformers = shell.input_transformer_manager.token_transformers
    transformers[:] = [t for t in transformers if t not in (Question, AssignedQuestion)]
