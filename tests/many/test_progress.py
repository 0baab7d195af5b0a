"""The bar of many prompts: what it says, also while nothing comes."""

from __future__ import annotations

import io
from typing import Any

import pytest

from alcf_magics.many import progress
from alcf_magics.many.progress import Progress


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change is drawn."""
    for name in ("DRAW_SECONDS", "IDLE_SECONDS", "LOG_SECONDS"):
        monkeypatch.setattr(progress, name, 0.0)


def test_it_says_how_many_came_and_failed(capsys: Any) -> None:
    """With a rate and an estimate."""
    with Progress(4) as bar:
        bar.show(1, 0)
        bar.show(2, 1)
        bar.show(4, 1)
    drawn = capsys.readouterr().err
    assert "1/4" in drawn
    assert "2/4" in drawn
    assert "4/4" in drawn
    assert "1 failed" in drawn
    assert "prompt/s" in drawn


def test_it_says_what_is_waited_for_while_nothing_comes(capsys: Any) -> None:
    """And no longer, once something has come."""
    with Progress(4) as bar:
        bar.show(0, 0, "the model loads")
        assert "the model loads" in capsys.readouterr().err
        bar.show(1, 0)
        assert "the model loads" not in capsys.readouterr().err


def test_nothing_is_drawn_where_nothing_is_to_be_done(capsys: Any) -> None:
    """Or nobody wants it."""
    for bar in (Progress(3, 3), Progress(3, shown=False), Progress(0)):
        with bar:
            bar.show(3)
    assert capsys.readouterr().err == ""


def test_a_broken_screen_costs_nobody_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stderr that is closed, or none."""
    closed = io.StringIO()
    closed.close()
    for broken in (None, closed):
        monkeypatch.setattr("sys.stderr", broken)
        with Progress(2) as bar:
            bar.show(1)
            bar.show(2)
