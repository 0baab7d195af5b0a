"""Reasoning that stands in the text, between `<think>` and `</think>`. Pure.

Some servers leave a model's tags where they are. An opening tag counts at the start of a line; a
lone closing one makes reasoning of all that came before it, for many templates open the tag in
the prompt. A tag that code shows is code.
"""

from __future__ import annotations

import re

from ..text import Text

OPENING, CLOSING = "<think>", "</think>"
_TAG = re.compile("</?think>")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_BACKTICKS = re.compile("`+")


class Code:
    """Whether the end of a Markdown text that grows is inside code. Linear in the text."""

    def __init__(self) -> None:
        self._fence = ""
        self._line = ""

    def add(self, text: str) -> None:
        *lines, last = (self._line + text).split("\n")
        for line in lines:
            self._end(line)
        self._line = last

    def _end(self, line: str) -> None:
        fence = _FENCE.match(line)
        if fence is None:
            return
        marks, rest = fence.groups()
        if not self._fence:
            self._fence = "" if marks[0] == "`" and "`" in rest else marks
        elif marks.startswith(self._fence) and not rest.strip():
            self._fence = ""

    @property
    def at_line_start(self) -> bool:
        return not self._line.strip(" \t")

    @property
    def inside(self) -> bool:
        """Whether what comes next is in a block of code, or in a span of it."""
        return self.in_block or self.in_span

    @property
    def in_block(self) -> bool:
        return bool(self._fence) or self._line.startswith(("    ", "\t"))

    @property
    def in_span(self) -> bool:
        opened = ""
        for run in _BACKTICKS.findall(self._line):
            opened = "" if run == opened else opened or run
        return bool(opened)


class ThinkTags:
    """Sorts the pieces of one choice into `content` and `reasoning`."""

    def __init__(self) -> None:
        self.content = Text()
        self.reasoning = Text()
        self._code = Code()
        self._thinks = False
        self._held = ""
        self._looked = 0  # characters of the content that the code has seen
        self._strip = False

    def add(self, piece: str) -> None:
        """One piece of what the server calls content; a tag may be cut anywhere."""
        if "<" not in piece and not (self._held or self._thinks or self._strip):
            self.content.add(piece)  # nearly all are of this kind
            return
        piece = self._held + piece
        self._held = ""
        position = 0
        for tag in _TAG.finditer(piece):
            self._put(piece[position : tag.start()])
            position = tag.end()
            if not self._turn(tag.group()):
                self._put(tag.group())
        rest = piece[position:]
        # What may become a tag waits for the next piece.
        cut = rest.rfind("<")
        if cut >= 0 and any(tag.startswith(rest[cut:]) for tag in (OPENING, CLOSING)):
            rest, self._held = rest[:cut], rest[cut:]
        self._put(rest)

    def whole(self) -> tuple[str, str]:
        """Text and reasoning when nothing more comes."""
        held, self._held = self._held, ""
        self._put(held)
        return self.content.whole(), self.reasoning.whole()

    def _put(self, text: str) -> None:
        if self._strip and (text := text.lstrip()):
            self._strip = False  # the empty lines between reasoning and answer
        if text:
            (self.reasoning if self._thinks else self.content).add(text)

    def _turn(self, tag: str) -> bool:
        """Whether a tag that was found is one: then what follows it goes elsewhere."""
        if self._thinks:
            return tag == CLOSING and self._stop()
        self._look()
        if self._code.inside:
            return False
        if tag == OPENING:
            return self._code.at_line_start and self._start()
        # A lone closing tag: all that came was reasoning. A later one closes nothing.
        if self.reasoning.length:
            return False
        self.reasoning, self.content = self.content, Text()
        return self._stop()

    def _start(self) -> bool:
        self._thinks, self._strip, self._code = True, True, Code()
        return True

    def _stop(self) -> bool:
        self._thinks, self._strip, self._code = False, True, Code()
        self._looked = self.content.length
        return True

    def _look(self) -> None:
        self._code.add(self.content.since(self._looked))
        self._looked = self.content.length
