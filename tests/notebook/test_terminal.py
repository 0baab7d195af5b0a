"""The magics in a terminal: plain text, a prompt for the code, no escape codes of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from alcf_magics.sandbox import Sandbox
from support.logins import log_in

pytestmark = pytest.mark.kernel


def ipython(lines: list[str], sandbox: Sandbox, home: Path, encoding: str = "utf-8") -> str:
    """What an IPython in a terminal prints for these lines."""
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--colors=NoColor", "--no-banner"],
        input="\n".join([*lines, "exit"]) + "\n",
        capture_output=True,
        encoding=encoding,
        timeout=60,
        env={
            **os.environ,
            **sandbox.environment,
            "HOME": str(home),
            "TERM": "dumb",
            "PYTHONIOENCODING": encoding,
        },
        cwd=home,
        check=True,
    )
    return done.stdout + done.stderr


def test_an_answer_streams_as_plain_text(sandbox: Sandbox, home: Path) -> None:
    """The text is printed once, without HTML and without escape codes; the value is its text."""
    sandbox.answer = "# A **bold** answer\n\nwith `code`.\n"
    said = ipython(
        [
            "%load_ext alcf_magics",
            "%alcf_login --sandbox",
            "%alcf_login",
            "import alcf_magics",
        ],
        sandbox,
        home,
    )
    assert "Logged in" in said
    url_free = ipython(["%load_ext alcf_magics", "%alcf hello"], sandbox, home)
    assert "NotLoggedIn: You are not logged in to ALCF. Log in: %alcf_login" in url_free
    assert "Traceback" not in url_free


def test_a_whole_session_in_a_terminal(sandbox: Sandbox, home: Path) -> None:
    """Log in, look at the table, ask: each is text."""
    sandbox.answer = "# A **bold** answer\n\nwith `code`.\n"
    from alcf_magics._session import Session

    session = Session()
    session.choose(gateway_url=sandbox.gateway_url, globus_auth_url=sandbox.globus_auth_url)
    pending = session.account.begin()
    session.account.finish(sandbox.approve(pending.authorize_url), pending)
    session.close()
    said = ipython(
        [
            "%load_ext alcf_magics",
            "%alcf_login",
            "%alcf_models --live",
            "%alcf -m gpt-oss-120b what is MPI?",
            "x = _",
            "'finish', x.finish_reason",
            "x",
        ],
        sandbox,
        home,
    )
    assert "Already logged in as alice@anl.gov" in said
    assert "context window" in said
    assert said.count("# A **bold** answer") == 2  # once streamed, once as x
    assert "('finish', 'stop')" in said
    assert "<" not in said.replace("<ipython", "")
    assert "\x1b[" not in said


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_what_cannot_be_written_is_a_question_mark(
    sandbox: Sandbox, home: Path, encoding: str
) -> None:
    """The rest is shown, and the answer is bound and kept as it came."""
    sandbox.answer = "all x ≤ 3 and 日本."
    log_in(sandbox, home)
    said = ipython(
        [
            "%load_ext alcf_magics",
            "%alcf -m gpt-oss-120b --out a hi",
            "print(ascii(a.text))",
        ],
        sandbox,
        home,
        encoding,
    )
    assert "x ? 3 and ??." in said
    assert ascii(sandbox.answer) in said
    assert "Error" not in said
