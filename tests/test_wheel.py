"""What people install: one wheel that holds the types, the models and the quickstart."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import alcf_magics
from support.downloads import ENVIRONMENT

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", str(folder), str(ROOT)],
        # pip fetches the build backend: in the environment the tests were started in.
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode and re.search("No matching distribution|connection", done.stderr):
        pytest.skip("no network: pip cannot fetch hatchling")
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_what_is_no_code_travels_with_it(wheel: Path) -> None:
    """Type checkers find their marker, the catalog its models, the demo its notebook."""
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    assert {
        "alcf_magics/py.typed",
        "alcf_magics/gateway/models.yaml",
        "alcf_magics/notebooks/quickstart.ipynb",
    } <= held


def test_every_lesson_travels_with_it(wheel: Path) -> None:
    """Who installs a wheel has the lessons, what one of them replays, and what each one teaches."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("alcf_magics/notebooks/")}
    files = [*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "notebooks").glob("*.md")]
    assert held == {f"alcf_magics/notebooks/{file.name}" for file in files} | {
        "alcf_magics/notebooks/recorded.jsonl"
    }


def test_it_bears_the_version_of_the_package(wheel: Path) -> None:
    """The version has one source, whoever asks for it."""
    assert wheel.name.startswith(f"alcf_magics-{alcf_magics.__version__}-")


def test_the_package_finds_its_quickstart_there(wheel: Path, tmp_path: Path) -> None:
    """The wheel holds the quickstart, and the package finds it there."""
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    found = subprocess.run(
        [sys.executable, "-c", "from alcf_magics import demo; print(demo.quickstart())"],
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert found.stdout.strip() == str(unpacked / "alcf_magics/notebooks/quickstart.ipynb")


#: What a person writes, and the type that a strict checker has to see there.
WRITTEN = """
import alcf_magics
from alcf_magics import *
from alcf_magics import (
    AccessDenied, AlcfError, AnswerInvalid, Catalog, Completion, GatewayError, GatewayUnreachable,
    LoginExpired, LoginFailed, Maintenance, Model, ModelNotFound, ModelNotReady, NotLoggedIn,
    RateLimited, RequestRefused, Session, StreamBroken, Usage, session,
)

async def asked() -> None:
    async for piece in session().astream("x"):
        reveal_type(piece)  # str
    reveal_type((await alcf_magics.session().aask("x")).text)  # str

reveal_type(alcf_magics.session().ask("x"))  # alcf_magics.gateway.completions.Completion
reveal_type(session().ask([{"role": "user", "content": "x"}]).text)  # str
reveal_type(session().ask("x").usage)  # alcf_magics.gateway.chunks.Usage | None
reveal_type(session().history[-1])  # alcf_magics.gateway.completions.Completion
reveal_type(session().history[1:])  # list[alcf_magics.gateway.completions.Completion]
reveal_type(session().catalog())  # alcf_magics.gateway.catalog.Catalog
reveal_type(next(iter(session().stream("x"))))  # str
try:
    reveal_type(session().resolve("x"))  # alcf_magics.gateway.models.Model
except RateLimited as error:
    reveal_type(error.retry_after)  # float | None
alcf_magics.nonsense  # error
"""


def test_a_strict_checker_sees_its_types(wheel: Path, tmp_path: Path) -> None:
    """In a person's file, with the wheel alone: each value has its type, no name is invented."""
    pytest.importorskip("mypy")
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    place = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    (tmp_path / "written.py").write_text(WRITTEN, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "written.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )
    seen = dict(re.findall(r'written.py:(\d+): note: Revealed type is "(.*)"', done.stdout))
    lines = enumerate(WRITTEN.splitlines(), 1)
    wanted = {str(at): line.split("  # ")[1] for at, line in lines if "reveal_type" in line}
    assert seen == wanted, done.stdout
    wrong = re.findall(r"written.py:(\d+): error: .*", done.stdout)
    assert wrong == [str(len(WRITTEN.splitlines()))], done.stdout
