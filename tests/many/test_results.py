"""The answers to many prompts: a sequence like a list, a table, and what failed asked again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas
import pytest

from alcf_magics.errors import AlcfError, RateLimited
from alcf_magics.gateway.chunks import Usage
from alcf_magics.many.results import FRAME_COLUMNS, Item, Results
from support.completions import completion

BUSY = RateLimited("Too many requests.", "Wait.")


def answers() -> list[Item]:
    return [completion("yes", prompt="one", usage=Usage(3, 5, 8)), BUSY, completion("no")]


def test_results_index_like_lists() -> None:
    """By number from both ends, by slice, in a loop; each a completion or an error."""
    items = answers()
    results = Results(items)
    assert (len(results), list(results), results[1]) == (3, items, BUSY)
    assert (results[-1], results[:2], results[::2]) == (items[2], items[:2], items[::2])
    assert (results.failed, Results(items[:1]).failed) == ([BUSY], [])
    assert results.usage == Usage(3, 5, 8)
    with pytest.raises(IndexError):
        results[3]


def test_the_data_frame_has_the_index_of_the_data() -> None:
    """A row a prompt, also where one failed."""
    frame = Results(answers(), pandas.Index(["a", "b", "c"])).to_pandas()
    assert list(frame.index) == ["a", "b", "c"]
    assert list(frame.columns) == list(FRAME_COLUMNS)
    assert frame["text"].fillna("-").tolist() == ["yes", "-", "no"]
    assert frame["error"].fillna("").tolist() == ["", "RateLimited: Too many requests. Wait.", ""]
    assert list(Results([]).to_pandas().columns) == list(FRAME_COLUMNS)


@dataclass
class Verdict:
    label: str
    score: float


@pytest.mark.parametrize("read", [Verdict("a", 0.5), {"label": "a", "score": 0.5}])
def test_what_was_read_out_of_answers_makes_columns(read: Any) -> None:
    """The fields of a value come first, whatever kind of value it is."""
    frame = Results([completion("{}", parsed=read), BUSY]).to_pandas()
    assert list(frame.columns) == ["label", "score", *FRAME_COLUMNS]
    assert frame.loc[0, "label"] == "a"


def test_a_field_of_an_answer_keeps_its_name() -> None:
    """Our column of the same name has a line under it; a value without fields is `parsed`."""
    frame = Results(
        [completion("x", parsed={"text": 1}), completion("[2]", parsed=[2])]
    ).to_pandas()
    assert [*frame.columns][:4] == ["text", "parsed", "text_", "error"]
    assert frame.loc[1, "parsed"] == [2]


def test_what_failed_is_asked_again_in_its_place() -> None:
    """The positions of the errors alone, and the results are the same ones."""
    items = answers()
    asked: list[list[int]] = []

    def again(positions: list[int]) -> None:
        asked.append(positions)
        items[1] = completion("late")

    results = Results(items, again=again)
    assert results.retry() is results
    assert (asked, results.failed) == ([[1]], [])
    assert results.retry() is results
    assert asked == [[1]]


def test_results_that_nobody_can_ask_again_say_so() -> None:
    """Where all is answered there is nothing to say."""
    assert len(Results([completion("x")]).retry()) == 1
    with pytest.raises(AlcfError, match="from a file"):
        Results(answers()).retry()


def test_they_show_their_first_rows_and_what_failed() -> None:
    """A table of a few rows, safe in a page, and one line about all of them."""
    results = Results([*answers(), *(completion("<b>$x$") for _ in range(20))])
    shown = repr(results)
    assert len(shown.splitlines()) == 12
    assert "RateLimited: Too many requests." in shown
    assert shown.splitlines()[-1].startswith("22 of 23 answered · 3 tokens in, 5 out · 1 failed")
    assert "<b>" not in results._repr_html_()
    assert "0 of 0 answered" in repr(Results([]))
