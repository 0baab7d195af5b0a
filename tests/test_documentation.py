"""What the pages say is so: links lead somewhere, cells run, commands do what is said of them."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alcf_magics import __main__ as command_line
from alcf_magics.gateway.parameters import PARAMETERS
from alcf_magics.notebook import options
from alcf_magics.settings import SETTING_NAMES
from support.documents import DOCS, PAGES, README, ROOT, Page
from support.downloads import user_cache
from support.lab import require_browser
from support.pictures import FOLDER, PICTURES, take

if TYPE_CHECKING:
    from alcf_magics.sandbox import Sandbox
    from support.shell import Shell

TYPED = (README, *DOCS)


def name_of(path: Path) -> str:
    return path.name


# Links


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_link_leads_somewhere(path: Path) -> None:
    """Files are there, and so are the headings that are pointed to."""
    page, missing = Page(path), []
    for link in page.links:
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in Page(target).anchors):
            missing.append(link)
    assert not missing


def test_readme_leads_to_every_page() -> None:
    """Who begins at README finds all of docs/."""
    linked = {link.partition("#")[0] for link in Page(README).links}
    assert {f"docs/{path.name}" for path in DOCS} <= linked


@pytest.mark.parametrize("path", TYPED, ids=name_of)
def test_every_block_says_what_it_is(path: Path) -> None:
    """A block is a cell or a command, or else nobody would run it here."""
    assert Page(path).languages <= {"python", "sh"}


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("name", PICTURES)
def test_pictures_can_be_taken_again(name: str, tmp_path: Path) -> None:
    """The script of the pictures draws what the pages show, in both themes."""
    require_browser()
    taken = {file.name for file in take(name, tmp_path)}
    assert taken == {file.name for file in FOLDER.glob(f"{name}-*.png")}
    assert len({file.read_bytes() for file in tmp_path.glob("*.png")}) == 2


def test_every_picture_has_its_script() -> None:
    """No picture that nobody can take again."""
    assert {file.name.rpartition("-")[0] for file in FOLDER.iterdir()} == set(PICTURES)


# What there is, is documented


def options_of(parsers: Iterable[ArgumentParser]) -> set[str]:
    """Every long option but `--help`."""
    strings = itertools.chain(*(parser._option_string_actions for parser in parsers))
    return {name for name in strings if name.startswith("--")} - {"--help"}


def written() -> str:
    return "\n".join(Page(path).text for path in TYPED)


def is_written(name: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", written()) is not None


def test_every_option_of_a_magic_is_documented() -> None:
    """All that `--help` lists stands on a page, too."""
    parsers = [getattr(options, name)() for name in dir(options) if name.endswith("_parser")]
    assert len(parsers) >= 4
    assert [name for name in sorted(options_of(parsers)) if not is_written(name)] == []


def test_every_option_of_the_command_line_is_documented() -> None:
    """The same for `alcf-magics sandbox` and `alcf-magics demo`."""
    parsers = command_line._parsers().values()
    assert [name for name in sorted(options_of(parsers)) if not is_written(name)] == []


def test_every_setting_is_documented() -> None:
    """docs/settings.md has every setting, and every parameter stands under its option."""
    settings = Page(ROOT / "docs/settings.md").text
    missing = [name for name in SETTING_NAMES if f"AlcfMagics.{name}" not in settings]
    assert missing == []
    options = ["-" * min(len(p.name), 2) + p.name.replace("_", "-") for p in PARAMETERS]
    assert [name for name in options if not is_written(name)] == []


def test_every_module_has_its_room() -> None:
    """CONTRIBUTING names each module; the sandbox's, which stands alone, has none of its own."""
    rooms = Page(ROOT / ".github/CONTRIBUTING.md").text
    modules = [
        path
        for path in (ROOT / "alcf_magics").rglob("*.py")
        if path.stem != "__init__" and path.parent.name != "sandbox"
    ]
    assert len(modules) > 100
    assert [path.name for path in modules if f"`{path.stem}`" not in rooms] == []


# Cells

#: What a page takes for granted: its reader's own data.
DATA = """
import pandas as pd
papers = df = pd.DataFrame({"abstract": ["A telescope.", "A protein."]}, index=["a", "b"])
"""
FIGURE = """
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
from pathlib import Path
fig, axes = plt.subplots(figsize=(2, 1))
fig.savefig("photo.jpg")
plt.close(fig)
Path("solver.py").write_text("for step in range(10): pass")
error, steps = ValueError("it is singular"), [{"r": 1e-9}]
from alcf_magics import session
"""
PRELUDES = {
    "README.md": DATA + FIGURE,
    "many.md": DATA + "folder = '.'",
    "data.md": DATA + FIGURE,
    "models.md": "import pandas",
}
#: What is run elsewhere: by the commands of README, below.
ELSEWHERE = ("%pip install PATH\n",)
SCENARIOS = {"models.md": "cold_start"}


@pytest.mark.parametrize("path", TYPED, ids=name_of)
def test_cells_run(
    path: Path, shell: Shell, in_sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every cell of a page runs, one after the other, as it stands there."""
    monkeypatch.chdir(home)
    in_sandbox.scenario, in_sandbox.batch_seconds = SCENARIOS.get(path.name, "default"), 0.2
    cells = [cell for cell in Page(path).typed("python") if cell not in ELSEWHERE]
    assert cells
    for source in (PRELUDES.get(path.name, "pass"), *cells):
        cell = shell.run(source)
        assert cell.status == "ok", f"{source}\n{cell.said}"


# Commands

#: What a command that goes on until Ctrl-C has said when it is ready.
READY = {
    "alcf-magics demo": "JupyterLab",
    "alcf-magics sandbox --model": "export ALCF_GATEWAY_URL=",
}
#: README's line for the tests, which `.ci/run` types itself: here it would run itself.
TESTS = "-m pytest"


def commands() -> list[str]:
    """What README and its pages have people type into a shell, in their order."""
    lines = [
        line for path in TYPED for block in Page(path).typed("sh") for line in block.split("\n")
    ]
    return [line.strip() for line in lines if line.strip()]


def test_the_line_for_the_tests_is_what_ci_types() -> None:
    """`.ci/run` finds exactly the line that stands in README."""
    pattern = re.search(r'grep -m 1 "(.+?)" README\.md', (ROOT / ".ci/run").read_text())
    assert pattern is not None
    found = subprocess.run(
        ["grep", "-m", "1", pattern[1], README], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert [found] == [line for line in commands() if TESTS in line]


@pytest.mark.slow
@pytest.mark.real_model
def test_commands_run(home: Path, tmp_path: Path) -> None:
    """In a fresh checkout, home and environment every command does what is said of it."""
    checkout = tmp_path / "alcf_magics"
    ignored = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, checkout, ignore=ignored)
    for line in commands():
        if TESTS not in line:
            typed(line, checkout, home)
    page = (checkout / "page.html").read_text(encoding="utf-8")
    assert "SmolLM2-135M-Instruct · metis" in page
    pip = typed(".venv/bin/ipython -c '%pip install .'", checkout, home)
    assert "Successfully installed alcf" in pip
    loaded = typed(".venv/bin/ipython -c '%load_ext alcf_magics'", checkout, home)
    assert loaded.strip() == ""


def typed(line: str, folder: Path, home: Path) -> str:
    """Type a line into a shell; what it said. One that serves is ended with Ctrl-C when it does."""
    ready = next((text for command, text in READY.items() if line.endswith(command)), "")
    environment = {
        **{name: os.environ[name] for name in ("PATH", "PIP_CACHE_DIR") if name in os.environ},
        "HOME": str(home),
        "BROWSER": "true",  # opens none
        "XDG_CACHE_HOME": str(user_cache()),
    }
    process = subprocess.Popen(
        ["bash", "-c", line],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    said = ""
    with process:
        try:
            assert process.stdout is not None
            for text in process.stdout:
                said += text
                if ready and ready in text:
                    os.killpg(process.pid, signal.SIGINT)
                    ready = ""
            assert not ready, f"it never said {ready!r}: {said}"
            assert process.wait(60) == 0, said
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return said
