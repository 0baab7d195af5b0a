"""A real, small language model behind an OpenAI-compatible server on loopback.

llama.cpp serves it, through `xllamacpp`, in a process of its own that ends with the one that
started it, however that ends. This file is that process's program, too, and imports nothing of ours
there.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO

CONTEXT = 8192
"""Tokens of prompt and answer together, as the model was trained for and the table of models says;
a longer prompt is refused with status 400."""
ANSWER = 512
"""Tokens of an answer whose request names no limit: a small model may repeat itself for ever."""


def check() -> None:
    """ModelUnavailable if llama.cpp is not installed."""
    from .model_file import ModelUnavailable

    if find_spec("xllamacpp") is None:
        raise ModelUnavailable("xllamacpp is missing (pip install 'alcf-magics[model]')")


@contextmanager
def model_server(model: Path, context: int = CONTEXT, seconds: float = 60) -> Iterator[str]:
    """Serve a GGUF file; yields the base URL, which ends in `/v1`. ModelUnavailable if it does not
    serve after so many seconds."""
    from .model_file import ModelUnavailable

    check()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            # -P: the modules beside this file are not to be found by their bare names.
            [sys.executable, "-P", __file__, str(model), str(context)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C is for who started it
        )
        try:
            address = _address(process, seconds)
            if not address:
                log.seek(0)
                said = log.read().strip().splitlines() or ["it said nothing"]
                raise ModelUnavailable(f"its server did not start ({said[-1]})")
            yield f"{address}/v1"
        finally:
            _stop(process)


def _address(process: subprocess.Popen[str], seconds: float) -> str:
    """Where it listens; an empty text if it ended, or took too long."""
    assert process.stdout
    found: queue.Queue[str] = queue.Queue()
    # A read cannot be given up, so a thread reads; it ends when the process does.
    threading.Thread(target=_read_address, args=(process.stdout, found), daemon=True).start()
    try:
        return found.get(timeout=seconds)
    except queue.Empty:
        return ""


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


def serve(model: str, context: int) -> None:
    """Serve `model` until standard input ends, so the server never outlives its parent."""
    import xllamacpp  # type: ignore[import-untyped]  # A compiled module without types.

    # One core is left to the notebook: on two, a second thread slows both.
    threads = max(1, min(4, (os.cpu_count() or 2) - 1))
    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.model_alias = {Path(model).stem}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = context
    parameters.n_predict = ANSWER
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
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
    serve(sys.argv[1], int(sys.argv[2]))
