"""A person's logging, and what our requests leave out of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from alcf_magics.sandbox import Sandbox
from support.people import link
from support.shell import Shell

OURS = (
    "%alcf_models",
    "%%alcf -m gpt-oss-120b\nhi",
    "import alcf_magics; alcf_magics.session().ask('hi').text",
)
LIBRARIES = ("httpx", "httpcore", "HTTP Request", "send_request")


@pytest.fixture(autouse=True)
def _root_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.getLogger("httpx").handlers.clear()


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
@pytest.mark.parametrize("loaded_before", [True, False])
def test_our_requests_leave_no_line_and_theirs_do(
    shell: Shell, in_sandbox: Sandbox, level: str, loaded_before: bool
) -> None:
    """Whenever logging is set up, also in threads and with an event loop of their own."""
    if not loaded_before:
        shell.run("%unload_ext alcf_magics")
    shell.run(f"import logging\nlogging.basicConfig(level=logging.{level}, force=True)")
    if not loaded_before:
        shell.run("%load_ext alcf_magics")
    for code in OURS:
        cell = shell.run(code)
        assert cell.status == "ok"
        assert not any(name in cell.said for name in LIBRARIES), cell.said
    shell.run(
        f"import asyncio, httpx, threading\nurl = '{in_sandbox.gateway_url}/'\n"
        "async def go():\n    async with httpx.AsyncClient() as client:\n"
        "        await client.get(url + 'loop')"
    )
    for code, name in (
        ("httpx.get(url + 'plain')", "/plain"),
        ("import alcf_magics\nhttpx.get(url + 'mine', auth=alcf_magics.session().auth)", "/mine"),
        (
            "t = threading.Thread(target=httpx.get, args=[url + 'thread']); t.start(); t.join()",
            "/thread",
        ),
        ("t = threading.Thread(target=lambda: asyncio.run(go())); t.start(); t.join()", "/loop"),
    ):
        text = shell.run(code).text
        assert f'{name} "HTTP/1.1' in text
        assert ("httpcore" in text) == (level == "DEBUG")


def test_a_handler_of_httpx_alone_gets_what_is_theirs(shell: Shell, in_sandbox: Sandbox) -> None:
    """And the level that they chose stays as it is."""
    shell.run(
        "import logging\nlogger = logging.getLogger('httpx')\nlogger.setLevel(logging.INFO)\n"
        "seen = []\nhandler = logging.Handler()\nhandler.emit = seen.append\n"
        "logger.addHandler(handler)"
    )
    shell.run(OURS[1])
    assert shell.names["seen"] == []
    shell.run(f"import httpx\nhttpx.get('{in_sandbox.gateway_url}/plain')")
    assert len(shell.names["seen"]) == 1
    assert logging.getLogger("httpx").level == logging.INFO


def test_a_login_leaves_no_line(fresh_shell: Shell, in_sandbox: Sandbox) -> None:
    """Globus is asked on a thread of its own."""
    fresh_shell.run("import logging\nlogging.basicConfig(level=logging.DEBUG, force=True)")
    fresh_shell.run("%load_ext alcf_magics")
    panel = fresh_shell.run("%alcf_login")
    code = in_sandbox.approve(link(panel))
    said = fresh_shell.run(f"%alcf_login {code}").said
    assert "Logged in" in said
    assert not any(name in said for name in LIBRARIES)
