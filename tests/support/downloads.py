"""What the tests fetch once and keep: a cache folder that several processes may fill at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Fixtures change the environment later; pip needs the real one (its cache, a proxy, an index).
ENVIRONMENT = dict(os.environ)


class DownloadError(Exception):
    """Something could not be fetched, most often because there is no network."""


def user_cache() -> Path:
    """The cache folder of the person who runs the tests."""
    if base := ENVIRONMENT.get("XDG_CACHE_HOME"):
        return Path(base)
    return Path(ENVIRONMENT.get("HOME") or Path.home()) / ".cache"


def cache_directory() -> Path:
    """Where downloads of the tests are kept from run to run."""
    return user_cache() / "alcf_magics-tests"


def pip(*arguments: str, timeout: float = 600) -> None:
    """Run pip in the environment the tests were started in."""
    command = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check"]
    try:
        done = subprocess.run(
            [*command, *arguments],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DownloadError(f"pip {' '.join(arguments)}: {error}") from error
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise DownloadError(f"pip {' '.join(arguments)} failed: {' / '.join(last)}")


def fetch_once(target: Path, make: Callable[[Path], None], timeout: float = 600) -> Path:
    """Let `make` fill a new folder and rename it to `target`, unless `target` is there already.

    Of two processes, one makes it and the other waits. A half-made folder never has the name.
    """
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target.with_name(f"{target.name}.lock"), timeout):
            if not target.exists():
                scratch = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
                try:
                    make(scratch)
                    scratch.rename(target)
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise DownloadError(f"cannot keep downloads in {target.parent}: {error}") from error
    return target


@contextmanager
def _lock(path: Path, timeout: float) -> Iterator[None]:
    # The kernel frees the lock when its holder dies, so no stale file can block a later run.
    with path.open("w") as file:
        end = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise DownloadError(f"another process holds {path}") from None
                time.sleep(0.1)
        yield
