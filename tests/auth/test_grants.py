"""Grants: what is one, how long it is fresh, and that what holds tokens does not show them."""

from __future__ import annotations

import json

import pytest

from alcf_magics.auth.grants import REFRESH_MARGIN, grants_from_answer
from alcf_magics.auth.hidden import Hidden, HiddenBytes, dumped, parsed
from alcf_magics.settings import GATEWAY_RESOURCE_SERVER
from support.grants import answer, grant
from support.tracebacks import locals_of


@pytest.mark.parametrize("token", ["", "two words", "tök", "a\nb", "a\x7f", 5, None, ["x"]])
def test_what_cannot_stand_in_a_header_is_no_grant(token: object) -> None:
    """A token is printable ASCII; a part of an answer with anything else is left out."""
    part = {"access_token": token, "resource_server": GATEWAY_RESOURCE_SERVER, "expires_in": 9}
    found = grants_from_answer(Hidden(answer(other_tokens=[part])), now=0, auth_server="x")
    assert [g.resource_server for g in found] == ["auth.globus.org"]


@pytest.mark.parametrize(
    ("issued", "expires", "margin"),
    [(0, 1000, REFRESH_MARGIN), (1000, 1060, 30), (1000, 99999, REFRESH_MARGIN), (1000, 900, 0)],
)
def test_the_margin_is_at_most_half_a_life(issued: int, expires: int, margin: float) -> None:
    """A token that lives for a minute is fresh for half of it, not never."""
    some = grant(issued_at_seconds=issued, expires_at_seconds=expires)
    assert some.margin == margin
    assert some.fresh(expires - margin - 1)
    assert not some.fresh(expires - margin)


def test_json_that_holds_tokens_does_not_show_them() -> None:
    """Objects, and lists of them, hide their content at every depth, and are JSON all the same."""
    raw = HiddenBytes(b'{"a": {"token": "s3cret"}, "b": [{"token": "s3cret"}]}')
    content = parsed(raw)
    assert isinstance(content["b"], list)
    for thing in (raw, content, content["a"], content["b"], dumped(content)):
        assert "s3cret" not in f"{thing!r} {thing}"
    assert json.loads(dumped(content)) == json.loads(raw)


@pytest.mark.parametrize("text", ["{", '{"token": "s3cret', "[" * 200_000])
def test_what_is_no_json_is_an_error_without_the_text(text: str) -> None:
    """Neither the error nor what it was raised from keeps the document."""
    with pytest.raises(ValueError, match="no JSON") as caught:
        parsed(HiddenBytes(text.encode()))
    assert caught.value.__context__ is None
    assert "s3cret" not in locals_of(caught.value)


def test_an_interrupt_in_the_parser_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames of the parser, which hold the plain text, are not in the traceback."""

    def interrupted(self: object, text: str, **_: object) -> None:
        assert "s3cret" in text
        raise KeyboardInterrupt

    monkeypatch.setattr("json.decoder.JSONDecoder.raw_decode", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        parsed(HiddenBytes(b'"s3cret"'))
    assert "s3cret" not in locals_of(caught.value)


def test_an_error_in_the_encoder_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor are those of the encoder, which hold the pieces of what is to be written."""
    monkeypatch.setattr("json.encoder.JSONEncoder.iterencode", lambda *_, **__: ["s3cret", 5])
    with pytest.raises(TypeError) as caught:
        dumped(Hidden())
    assert "s3cret" not in locals_of(caught.value)
