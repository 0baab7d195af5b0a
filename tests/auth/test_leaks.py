"""No token, code or verifier is to be found anywhere but in the token file."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sqlite3
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from alcf_magics import demo
from alcf_magics.sandbox import Sandbox
from support.kernels import Kernel
from support.people import enter, link, stored, tokens, wait_for, with_person

pytestmark = pytest.mark.kernel


class Noted:
    """Every secret of a login, and where it was looked for."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}

    def learn(self, sandbox: Sandbox, home: Path) -> None:
        """Collect what was minted and sent: tokens, codes and verifiers."""
        if tokens(home).exists():
            for entry in stored(home, sandbox).values():
                for name in ("access_token", "refresh_token"):
                    self.secrets[f"{name} {len(self.secrets)}"] = entry[name]
        for request in sandbox.requests:
            if request.path.endswith("/token") and request.body:
                for name in ("code", "code_verifier", "refresh_token"):
                    if value := request.body.get(name):
                        self.secrets[f"{name} {len(self.secrets)}"] = value

    def assert_absent(self, text: str, where: str) -> None:
        assert self.secrets
        for name, secret in self.secrets.items():
            assert len(secret) > 8
            assert secret not in text, f"{name} in {where}"


#: Everything that a kernel can be asked to show of the session, its parts and its errors.
SHOW = """
import gc, traceback, logging
import alcf_magics
from alcf_magics._session import Session
s = alcf_magics.session()
c, a = s.credentials, s.account
things = [s, c, c.grant(), c.current(), s.settings, a.pending, a, s.gateway, s.auth, c.file,
          c.file.load(), c.file.load(s.settings.globus_auth_url), vars(s), vars(c), vars(a),
          a.status(), a.refused]
for thing in things:
    print(repr(thing), str(thing), f"{thing}", format(thing, ""))
"""


def everything_shown(kernel: Kernel) -> str:
    return json.dumps([cell.outputs for cell in kernel.cells]) + json.dumps(
        [[message.content for message in cell.messages] for cell in kernel.cells], default=str
    )


def history(home: Path) -> str:
    """The text of every history database under a home."""
    found = list(home.rglob("history.sqlite"))
    assert found
    rows = []
    for path in found:
        with contextlib.closing(sqlite3.connect(path)) as database:
            rows += database.execute("select source, source_raw from history").fetchall()
    return json.dumps(rows)


def test_nothing_leaks_from_a_session_with_everything_going_wrong(home: Path) -> None:
    """Panel, typed code, wrong codes, refreshes, interrupts, Verbose tracebacks, DEBUG logs."""
    noted = Noted()
    # A history as a person has it: kernels of this harness start with none.
    env = {"IPYTHONDIR": str(home / "ipython")}
    with (
        Sandbox(pace=0.05) as sandbox,
        Kernel(env={**sandbox.environment, **env}, home=home) as kernel,
    ):
        kernel.run("%xmode Verbose")
        kernel.run(
            "import logging; logging.basicConfig(level=logging.DEBUG, force=True)\n"
            "logging.getLogger().setLevel(logging.DEBUG)"
        )
        kernel.run("%load_ext alcf_magics")
        # The panel, with a wrong and a right code.
        panel = with_person(kernel, "%alcf_login")
        box = kernel.find_widget("PasswordModel")
        kernel.set_widget(box, value="wrong-code-typed")
        enter(kernel, box)
        wait_for(kernel, lambda: not kernel.widgets[box].get("value"))
        kernel.set_widget(box, value=sandbox.approve(link(panel)))
        enter(kernel, box)
        wait_for(kernel, lambda: "Logged in" in panel.text)
        noted.learn(sandbox, home)
        kernel.run(SHOW)
        # A refused token, refreshed; an interrupted answer; a broken stream.
        sandbox.expire_access_tokens()
        kernel.run("%alcf hello")
        run = kernel.start_cell("%%alcf\nhello")
        run.wait_for(lambda messages: "sandbox" in run.text, 10)
        kernel.interrupt()
        assert run.wait(10).ename == "KeyboardInterrupt"
        kernel.run("%tb Verbose")
        sandbox.scenario = "cut_mid_stream"
        assert kernel.run("%alcf hello").ename == "StreamBroken"
        sandbox.scenario = "default"
        kernel.run(
            "import sys, traceback; print(''.join(traceback.format_exception(sys.last_value)))"
        )
        noted.learn(sandbox, home)
        # An interrupt while a code is exchanged, and while a token is refreshed.
        kernel.run(SHOW)
        kernel.run("%config AlcfMagics")
        kernel.run("%alcf_login --status")
        # Globus gone in the middle of things.
        kernel.run("%config AlcfMagics.globus_auth_url = 'http://127.0.0.1:9'")
        kernel.run("%alcf_login")
        typed = "TypedIntoTheCell-0123456789"
        assert kernel.run(f"%alcf_login {typed}").status == "error"
        kernel.run("%tb Verbose")
        kernel.run(
            "import sys, traceback; print(''.join(traceback.format_exception(sys.last_value)))"
        )
        kernel.run("print(In, _i, _ii, _iii)")
        noted.secrets["typed code"] = typed
        kernel.run("%alcf_logout")
        shown = everything_shown(kernel)
        log = kernel.log
        state = json.dumps(kernel.widgets, default=str)
        seen = [request.path + request.query for request in sandbox.requests]
    assert len(noted.secrets) > 8
    # What was typed into a cell is echoed by the kernel's own `execute_input`, nowhere else.
    echoed = json.dumps([c.code for c in kernel.cells if typed in c.code])[2:-2]
    noted.assert_absent(shown.replace(echoed, ""), "what the cells show")
    noted.assert_absent(log, "the kernel's log")
    noted.assert_absent(state, "the widgets' state")
    noted.assert_absent(json.dumps([q for q in seen if "auth-code" not in q]), "a URL")
    noted.assert_absent(history(home), "the history")


def test_nothing_leaks_into_a_notebook_saved_with_widget_state(home: Path) -> None:
    """A notebook that nbclient saves with its widgets' state holds no secret but a typed code."""
    noted = Noted()
    with Sandbox(pace=0.005) as sandbox:
        demo.furnish(home)
        nb = new_notebook(
            cells=[
                new_code_cell("%load_ext alcf_magics"),
                new_code_cell("%alcf_login"),
                new_code_cell("%alcf_login CODE"),
                new_code_cell("%alcf hello"),
                new_code_cell("from IPython.display import display"),
            ]
        )
        environment = demo.environment(home, sandbox.environment)
        client = NotebookClient(nb, timeout=60, store_widget_state=True)
        with client.setup_kernel(env=environment):
            assert client.kc is not None
            client.kc.allow_stdin = True  # a person is there, so the panel has its widgets
            client.execute_cell(nb.cells[0], 0)
            client.execute_cell(nb.cells[1], 1)
            url = nb.cells[1].outputs[0].data["text/plain"]
            code = sandbox.approve(re.findall(r"https?://\S+", url)[0])
            nb.cells[2].source = f"%alcf_login {code}"
            for index in (2, 3):
                client.execute_cell(nb.cells[index], index)
            client.set_widgets_metadata()
        noted.learn(sandbox, home)
    text = nbformat.writes(nb)
    assert "widgets" in nb.metadata
    assert "No model was asked" in text
    # The cell in which the person typed the code is the one exception.
    nb.cells[2].source = "%alcf_login …"
    noted.assert_absent(nbformat.writes(nb), "the saved notebook")


def test_nothing_leaks_into_debug_logs_of_this_process(
    sandbox: Sandbox, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger at DEBUG, a login, a refresh and a request log no secret."""
    from alcf_magics._session import Session

    caplog.set_level(logging.DEBUG)
    noted = Noted()
    session = Session()
    session.choose(gateway_url=sandbox.gateway_url, globus_auth_url=sandbox.globus_auth_url)
    pending = session.account.begin()
    session.account.finish(sandbox.approve(pending.authorize_url), pending)
    noted.learn(sandbox, home)
    sandbox.expire_access_tokens()
    session.ask("hello")
    noted.learn(sandbox, home)
    session.close()
    # Loggers of ours and of what we lean on; our requests are not in httpx's and httpcore's.
    assert caplog.records
    noted.assert_absent(caplog.text, "the log")


def test_an_error_of_the_login_holds_no_secret_in_its_chain(home: Path) -> None:
    """Neither an error nor what it was raised from keeps the form that was to be sent."""
    from alcf_magics.auth.authorization import begin_login
    from alcf_magics.auth.globus import GlobusAuth
    from alcf_magics.auth.hidden import Secret
    from alcf_magics.errors import AlcfError
    from alcf_magics.settings import Settings

    pending = begin_login(Settings(), time.time())
    with pytest.raises(AlcfError) as caught:
        GlobusAuth("http://127.0.0.1:9").exchange(pending, Secret("the-code"))
    error: BaseException | None = caught.value
    while error is not None:
        assert not hasattr(error, "request")
        for secret in ("the-code", pending.verifier.reveal()):
            assert secret not in repr(error) + str(error) + repr(vars(error))
        error = error.__cause__ or error.__context__


#: Every place in which IPython remembers inputs, as one text.
REMEMBERED = """
import linecache
shell = get_ipython()
info = shell.last_execution_result.info
names = {n: [space.get(n) for space in (shell.user_ns, shell.user_ns_hidden)]
         for n in (*shell.user_ns, *shell.user_ns_hidden) if n.startswith("_i")}
manager = {n: v for n, v in vars(shell.history_manager).items()}
cells = {n: linecache.cache.get(n) for n in shell.compile._filename_map}
print(info.raw_cell, getattr(info, "transformed_cell", ""), In, names, manager, cells)
print(list(shell.history_manager.get_range(raw=True)))
print(len(shell.events.callbacks["post_run_cell"]))
"""


@pytest.mark.parametrize(
    "cell",
    ["%alcf_login {}", "x = 1\n%alcf_login {}", "get_ipython().run_line_magic('alcf_login', '{}')"],
)
def test_a_typed_code_is_remembered_nowhere(home: Path, sandbox: Sandbox, cell: str) -> None:
    """In the very next cell, and in the bytes of the database, there is no code any more."""
    env = {**sandbox.environment, "IPYTHONDIR": str(home / "ipython")}
    with Kernel(env=env, home=home) as kernel:
        kernel.run("%load_ext alcf_magics")
        callbacks = kernel.run(REMEMBERED).text.split()[-1]
        code = sandbox.approve(link(kernel.run("%alcf_login")))
        assert "Logged in" in kernel.run(cell.format(code)).text
        remembered = kernel.run(REMEMBERED)
        assert remembered.status == "ok"
        assert code not in remembered.text
        assert "%alcf_login …" in remembered.text
        assert remembered.text.split()[-1] == callbacks
        kernel.run("1")
        files = [path.read_bytes() for path in (home / "ipython").rglob("*") if path.is_file()]
    assert files
    assert not [text for text in files if code.encode() in text]
    assert "%load_ext" in history(home)


def test_a_word_that_is_typed_for_a_code_takes_nothing_else_along(
    home: Path, sandbox: Sandbox
) -> None:
    """Other inputs with that word, and real files, stay as they are."""
    module = home / "mine.py"
    module.write_text("# alcf_login status\ndef fail():\n    raise KeyError('status')\n")
    env = {**sandbox.environment, "IPYTHONDIR": str(home / "ipython")}
    with Kernel(env=env, home=home) as kernel:
        kernel.run("%load_ext alcf_magics")
        kernel.run("status = 'status of the run'")
        kernel.run(f"import sys; sys.path.insert(0, {str(home)!r}); import mine")
        kernel.run("_important = '%alcf_login status'")
        assert "KeyError" in str(kernel.run("mine.fail()").error_text)
        kernel.run("%alcf_login")
        assert kernel.run("%alcf_login status").ename == "LoginFailed"
        remembered = kernel.run(REMEMBERED).text
        assert "status of the run" in remembered
        assert kernel.value("_important") == "'%alcf_login status'"
        line = kernel.run("import linecache; print(linecache.getline(mine.__file__, 3))").text
        assert "raise KeyError('status')" in line
        kernel.run("1")
    stored = history(home)
    assert "status of the run" in stored
    assert "%alcf_login status" not in stored
