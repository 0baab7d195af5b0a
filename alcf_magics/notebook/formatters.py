"""What IPython adds to a completion while the extension is loaded, and never otherwise.

Values show themselves; here is only what a cell knows: what else there is to tell below its one
output, and that an answer which stands on the screen already (in a terminal, or in a cell with
other code) is not shown again as the cell's result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..showing.display import line_html
from .outputs import is_captured

if TYPE_CHECKING:
    from ..gateway.completions import Completion
    from ..told import Told

#: By name, because the class is imported only when somebody needs it.
_COMPLETION = ("alcf_magics.gateway.completions", "Completion")


class Formatters:
    """Registered with one shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._on_screen: tuple[int, Completion] | None = None
        self._below: tuple[Completion, Told] | None = None
        self._made: tuple[Completion, str] | None = None

    def install(self) -> None:
        formatter = self._shell.display_formatter
        formatter.mimebundle_formatter.for_type_by_name(*_COMPLETION, self._bundle)
        formatter.ipython_display_formatter.for_type_by_name(*_COMPLETION, self._skip)

    def remove(self) -> None:
        formatter = self._shell.display_formatter
        for one in (formatter.mimebundle_formatter, formatter.ipython_display_formatter):
            one.pop(".".join(_COMPLETION), None)

    def _bundle(
        self, completion: Completion, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """The completion's own bundle, with what there is to tell below its answer."""
        made, self._made = self._made, None
        if made is not None and made[0] is completion:
            bundle = {"text/plain": repr(completion), "text/html": made[1]}
        else:
            bundle, _ = completion._repr_mimebundle_()
        below, self._below = self._below, None
        if below is not None and below[0] is completion:
            bundle["text/html"] += "".join(map(line_html, below[1].notices()))
        return bundle, completion.metadata

    def has_page(self, completion: Completion, page: str) -> None:
        """The page of a completion that is about to be shown was made while it came."""
        self._made = (completion, page) if page else None

    def tell_below(self, completion: Completion, told: Told) -> None:
        """What was told beside this completion stands below it, where it is shown next."""
        self._below = completion, told

    def on_screen(self, completion: Completion) -> None:
        """This completion has been shown; this cell's result need not show it again."""
        self._on_screen = self._shell.execution_count, completion

    def _skip(self, completion: Completion) -> None:
        on_screen, self._on_screen = self._on_screen, None
        if (
            on_screen is None
            or on_screen[0] != self._shell.execution_count
            or on_screen[1] is not completion
        ):
            raise NotImplementedError  # IPython's way of saying: show it as usual
        if is_captured():
            # Its hook keeps an output for every value, an empty one for what is skipped: then
            # the value's own takes the place of the display.
            shown = self._shell.display_pub.outputs
            shown[:] = [one for one in shown if one["metadata"] != completion.metadata]
            raise NotImplementedError
