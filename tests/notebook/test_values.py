"""A value of the notebook as text for a prompt: each kind in the form that a model reads best."""

from __future__ import annotations

import datetime
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcf_magics.notebook.values import CELL_CHARACTERS, TABLE_CHARACTERS, value_text


def text(value: object) -> str:
    return value_text(value).text


@given(st.text())
def test_a_string_is_as_it_is(value: str) -> None:
    """Every character, and its length is told."""
    shown = value_text(value)
    assert shown.text == value
    assert shown.extent.startswith(f"{len(value):,} character")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5, "5"),
        (None, "None"),
        ([1, "a"], "[1, 'a']"),
        ({"a": 1.5}, "{'a': 1.5}"),
        (Path("a/b"), "a/b"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (np.float64(1.5), "1.5"),
        (np.array(7), "7"),
    ],
)
def test_a_plain_value_is_what_str_makes_of_it(value: object, shown: str) -> None:
    """Numbers, collections, paths and dates."""
    assert text(value) == shown


def test_a_value_without_words_raises_its_own_error() -> None:
    """Whoever puts it in says so."""

    class Mute:
        def __str__(self) -> str:
            raise RuntimeError("mute")

    with pytest.raises(RuntimeError, match="mute"):
        value_text(Mute())


# Tables


def test_a_frame_is_a_markdown_table() -> None:
    """Its columns and rows; numbers of rows say nothing and are left out."""
    frame = pd.DataFrame({"name": ["a|b", "c\nd"], "x": [1.5, None]})
    shown = value_text(frame)
    assert shown.text == "| name | x |\n| --- | --- |\n| a\\|b | 1.5 |\n| c d | nan |"
    assert shown.extent == "2 rows"


def test_an_index_with_a_meaning_is_a_column() -> None:
    """Names of rows, and numbers that do not begin at nought."""
    frame = pd.DataFrame({"x": [1, 2]}, index=pd.Index(["p", "q"], name="site"))
    assert text(frame).splitlines()[0] == "| site | x |"
    assert text(frame).splitlines()[3] == "| q | 2 |"
    assert text(frame.reset_index().iloc[1:]).splitlines()[2] == "| 1 | q | 2 |"


def test_a_series_is_a_table_of_one_column() -> None:
    """Under its name."""
    assert text(pd.Series([1, 2], name="n")) == "| n |\n| --- |\n| 1 |\n| 2 |"


def test_of_a_long_frame_the_first_rows_are_shown() -> None:
    """As many as there is room for; what was left out is said in the text and beside it."""
    frame = pd.DataFrame({"n": range(3400), "word": ["some words"] * 3400})
    shown = value_text(frame)
    assert len(shown.text) <= TABLE_CHARACTERS + 100
    rows = shown.text.count("\n| ") - 1
    assert rows > 100
    assert shown.extent == f"{rows:,} of 3,400 rows"
    assert shown.text.endswith(f"\n\n({rows:,} of 3,400 rows)")


def test_of_a_wide_frame_the_first_columns_are_shown() -> None:
    """And of a long cell its beginning."""
    frame = pd.DataFrame({f"c{n}": ["x" * 1000] for n in range(200)})
    shown = value_text(frame)
    assert shown.extent == "1 row, 50 of 200 columns"
    assert "x" * CELL_CHARACTERS not in shown.text
    assert "x…" in shown.text


def test_a_frame_may_be_empty_or_have_a_column_twice() -> None:
    """Nothing about a frame raises."""
    assert value_text(pd.DataFrame({"a": []})).extent == "0 rows"
    assert value_text(pd.DataFrame()).extent == "0 rows"
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert text(twice).splitlines()[-1] == "| 1 | 2 |"


def test_a_token_is_taken_out_of_a_cell_before_it_is_cut() -> None:
    """A token longer than a cell leaves no beginning behind."""
    token = "t" * 500
    frame = pd.DataFrame({"a": [f"x {token}"]})
    shown = value_text(frame, lambda text: text.replace(token, "(token)")).text
    assert shown.splitlines()[-1] == "| x (token) |"


# Arrays


def test_an_array_is_a_summary() -> None:
    """Shape, dtype, range, mean, and the numbers at the edges of many."""
    shown = value_text(np.arange(10_000.0).reshape(100, 100))
    assert shown.extent == "100 × 100, float64"
    assert shown.text.startswith(
        "ndarray of shape 100 × 100, dtype float64; min 0; max 9999; mean 4999.5\n"
    )
    assert "..." in shown.text
    assert len(shown.text) < 1000


@pytest.mark.parametrize(
    "array",
    [np.array([]), np.array(["a", "b"]), np.zeros((0, 3)), np.array([None, {}]), np.eye(2) > 0],
)
def test_any_array_has_a_summary(array: Any) -> None:
    """Empty, of texts, of objects: what cannot be computed is left out."""
    assert text(array).startswith("ndarray of shape ")


def test_a_small_array_is_whole() -> None:
    """All its numbers are there."""
    assert text(np.array([1, 2, 3])).endswith("\n[1 2 3]")


# Errors and code


def test_an_exception_is_its_traceback() -> None:
    """With what caused it."""
    try:
        try:
            raise KeyError("key")
        except KeyError as error:
            raise ValueError("no luck") from error
    except ValueError as error:
        shown = text(error)
    assert shown.startswith("Traceback (most recent call last):")
    assert "KeyError: 'key'" in shown
    assert shown.endswith("ValueError: no luck")
    assert text(ValueError("never raised")) == "ValueError: never raised"


class Sample:
    """A class of this module."""

    def method(self) -> int:
        return 1


def test_code_is_its_source() -> None:
    """Functions, methods and classes, without the indentation of where they stand."""
    assert text(text).startswith("def text(value: object) -> str:\n    return")
    assert text(Sample).startswith('class Sample:\n    """A class')
    assert text(Sample().method) == "def method(self) -> int:\n    return 1"


def test_code_without_source_is_its_signature() -> None:
    """What was made by `exec`, or in C."""
    names: dict[str, Any] = {}
    exec("def made(a, b=1):\n    'Says so.'", names)
    assert text(names["made"]) == "made(a, b=1)\nSays so."
    assert text(int).startswith("int\nint([x]) -> integer")
    assert text(partial(int, base=2)).startswith("functools.partial")


def test_a_value_imports_nothing() -> None:
    """Neither pandas nor numpy is loaded to find out that a value is none of theirs."""
    code = (
        "import sys\nfrom alcf_magics.notebook.values import value_text\n"
        "for value in ('a', [1], {}, int, len, ValueError()): value_text(value)\n"
        "assert not {'pandas', 'numpy'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
