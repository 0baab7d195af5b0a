"""The demo: copies of the lessons against a sandbox, in JupyterLab or headless.

Everything happens in a temporary directory with a HOME of its own: a person's login,
configuration, history and kernels are neither used nor touched.
"""

from __future__ import annotations

import contextlib
import copy
import html
import json
import os
import re
import secrets
import shutil
import site
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .sandbox import Sandbox

#: Seconds that one cell may take, that JupyterLab may take to start, and to end.
CELL_SECONDS = 120
START_SECONDS = 60.0
STOP_SECONDS = 10.0

#: Variables that would lead the demo to a person's login, configuration or kernels.
_OWN = re.compile(r"(ALCF|JPY|XDG)_\w*|(JUPYTER|IPYTHON)\w*|PYTHONSTARTUP")

#: How the files of the lessons end.
_LESSONS = (".ipynb", ".jsonl", ".md")

#: What stands in small grey letters below an answer.
_GREY_LINE = re.compile(r'<div role="status"[^>]*>([^<]*)</div>')


class DemoError(Exception):
    """The demo cannot go on; the text is one line that says why."""


@dataclass(frozen=True)
class Place:
    """Where a demo happens: a copy of the notebook, the other lessons beside it, and an
    environment kept apart."""

    notebook: Path
    environment: Mapping[str, str]


def quickstart() -> Path:
    """The quickstart notebook: inside an installed wheel, or beside the package in a checkout."""
    package = Path(__file__).parent
    for folder in (package, package.parent):
        path = folder / "notebooks" / "quickstart.ipynb"
        if path.is_file():
            return path
    raise DemoError("The quickstart notebook is missing from this installation.")


def environment(home: Path, more: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process, moved to another home, with `more` added."""
    kept = {name: value for name, value in os.environ.items() if not _OWN.fullmatch(name)}
    return {
        **kept,
        "HOME": str(home),
        # Packages installed with `pip install --user` are found through the home directory.
        "PYTHONUSERBASE": site.getuserbase(),
        # JUPYTER_PATH goes first, so the kernel below is the one that starts.
        "JUPYTER_PATH": str(home / "jupyter" / "share"),
        "JUPYTER_CONFIG_DIR": str(home / "jupyter" / "config"),
        "JUPYTER_DATA_DIR": str(home / "jupyter" / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "jupyter" / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        **more,
    }


def furnish(home: Path, python: str = sys.executable) -> None:
    """Write what that environment leads to: a kernel of one interpreter, and JupyterLab's
    settings without news."""
    kernel = {
        "argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "metadata": {"debugger": True},
    }
    _write(home / "jupyter" / "share" / "kernels" / "python3" / "kernel.json", kernel)
    user_settings = home / "jupyter" / "config" / "lab" / "user-settings"
    _write(
        user_settings / "@jupyterlab/apputils-extension/notification.jupyterlab-settings",
        {"fetchNews": "false", "checkForUpdates": False},
    )


def lab_command(folder: Path, port: int, python: str = sys.executable) -> list[str]:
    """The command that serves a folder in JupyterLab, on loopback only. Its token is in the
    environment, as JUPYTER_TOKEN."""
    return [
        *(python, "-m", "jupyterlab", "--no-browser"),
        *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
        f"--ServerApp.root_dir={folder}",
        # The list of extensions to install would be fetched from the network.
        "--LabApp.extension_manager=readonly",
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
    ]


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1."""
    with socket.socket() as probe:
        if os.name != "nt":  # there it would allow to share the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_server(process: subprocess.Popen[Any], url: str, token: str) -> bool:
    """Wait until a Jupyter server answers; False if it ended or took too long."""
    # A proxy of the environment could not reach this machine's own loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(f"{url}api/status", headers={"Authorization": token})
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), opener.open(request, timeout=5) as answer:
            if answer.status == 200:
                return True
        time.sleep(0.1)
    return False


def stop_server(process: subprocess.Popen[Any]) -> None:
    """End a Jupyter server, and with it its kernels."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def open_lab(sandbox: Sandbox, port: int = 0, *, browser: bool = True) -> None:
    """Serve the notebook in JupyterLab until Ctrl-C, or until it is shut down from the page."""
    _require("jupyterlab")
    port = port or free_port()
    url = f"http://127.0.0.1:{port}/"
    token = secrets.token_urlsafe(24)
    with _place(sandbox) as place:
        log = place.notebook.parent.parent / "jupyter.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                lab_command(place.notebook.parent, port),
                env={**place.environment, "JUPYTER_TOKEN": token},
                cwd=place.notebook.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for us: JupyterLab would ask whether to stop.
                start_new_session=True,
            )
        try:
            if not wait_for_server(process, url, f"token {token}"):
                raise DemoError(f"JupyterLab did not start: {_last_line(log)}")
            page = f"{url}lab/tree/{place.notebook.name}?token={token}"
            print(f"The quickstart notebook is open in JupyterLab at {page}")
            print("The other lessons are beside it; README.md says what each one teaches.")
            print("Log in with its link: the sandbox plays Globus, so no account is needed.")
            print(
                "Ctrl-C stops everything and deletes these copies of the notebooks; "
                "File > Download keeps them.",
                flush=True,
            )
            # Opened from here, so that it is the person's own browser with their own home.
            if browser:
                webbrowser.open(page)
            while process.poll() is None:
                time.sleep(0.2)
        finally:
            stop_server(process)
    print("JupyterLab has ended.", flush=True)


def execute(sandbox: Sandbox, page: Path | None = None) -> None:
    """Run the notebook as a person would, print the answers, write the page.

    Raises DemoError if a cell failed; the page then shows the notebook up to that cell.
    """
    _require("jupyterlab", "nbclient", "nbconvert")
    with _place(sandbox) as place, _entered(place.environment):
        import nbformat

        notebook = nbformat.read(place.notebook, as_version=4)
        failure = _run(notebook, place.notebook.parent, sandbox, strict=True)
        if page is not None:
            try:
                page.write_text(_html(notebook), encoding="utf-8")
            except OSError as error:
                raise DemoError(f"The page was not written: {error}") from None
            print(f"\nThe page is in {page}.", flush=True)
    if failure:
        raise DemoError(failure)


def _run(notebook: Any, folder: Path, sandbox: Sandbox, *, strict: bool = False) -> str:
    """Run the cells until one fails; the line that says how, or an empty text.

    A cell may fail that has the tag `raises-exception`, unless this is `strict`.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(
        notebook, timeout=CELL_SECONDS, resources=resources, force_raise_errors=strict
    )
    failure = ""
    # A kernel's own remarks, as about unencrypted messages on loopback, are no answers.
    log = folder.parent / "kernel.log"
    with contextlib.ExitStack() as ends:
        output = ends.enter_context(log.open("wb"))
        try:
            ends.enter_context(client.setup_kernel(stderr=output))
        except RuntimeError:
            raise DemoError(f"The kernel did not start: {_last_line(log)}") from None
        assert client.kc is not None
        client.kc.allow_stdin = True  # a person is played, so the panel is shown
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code":
                continue
            first_line = cell.source.partition("\n")[0]
            print(f"\n>>> {first_line}", flush=True)
            try:
                client.execute_cell(cell, index)
                if first_line.startswith("%alcf_login"):
                    _log_in(client, cell, index, sandbox)
            except CellExecutionError as error:
                failure = f"{first_line} failed: {error.ename}: {error.evalue}"
            except CellTimeoutError:
                failure = f"{first_line} failed: no end after {CELL_SECONDS} s"
            except DeadKernelError:
                failure = f"{first_line} failed: the kernel died: {_last_line(log)}"
            print(_text(cell), flush=True)
            if failure:
                break
    return failure


def _log_in(client: Any, cell: Any, index: int, sandbox: Sandbox) -> None:
    """Play the person: open the link that the cell shows, copy the code, type it."""
    from nbformat.v4 import new_code_cell

    link = re.search(rf"{re.escape(sandbox.globus_auth_url)}/\S+", _text(cell))
    if link is None:
        return
    code = sandbox.approve(link[0])
    typed = new_code_cell(f"%alcf_login {code}")
    try:
        client.execute_cell(typed, index, store_history=False)
    finally:
        # nbclient has put what it ran into the notebook; a page must not hold the code.
        client.nb.cells[index] = cell
        # As in a notebook: what was typed closes the panel, and its line stands in its place.
        cell.outputs = typed.outputs


def _text(cell: Any) -> str:
    """What a cell shows, as plain text; errors are for the last line."""
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            parts.append(output.text)
        elif output.output_type in ("display_data", "execute_result"):
            parts.append(output.data.get("text/plain", ""))
            # A terminal has no grey line of its own: which model answered, and what it took.
            parts += map(html.unescape, _GREY_LINE.findall(output.data.get("text/html", "")))
    return "\n".join(part.rstrip() for part in parts)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _html(notebook: Any) -> str:
    """A page of the notebook. Its mathematics is there without a network, which brings it the
    typesetter of nbconvert's pages."""
    from nbconvert import HTMLExporter

    from .markdown.mathml import markdown_with_mathml, with_mathml

    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = markdown_with_mathml(cell.source)
        for output in cell.get("outputs", ()):
            if "text/html" in output.get("data", ()):
                output.data["text/html"] = with_mathml(output.data["text/html"])
    exporter = HTMLExporter(template_name="lab")
    body, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": "Quickstart"}})
    return str(body)


def _require(*modules: str) -> None:
    for module in modules:
        if find_spec(module) is None:
            raise DemoError(f"{module} is missing. Install it: pip install 'alcf-magics[demo]'")


@contextlib.contextmanager
def _place(sandbox: Sandbox) -> Iterator[Place]:
    source = quickstart()
    with tempfile.TemporaryDirectory(
        prefix="alcf-magics-demo-", ignore_cleanup_errors=True
    ) as base:
        home, work = Path(base, "home"), Path(base, "work")
        work.mkdir()
        furnish(home)
        for file in source.parent.iterdir():
            if file.suffix in _LESSONS:
                shutil.copyfile(file, work / file.name)
        yield Place(work / source.name, environment(home, sandbox.environment))


@contextlib.contextmanager
def _entered(values: Mapping[str, str]) -> Iterator[None]:
    """Let this process live in an environment for a while: Jupyter looks there for its paths."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
