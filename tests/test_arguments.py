"""The options of a magic's line, and the prompt that follows them."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError

from alcf_magics.arguments import Help
from alcf_magics.magics import _models_parser, _prompt_parser


@pytest.mark.parametrize(
    ("line", "model", "rest"),
    [
        ("-m x what does -t mean", "x", "what does -t mean"),
        ("-m x", "x", ""),
        ("-mx hello", "x", "hello"),
        ("--model=x  two  spaces", "x", "two  spaces"),
        ("-m 'a b' it's   fine", "a b", "it's   fine"),
        ('-m "a \\"b\\"" "quoted prompt"', 'a "b"', '"quoted prompt"'),
        ("-m x -- -t is an option", "x", "-t is an option"),
        ("why -m", "", "why -m"),
        ("-5 is a number", "", "-5 is a number"),
        ("- a list item", "", "- a list item"),
        ("don't", "", "don't"),
        ("", "", ""),
        ("{'a': 1} $x^2$ \\frac", "", "{'a': 1} $x^2$ \\frac"),
    ],
)
def test_options_end_at_the_first_word_that_is_none(line: str, model: str, rest: str) -> None:
    """The prompt begins at the first word that is no option, and stays as it was typed."""
    options, prompt = _prompt_parser().split(line)
    assert (options.model, prompt) == (model, rest)


def test_values_may_begin_with_a_dash_and_hold_quotes() -> None:
    """A system prompt is one quoted word, whatever is in it."""
    options, _ = _prompt_parser().split("-s '-- be brief: {x}' --max-tokens 5 -t 0 --effort low x")
    assert options.system == "-- be brief: {x}"
    assert (options.max_tokens, options.temperature, options.effort) == (5, 0.0, "low")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("--temprature 1 x", "--temprature"),
        ("-t 3 x", "-t/--temperature"),
        ("-t warm x", "-t/--temperature"),
        ("-t nan x", "-t/--temperature"),
        ("--max-tokens 0 x", "--max-tokens"),
        ("--effort max x", "--effort"),
        ("-m", "-m"),
        ("--out", "--out"),
        ("-s 'unclosed hi", "quote"),
        ('-s "', "quote"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(line: str, named: str) -> None:
    """A complaint is a UsageError of one line that names the option."""
    with pytest.raises(UsageError) as caught:
        _prompt_parser().split(line)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_may_be_empty_or_begin_with_an_equals_sign() -> None:
    """What stands in quotes is the value, whatever it is."""
    assert _prompt_parser().split("-s '' hi")[0].system == ""
    assert _prompt_parser().split('-m "" hi')[1] == "hi"
    assert _prompt_parser().split("-s '=x' hi")[0].system == "=x"


def test_help_lists_every_option() -> None:
    """--help shows what the parser knows, and nothing runs."""
    with pytest.raises(Help) as caught:
        _prompt_parser().split("--help")
    for name in ("--model", "--cluster", "--system", "--temperature", "--effort", "--out"):
        assert name in str(caught.value)


def test_only_option_values_are_expanded() -> None:
    """A variable in an option's value is expanded; the prompt never is."""
    options, prompt = _prompt_parser().split("-m $m tell $m", lambda value: value.upper())
    assert (options.model, prompt) == ("$M", "tell $m")


def test_a_magic_with_one_word_takes_options_on_both_sides() -> None:
    """A pattern may come before or after the options; a second one is refused."""
    options, pattern = _models_parser().words("gpt --live --cluster red")
    assert (pattern, options.live, options.cluster) == ("gpt", True, "red")
    assert _models_parser().words("--live 'a b'")[1] == "a b"
    with pytest.raises(UsageError, match="'two'"):
        _models_parser().words("one --live two")
