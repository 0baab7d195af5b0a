"""Figures of matplotlib as images, as the notebook shows them."""

from __future__ import annotations

import io
from typing import Any

from .picture import Picture
from .pillow import MOST_SIDE, broken_is_said, opened, picture_of


def from_figure(name: str, figure: Any) -> Picture:
    """A figure, drawn no finer than a model takes. Raises RequestRefused if it cannot be drawn."""
    inches = figure.get_size_inches()
    dpi = min(figure.dpi, MOST_SIDE / max(inches))
    file = io.BytesIO()
    with broken_is_said(name):
        figure.savefig(file, format="png", dpi=dpi, bbox_inches="tight", transparent=False)
    drawn = opened(name, file.getvalue())
    finer = figure.dpi / dpi
    full = round(drawn.width * finer), round(drawn.height * finer)
    return picture_of(name, drawn, full=full)
