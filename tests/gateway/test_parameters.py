"""One table of what a person may set: the magic and Python read the same rows."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from alcf_magics.errors import RequestRefused
from alcf_magics.gateway.chat import ChatRequest
from alcf_magics.gateway.models import Capabilities
from alcf_magics.gateway.parameters import BY_NAME, PARAMETERS, fitted, on_the_wire
from support.completions import PLACE

WRONG: dict[str, list[Any]] = {
    "temperature": [-0.1, 2.1, math.nan, math.inf, "1", True, [1]],
    "max_tokens": [0, -1, 1.5, "10", True, math.nan],
    "effort": ["max", "LOW", 1, True, ""],
    "top_p": [-0.1, 1.1, math.nan, "1", True],
    "seed": [1.0, "1", True, 2**63],
    "stop": ["", [], ["a"] * 5, [""], [1], 1, b"a", {"a": 1}, "\ud800"],
    "presence_penalty": [-2.1, 2.1, math.nan, True],
    "frequency_penalty": [-2.1, 2.1, math.nan, "0"],
    "n": [0, 129, 1.0, True],
    "logprobs": [-1, 21, True, 0.5],
    "extra": [
        "a=1",
        ["a"],
        {1: 2},
        {"": 1},
        {"a": math.nan},
        {"a": object()},
        {"a": "\ud800"},
        {"messages": []},
        {"stream": False},
    ],
}


def test_every_row_has_wrong_values_here() -> None:
    """A new row is tried, too."""
    assert set(WRONG) == {parameter.name for parameter in PARAMETERS}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_value_is_one_short_line(name: str, value: Any) -> None:
    """The line names the parameter and what it may be; nothing is made of the request."""
    with pytest.raises(RequestRefused, match=f"{name} is ") as caught:
        ChatRequest.of("m", "hi", **{name: value})
    assert len(str(caught.value)) < 200


def test_a_name_that_is_none_is_said() -> None:
    """A misspelt parameter is an error of Python's kind, with the names that there are."""
    with pytest.raises(TypeError, match=r"temprature.*temperature"):
        ChatRequest.of("m", "hi", temprature=1)


def test_none_is_not_sent() -> None:
    """What is not set is not in the request."""
    assert ChatRequest.of("m", "hi", temperature=None, effort=None).fields == {}


GIVEN: dict[str, Any] = {
    "temperature": 0.5,
    "max_tokens": 7,
    "top_p": 0.9,
    "seed": -3,
    "stop": "END",
    "presence_penalty": 1,
    "frequency_penalty": -0.5,
    "effort": "low",
    "n": 2,
    "logprobs": 3,
    "extra": {"guided_choice": ["a", "b"], "user": "me"},
}


def test_each_goes_under_its_name_at_openai() -> None:
    """Every row reaches the body under the field that OpenAI's documentation has for it."""
    assert set(GIVEN) == {parameter.name for parameter in PARAMETERS}
    assert ChatRequest.of("m", "hi", **GIVEN).fields == {
        "temperature": 0.5,
        "max_tokens": 7,
        "top_p": 0.9,
        "seed": -3,
        "stop": ["END"],
        "presence_penalty": 1,
        "frequency_penalty": -0.5,
        "reasoning_effort": "low",
        "n": 2,
        "logprobs": True,
        "top_logprobs": 3,
        "guided_choice": ["a", "b"],
        "user": "me",
    }


def test_what_means_nothing_more_is_not_sent() -> None:
    """No other tokens are asked for by `logprobs` 0, and an effort of none is left out."""
    assert on_the_wire({"logprobs": 0, "effort": "none"}) == {"logprobs": True}


def test_what_was_given_is_not_changed_later() -> None:
    """A list that a person goes on using is copied."""
    texts = ["a"]
    fields = on_the_wire({"stop": texts})
    texts.append("b")
    assert fields == {"stop": ["a"]}


def test_a_field_that_is_given_twice_is_refused() -> None:
    """Of two values for one field neither is dropped."""
    with pytest.raises(RequestRefused, match="temperature is given twice"):
        ChatRequest.of("m", "hi", temperature=1, extra={"temperature": 0})


def test_an_option_that_is_repeated_adds_up() -> None:
    """`--stop` and `--extra` may be given again; the same raw field may not."""
    stop, extra = BY_NAME["stop"].kind, BY_NAME["extra"].kind
    assert stop.joined(stop.joined(None, ["a"]), ["b"]) == ["a", "b"]
    assert extra.joined({"a": 1}, {"b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="a is given twice"):
        extra.joined({"a": 1}, {"a": 2})


@pytest.mark.parametrize("text", ["a", "a=", "a=b", "a={'b': 1}", "a=NaN", "=1", "model=1"])
def test_a_raw_field_is_json_under_a_name(text: str) -> None:
    """What cannot be read as such is refused with the form that it should have."""
    with pytest.raises(ValueError, match="key=json"):
        BY_NAME["extra"].parsed(text)


# What a model takes


def at(
    levels: tuple[str, ...], *, known: bool = True, refuses: frozenset[str] = frozenset()
) -> Any:
    capabilities = Capabilities(reasoning_levels=levels, levels_known=known)
    return replace(PLACE, capabilities=capabilities, refuses=refuses)


@pytest.mark.parametrize(
    ("place", "given", "why"),
    [
        (at(()), {"effort": "low"}, "no such levels"),
        (at(("high",)), {"effort": "low"}, "has the levels high"),
        (at((), refuses=frozenset({"seed"})), {"seed": 1}, "red does not take seed"),
        (at((), refuses=frozenset({"user"})), {"extra": {"user": 1}}, "red does not take user"),
        (at((), refuses=frozenset({"top_logprobs"})), {"logprobs": 2}, "take top_logprobs"),
    ],
)
def test_what_a_model_does_not_take_is_refused_or_left_out(
    place: Any, given: dict[str, Any], why: str
) -> None:
    """What was given is refused with the reason; the same as a default is left out and told."""
    [name] = given
    with pytest.raises(ValueError, match=f"{name} cannot be .*{why}"):
        fitted(given, {}, place)
    fields, [told] = fitted({"temperature": 1}, given, place)
    assert fields == {"temperature": 1}
    assert name in told
    assert why in told


def test_an_unknown_family_is_sent_what_was_given() -> None:
    """Of a model that nobody knows it cannot be said that it has no levels."""
    assert fitted({"effort": "low"}, {}, at((), known=False)) == ({"reasoning_effort": "low"}, [])
    assert fitted({"effort": "low"}, {}, at(("low",))) == ({"reasoning_effort": "low"}, [])


def test_what_is_given_goes_before_a_default() -> None:
    """By parameter, and by field where a raw default says the same; none takes effort away."""
    fields, told = fitted(
        {"temperature": 1, "effort": "none", "seed": None},
        {"temperature": 0, "effort": "low", "seed": 5, "extra": {"temperature": 2, "user": "me"}},
        at(()),
    )
    assert fields == {"temperature": 1, "seed": 5, "user": "me"}
    assert told == []
