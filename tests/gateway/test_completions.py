"""A completion is its text, keeps its request, and can be compared, copied and stored."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest

from alcf_magics.gateway.chunks import Usage
from alcf_magics.gateway.completions import Choice
from support.completions import completion


def test_the_repr_is_the_text() -> None:
    """A completion shows as its text, and nothing in it is lost by that."""
    some = completion("two\nlines", model="m")
    assert repr(some) == str(some) == f"{some}" == "two\nlines"
    assert f"{completion('ab'):>4}" == "  ab"


def test_it_is_a_value() -> None:
    """Equal when all of it is; hashed, copied and pickled without loss."""
    some = completion("a", usage=Usage(1, 2, 3), started=5.0, parsed={"a": [1]})
    assert some == completion("a", usage=Usage(1, 2, 3), started=5.0, parsed={"a": [1]})
    assert some != completion("b")
    for other in (copy.copy(some), copy.deepcopy(some), pickle.loads(pickle.dumps(some))):
        assert other == some
        assert hash(other) == hash(some)
    assert len({some, copy.copy(some)}) == 1


def test_prompt_and_place_are_read_from_what_was_sent() -> None:
    """The prompt is the last thing that the person said."""
    some = completion("yes", prompt="really?")
    assert (some.prompt, some.cluster) == ("really?", "red")
    assert some.request.messages[-1].role == "user"


#: Tokens came for five of nine seconds.
THOUGHT = {
    "reasoning": "I think so.",
    "first_token_seconds": 1.0,
    "first_text_seconds": 3.5,
    "token_seconds": 5.0,
    "reasoning_seconds": 2.0,
    "seconds": 9.0,
}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"finish": "length"}, "--max-tokens"),
        ({"finish": None}, "ended early"),
        ({"finish": "content_filter"}, "ended: content_filter"),
        ({"usage": Usage(1200, 7, 1207)}, "1,200 tokens in, 7 out"),
        ({"usage": Usage(None, 7, None)}, "red · 7 tokens out"),
        ({"usage": Usage(12, None, None)}, "red · 12 tokens in"),
        ({"first_token_seconds": 1.25, "seconds": 2.0}, "first token after 1.2 s"),
        (THOUGHT, "reasoned for 2.0 s, 11 characters · first text after 3.5 s, 9.0 s in total"),
        ({**THOUGHT, "usage": Usage(1, 40, 41)}, "9.0 s in total · 8 tokens/s"),
    ],
)
def test_the_line_about_it(fields: dict[str, object], said: str) -> None:
    """Where from, what it took as far as that is known, and how it ended if not by itself."""
    assert said in completion("x", **fields).about  # type: ignore[arg-type]


def test_the_line_of_a_good_answer_says_no_more_than_needed() -> None:
    """An answer that ended by itself is not said to have ended."""
    assert completion("x").about == "org/Name · red"


def test_it_shows_itself_without_the_extension() -> None:
    """A notebook that never loaded the magics gets the same safe page, with the record."""
    some = completion("**bold** <script>", reasoning="why")
    bundle, metadata = some._repr_mimebundle_()
    assert bundle["text/plain"] == some.text
    assert "<strong>bold</strong> &lt;script&gt;" in bundle["text/html"]
    assert "<details>" in bundle["text/html"]
    assert metadata["alcf_magics"]["cluster"] == "red"
    assert "bold" not in str(metadata)


def test_no_answer_is_a_blank_cell() -> None:
    """Without text a line says so; the reasoning is open, and calls of tools are shown."""
    thought = completion("", reasoning="why")
    assert (thought.text, str(thought), repr(thought)) == ("", "", "(no text)")
    assert "<details open>" in thought._repr_html_()
    assert "(no text)" in thought._repr_html_()
    call = {"id": "1", "function": {"name": "f", "arguments": '{"a": "<b>"}'}}
    calling = replace(thought, choices=(Choice(0, "", "", "tool_calls", (call, {"x": 1})),))
    assert "calls f({&quot;a&quot;: &quot;&lt;b&gt;&quot;})" in calling._repr_html_()
    assert repr(calling) == '(no text; calls f({"a": "<b>"}); a call that cannot be read)'


def test_several_choices_are_told_apart() -> None:
    """Each has a title that says how it ended; what a choice cannot be read as is its text."""
    one = replace(
        completion("[1]", format="json", parsed=[1]),
        choices=(Choice(0, "[1]", finish_reason="stop"), Choice(1, "<b>", finish_reason="length")),
    )
    assert repr(one).startswith("[choice 1 of 2]\n[1]\n\n[choice 2 of 2, cut at the token limit")
    assert (one.text, one.first_shown) == ("[1]", "[1]")
    page = one._repr_html_()
    assert page.index("choice 1 of 2") < page.index("choice 2 of 2") < page.index("&lt;b&gt;")
    assert completion("a").others == completion("a").others_html == ""
