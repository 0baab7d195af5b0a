"""What one cell showed, as text, taken from its messages to the front end. Pure, and bounded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .values import Hide

#: Outputs that are kept of a cell, and characters of the beginning and of the end of each.
MOST_OUTPUTS = 100
KEPT_CHARACTERS = 20_000

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_WIDGET = "application/vnd.jupyter.widget-view+json"


@dataclass(eq=False)
class Output:
    """A text that a cell showed; of a long one the beginning and the end.

    `stream` is the name of the stream that it was printed to, `display_id` what updates name.
    """

    stream: str = ""
    display_id: str = ""
    head: str = ""
    tail: str = ""
    left_out: int = 0  # characters between them

    def add(self, text: str) -> None:
        """The text goes on."""
        if not self.left_out:
            self.head += text
            if len(self.head) <= 2 * KEPT_CHARACTERS:
                return
            text = self.head[KEPT_CHARACTERS:]
            self.head = self.head[:KEPT_CHARACTERS]
        end = self.tail + text
        self.tail = end[-KEPT_CHARACTERS:]
        self.left_out += len(end) - len(self.tail)

    def replace(self, text: str) -> None:
        """Another text takes its place."""
        self.head, self.tail, self.left_out = "", "", 0
        self.add(text)

    def text(self, hide: Hide = str) -> str:
        """What it shows, without what must not be sent.

        Where something was left out, no part of a word stands: it could be a token's.
        """
        if not self.left_out:
            return hide(_read(self.head))
        head = self.head[: max(map(self.head.rfind, " \n\t")) + 1]
        space = re.search(r"\s", self.tail)
        tail = self.tail[space.start() :] if space else ""
        return f"{hide(_read(head))}{gap(self.left_out)}{hide(_read(tail))}"


@dataclass(eq=False)
class Outputs:
    """All that a cell has shown so far."""

    items: list[Output] = field(default_factory=list)
    left_out: int = 0  # outputs in the middle
    _clear_next: bool = False

    def take(self, kind: str, content: Mapping[str, Any]) -> None:
        """One message of the cell to the front end, of one of KINDS."""
        if kind == "update_display_data":
            self._update(_display_id(content), _plain(content))
            return
        if kind == "clear_output":
            self._clear_next = bool(content.get("wait"))
        if kind == "clear_output" and self._clear_next:
            return
        if kind == "clear_output" or self._clear_next:
            self.items.clear()
            self.left_out, self._clear_next = 0, False
        if kind in _SHOWN:
            self._show(kind, content)

    def _show(self, kind: str, content: Mapping[str, Any]) -> None:
        stream = str(content["name"]) if kind == "stream" else ""
        if not (stream and self.items and self.items[-1].stream == stream):
            self.items.append(Output(stream, _display_id(content)))
        self.items[-1].add(_SHOWN[kind](content))
        if len(self.items) > MOST_OUTPUTS:
            del self.items[MOST_OUTPUTS // 2]
            self.left_out += 1

    def _update(self, display_id: str, text: str) -> None:
        for output in self.items:
            if display_id and output.display_id == display_id:
                output.replace(text)

    def text(self, hide: Hide = str) -> str:
        """All of it, an output below the other."""
        texts = [output.text(hide).strip("\n") for output in self.items]
        if self.left_out:
            texts.insert(MOST_OUTPUTS // 2, f"(… {self.left_out:,} outputs left out …)")
        return "\n".join(filter(None, texts))


def gap(count: int) -> str:
    """What stands where so many characters were left out."""
    return f"\n(… {count:,} characters left out …)\n"


def _display_id(content: Mapping[str, Any]) -> str:
    return str(content.get("transient", {}).get("display_id") or "")


def _plain(content: Mapping[str, Any]) -> str:
    """A display as text; of a figure or a widget there is nothing but that."""
    data = content.get("data", {})
    if _WIDGET in data:
        return "(a widget)"
    text = str(data.get("text/markdown") or data.get("text/plain") or "")
    return f"{text} (a figure)".strip() if any(k.startswith("image/") for k in data) else text


#: What each kind of message that is an output shows.
_SHOWN: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "stream": lambda content: str(content["text"]),
    "display_data": _plain,
    "execute_result": _plain,
    "error": lambda content: "\n".join(map(str, content["traceback"])),
}
KINDS = frozenset({*_SHOWN, "clear_output", "update_display_data"})


def _read(text: str) -> str:
    """A text as somebody sees it: without colours, and what was printed over is gone."""
    lines = _ANSI.sub("", text).split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
