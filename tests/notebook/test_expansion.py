"""Values in double braces: which texts are read, what they lead to, and what stays as typed."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.error import UsageError

from alcf_magics.notebook.expansion import expand, expand_option, single_braced


class Untouchable:
    """Whoever calls it is found out; it has an attribute and an item."""

    inner = "seen"

    def __call__(self, *_: object, **__: object) -> object:
        raise AssertionError("called")

    def method(self) -> object:
        raise AssertionError("called")

    def __getitem__(self, key: object) -> object:
        return f"item {key!r}"


PIECES = st.sampled_from(
    ["{{", "}}", "{", "}", "$", "a", "b", "f", "(", ")", "[0]", '["k"]', ".", ":", " ", ".3f", "\n"]
)
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=30).map("".join)


@given(st.text() | TEXTS)
def test_a_text_without_double_braces_is_unchanged(text: str) -> None:
    """Whatever else it holds, it goes through as it is, and nothing is said."""
    text = text.replace("{{", "{ ")
    while "{{" in text:
        text = text.replace("{{", "{ ")
    found = expand(text, {"a": 1, "b": 2})
    assert (found.text, found.brought, found.notices) == (text, (), ())


@given(TEXTS)
def test_nothing_is_ever_called(text: str) -> None:
    """No text makes a call, of a variable, a method or an item."""
    try_me = Untouchable()
    expand(text, {"a": "x", "b": [try_me], "f": try_me})
    for path in ("f()", "f.method()", "f[0]()", "f.method", "f['k']", "f(1).inner"):
        expand(f"{{{{{path}}}}}{text}", {"f": try_me})


@given(TEXTS, TEXTS)
def test_what_came_in_is_not_read_again(text: str, value: str) -> None:
    """A value with braces of its own is text: there is one pass, whatever stands around."""
    before, after = text.replace("{", "(").replace("$", "S"), text.replace("}", ")")
    found = expand(f"{before}{{{{v}}}} {after.replace('{{', '((')}", {"v": value, "a": "no"})
    assert found.text == f"{before}{value} {after.replace('{{', '((')}"


@given(TEXTS, TEXTS)
def test_what_stands_between_values_stays(before: str, value: str) -> None:
    """Taken apart at its values, a text is what was typed around them."""
    typed = f"{before.replace('{', '').replace('$', '')}{{{{v}}}}|{{{{v}}}}"
    head = typed.partition("{{v}}")[0]
    assert expand(typed, {"v": value}).text == f"{head}{value}|{value}"


class Thing:
    name = "thing"

    @property
    def broken(self) -> object:
        raise RuntimeError("no luck")


VALUES: dict[str, Any] = {
    "x": 3.14159,
    "n": 5,
    "rows": [{"k": "v", "a b": [1, 2]}],
    "thing": Thing(),
    "table": {(1, 2): "pair", -1: "minus", None: "none", "it's": "quoted"},
    "text": "abcdef",
    "été": "summer",
}


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("{{x}}", "3.14159"),
        ("{{ x }}", "3.14159"),
        ("{{x:.3f}}", "3.142"),
        ("{{ x : .3f }}", "3.142"),
        ("{{n:>4}}|", "   5|"),
        ("{{thing.name}}", "thing"),
        ('{{rows[0]["k"]}}', "v"),
        ("{{rows[0]['a b'][-1]}}", "2"),
        ("{{rows[ 0 ]}}", "{'k': 'v', 'a b': [1, 2]}"),
        ("{{table[1, 2]}} {{table[-1]}} {{table[None]}}", "pair minus none"),
        ('{{table["it\'s"]}}', "quoted"),
        ("{{text[1:3]}} {{text[::-1]}}", "bc fedcba"),
        ("{{été}}", "summer"),
        ('{"value": {{n}}}', '{"value": 5}'),
        ("{{n}}{{n}}", "55"),
        ("$ {{n}}", "$ 5"),
    ],
)
def test_a_path_leads_to_its_value(typed: str, sent: str) -> None:
    """Names, attributes, items with constant keys, and formats."""
    found = expand(typed, VALUES)
    assert found.text == sent
    assert not found.notices


@pytest.mark.parametrize(
    "typed",
    [
        "${{n}}",
        "{{{n}}}",
        "{{n}",
        "{n}}",
        "{{}}",
        "{{ n | upper }}",
        "{{n: 100}}",
        "style={{n: red}}",
        '{{"n": 1}}',
        "{{5}}",
        "{{n!r}}",
        "{{n, x}}",
        "{{#if n}}{{/if}}",
        "{ {n} }",
        "\\frac{{n}{x}}",
    ],
)
def test_other_braces_stay_as_typed_and_unsaid(typed: str) -> None:
    """Templates, LaTeX, CSS and JSON are prompts, too."""
    found = expand(typed, VALUES)
    assert (found.text, found.brought, found.notices) == (typed, (), ())


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("{{nobody}}", "there is no variable nobody"),
        ("{{nobody.name}}", "there is no variable nobody"),
        ("{{thing.nothing}}", "AttributeError"),
        ("{{thing.broken}}", "RuntimeError: no luck"),
        ("{{rows[7]}}", "IndexError"),
        ("{{rows[n]}}", "a number or a text in quotes"),
        ("{{rows[0]['q']}}", "KeyError"),
        ("{{text:.3f}}", "ValueError"),
        ("{{for}}", "cannot be read"),
        ("{{text.upper()}}", "no call"),
        ("{{text[0].upper()}}", "no call"),
    ],
)
def test_what_leads_nowhere_is_said(typed: str, why: str) -> None:
    """It stays as typed, and a line says why."""
    found = expand(f"a {typed} b", VALUES)
    assert found.text == f"a {typed} b"
    (notice,) = found.notices
    assert notice.startswith(f"{typed} was sent as typed: ")
    assert why in notice


def test_each_value_is_told_once() -> None:
    """However often it is named; with what was put in."""
    found = expand("{{text}} {{n}} {{text}} {{nobody}} {{nobody}}", VALUES)
    assert found.brought == ("text (6 characters)", "n (1 character)")
    assert len(found.notices) == 1


def test_what_comes_in_passes_the_redaction() -> None:
    """Values and formatted values, and what was typed does not."""
    hide = lambda text: text.replace("secret", "-")  # noqa: E731
    found = expand("{{t}} {{t:>4}} {{t:.3}} secret", {"t": "secret"}, hide)
    assert found.text == "-    - - secret"


def test_an_interrupt_is_not_swallowed() -> None:
    """A property may take long; the stop button works."""

    class Slow:
        @property
        def value(self) -> object:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        expand("{{slow.value}}", {"slow": Slow()})


# Options


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("{{role}}", "pirate"),
        ("a {{role}}, {role}, $role, $5, {other}", "a pirate, pirate, pirate, $5, {other}"),
        ("{{v}} $v {v}", "{{role}} $role {{role}} $role {{role}} $role"),
        ("{role.upper()}", "PIRATE"),
        ("${{role}}", "${{role}}"),
        ("\\frac{role}{2} {{role}}", "\\frac{role}{2} pirate"),
    ],
)
def test_an_option_has_both_forms_in_one_pass(typed: str, sent: str) -> None:
    """`$name` and `{name}` are what they were."""
    assert expand_option(typed, {"role": "pirate", "v": "{{role}} $role"}).text == sent


def test_an_option_that_is_nothing_but_an_unknown_name_is_refused() -> None:
    """As every option's."""
    with pytest.raises(UsageError, match="no variable 'nobody'"):
        expand_option("$nobody", {})


# Single braces


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("what is {n}? {x} {n}", ["n", "x"]),
        ("{{n}} ${n} \\frac{n}{x} x_{n} e^{n} {nobody} { n }", []),
        ("{_} {In}", []),
    ],
)
def test_single_braces_are_noticed_where_somebody_may_mean_a_value(
    text: str, names: list[str]
) -> None:
    """Variables of the person's, and not LaTeX."""
    assert single_braced(text, {**VALUES, "_": 1, "In": []}, {"In"}) == names


def test_long_texts_take_no_time() -> None:
    """No pattern of braces makes reading quadratic: a million characters at once."""
    for piece in ("{{a", "{{a[", "{{a.", "{{a:", '{{a["', "{{ ", "{", "}}"):
        text = piece * (1_000_000 // len(piece))
        assert re.sub(r"\{\{a\}\}", "", expand(text, {"a": 1}).text) == text
