"""The options of a magic's line, and the prompt that follows them."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError

from alcf_magics.notebook.arguments import Help, expanded
from alcf_magics.notebook.options import models_parser, prompt_parser


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
    options, prompt = prompt_parser().split(line)
    assert (options.model, prompt) == (model, rest)


def test_values_may_begin_with_a_dash_and_hold_quotes() -> None:
    """A system prompt is one quoted word, whatever is in it."""
    options, _ = prompt_parser().split("-s '-- be brief: {x}' --max-tokens 5 -t 0 --effort low x")
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
        prompt_parser().split(line)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_may_be_empty_or_begin_with_an_equals_sign() -> None:
    """What stands in quotes is the value, whatever it is."""
    assert prompt_parser().split("-s '' hi")[0].system == ""
    assert prompt_parser().split('-m "" hi')[1] == "hi"
    assert prompt_parser().split("-s '=x' hi")[0].system == "=x"


def test_help_lists_every_option() -> None:
    """--help shows what the parser knows, and nothing runs."""
    with pytest.raises(Help) as caught:
        prompt_parser().split("--help")
    for name in ("--model", "--cluster", "--system", "--temperature", "--effort", "--out"):
        assert name in str(caught.value)


def test_only_option_values_are_expanded() -> None:
    """A variable in an option's value is expanded; the prompt never is."""
    options, prompt = prompt_parser().split("-m $m tell $m", lambda value: value.upper())
    assert (options.model, prompt) == ("$M", "tell $m")


def test_a_magic_with_one_word_takes_options_on_both_sides() -> None:
    """A pattern may come before or after the options; a second one is refused."""
    options, pattern = models_parser().words("gpt --live --cluster red")
    assert (pattern, options.live, options.cluster) == ("gpt", True, "red")
    assert models_parser().words("--live 'a b'")[1] == "a b"
    with pytest.raises(UsageError, match="'two'"):
        models_parser().words("one --live two")


VARIABLES = {"name": "Bob", "models": ["a", "b"], "n": 3, "x": 5}


@pytest.mark.parametrize(
    ("value", "expanded_"),
    [
        ("$name", "Bob"),
        ("{name}", "Bob"),
        ("{models[1]}", "b"),
        ("Call me $name. Reply as {json}.", "Call me Bob. Reply as {json}."),
        ("You are {name}, $n years old", "You are Bob, 3 years old"),
        ("\\frac{1}{2} and $5, $10.50, {2+3}", "\\frac{1}{2} and $5, $10.50, {2+3}"),
        ("\\frac{x}{n} and $x$ and y_{n} and a^{x}", "\\frac{x}{n} and $x$ and y_{n} and a^{x}"),
        ("{'a': 1}", "{'a': 1}"),
        ("{undefined}", "{undefined}"),
        ("$HOME/bin", "$HOME/bin"),
    ],
)
def test_values_name_variables_and_nothing_else_changes(value: str, expanded_: str) -> None:
    """A variable's name becomes its value; prices, LaTeX and code stay as they were typed."""
    assert expanded(value, VARIABLES) == expanded_


def test_a_variable_that_is_not_there_is_named() -> None:
    """A value that is nothing but an unknown variable is no value."""
    with pytest.raises(UsageError, match="undefined"):
        expanded("$undefined", VARIABLES)


@pytest.mark.parametrize("line", ["-m -t 0.5 hi", "--cluster --model x hi", "-m --model=x hi"])
def test_an_option_is_no_value_of_another(line: str) -> None:
    """A forgotten value is said, and the next option is not taken for it."""
    with pytest.raises(UsageError, match="expected one argument"):
        prompt_parser().split(line)
    options, rest = prompt_parser().split("-s '-t' -t 0.5 hi")
    assert (options.system, options.temperature, rest) == ("-t", 0.5, "hi")
