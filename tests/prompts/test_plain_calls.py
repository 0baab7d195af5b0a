"""What a plain call of Python's says, where no cell shows what is waited for."""

from __future__ import annotations

import pytest

from alcf_magics import told
from alcf_magics.sandbox import Sandbox
from support.logins import logged_in


def test_a_long_wait_is_said_once_on_standard_error(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cold model takes minutes; a live one, and one that is soon there, says nothing."""
    sandbox.scenario, sandbox.load_seconds, sandbox.pace = "cold_start", 1.0, 0
    session = logged_in(sandbox)
    monkeypatch.setattr(told, "PATIENCE", 0.2)
    session.ask("Why?", "sophia:gpt-oss-120b")
    out, said = capsys.readouterr()
    assert out == ""
    assert said.count("\n") == 1
    assert "loading takes 10 to 15 minutes" in said
    session.ask("Why?", "sophia:gpt-oss-120b")
    assert capsys.readouterr() == ("", "")
    session.close()
