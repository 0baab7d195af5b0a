"""Foreign text becomes safe where it is read, whole or piece by piece."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcf_magics.text import Text, clean, line, words

#: Characters that must not come through, with letters around them.
HOSTILE = "a\x1b]0;title\x07b\x9b1mc\x00d\x7fe"


@given(st.text(), st.data())
def test_characters_split_between_pieces_are_put_together(text: str, data: st.DataObject) -> None:
    """A character beyond the first 65,536 may come as two halves, in two pieces."""
    halves = json.loads(json.dumps(text))  # as JSON brings it
    units = "".join(
        half.decode("utf-16-le", "surrogatepass")
        for char in halves
        for half in [char.encode("utf-16-le", "surrogatepass")[i : i + 2] for i in (0, 2)]
        if half
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(units)), max_size=6)))
    grown = Text()
    for begin, end in zip([0, *cuts], [*cuts, len(units)], strict=True):
        grown.add(units[begin:end])
        str(grown).encode()  # at every moment a text that can be sent
    assert grown.whole() == clean(text)


@given(st.lists(st.text(alphabet="ab\r\n\t\x1b\ud83d\ude00é", max_size=4)), st.data())
def test_a_text_is_the_same_however_it_is_split(pieces: list[str], data: st.DataObject) -> None:
    """Cleaning the pieces is cleaning the whole; what came since an offset is its end."""
    grown = Text()
    for piece in pieces:
        grown.add(piece)
        assert grown.length == len(str(grown))
        start = data.draw(st.integers(0, grown.length))
        assert grown.since(start) == str(grown)[start:]
    assert grown.whole() == clean("".join(pieces))


def test_a_half_that_stays_alone_is_replaced() -> None:
    """A broken character becomes the replacement character, and can be sent and saved."""
    for pieces in (
        ["a\ud83d"],
        ["a\ud83d", "b"],
        ["\ude00"],
        ["\ud83d\x1b", "\ude00"],  # a control character between two halves
        ["\ud83d", "\x1b\ude00"],
    ):
        grown = Text()
        for piece in pieces:
            grown.add(piece)
        assert "\ufffd" in grown.whole()
        assert grown.whole() == clean("".join(pieces))
        grown.whole().encode()


def test_control_characters_go_and_line_ends_and_tabs_stay() -> None:
    """Escape codes that a model writes are taken out; line ends are of one kind."""
    assert clean(HOSTILE + "\tx\n") == "a]0;titleb1mcde\tx\n"
    assert clean("a\r\nb\rc\x85") == "a\nb\nc"
    assert clean("\ud83d\ude00 and \ud800") == "😀 and \ufffd"


@pytest.mark.parametrize("sign", "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
def test_signs_that_turn_a_line_stay_in_an_answer_alone(sign: str) -> None:
    """An answer in Hebrew may need them; a name or a message never does."""
    assert clean(f"a{sign}b") == f"a{sign}b"
    assert words(f"a{sign}b") == line(f"a{sign}b") == "ab"


def test_a_line_is_one_and_bounded() -> None:
    """Whatever came, it takes one line; what is no text is none."""
    assert line(" a\n\tb\u2028c ") == "a b c"
    assert line("x" * 10**7, 10) == "x" * 9 + "…"
    assert [line(none) for none in (None, 3, ["a"], {"a": 1})] == [""] * 4
