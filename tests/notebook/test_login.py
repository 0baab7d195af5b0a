"""Logging in at a prompt: what is asked, how often, and what is printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import alcf_magics
from alcf_magics import Session
from alcf_magics._session import close
from alcf_magics.errors import LoginFailed
from alcf_magics.notebook.login import TRIES, Logins, prompt
from alcf_magics.notebook.options import login_parser
from alcf_magics.sandbox import Identity, Sandbox
from alcf_magics.told import SILENT
from support.logins import account_at, finish

BOB = Identity("b0b00000-2f5b-4a55-9c3c-9d8e4f1c7a10", "bob@anl.gov", "Bob")


def answers(*given: str | Callable[[], str]) -> tuple[list[str], Callable[[str], str]]:
    """A person who types these, and what they were asked."""
    asked: list[str] = []
    left = list(given)

    def ask(question: str) -> str:
        asked.append(question)
        answer = left.pop(0)
        return answer if isinstance(answer, str) else answer()

    return asked, ask


def test_a_wrong_code_is_asked_for_again(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """The link stands there once, each mistake is a line, and the right code then works."""
    account = account_at(sandbox)
    asked, ask = answers("", "wrong-code", lambda: sandbox.approve(account.begin().authorize_url))
    assert "Logged in as alice@anl.gov" in prompt(account, ask=ask)
    assert asked == ["Paste the code here: "] * TRIES
    printed = capsys.readouterr().out
    assert printed.count("/v2/oauth2/authorize?") == 1
    assert "There is no code" in printed
    assert "did not take the code" in printed


def test_after_three_wrong_codes_the_cell_fails(sandbox: Sandbox) -> None:
    """Nobody is asked for ever."""
    asked, ask = answers("", "", "")
    with pytest.raises(LoginFailed, match="no code"):
        prompt(account_at(sandbox), ask=ask)
    assert len(asked) == TRIES


@pytest.mark.parametrize(("word", "taken"), [("Yes", True), ("no", False), ("", False)])
def test_another_persons_login_is_asked_about(sandbox: Sandbox, word: str, taken: bool) -> None:
    """Only a yes takes the login over."""
    account = account_at(sandbox)
    finish(account, sandbox)
    sandbox.identity = BOB
    _, ask = answers(lambda: sandbox.approve(account.begin().authorize_url), word)
    if taken:
        assert "as bob@anl.gov" in prompt(account, ask=ask)
    else:
        with pytest.raises(LoginFailed, match="this login is bob"):
            prompt(account, ask=ask)
        assert "as alice@anl.gov" in str(account.state())


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[Session]:
    """This process's session, logged in at the sandbox."""
    session = alcf_magics.session()
    session.choose(gateway_url=sandbox.gateway_url, globus_auth_url=sandbox.globus_auth_url)
    finish(session.account, sandbox)
    yield session
    close()


def test_a_sandbox_is_entered_and_left(session: Session, sandbox: Sandbox) -> None:
    """Its login is the one in force until logging out, and the old one is there again."""
    logins = Logins(object())
    line = logins.log_in("", login_parser().words("--sandbox")[0], SILENT)
    inside = session.settings.globus_auth_url
    assert "This is a sandbox, in this kernel only" in line
    assert "ot stored" not in line
    assert inside != sandbox.globus_auth_url
    said = logins.log_out(everywhere=False, told=SILENT)
    assert said == "Logged out of the sandbox, and stopped it."
    assert session.settings.globus_auth_url == sandbox.globus_auth_url
    assert session.account.state() is not None


def test_logging_out_everywhere_stops_the_sandbox_too(session: Session) -> None:
    """Nothing of either login is left."""
    logins = Logins(object())
    logins.log_in("", login_parser().words("--sandbox")[0], SILENT)
    inside = session.settings.globus_auth_url
    said = logins.log_out(everywhere=True, told=SILENT)
    assert said == "Logged out: the login is revoked and removed."
    assert session.settings.globus_auth_url != inside
    assert session.account.state() is None
