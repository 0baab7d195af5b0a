"""The command line, as a person types it: a process of its own, in a home of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

from alcf_magics import demo
from alcf_magics.sandbox import SCENARIOS
from support.downloads import user_cache

COMMAND = (sys.executable, "-m", "alcf_magics")


@pytest.fixture(autouse=True)
def real_cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real model is fetched into the real cache, once for all tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(user_cache()))


def run(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run `alcf-magics` to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start `alcf-magics`; it ends with the block."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], wanted: str) -> str:
    """What a process prints, up to the line that holds `wanted`."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if wanted in line:
            return text
    raise AssertionError(f"it ended without {wanted!r}:\n{text}")


def stop(process: subprocess.Popen[str], number: int = signal.SIGINT) -> tuple[str, float]:
    """Send a signal; what the process printed from then on, and its seconds to the end."""
    at = time.monotonic()
    process.send_signal(number)
    rest, _ = process.communicate(timeout=30)
    return rest, time.monotonic() - at


def open_url(url: str) -> int:
    """The status of a page."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        return int(answer.status)


def files(folder: Path) -> set[Path]:
    """Every file below a folder."""
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def test_quickstart_is_clean() -> None:
    """The quickstart is a valid notebook with ids, without outputs, for any Python 3 kernel."""
    notebook = nbformat.read(demo.quickstart(), as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_environment_is_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a person's login or Jupyter configuration reaches the demo."""
    foreign = ("ALCF_AI_TOKEN", "ALCF_MODEL", "JUPYTER_TOKEN", "JUPYTERLAB_DIR", "XDG_DATA_HOME")
    for name in foreign:
        monkeypatch.setenv(name, "theirs")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid")
    values = demo.environment(tmp_path / "home", {"ALCF_GATEWAY_URL": "http://127.0.0.1:1"})
    assert not set(foreign) & set(values)
    assert values["HOME"] == str(tmp_path / "home")
    assert values["ALCF_GATEWAY_URL"] == "http://127.0.0.1:1"
    assert values["HTTPS_PROXY"] == "http://proxy.invalid"


@pytest.mark.kernel
def test_execute(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`demo --execute` logs in, prints the answers, writes the page, and leaves the home alone."""
    page = tmp_path_factory.mktemp("out") / "page.html"
    before = files(home)
    done = run("demo", "--no-model", "--execute", "--html", str(page))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert ">>> %%alcf --out answer" in done.stdout
    assert "No model was asked." in done.stdout
    assert "Logged in as" in done.stdout
    assert files(home) == before

    text = page.read_text(encoding="utf-8")
    assert re.search(r"<h2[^>]*>A sandbox answered</h2>", text)
    assert "<li>streaming, interrupting, and asking again</li>" in text
    assert "Logged in as" in text
    assert '<math display="block"><mover accent="true"><mi>x</mi>' in text
    # The login cell stands there as the notebook has it, without the code that was typed.
    login = text[text.index("alcf_login</span>") :]
    assert login.removeprefix("alcf_login</span>").lstrip().startswith("</pre>")


@pytest.mark.kernel
def test_failing_cell(tmp_path: Path) -> None:
    """A cell that fails ends the run with its error in one line and status 1; the page stays."""
    page = tmp_path / "page.html"
    done = run("demo", "--no-model", "--execute", "--html", str(page), "--scenario", "rate_limited")
    assert done.returncode == 1
    assert done.stderr.startswith("alcf-magics: %%alcf --out answer")
    assert "RateLimited" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "answer.usage" not in done.stdout
    assert "RateLimited" in page.read_text(encoding="utf-8")


@pytest.mark.kernel
def test_failing_login() -> None:
    """A login that brings nothing fails as its cell does."""
    done = run("demo", "--no-model", "--execute", "--scenario", "no_gateway_grant")
    assert done.returncode == 1
    assert re.match(r"alcf-magics: %alcf_login failed: LoginFailed: .*\n\Z", done.stderr)


@pytest.mark.kernel
def test_lab(home: Path) -> None:
    """`demo` opens a copy of the notebook in JupyterLab, and Ctrl-C ends everything."""
    with started("demo", "--no-model", "--no-browser") as process:
        text = read_until(process, "Ctrl-C")
        url = re.search(r"http://127\.0\.0\.1:\d+/lab/tree/quickstart\.ipynb\?token=\S+", text)
        assert url is not None
        assert open_url(url[0]) == 200
        contents = url[0].replace("/lab/tree/", "/api/contents/")
        assert open_url(contents) == 200
        # The lessons that it leads to are in the same folder.
        for other in ("prompting.ipynb", "recorded.jsonl", "README.md"):
            assert open_url(contents.replace("quickstart.ipynb", other)) == 200
        rest, seconds = stop(process)
    assert process.returncode == 0
    assert rest == "The demo has stopped.\n"
    assert seconds < 15
    with pytest.raises(OSError, match="refused"):
        open_url(contents)
    assert files(home) == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_sandbox(number: int) -> None:
    """`sandbox` prints the two exports, serves them, and stops on a signal."""
    with started("sandbox", "--scenario", "slow", "--pace", "0") as process:
        text = read_until(process, "Ctrl-C")
        values = dict(re.findall(r"^export (\w+)=(\S+)$", text, re.MULTILINE))
        assert list(values) == ["ALCF_GATEWAY_URL", "ALCF_GLOBUS_AUTH_URL"]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            open_url(f"{values['ALCF_GATEWAY_URL']}/list-endpoints")
        rest, seconds = stop(process, number)
    assert process.returncode == 0
    assert rest == "The sandbox has stopped.\n"
    assert seconds < 5


def test_list() -> None:
    """`sandbox --list` prints every scenario with its description, one a line."""
    done = run("sandbox", "--list")
    assert done.returncode == 0
    listed = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert listed == [[name, description] for name, description in SCENARIOS.items()]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("sandbox --scenario nonsense", "cold_model"),
        ("sandbox --validation lax", "--validation"),
        ("sandbox --upstream ftp://x", "--upstream"),
        ("sandbox --pace fast", "--pace"),
        ("sandbox --pace -1", "--pace"),
        ("sandbox --colour", "--colour"),
        ("demo --port 70000", "--port"),
        ("demo --html page.html", "--execute"),
        ("demo --execute --html nowhere/page.html", "--html"),
        ("demo --execute --port 8888", "--port"),
        ("", "COMMAND"),
        ("serve", "serve"),
    ],
)
def test_wrong_option(arguments: str, named: str) -> None:
    """A wrong option is one line that names it, and status 2."""
    done = run(*arguments.split())
    assert done.returncode == 2
    assert done.stdout == ""
    assert named in done.stderr
    assert re.fullmatch(r"alcf-magics.*: .+\n", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "missing", "extra"),
    [
        ("sandbox", "uvicorn", "sandbox"),
        ("demo", "starlette", "demo"),
        ("demo --no-model", "jupyterlab", "demo"),
        ("demo --no-model --execute", "nbclient", "demo"),
    ],
)
def test_missing_extra(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    missing: str,
    extra: str,
) -> None:
    """Where an extra is not installed, one line says what to type."""
    # A None in sys.modules is how Python says that a module cannot be had.
    hook = "import sys\nsys.modules[{!r}] = None\n"
    (tmp_path / "sitecustomize.py").write_text(hook.format(missing))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = run(*arguments.split())
    assert done.returncode == 1
    assert f"{missing} is missing" in done.stderr
    assert f"pip install 'alcf-magics[{extra}]'" in done.stderr
    assert done.stderr.count("\n") == 1
