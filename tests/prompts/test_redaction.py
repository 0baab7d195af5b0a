"""Tokens that are taken out of what goes along with a prompt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alcf_magics._session import Session
from alcf_magics.prompts import redaction
from alcf_magics.prompts.redaction import Redaction
from alcf_magics.sandbox import Sandbox
from support.logins import logged_in


def stored(home: Path) -> dict[str, str]:
    """The gateway's entry of the file that a login has left."""
    (path,) = home.glob(".globus/app/*/alcf_magics/tokens.json")
    found: dict[str, str] = {}

    def keep(entry: dict[str, str]) -> dict[str, str]:
        if "access_token" in entry:
            found.update(entry)
        return entry

    json.loads(path.read_text(), object_hook=keep)
    return found


def test_what_is_stored_is_taken_out(in_sandbox: Sandbox, home: Path) -> None:
    """Access and refresh token, wherever they stand in a text; nothing else changes."""
    session = logged_in(in_sandbox)
    try:
        entry = stored(home)
        hide = Redaction.of(session)
        text = f"a{entry['access_token']}b {entry['refresh_token']!r} {entry['resource_server']}"
        assert hide(text) == f"a(token)b '(token)' {entry['resource_server']}"
    finally:
        session.close()


def test_the_bearer_is_known_without_any_file(
    in_sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token that the next request would carry; asking for it sends nothing to the gateway."""
    session = logged_in(in_sandbox)
    try:
        token = stored(home)["access_token"]
        monkeypatch.setattr(redaction, "_stored", lambda: iter(()))
        before = len(in_sandbox.requests)
        assert Redaction.of(session)(f"<{token}>") == "<(token)>"
        assert len(in_sandbox.requests) == before
    finally:
        session.close()


def test_the_environments_token_is_taken_out(
    in_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also without a login, and where the file of another tool cannot be read."""
    monkeypatch.setenv("ALCF_AI_TOKEN", " exported ")
    broken = Path.home() / ".globus/app/other/tool/tokens.json"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"\xff{")
    session = Session()
    try:
        assert Redaction.of(session)("TOKEN=exported;") == "TOKEN=(token);"
    finally:
        session.close()


def test_without_any_token_nothing_changes(in_sandbox: Sandbox) -> None:
    """Nobody is logged in: every text is its own."""
    session = Session()
    try:
        assert Redaction.of(session)("a (b) c") == "a (b) c"
    finally:
        session.close()


def test_a_token_that_begins_as_another_is_taken_out_whole() -> None:
    """No end of the longer one is left; and a repr shows neither."""
    hide = Redaction(frozenset({"token", "token-and-more"}))
    assert hide("token-and-more token") == "(token) (token)"
    assert "more" not in repr(hide)
