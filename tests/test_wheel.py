"""What people install: one wheel that holds the types, the models and the quickstart."""

from __future__ import annotations

import os
import re
import subprocess
import sys
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
