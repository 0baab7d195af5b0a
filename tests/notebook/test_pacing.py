"""How often a growing answer is drawn, with clocks that the test moves."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest

from alcf_magics.gateway.accumulator import Accumulator
from alcf_magics.gateway.chunks import Chunk, Delta
from alcf_magics.gateway.models import Model
from alcf_magics.notebook import live, pacing, view
from alcf_magics.notebook import reasoning_view as reasoning
from alcf_magics.notebook.live import NotebookLive
from alcf_magics.notebook.pacing import Clocks, Pace
from alcf_magics.notebook.terminal import TerminalLive
from alcf_magics.showing.display import answer_html

TICK = 0.05  # seconds between two looks, as the session looks

PROSE = (
    "A paragraph of ordinary prose with **bold words**, some *emphasis* and `code` in between.\n"
    "It goes on for a while, because most of an answer is text, line after line.\n\n"
)


@dataclass
class Time:
    """Three clocks. A draw costs `draw_cpu` seconds of CPU."""

    now: float = 1000.0
    cpu: float = 0.0
    draw_cpu: float = 0.001

    def clocks(self) -> Clocks:
        return Clocks(lambda: self.now, lambda: self.cpu, lambda: self.cpu)


@dataclass
class Screen:
    """Stands in for the front end: when something was shown, and how many bytes that was."""

    time: Time
    shown: list[tuple[float, int]] = field(default_factory=list)
    outputs: int = 0

    def publish(self, handle: Any, bundle: dict[str, str], metadata: Any = None) -> Any:
        self.time.cpu += self.time.draw_cpu
        self.shown.append((self.time.now, sum(map(len, bundle.values()))))
        self.outputs += handle is None
        return self

    def gaps(self, since: float) -> list[float]:
        """Seconds between two messages, and from the last one to the end of the stream."""
        at = [moment for moment, _ in self.shown if moment >= since] + [self.time.now]
        return [round(b - a, 2) for a, b in itertools.pairwise(at)]

    def most_in_a_second(self) -> int:
        """The most messages within any second."""
        at = [moment for moment, _ in self.shown]
        return max(sum(t <= other < t + 1 - TICK for other in at) for t in at)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def screen(time: Time, monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen(time)
    monkeypatch.setattr(view, "Pace", lambda: Pace(time.clocks()))
    monkeypatch.setattr(live, "publish", screen.publish)
    monkeypatch.setattr(reasoning, "publish", screen.publish)
    return screen


def _content(text: str) -> Delta:
    return Delta(content=text)


def _reasoning(text: str) -> Delta:
    return Delta(reasoning=text)


def stream(
    screen: Screen, text: str, rate: float, *, wait: float = 0.0, kind: str = "content"
) -> float:
    """Draw an answer that comes at `rate` characters a second after `wait` seconds of silence.

    Returns the moment at which it began.
    """
    time = screen.time
    answer = Accumulator("model", time.now)
    drawing = NotebookLive(Model("model", "cluster", "framework", "url"), alone=True)
    end = time.now + wait
    while time.now < end:
        drawing.draw(answer)
        time.now += TICK
    of_kind = _reasoning if kind == "reasoning" else _content
    began, position = time.now, 0
    while position < len(text):
        # The first piece of a model's answer is a letter or a word.
        upto = max(position + 1, int((time.now - began) * rate))
        answer.add(Chunk(deltas=(of_kind(text[position:upto]),)), time.now)
        position = upto
        drawing.draw(answer)
        time.now += TICK
    return began


@pytest.mark.parametrize("wait", [0.0, 300.0])
@pytest.mark.parametrize("rate", [50, 240, 1000])
def test_text_keeps_coming(screen: Screen, rate: float, wait: float) -> None:
    """Prose at a model's pace is drawn every second, also when it was waited for for minutes."""
    began = stream(screen, PROSE * 60, rate, wait=wait)
    gaps = screen.gaps(began)
    assert max(gaps) <= 1.6
    assert sum(gaps) / len(gaps) <= 0.6
    assert screen.most_in_a_second() <= 10


def test_a_single_first_letter_does_not_hold_back_what_follows(screen: Screen) -> None:
    """What a draw costs is not judged by the first letter, whose cost is all overhead."""
    table = "| a | b |\n|---|---|\n" + "| some words | 12.5 |\n" * 100
    began = stream(screen, table, 240)
    assert len(screen.gaps(began)) >= 12
    assert max(screen.gaps(began)) <= 2.5


def test_a_long_table_keeps_growing(screen: Screen) -> None:
    """A part without a safe cut is drawn when it has grown by a quarter, however it inflates."""
    table = "| a | b | c |\n|---|---|---|\n" + "| 1 | $5.00 | x |\n" * 350
    began = stream(screen, table, 500)
    assert max(screen.gaps(began)) <= 3
    assert sum(size for _, size in screen.shown) <= 16 * len(table)


def test_bytes_stay_within_a_multiple_of_the_text(screen: Screen) -> None:
    """From a hundred chunks a second on, all messages together are at most nine times the text."""
    text = PROSE * 120
    stream(screen, text, 600)
    messages = len(screen.shown) * pacing.MESSAGE_BYTES
    assert messages + sum(size for _, size in screen.shown) <= 9 * len(text)


@pytest.mark.parametrize("characters", [20_000, 1_000_000])
def test_outputs_stay_fewer_than_jupyterlab_shows(screen: Screen, characters: int) -> None:
    """JupyterLab folds a cell's outputs away beyond 50, however long the answer is."""
    screen.time.draw_cpu = 0.0
    stream(screen, PROSE * (characters // len(PROSE)), 5000)
    assert 10 <= screen.outputs < live.MOST_OUTPUTS


def test_one_slow_draw_holds_back_none_for_long(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pause of the interpreter in the middle of a draw does not count for those that follow."""
    code = "```python\n" + "total += value * weight  # and so on\n" * 500
    publish = screen.publish

    def once_slow(handle: Any, bundle: dict[str, str], metadata: Any = None) -> Any:
        if len(screen.shown) == 6:
            screen.time.cpu += 0.03
        return publish(handle, bundle, metadata)

    monkeypatch.setattr(live, "publish", once_slow)
    began = stream(screen, code, 1500)
    assert max(screen.gaps(began)) <= 3.5


def test_costly_draws_become_rare(screen: Screen) -> None:
    """Drawing takes a small share of a second, whatever a draw costs."""
    screen.time.draw_cpu = 0.1
    begun = screen.time.now
    stream(screen, PROSE * 60, 500)
    passed = screen.time.now - begun
    share = pacing.DRAW_PER_SECOND * passed + pacing.ALLOWANCE_SECONDS + 0.1
    # What is drawn after a silence, whatever it costs, comes on top.
    assert screen.time.cpu <= share + screen.time.draw_cpu * passed / pacing.SILENT_SECONDS


def test_what_is_done_once_is_no_cost_of_a_draw(time: Time) -> None:
    """Importing a renderer for half a second neither uses the budget up nor adds to it."""
    pace = Pace(time.clocks())
    with pace.preparing():
        time.cpu += 0.5
    with pace.drawing(100):
        time.cpu += 0.001
    assert pace.affords(100)
    with pace.drawing(100):
        time.cpu += pacing.ALLOWANCE_SECONDS
    assert not pace.affords(100)


def test_reasoning_keeps_coming(screen: Screen) -> None:
    """Without widgets the folded block is redrawn more rarely as it grows, and never stops."""
    began = stream(screen, "thought after thought " * 200, 240, kind="reasoning")
    gaps = screen.gaps(began)
    assert len(gaps) >= 8
    assert max(gaps) <= 3.5


def test_a_text_that_trips_the_renderer_is_shown_as_it_is(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of our own while drawing takes nothing from the answer."""

    def trip(*given: object) -> None:
        raise IndexError("a bug")

    monkeypatch.setattr("alcf_magics.markdown.growing.parse", trip)
    stream(screen, PROSE * 5, 500)
    assert len(screen.shown) > 3
    monkeypatch.setattr("alcf_magics.markdown.parsing.parse", trip)
    page = answer_html("the *answer*", "the *reasoning*")
    assert "the *answer*" in page
    assert "the *reasoning*" in page


def test_a_terminal_says_once_what_it_waits_for(
    screen: Screen, capsys: pytest.CaptureFixture[str]
) -> None:
    """After three seconds of silence there is one line; a quick answer has none."""
    time = screen.time
    answer = Accumulator("model", time.now)
    drawing = TerminalLive(Model("model", "cluster", "framework", "url"))
    drawing.draw(answer)
    assert capsys.readouterr().out == ""
    for _ in range(200):
        time.now += TICK
        drawing.draw(answer)
    said = capsys.readouterr().out
    assert said.startswith("[model · cluster · ")
    assert said.count("\n") == 1
    answer.add(Chunk(deltas=(Delta(content="Hi"),)), time.now)
    time.now += 1
    drawing.draw(answer)
    assert capsys.readouterr().out == "Hi"
