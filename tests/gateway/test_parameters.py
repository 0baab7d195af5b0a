"""One table of what a person may set: the magic and Python read the same rows."""

from __future__ import annotations

import math

import pytest

from alcf_magics.errors import RequestRefused
from alcf_magics.gateway.chat import ChatRequest
from alcf_magics.gateway.parameters import PARAMETERS

WRONG = {
    "temperature": [-0.1, 2.1, math.nan, math.inf, "1", True, [1]],
    "max_tokens": [0, -1, 1.5, "10", True, math.nan],
    "effort": ["max", "LOW", 1, True, ""],
}


def test_every_row_has_wrong_values_here() -> None:
    """A new row is tried, too."""
    assert set(WRONG) == {parameter.name for parameter in PARAMETERS}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_value_is_one_short_line(name: str, value: object) -> None:
    """The line names the parameter and what it may be; nothing is made of the request."""
    with pytest.raises(RequestRefused, match=f"{name} is ") as caught:
        ChatRequest.of("m", "hi", **{name: value})  # type: ignore[arg-type]  # on purpose
    assert len(str(caught.value)) < 200


def test_a_name_that_is_none_is_said() -> None:
    """A misspelt parameter is an error of Python's kind, with the names that there are."""
    with pytest.raises(TypeError, match=r"temprature.*temperature"):
        ChatRequest.of("m", "hi", temprature=1)


def test_none_is_not_sent() -> None:
    """What is not set is not in the request."""
    assert ChatRequest.of("m", "hi", temperature=None, effort=None).fields == {}
