"""What is waited for is shown where somebody looks, and each notice once."""

from __future__ import annotations

import threading
import time

import pytest

from alcf_magics.told import SILENT, Plain, Told


def test_a_wait_on_ones_own_thread_is_shown_at_once() -> None:
    """The thread that waits cannot look; an empty line takes the line away."""
    shown: list[str] = []
    told = Told(shown.append)
    told.waiting("for a lock")
    told.waiting("for a lock")
    told.waiting("")
    assert shown == ["for a lock", ""]


def test_a_wait_on_another_thread_is_shown_at_the_next_look() -> None:
    """Output from another thread would land in another cell."""
    shown: list[str] = []
    told = Told(shown.append)
    worker = threading.Thread(target=told.waiting, args=("for Globus",))
    worker.start()
    worker.join()
    assert (shown, told.waiting_for) == ([], "for Globus")
    told.tick()
    told.tick()
    assert shown == ["for Globus"]


def test_several_at_a_time_know_nothing_of_each_other() -> None:
    """Two prompts at once each have a line and notices of their own."""
    one, other = Told(), Told()
    one.waiting("a")
    one.notice("moved")
    assert (other.waiting_for, other.notices()) == ("", [])
    assert (one.notices(), one.notices()) == (["moved"], [])


def test_nothing_piles_up_where_nobody_listens() -> None:
    """What is told to nobody is gone."""
    SILENT.waiting("x")
    SILENT.notice("y")
    assert (SILENT.waiting_for, SILENT.notices()) == ("", [])


def test_a_plain_call_says_once_what_it_waits_for_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error; nothing of what is soon over."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    told = Plain()
    for seconds, line in [(0, "a"), (4, ""), (0, "b"), (4, "b"), (2, "b: 6 s"), (9, "c"), (9, "")]:
        now[0] += seconds
        told.waiting(line)
        told.tick()
    assert capsys.readouterr() == ("", "b: 6 s\n")
    assert told.notices() == []
