"""The decoder of server-sent events: the specification's examples, any split, the limit."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcf_magics.gateway.sse import Decoder, Event, LineTooLong
from support.wire import load, names

STREAMS = [name for name in names() if load(name).chunks is not None]


def decode(*pieces: bytes) -> list[Event]:
    decoder = Decoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        # The examples of the WHATWG specification, section 9.2.6.
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", ["YHOO\n+2\n10"]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n"
            b"data:  third event\n",
            ["first event", "second event"],
        ),
        (b"data\n\ndata\ndata\n\ndata:", ["", "\n"]),
        (b"data:test\n\ndata: test\n\n", ["test", "test"]),
    ],
)
def test_decodes_the_examples_of_the_specification(stream: bytes, data: list[str]) -> None:
    """What the specification gives as examples decodes to what it says."""
    assert [event.data for event in decode(stream)] == data


def test_reads_event_id_and_retry() -> None:
    """The other fields are kept: an id lasts, an event name does not, retry is a number."""
    events = decode(b"event: ping\nid: 7\nretry: 250\ndata: a\n\ndata: b\n\nretry: x\nid: \0\n\n")
    assert events == [Event("a", "ping", "7", 250), Event("b", "message", "7", 250)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_takes_each_line_end_split_anywhere(end: bytes) -> None:
    """LF, CRLF and CR end a line, also when the read ends in the middle of a CRLF."""
    stream = b"\xef\xbb\xbfdata: \xc3\xa9 1" + end + b"data: 2" + end + end + b"data: 3" + end + end
    for cut in range(len(stream) + 1):
        assert [e.data for e in decode(stream[:cut], stream[cut:])] == ["é 1\n2", "3"], cut


@pytest.mark.parametrize("name", STREAMS)
def test_a_recording_decodes_the_same_however_it_is_split(name: str) -> None:
    """Every recorded stream gives the same events, whole, cut at each byte, and byte by byte."""
    content = load(name).content
    whole = decode(content)
    assert whole
    assert decode(*(content[i : i + 1] for i in range(len(content)))) == whole
    for cut in range(len(content)):
        assert decode(content[:cut], content[cut:]) == whole


@given(st.lists(st.text(), min_size=1), st.data())
def test_any_text_survives_any_split(texts: list[str], data: st.DataObject) -> None:
    """Events written by the rules come back as written, at any split of the bytes."""
    lines = [text.replace("\r", "").replace("\n", "") for text in texts]
    stream = "".join(f"data: {line}\n\n" for line in lines).encode("utf-8", "replace")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    edges = [0, *cuts, len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    expected = [line.encode("utf-8", "replace").decode() for line in lines]
    assert [event.data for event in decode(*pieces)] == expected


def test_an_endless_line_is_refused_not_kept() -> None:
    """A line, or the data of one event, over the limit raises instead of filling the memory."""
    with pytest.raises(LineTooLong):
        Decoder(max_line=100).feed(b"data: " + b"x" * 200)
    decoder = Decoder(max_line=100)
    for _ in range(100):
        decoder.feed(b"x")
    with pytest.raises(LineTooLong):
        decoder.feed(b"x")
    with pytest.raises(LineTooLong):
        Decoder(max_line=100).feed(b"data: 1234567890\n" * 20)


def test_an_event_without_its_blank_line_is_dropped() -> None:
    """The end of the stream does not complete an event."""
    assert decode(b"data: whole\n\ndata: half\n") == [Event("whole")]


def test_the_end_of_the_body_ends_the_last_event() -> None:
    """A server that forgets the last blank line has said `[DONE]` all the same."""
    decoder = Decoder()
    assert [e.data for e in decoder.feed(b"data: a\n\ndata: [DONE]")] == ["a"]
    assert [e.data for e in decoder.end()] == ["[DONE]"]
    assert decoder.end() == []
    whole = Decoder()
    whole.feed(b"data: a\n\n")
    assert whole.end() == []
