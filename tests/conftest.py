"""Fixtures: a kernel against the sandbox, a real model, and a home nobody lives in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from alcf_magics.sandbox.model_file import ModelUnavailable
from support.downloads import DownloadError, user_cache
from support.kernels import Kernel, is_foreign, older_ipykernel
from support.logins import log_in
from support.model_server import model_file, model_server
from support.shell import Shell

if TYPE_CHECKING:
    from alcf_magics.sandbox import Sandbox

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, and an environment without proxies, ALCF_* and Jupyter settings."""
    for variable in [name for name in os.environ if is_foreign(name)]:
        # pytest sets its own variables anew for every phase of a test, and removes them itself.
        if not variable.startswith("PYTEST_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    # A test that runs pip uses the real cache all the same.
    if "PIP_CACHE_DIR" not in os.environ:
        monkeypatch.setenv("PIP_CACHE_DIR", str(user_cache() / "pip"))
    return tmp_path


@pytest.fixture
def sandbox(home: Path) -> Iterator[Sandbox]:
    """A running sandbox that answers quickly."""
    from alcf_magics.sandbox import Sandbox

    with Sandbox(pace=0.005) as sandbox:
        yield sandbox


@pytest.fixture
def kernel(home: Path, sandbox: Sandbox) -> Iterator[Kernel]:
    """A kernel whose environment leads to the sandbox."""
    with Kernel(env=sandbox.environment, home=home) as kernel:
        yield kernel
        if log := kernel.log.strip():
            print(f"The kernel wrote:\n{log}")  # pytest shows it if the test failed.


@pytest.fixture
def in_sandbox(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox, to which the environment of this process leads."""
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    return sandbox


@pytest.fixture
def fresh_shell(home: Path, in_sandbox: Sandbox) -> Iterator[Shell]:
    """A notebook's shell in this process, with the magics and without a login."""
    with Shell(home) as shell:
        assert shell.run("%load_ext alcf_magics").status == "ok"
        yield shell


@pytest.fixture
def shell(home: Path, in_sandbox: Sandbox, fresh_shell: Shell) -> Shell:
    """The same, where somebody has logged in before."""
    log_in(in_sandbox, home)
    return fresh_shell


@pytest.fixture
def terminal(home: Path, in_sandbox: Sandbox) -> Iterator[Shell]:
    """A terminal's shell in this process, with the magics, where somebody has logged in before."""
    log_in(in_sandbox, home)
    with Shell(home, terminal=True) as shell:
        assert shell.run("%load_ext alcf_magics").status == "ok"
        yield shell


@pytest.fixture(scope="session")
def model_url() -> Iterator[str]:
    """The base URL of a real language model's server."""
    if find_spec("xllamacpp") is None:
        pytest.skip("no model: xllamacpp is not installed")
    try:
        model_file()
    except ModelUnavailable as error:
        pytest.skip(f"no model: {error}")
    with model_server() as url:
        yield url


@pytest.fixture(scope="session")
def older_kernel_path() -> Path:
    """A folder that, first on a kernel's `pythonpath`, makes it an ipykernel 6."""
    try:
        return older_ipykernel()
    except DownloadError as error:
        pytest.skip(f"no ipykernel 6: {error}")
