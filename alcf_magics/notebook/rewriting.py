"""What is typed, rewritten before IPython reads it in a way of its own.

A line's prompt may end in a question mark, which IPython takes for a request for help: `%alcf what
is MPI?` is a prompt, `%alcf?` stays IPython's own. And `%%alcf --help` helps, where IPython refuses
a cell magic without a body before any magic sees it.
"""

from __future__ import annotations

import tokenize
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.core.inputtransformer2 import EscapedCommand, MagicAssign, cell_magic

from .shells import prompt_magics

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
    if texts[:1] != ["%"] or texts[-1] != "?" or set(texts[2:]) <= {"?"}:
        return False
    return texts[1] in prompt_magics(get_ipython())


def without_body(lines: list[str]) -> list[str]:
    """`%%alcf --help` with nothing below it becomes `%alcf --help`."""
    first = lines[0] if lines else ""
    words = first[2:].split()
    if not first.startswith("%%") or not words or "".join(lines[1:]).strip():
        return lines
    asked = words[0] in prompt_magics(get_ipython())
    return [first[1:]] if asked and not {"--help", "-h"}.isdisjoint(words) else lines


def install(shell: Any) -> None:
    """Register with a shell."""
    manager = shell.input_transformer_manager
    manager.token_transformers += [Question, AssignedQuestion]
    # Before IPython's own, which looks for the body.
    own = manager.cleanup_transforms
    own.insert(own.index(cell_magic) if cell_magic in own else len(own), without_body)


def remove(shell: Any) -> None:
    """Take back what `install` registered."""
    manager = shell.input_transformer_manager
    for transforms in (manager.token_transformers, manager.cleanup_transforms):
        ours = (Question, AssignedQuestion, without_body)
        transforms[:] = [transform for transform in transforms if transform not in ours]
