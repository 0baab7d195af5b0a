"""What a cell holds: its outputs as JupyterLab keeps them, and what a person reads there."""

from __future__ import annotations

import abc
import copy
import re
from dataclasses import dataclass, field
from typing import Any

ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
#: The messages that are, or take away, outputs.
OUTPUTS = ("stream", "display_data", "execute_result", "error", "clear_output")

Json = dict[str, Any]


class Shown(abc.ABC):
    """What somebody sees below a cell."""

    @property
    @abc.abstractmethod
    def outputs(self) -> list[Json]:
        """A copy of the outputs as the notebook holds them now."""

    @property
    def traceback(self) -> list[str]:
        """What the notebook shows for the error, without colours."""
        shown = [
            line for o in self.outputs if o["output_type"] == "error" for line in o["traceback"]
        ]
        return [ANSI.sub("", line) for line in shown]

    @property
    def error_text(self) -> str:
        """The traceback as one text."""
        return "\n".join(self.traceback)

    @property
    def text(self) -> str:
        """Printed text and the text/plain of displays and of the result; not the error."""
        return "\n".join(
            o["text"].removesuffix("\n") if o["output_type"] == "stream" else _plain(o)
            for o in self.outputs
            if o["output_type"] == "stream" or "text/plain" in o.get("data", {})
        )

    @property
    def html(self) -> str:
        """All text/html of the outputs."""
        return "\n".join(
            o["data"]["text/html"] for o in self.outputs if "text/html" in o.get("data", {})
        )

    @property
    def result(self) -> Json | None:
        """The MIME bundle of the cell's value."""
        results = [o["data"] for o in self.outputs if o["output_type"] == "execute_result"]
        return results[-1] if results else None


def _plain(output: Json) -> str:
    return str(output["data"]["text/plain"])


@dataclass
class Outputs:
    """The outputs of a cell or of an Output widget, kept as JupyterLab keeps them."""

    items: list[Json] = field(default_factory=list)
    _clear_next: bool = False

    def take(self, kind: str, content: Json) -> Json | None:
        """Handle an output message; returns a new output if it added one."""
        if kind == "clear_output":
            self._clear_next = bool(content.get("wait"))
            if not self._clear_next:
                self.items.clear()
            return None
        if self._clear_next:
            self._clear_next = False
            self.items.clear()
        if kind == "stream":
            last = self.items[-1] if self.items else {}
            if last.get("output_type") == "stream" and last["name"] == content["name"]:
                last["text"] = overwrite(last["text"] + content["text"])
                return None
        output = {"output_type": kind, **copy.deepcopy(content)}
        output.pop("transient", None)
        if kind == "stream":
            output["text"] = overwrite(output["text"])
        self.items.append(output)
        return output


class Displays:
    """The outputs that have a display id: an update changes each, in whatever cell it stands."""

    def __init__(self) -> None:
        self._outputs: dict[str, list[Json]] = {}

    def note(self, content: Json, output: Json | None) -> None:
        """An output message with this content added this output."""
        display = content.get("transient", {}).get("display_id")
        if output is not None and display:
            self._outputs.setdefault(display, []).append(output)

    def update(self, content: Json) -> None:
        """Change every output with the content's display id."""
        for output in self._outputs.get(content.get("transient", {}).get("display_id"), []):
            output["data"] = copy.deepcopy(content["data"])
            output["metadata"] = copy.deepcopy(content["metadata"])


def overwrite(text: str) -> str:
    """The text as a terminal shows it: a carriage return lets the rest of the line overwrite."""
    return "\n".join(_overwrite_line(line) for line in text.split("\n"))


def _overwrite_line(line: str) -> str:
    head, *parts = line.split("\r")
    for part in parts:
        head = part + head[len(part) :]
    # Kept at the end, because the text that overwrites may come with the next message.
    return head + "\r" if parts and not parts[-1] else head
