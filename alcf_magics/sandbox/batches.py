"""Batches: files of many requests, answered in the background, as the first cluster's are.

A batch reads its input where it is asked to, and writes answers and progress into a folder of its
own in the output folder, some lines at a time, as vLLM's run-batch does behind the real gateway.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .clusters import Cluster, Model
from .envelopes import JSON, Refused, detail, error, internal_error
from .settings import Settings

STATES = ("pending", "running", "failed", "completed")
#: Where answers go if the output folder is an empty text, beside the input.
DEFAULT_FOLDER = "inference-service-batch-results"
#: Gives the status and the body with which a model server answers a line's URL and body.
Answer = Callable[[str, JSON, Cluster, Model], Awaitable[tuple[int, JSON]]]


@dataclass(eq=False)
class Batch:
    """One batch. `owner` is the identity that submitted it; times are seconds of the epoch.

    `folder` is None where the request named none: the real gateway then runs the batch all the
    same, and answers with an internal error.
    """

    owner: str
    cluster: Cluster
    model: Model
    input_file: str
    folder: str | None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    task_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "pending"
    in_progress_at: float = field(default_factory=time.time)
    completed_at: float | None = None
    failed_at: float | None = None
    result: JSON | None = None

    @property
    def active(self) -> bool:
        """Whether it counts against the quota."""
        return self.status in ("pending", "running")

    def listed(self) -> JSON:
        """The batch as the list has it."""
        return {
            "id": self.id,
            "cluster": self.cluster.name,
            "framework": self.cluster.framework,
            "input_file": self.input_file,
            "in_progress_at": _moment(self.in_progress_at),
            "completed_at": _moment(self.completed_at),
            "failed_at": _moment(self.failed_at),
            "status": self.status,
            "batch_id": self.id,
        }

    def submitted(self) -> JSON:
        """The batch as whoever submits it sees it."""
        return {
            "batch_id": self.id,
            "input_file": self.input_file,
            "output_folder_path": self.folder,
            "task_ids": self.task_id,
            "status": self.status,
        }


class Batches:
    """All batches of one sandbox, oldest first."""

    def __init__(self, settings: Settings, answer: Answer) -> None:
        self._settings = settings
        self._answer = answer
        self._all: dict[str, Batch] = {}
        self._running: set[asyncio.Task[None]] = set()  # the event loop holds them weakly

    def submit(self, owner: str, cluster: Cluster, model: Model, body: JSON) -> JSON:
        """Begin a batch. Refused as the gateway refuses one."""
        if not model.batches:
            text = f"Batch is unavailable for endpoint {cluster.endpoint(model.name)}"
            raise Refused(error(400, "batch_unavailable", text))
        if any(batch.active for batch in self._all.values() if batch.owner == owner):
            text = "Quota of 1 active batch(es) per user exceeded."
            raise Refused(error(400, "quota_exceeded", text))
        folder = body.get("output_folder_path")
        batch = Batch(owner, cluster, model, body["input_file"], folder)
        self._all[batch.id] = batch
        task = asyncio.get_running_loop().create_task(self._run(batch))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        if folder is None:
            raise Refused(internal_error())
        return batch.submitted()

    def listed(self, owner: str, status: str | None) -> list[JSON]:
        """Somebody's batches, those of one status or all. Refused for a status that is none."""
        if status is not None and status not in STATES:
            names = [repr(state) for state in STATES]
            expected = f"{', '.join(names[:-1])} or {names[-1]}"
            problem = {
                "type": "enum",
                "loc": ["query", "status"],
                "msg": f"Input should be {expected}",
                "ctx": {"expected": expected},
            }
            raise Refused(detail(422, [problem]))
        own = [batch for batch in self._all.values() if batch.owner == owner]
        return [batch.listed() for batch in own if status in (None, batch.status)]

    def status(self, owner: str, batch_id: str) -> str:
        """The status of somebody's batch."""
        return self._of(owner, batch_id).status

    def result(self, owner: str, batch_id: str) -> str:
        """Where the answers are: the text of a Python dict, as the gateway has it."""
        batch = self._of(owner, batch_id)
        if batch.active:
            text = "Batch not completed yet. Results not ready."
            raise Refused(error(400, "batch_ongoing", text))
        if batch.result is None:
            raise Refused(error(400, "batch_failed", "Batch failed. No results available."))
        return str(batch.result)

    def _of(self, owner: str, batch_id: str) -> Batch:
        batch = self._all.get(batch_id)
        if batch is None:
            raise Refused(error(404, "batch_not_found", f"Batch {batch_id} does not exist"))
        if batch.owner != owner:
            text = f"Permission denied to Batch {batch_id}."
            raise Refused(error(403, "access_denied", text))
        return batch

    async def _run(self, batch: Batch) -> None:
        """Answer all lines of a batch. One that cannot be read, or has no place, fails."""
        try:
            await asyncio.sleep(self._settings.batch_seconds)
            batch.status = "running"
            batch.result = await self._work(batch)
            batch.completed_at, batch.status = time.time(), "completed"
        except (OSError, ValueError, LookupError, TypeError):
            batch.failed_at, batch.status = time.time(), "failed"
        except asyncio.CancelledError:  # the sandbox stops
            batch.failed_at, batch.status = time.time(), "failed"
            raise

    async def _work(self, batch: Batch) -> JSON:
        began = time.time()
        results, progress = _files(batch)
        done: JSON = {
            "lines_processed": 0,
            "total_tokens_so_far": 0,
            "num_responses_so_far": 0,
            "chunk_history": [],
        }
        with results.open("a", encoding="utf-8") as out:
            for chunk in self._chunks(batch):
                answers = [await self._line(line, batch) for line in chunk]
                out.writelines(json.dumps(answer) + "\n" for answer in answers)
                out.flush()
                _add(done, answers)
                progress.write_text(json.dumps(done, indent=4), "utf-8")
        seconds = max(time.time() - began, 1e-6)
        tokens = done["total_tokens_so_far"]
        return {
            "results_file": str(results),
            "progress_file": str(progress),
            "total_tokens": tokens,
            "num_responses": done["num_responses_so_far"],
            "lines_processed": done["lines_processed"],
            "duration_sec": seconds,
            "throughput_tokens_per_sec": tokens / seconds,
        }

    def _chunks(self, batch: Batch) -> Iterator[list[str]]:
        """The lines of the input, some at a time."""
        chunk: list[str] = []
        with Path(batch.input_file).open(encoding="utf-8") as lines:
            for line in lines:
                if line.strip():
                    chunk.append(line)
                if len(chunk) >= self._settings.batch_chunk:
                    yield chunk
                    chunk = []
        if chunk:
            yield chunk

    async def _line(self, line: str, batch: Batch) -> JSON:
        """What run-batch writes for a line; ValueError for one that is no request."""
        request = json.loads(line)
        status, body = await self._answer(
            str(request["url"]), dict(request["body"]), batch.cluster, batch.model
        )
        # Others have their turn; so a batch without pace holds nobody up.
        await asyncio.sleep(self._settings.batch_pace)
        good = status == 200
        number = uuid.uuid4().hex
        return {
            "id": f"vllm-{number}",
            "custom_id": str(request["custom_id"]),
            "response": {
                "status_code": status,
                "request_id": f"vllm-batch-{number}",
                "body": body if good else None,
            },
            "error": None if good else body,
        }


def _add(done: JSON, answers: list[JSON]) -> None:
    """Count a chunk's answers into the progress."""
    tokens = [_tokens(answer) for answer in answers]
    done["lines_processed"] += len(answers)
    done["total_tokens_so_far"] += sum(tokens)
    done["num_responses_so_far"] += sum(answer["error"] is None for answer in answers)
    done["chunk_history"].append({"chunk_lines": len(answers), "chunk_tokens": sum(tokens)})


def _tokens(answer: JSON) -> int:
    body: Any = answer["response"]["body"] or {}
    return int((body.get("usage") or {}).get("total_tokens") or 0)


def _files(batch: Batch) -> tuple[Path, Path]:
    """The files of answers and progress, in a new folder. OSError where it cannot be made."""
    source = Path(batch.input_file)
    name = f"{source.stem}_{batch.model.name.rpartition('/')[2]}_{batch.id}"
    folder = Path(batch.folder or source.parent / DEFAULT_FOLDER) / name
    folder.mkdir(parents=True)
    stem = f"{source.stem}_{time.strftime('%Y%m%d_%H%M%S')}"
    return folder / f"{stem}.results.jsonl", folder / f"{stem}.progress.json"


def _moment(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"
