"""How the rooms lean on each other, and what an import costs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import alcf_magics

ROOT = Path(__file__).parents[1]


def test_arrows_point_one_way() -> None:
    """import-linter's contracts in pyproject.toml hold, for imports inside functions, too."""
    command = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    if command is None or not (ROOT / "pyproject.toml").is_file():
        pytest.skip("import-linter is not installed beside this Python")
    done = subprocess.run(
        [command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def loaded_after(code: str) -> set[str]:
    """Top-level packages and own modules in a fresh interpreter after some code."""
    script = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    """`import alcf_magics` loads no IPython, no widgets, no HTTP client."""
    loaded = loaded_after("import alcf_magics; alcf_magics.session()")
    assert not loaded & {"IPython", "ipywidgets", "httpx", "anyio", "yaml", "markdown_it"}


def test_loading_the_extension_loads_only_the_magics() -> None:
    """`%load_ext` waits for no HTTP client, sandbox, widgets or Markdown renderer."""
    loaded = loaded_after(
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "shell.run_line_magic('load_ext', 'alcf_magics')\n"
        "assert 'alcf' in shell.magics_manager.magics['cell']"
    )
    unwanted = {"httpx", "anyio", "ipywidgets", "markdown_it", "yaml", "filelock", "starlette"}
    assert not loaded & unwanted
    assert not any(name.startswith("alcf_magics.sandbox") for name in loaded)


def test_all_tells_the_truth() -> None:
    """Every public name is there, and the list is sorted."""
    assert sorted(alcf_magics.__all__) == alcf_magics.__all__
    for name in alcf_magics.__all__:
        assert getattr(alcf_magics, name) is not None
