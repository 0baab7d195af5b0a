"""How the modules lean on each other, and what an import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import alcf_magics

PACKAGE = Path(alcf_magics.__file__).parent

#: From the bottom up: a module imports only from lines above its own (or, lazily, anything that
#: does not make a circle at import).
ORDER = [
    ["errors", "sse", "tables", "mathematics", "pacing"],
    ["highlighting"],
    ["markdown"],
    ["settings", "growing", "formats"],
    ["grants", "completions"],
    ["catalog", "answers", "locking", "token_file"],
    ["globus", "runtime", "foreign", "records"],
    ["bearer", "gateway"],
    ["session"],
    ["rendering", "login"],
    ["panel", "reasoning", "arguments", "questions", "forgetting"],
    ["live", "options"],
    ["prompting"],
    ["magics"],
    ["demo"],
    ["__main__"],
]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
PURE = [
    "catalog",
    "completions",
    "answers",
    "grants",
    "sse",
    "settings",
    "errors",
    "markdown",
    "growing",
    "formats",
    "records",
    "tables",
    "pacing",
]


def imports(path: Path, *, top_level: bool = False) -> set[str]:
    """The modules that a file imports at run time; `.x` for the package's own."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level else list(ast.walk(tree))
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in nodes:
        if node in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found.update(f".{name}" for name in ([node.module] if node.module else []))
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
    return found


@pytest.mark.parametrize(
    "name", [n for names in ORDER for n in names if (PACKAGE / f"{n}.py").exists()]
)
def test_arrows_point_one_way(name: str) -> None:
    """At import, a module leans only on modules below it."""
    for target in imports(PACKAGE / f"{name}.py", top_level=True):
        if target.startswith("."):
            assert RANK[target[1:]] < RANK[name], f"{name} imports {target}"


def test_every_module_has_its_place() -> None:
    """A new module is put into the order above."""
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert modules <= set(RANK)


@pytest.mark.parametrize("name", PURE)
def test_the_core_is_pure(name: str) -> None:
    """The pure modules import neither HTTP nor IPython, not even lazily."""
    assert not imports(PACKAGE / f"{name}.py") & {"httpx", "IPython", "ipywidgets", "anyio"}


def test_the_sandbox_imports_nothing_from_the_package() -> None:
    """It must not be wrong in the same way as what it tests."""
    for path in (PACKAGE / "sandbox").glob("*.py"):
        own = {p.stem for p in (PACKAGE / "sandbox").glob("*.py")}
        for target in imports(path):
            assert target != "alcf_magics"
            if target.startswith("."):
                assert target[1:].split(".")[0] in own
        assert "from .." not in path.read_text()


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
