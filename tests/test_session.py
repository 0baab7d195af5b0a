"""The session in plain Python: shared, closed, forked, and honest about who is refused."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

import alcf_magics
from alcf_magics._session import Session
from alcf_magics.errors import AlcfError, LoginExpired, RequestRefused
from alcf_magics.sandbox import Sandbox
from support.logins import logged_in


def test_there_is_one_session() -> None:
    """Everybody in a kernel gets the same one."""
    assert alcf_magics.session() is alcf_magics.session()


def test_python_asks_as_the_magics_do(sandbox: Sandbox) -> None:
    """`ask` returns the completion, with options under their names."""
    session = logged_in(sandbox)
    completion = session.ask("hello", model="gpt-oss-120b", system="Be brief.", max_tokens=5)
    assert completion.finish_reason == "length"
    body = sandbox.requests[-1].body
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["max_tokens"] == 5
    session.close()


def test_a_closed_session_says_so(sandbox: Sandbox) -> None:
    """Somebody who kept an old session is told which one is in use."""
    session = logged_in(sandbox)
    session.close()
    with pytest.raises(AlcfError, match="closed"):
        session.ask("hello")


def test_a_refusal_belongs_to_its_gateway_and_ends_with_an_answer(sandbox: Sandbox) -> None:
    """What one gateway refused is not told of another, and an answer clears it."""
    session = logged_in(sandbox)
    sandbox.scenario = "policy_timeout"
    with pytest.raises(LoginExpired):
        session.ask("hello")
    assert session.account.refused is not None
    assert session.account.state() is None
    first = session.account.begin()
    assert "prompt=login" in first.authorize_url
    assert session.account.begin() == first  # a second run keeps the fresh one, too
    session.choose(model="x")
    assert session.account.refused is None
    session.choose(model=None)
    sandbox.scenario = "default"
    session.ask("hello")
    assert session.account.refused is None
    session.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_begins_anew(sandbox: Sandbox) -> None:
    """A child process neither hangs on its parent's loop nor closes its connections."""
    session = alcf_magics.session()
    session.choose(gateway_url=sandbox.gateway_url, globus_auth_url=sandbox.globus_auth_url)
    pending = session.account.begin()
    session.account.finish(sandbox.approve(pending.authorize_url), pending)
    session.ask("hello")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            own = alcf_magics.session()
            own.choose(gateway_url=sandbox.gateway_url, globus_auth_url=sandbox.globus_auth_url)
            code = 0 if own is not session and own.ask("from the child").text else 2
        finally:
            os._exit(code)
    assert _exit_code(child) == 0
    assert session.ask("and the parent goes on").text
    sys.modules["alcf_magics._session"].close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_session_that_was_kept_works_in_a_forked_child(sandbox: Sandbox) -> None:
    """Whoever bound it to a name before a pool of workers was forked can ask in each of them."""
    session = logged_in(sandbox)
    session.ask("hello")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if session.ask("from the child").text else 2
        finally:
            os._exit(code)
    assert _exit_code(child) == 0
    assert session.ask("and the parent goes on").text
    session.close()


def _exit_code(child: int) -> int:
    """The exit code of a child, which has a while to end."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    pytest.fail("the child hangs")


def test_a_token_that_is_none_is_named_and_hinders_no_login(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rubbish in ALCF_AI_TOKEN is told, and a login goes on all the same."""
    monkeypatch.setenv("ALCF_AI_TOKEN", "two words\n")
    session = Session()
    session.choose(gateway_url=sandbox.gateway_url, globus_auth_url=sandbox.globus_auth_url)
    with pytest.raises(AlcfError, match="ALCF_AI_TOKEN"):
        session.ask("hello")
    assert "ALCF_AI_TOKEN" in session.account.why()
    session.close()
    session = logged_in(sandbox)
    assert session.ask("hello").text
    session.close()


def test_what_an_error_proves_wrong_is_asked_again(sandbox: Sandbox) -> None:
    """After a model was not ready the catalog is read anew, and another place may be taken."""
    session = logged_in(sandbox)
    session.ask("hello", model="sophia:gpt-oss-120b")
    before = [r.path for r in sandbox.requests].count("/resource_server/list-endpoints")
    sandbox.scenario = "maintenance"
    with pytest.raises(AlcfError):
        session.ask("hi", model="sophia:gpt-oss-120b")
    session.resolve("gpt-oss-120b")
    after = [r.path for r in sandbox.requests].count("/resource_server/list-endpoints")
    assert after == before + 1
    session.close()


def test_an_empty_prompt_is_not_sent(sandbox: Sandbox) -> None:
    """`ask` refuses what the magic refuses."""
    session = Session()
    with pytest.raises(RequestRefused, match="empty"):
        session.ask("  \n")
    session.close()


def test_a_script_that_closes_nothing_ends(home: object) -> None:
    """A session's background thread does not keep a process alive."""
    script = (
        "from alcf_magics._session import Session\n"
        "async def one(): return 1\n"
        "session = Session()\n"
        "assert session._connection.runtime.run(one) == 1\n"
    )
    done = subprocess.run([sys.executable, "-c", script], timeout=60, check=False)
    assert done.returncode == 0


@pytest.mark.clock
def test_seconds_count_from_sending(sandbox: Sandbox) -> None:
    """What a prompt waited for its turn is no time to the first token."""
    session = logged_in(sandbox)
    session.ask("hello", model="gpt-oss-120b")
    for _ in range(2):
        session.catalog(max_age=0)
    begun = time.monotonic()
    completion = session.ask("hello", model="gpt-oss-120b")
    waited = time.monotonic() - begun
    assert completion.first_token_seconds is not None
    assert completion.first_token_seconds < waited / 2
    assert completion.seconds < waited
    session.close()


def test_defaults_are_chosen_all_or_none(sandbox: Sandbox) -> None:
    """Settings and parameters go by their names; with one that is wrong nothing is chosen."""
    session = Session()
    session.choose(temperature=0, model="x")
    for wrong in ({"seed": 1, "n": 0}, {"seed": 1, "sead": 2}):
        with pytest.raises((ValueError, TypeError), match=r"n is |sead"):
            session.choose(**wrong)
    assert session.defaults == {"temperature": 0}
    session.choose(temperature=None)
    assert session.defaults == {}
    session.close()


def test_a_default_that_is_left_out_is_a_warning(sandbox: Sandbox) -> None:
    """A plain call has no cell to say it in; where the default was asked for, it is refused."""
    session = logged_in(sandbox)
    session.choose(effort="low", seed=7)
    llama = "Llama-4-Maverick-17B-128E-Instruct"
    with pytest.warns(UserWarning, match="The default effort = 'low' was left out: Llama") as said:
        session.ask("hi", llama)
    assert said[0].filename == __file__
    assert "reasoning_effort" not in sandbox.requests[-1].body
    assert sandbox.requests[-1].body["seed"] == 7
    with pytest.raises(RequestRefused, match=r"effort cannot be 'low'.*Nothing was sent"):
        session.ask("hi", llama, effort="low")
    session.close()


def test_choices_have_what_was_asked_for(sandbox: Sandbox) -> None:
    """`.choices` holds all answers with their log probabilities, and `.text` is the first."""
    session = logged_in(sandbox)
    answer = session.ask("hi", "metis:gpt-oss-120b", n=2, logprobs=1, stop="No model")
    assert [choice.finish_reason for choice in answer.choices] == ["stop", "stop"]
    assert "No model" not in answer.text
    for choice in answer.choices:
        assert choice.logprobs is not None
        assert "".join(token["token"] for token in choice.logprobs["content"]) == choice.text
    session.close()


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_its_auth_serves_whichever_client(sandbox: Sandbox, library: str) -> None:
    """Sync and async, also where a stale token is refused before one is let in."""
    httpx: Any = pytest.importorskip(library)
    session = logged_in(sandbox)
    url = f"{sandbox.gateway_url}/whoami"

    async def ask() -> int:
        async with httpx.AsyncClient(auth=session.auth) as client:
            return int((await client.get(url)).status_code)

    for stale in (False, True):
        if stale:
            sandbox.expire_access_tokens()
        with httpx.Client(auth=session.auth) as client:
            assert client.get(url).status_code == 200
            if stale:
                sandbox.expire_access_tokens()
            assert asyncio.run(ask()) == 200
    sandbox.scenario = "policy_timeout"
    with httpx.Client(auth=session.auth) as client:
        assert client.get(url).text  # what refuses it is there to be read
    session.close()


def test_many_threads_read_the_catalog_once(sandbox: Sandbox) -> None:
    """Those that come while it is read wait for it."""
    session = logged_in(sandbox)
    session.catalog()
    session._connection.discovery.forget()
    before = len(sandbox.requests)
    catalogs: list[Any] = []
    threads = [
        threading.Thread(target=lambda: catalogs.append(session.catalog())) for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(catalogs) == 12
    paths = [request.path for request in sandbox.requests[before:]]
    assert len(paths) == len(set(paths))
    session.close()
