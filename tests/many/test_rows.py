"""Data and a template as prompts: what goes together, what is told before anything is sent."""

from __future__ import annotations

from typing import Any

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.error import UsageError

from alcf_magics.errors import AlcfError, RequestRefused
from alcf_magics.many.rows import rows_of

FRAME = pandas.DataFrame({"a b": ["x", "y"], "n": [1, 2.5], 3: ["p", "q"]}, index=["k", "l"])
MESSAGES = [{"role": "user", "content": "hi"}]


@given(st.lists(st.text()))
def test_prompts_are_taken_as_they_are(texts: list[str]) -> None:
    """Whatever stands in them: braces, nothing at all, any letter."""
    assert list(rows_of(texts)) == texts
    assert list(rows_of(pandas.Series(texts, dtype=object))) == texts


def test_lists_of_messages_are_prompts_too() -> None:
    """As OpenAI has them, in a list or a Series."""
    assert list(rows_of([MESSAGES, "text"])) == [MESSAGES, "text"]
    assert list(rows_of(pandas.Series([MESSAGES]))) == [MESSAGES]


def test_a_template_is_filled_in_by_column() -> None:
    """Any name of a column, with a format behind a colon; other braces stay as typed."""
    rows = rows_of(FRAME, 'For {{a b}}: {{n:.1f}} {{ 3 }} {{"a": 1}} {n} {{}} $x_{n}$')
    assert list(rows) == [
        'For x: 1.0 p {{"a": 1}} {n} {{}} $x_{n}$',
        'For y: 2.5 q {{"a": 1}} {n} {{}} $x_{n}$',
    ]
    assert list(rows.data_index) == ["k", "l"]
    assert list(rows_of([{"a": 1}, {"a": 2}], "{{a}}!")) == ["1!", "2!"]


def test_what_came_in_is_not_read_again() -> None:
    """A value that looks like a place for another one stays a value."""
    assert list(rows_of([{"a": "{{b}}", "b": "no"}], "{{a}}")) == ["{{b}}"]


def test_whole_numbers_stay_whole_beside_other_columns() -> None:
    """A row of mixed types makes no floats of them."""
    frame = pandas.DataFrame({"i": [1, 2], "f": [0.5, 1.5]})
    assert list(rows_of(frame, "{{i}} {{f}}")) == ["1 0.5", "2 1.5"]


def test_a_row_with_a_gap_is_refused_alone() -> None:
    """None, NaN, NaT and NA say nothing, and are not sent as words; the other rows are."""
    for gap in (None, float("nan"), pandas.NA, pandas.NaT):
        for data in ([{"a": "x"}, {"a": gap}], [{"a": "x"}, {"b": gap}]):
            with pytest.raises(RequestRefused, match="Row 1 has no value in a"):
                rows_of(data, "{{a}}")[1]
        rows = rows_of([{"a": "x"}, {"a": gap}], "{{a}}")
        assert rows[0] == "x"
        with pytest.raises(RequestRefused, match="Number 0 has no prompt"):
            rows_of(pandas.Series([gap], dtype=object))[0]


@pytest.mark.parametrize(
    ("data", "template", "said"),
    [
        (FRAME, None, "needs a template"),
        ([{"a": 1}], None, "needs a template"),
        (MESSAGES, None, r"map\(\[messages\]\)"),
        (["text"], "{{a}}", "texts without any"),
        (pandas.Series(["text"], name="a"), "{{a}}", "texts without any"),
        (FRAME, "{{other}}", r"no column 'other'. Columns: \{\{a b\}\}, \{\{n\}\}"),
        (FRAME, "{{n.real}}", "no column 'n.real'"),
        (FRAME, "{n}", "names no column"),
        (FRAME, "{{a b:.2f}}", "does not fit row 0: ValueError"),
        (FRAME, 5, "A template is a text"),
        ("one text", None, "no list of prompts: str"),
        ({"a": 1}, "{{a}}", "no list of prompts: dict"),
        (5, None, "no list of prompts: int"),
        (["a", 5], None, "Number 1 is no prompt: int"),
        (["a", {"b": 1}], None, "Number 1 is no prompt: dict"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(data: Any, template: Any, said: str) -> None:
    """One line that says what to type, of our errors as of IPython's."""
    with pytest.raises(UsageError, match=said) as caught:
        rows_of(data, template)
    assert isinstance(caught.value, AlcfError)
    assert caught.value._render_traceback_()[0].startswith("UsageError: ")


def test_a_column_that_stands_there_twice_is_nobody_s() -> None:
    """It is not said which is meant."""
    frame = pandas.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(UsageError, match="no column 'a'"):
        rows_of(frame, "{{a}}")
