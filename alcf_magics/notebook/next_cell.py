"""What of an answer's code goes into the next cell: what the notebook's language can run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..showing.formats import CodeBlock, code_blocks

#: What models call the notebook's language.
PYTHON = frozenset({"python", "python3", "py", "py3", "ipython", "ipython3", "jupyter"})
_MARKDOWN = frozenset({"markdown", "md"})
#: How deep a fence in a fence is looked into.
_DEPTH = 4


def code_of(blocks: Sequence[CodeBlock]) -> str:
    """The Python of these blocks, each piece once; empty if there is none.

    Where a block names Python, one that names nothing is output, or a file's text.
    """
    found = list(_unfolded(blocks))
    named = [block for block in found if block.language.casefold() in PYTHON]
    wanted = named or [block for block in found if not block.language]
    pieces = dict.fromkeys(block.code.rstrip() for block in wanted)
    return "\n\n".join(piece for piece in pieces if piece.strip())


def _unfolded(blocks: Iterable[CodeBlock], depth: int = _DEPTH) -> Iterator[CodeBlock]:
    """The blocks, with those that stand inside of a block of Markdown in its place."""
    for block in blocks:
        if depth and block.language.casefold() in _MARKDOWN:
            yield from _unfolded(code_blocks(block.code), depth - 1)
        else:
            yield block
