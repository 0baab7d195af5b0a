"""Answers of three shapes and of any length, in chunks of five characters."""

from __future__ import annotations

CHARACTERS = 5

PROSE = """## Part {n}: what was measured

Several paragraphs of ordinary prose with **bold words**, some *emphasis* and `code` in between,
as a model writes them. This one has $x_{n}$ in it and a [link](https://example.invalid/{n}).

The second paragraph of part {n} goes on for a while, because most of an answer is text that needs
no more than to be shown, line after line, until the next heading comes.

- a point
- another point with `code`

"""
CODE = """def function_{n}(values, weight={n}):
    '''Return the weighted mean of some values.'''
    total = sum(value * weight for value in values)  # part {n}
    return total / (len(values) or 1)

"""
TABLE = "| row {n} | some **value** | {n}.5 | a note about it |\n"


def text_of(shape: str, chunks: int) -> str:
    """The answer that makes so many chunks."""
    size = chunks * CHARACTERS
    head, part = {
        "prose": ("", PROSE),
        "code": ("```python\n", CODE),
        "table": ("| a | b | c | d |\n|---|---|---|---|\n", TABLE),
        "list": ("", "- item {n} of a long list, with **bold** text and `code`\n"),
    }[shape]
    parts = [head]
    length, n = len(head), 0
    while length < size:
        n += 1
        parts.append(part.format(n=n))
        length += len(parts[-1])
    return "".join(parts)[:size]


def in_chunks(text: str) -> list[str]:
    return [text[i : i + CHARACTERS] for i in range(0, len(text), CHARACTERS)]


SHAPES = ("prose", "code", "table", "list")
