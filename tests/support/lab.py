"""A real JupyterLab in a real browser, driven as a person drives it.

with Lab(home, env=sandbox.environment, notebook=path) as lab:
    lab.run(0)
    lab.cell(0).locator("input[type=password]").fill("a code")
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from alcf_magics import demo

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The browser is to ask the network for nothing of its own, and to run in a container.
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
START_SECONDS = 60.0

# JavaScript that runs in the page. `panel` finds the notebook among the open documents.
HELPERS = """
window.lab = {
  running: 0,
  panel: (name) =>
    Array.from(window.jupyterapp.shell.widgets('main')).find((w) => w.context?.path === name),
  connected: (name) => {
    const kernel = window.lab.panel(name)?.sessionContext.session?.kernel;
    return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
  },
  start: (name, command, index) => {
    const panel = window.lab.panel(name);
    window.jupyterapp.shell.activateById(panel.id);
    if (index !== null) {
      panel.content.deselectAll();
      panel.content.activeCellIndex = index;
    }
    window.lab.running += 1;
    window.jupyterapp.commands.execute(command).finally(() => { window.lab.running -= 1; });
  },
};
"""


def find_chromium() -> str | None:
    """The path of an installed Chromium or Chrome."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class Lab:
    """JupyterLab with one notebook open, and the browser it is open in.

    `home` becomes the home of server and kernel, `notebook` (a path or a notebook node) is copied
    into it, and `python` is the interpreter of server and kernel.
    """

    def __init__(
        self,
        home: Path,
        env: Mapping[str, str] | None = None,
        notebook: Path | nbformat.NotebookNode | None = None,
        python: str = sys.executable,
        base_url: str = "/",
        size: tuple[int, int] = (1280, 1000),
    ) -> None:
        self._home = home
        self._env = dict(env or {})
        self._python = python
        self._base_url = base_url
        self._size = size
        self._without_kernel = False
        self._token = secrets.token_hex(16)
        self._ends = contextlib.ExitStack()
        work = home / "work"
        work.mkdir(parents=True, exist_ok=True)
        #: The notebook file that is open in the page.
        self.path = work / "notebook.ipynb"
        if isinstance(notebook, Path):
            self.path = work / notebook.name
            shutil.copyfile(notebook, self.path)
        else:
            notebook = copy.deepcopy(notebook or nbformat.v4.new_notebook())
            # Without it, JupyterLab asks which kernel to start.
            notebook.metadata.setdefault(
                "kernelspec", {"name": "python3", "display_name": "Python 3 (ipykernel)"}
            )
            nbformat.write(notebook, self.path)
        #: Every address that a page of this browser asked for, web sockets included.
        self.requests: list[str] = []
        #: What the pages wrote to the console, and the errors that nothing caught.
        self.console: list[str] = []
        self.page: Any = None
        self.url = ""

    def __enter__(self) -> Lab:
        with contextlib.ExitStack() as ends:
            self._start_server(ends)
            self._start_browser(ends)
            self._goto(f"lab/tree/{self.path.name}")
            self._until("(name) => window.lab.connected(name)", START_SECONDS)
            self._until("(name) => window.lab.panel(name).sessionContext.isReady", START_SECONDS)
            self._ends = ends.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and self.console:
            print("The page's console:", *self.console, sep="\n")
        self._ends.close()

    # Cells

    def run(self, index: int, timeout: float = 30) -> None:
        """Run one cell and wait for its end."""
        self.start(index)
        self.wait_idle(timeout)

    def start(self, index: int) -> None:
        """Run one cell, without waiting."""
        self.page.evaluate(
            "([name, index]) => window.lab.start(name, 'notebook:run-cell', index)",
            [self.path.name, index],
        )

    def run_all(self, timeout: float = 120) -> None:
        """Run all cells, as the menu does, and wait for their end."""
        self.page.evaluate(
            "(name) => window.lab.start(name, 'notebook:run-all-cells', null)", self.path.name
        )
        self.wait_idle(timeout)

    def interrupt(self) -> None:
        """Press the stop button, in effect: the command of the kernel menu."""
        self.page.evaluate("window.jupyterapp.commands.execute('kernelmenu:interrupt')")

    def wait_idle(self, timeout: float = 30) -> None:
        """Wait until no cell runs, the kernel is idle, and the page has drawn the outputs."""
        self._until("(name) => !window.lab.running && window.lab.connected(name)", timeout)
        # Outputs are drawn in promises: two frames later they are on the page.
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def cell(self, index: int) -> Any:
        """The locator of a cell."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell").nth(index)

    def outputs(self, index: int) -> Any:
        """The locator of a cell's outputs, one each."""
        return self.cell(index).locator(".jp-OutputArea-child .jp-OutputArea-output")

    def output_text(self, index: int) -> str:
        """What the page shows under a cell, as text."""
        return "\n".join(self.outputs(index).all_inner_texts())

    def output_html(self, index: int) -> str:
        """The same as HTML."""
        return "\n".join(o.inner_html() for o in self.outputs(index).all())

    # The file

    def save(self) -> None:
        """Save the notebook, as Ctrl-S does."""
        self.page.evaluate("(name) => window.lab.panel(name).context.save()", self.path.name)

    def notebook(self) -> dict[str, Any]:
        """The notebook as it was saved last."""
        saved: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return saved

    def reopen(self, *, trusted: bool) -> None:
        """Close the notebook, end its kernel, and open the saved file in a new page without any
        kernel, as somebody does who only reads it. `trusted` says whether they trust it."""
        self.page.evaluate(
            """async (name) => {
                const panel = window.lab.panel(name);
                await panel.sessionContext.shutdown();
                panel.dispose();
            }""",
            self.path.name,
        )
        self._without_kernel = True
        notary = NotebookNotary(data_dir=str(self._home / "jupyter" / "data"))
        try:
            notebook = nbformat.read(self.path, as_version=nbformat.NO_CONVERT)
            mark = notary.sign if trusted else notary.unsign
            mark(notebook)  # type: ignore[no-untyped-call]  # traitlets hides where it is from
        finally:
            notary.store.close()
        self._goto("lab")
        self.page.evaluate(
            """async (name) => {
                const { docRegistry, commands, restored } = window.jupyterapp;
                const preference = docRegistry.getKernelPreference;
                docRegistry.getKernelPreference = (...given) => ({
                    ...preference.apply(docRegistry, given), shouldStart: false, canStart: false,
                });
                await restored;
                const panel = await commands.execute('docmanager:open', { path: name });
                await panel.revealed;
            }""",
            self.path.name,
        )
        self.page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for()

    # The page

    def screenshot(self, path: Path, theme: str | None = None) -> None:
        """A picture of the page, in JupyterLab's "light" or "dark" theme."""
        if theme is not None:
            self.page.evaluate(
                "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
                f"JupyterLab {theme.capitalize()}",
            )
            self.page.wait_for_function(
                "(light) => document.body.dataset.jpThemeLight === light",
                arg="true" if theme == "light" else "false",
            )
            # While the theme loads, JupyterLab covers the page.
            self.page.locator("#jupyterlab-splash").wait_for(state="detached")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)

    # Starting

    def _start_server(self, ends: contextlib.ExitStack) -> None:
        demo.furnish(self._home, self._python)
        settings = self._home / "jupyter/config/lab/user-settings/@jupyterlab/notebook-extension"
        settings.mkdir(parents=True, exist_ok=True)
        # Cells out of sight would otherwise not be in the page, and have no text to read.
        tracker = settings / "tracker.jupyterlab-settings"
        tracker.write_text('{"windowingMode": "none"}', encoding="utf-8")
        port = demo.free_port()
        command = demo.lab_command(self.path.parent, port, self._python)
        command += ["--LabApp.expose_app_in_browser=True", f"--ServerApp.base_url={self._base_url}"]
        environment = demo.environment(self._home, self._env)
        log = self._home / "jupyter.log"
        output = ends.enter_context(log.open("wb"))
        process = subprocess.Popen(
            command,
            env={**environment, "JUPYTER_TOKEN": self._token},
            cwd=self.path.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        ends.callback(self._stop_server, process)
        self.url = f"http://127.0.0.1:{port}/{self._base_url.strip('/')}".rstrip("/") + "/"
        if not demo.wait_for_server(process, self.url, f"token {self._token}"):
            raise AssertionError(f"JupyterLab did not start:\n{log.read_text()}")

    def _stop_server(self, process: subprocess.Popen[bytes]) -> None:
        # Without a kernel to end, a Jupyter server that is asked to stop waits ten seconds for one.
        if self._without_kernel:
            process.kill()
        demo.stop_server(process)

    def _start_browser(self, ends: contextlib.ExitStack) -> None:
        from playwright.sync_api import sync_playwright

        playwright = ends.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=find_chromium(),
            args=list(FLAGS),
            # Pages are on loopback; a proxy could not reach them.
            env={k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")},
        )
        ends.callback(browser.close)
        width, height = self._size
        context = browser.new_context(viewport={"width": width, "height": height})
        context.add_init_script(HELPERS)
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("console", lambda message: self.console.append(message.text))
        context.on("weberror", lambda problem: self.console.append(str(problem.error)))
        self.page = context.new_page()
        self.page.on("websocket", lambda socket: self.requests.append(socket.url))

    def _goto(self, path: str) -> None:
        # `reset` forgets the workspace: no document of an earlier visit is opened again.
        self.page.goto(f"{self.url}{path}?token={self._token}&reset")
        self.page.wait_for_function("() => window.jupyterapp", timeout=START_SECONDS * 1000)

    def _until(self, condition: str, timeout: float) -> None:
        from playwright.sync_api import TimeoutError as PlaywrightTimeout

        try:
            self.page.wait_for_function(
                condition, arg=self.path.name, timeout=timeout * 1000, polling=50
            )
        except PlaywrightTimeout:
            raise AssertionError(
                f"waited {timeout:g} s in vain for {condition}\n{self._shown()}"
            ) from None

    def _shown(self) -> str:
        cells = self.page.locator(".jp-Cell").all_inner_texts()
        return "The page shows:\n" + "\n---\n".join(cells)


def require_browser() -> None:
    """Skip the test, saying why, where no browser can be driven."""
    if find_spec("playwright") is None:
        pytest.skip("no browser test: playwright is not installed (pip install playwright)")
    if find_chromium() is None:
        pytest.skip(f"no browser test: none of {', '.join(BROWSERS)} is installed")
