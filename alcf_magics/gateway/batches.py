"""Batches as the gateway has them: its list, its answers, and the lines of their files. Pure.

Files are OpenAI's: a line of the input is `{"custom_id", "method", "url", "body"}`, one of the
output `{"custom_id", "response": {"status_code", "body"}, "error"}`, in any order.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import RUN_AGAIN, AlcfError, GatewayError
from ..text import integer, line, words
from .accumulator import Accumulator
from .chat import ChatRequest
from .chunks import Usage, chunk_of
from .completions import Completion
from .models import Model
from .refusals import error_for

ROUTE = "batches"
CHAT_URL = "/v1/chat/completions"
#: What the gateway calls the states of a batch.
STATES = ("pending", "running", "failed", "completed")
ACTIVE = ("pending", "running")
#: Lines of a batch, and bytes of one.
MOST_LINES = 150_000
MOST_LINE = 10_000_000
#: Characters of a result that are read: two paths and some numbers.
_LONGEST_RESULT = 16_384
_READERS: tuple[Callable[[str], Any], ...] = (json.loads, ast.literal_eval)


@dataclass(frozen=True)
class Listed:
    """A batch as the gateway lists it. Times are its own texts, empty where it says none."""

    id: str
    status: str
    cluster: str = ""
    framework: str = ""
    input_file: str = ""
    began: str = ""
    ended: str = ""

    @property
    def active(self) -> bool:
        """Whether it counts against the quota."""
        return self.status in ACTIVE


@dataclass(frozen=True)
class Outcome:
    """What a batch that is done left behind: the paths of its files, and how much it did."""

    results_file: str
    progress_file: str = ""
    lines: int | None = None
    responses: int | None = None
    tokens: int | None = None
    seconds: float | None = None


def listed(answer: object) -> list[Listed]:
    """The batches of a list, in its order; entries that cannot be read are left out."""
    if not isinstance(answer, list):
        raise _unread("list of batches")
    return [
        Listed(
            id=line(entry.get("batch_id") or entry.get("id")),
            status=line(entry.get("status"), 40),
            cluster=line(entry.get("cluster"), 80),
            framework=line(entry.get("framework"), 80),
            input_file=words(entry.get("input_file")),
            began=line(entry.get("in_progress_at") or entry.get("created_at"), 40),
            ended=line(entry.get("completed_at") or entry.get("failed_at"), 40),
        )
        for entry in answer
        if isinstance(entry, Mapping) and line(entry.get("batch_id") or entry.get("id"))
    ]


def status_of(answer: object) -> str:
    """The word of a status. Raises GatewayError."""
    if not isinstance(answer, str) or not answer.strip():
        raise _unread("status of the batch")
    return line(answer, 40)


def submitted(answer: object) -> str:
    """The id of a batch that was submitted. Raises GatewayError."""
    found = line(answer.get("batch_id")) if isinstance(answer, Mapping) else ""
    if not found:
        raise _unread("answer to the batch")
    return found


def outcome_of(answer: object) -> Outcome:
    """What a result says: a dict, written as Python or as JSON. Raises GatewayError."""
    said = _dict(answer)
    counts = said.get("metrics")
    told = {**said, **counts} if isinstance(counts, Mapping) else said
    seconds = told.get("duration_sec", told.get("response_time"))
    results_file = words(said.get("results_file"))
    if not results_file:
        raise _unread("result of the batch")
    return Outcome(
        results_file,
        words(said.get("progress_file")),
        _count(told.get("lines_processed")),
        _count(told.get("num_responses")),
        _count(told.get("total_tokens")),
        float(seconds) if isinstance(seconds, int | float) else None,
    )


def _dict(answer: object) -> Mapping[str, Any]:
    if isinstance(answer, str) and len(answer) <= _LONGEST_RESULT:
        written = answer
        for read in _READERS:
            try:
                answer = read(written)
                break
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                continue
    return answer if isinstance(answer, Mapping) else {}


def lines_done(progress: object) -> int | None:
    """The lines of a progress file's JSON that are done; None where it does not say."""
    return _count(progress.get("lines_processed")) if isinstance(progress, Mapping) else None


# Lines


def request_line(custom_id: str, request: ChatRequest, place: Model) -> str:
    """A line of the input, with its end."""
    body = request.to_json(place.refuses)
    whole = {"custom_id": custom_id, "method": "POST", "url": CHAT_URL, "body": body}
    return json.dumps(whole, ensure_ascii=False) + "\n"


def read_line(written: str | bytes) -> Mapping[str, Any] | None:
    """A line of either file; None for one that is cut, or is none."""
    try:
        value = json.loads(written, parse_int=integer)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, Mapping) else None


def body_of(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The completion in a line of the output; None where there is an error in its place."""
    response = answer.get("response")
    if answer.get("error") or not isinstance(response, Mapping):
        return None
    body, status = response.get("body"), response.get("status_code", 200)
    good = status == 200 and isinstance(body, Mapping) and _are_choices(body.get("choices"))
    return body if good else None


def usage_of(body: Mapping[str, Any]) -> Usage:
    """The tokens of a completion, as far as it says."""
    return Usage.from_json(body.get("usage")) or Usage()


def completion_of(
    body: Mapping[str, Any], request: ChatRequest, place: Model, asked: str, started: float
) -> Completion:
    """The completion of a good line. Its times are the batch's own, not the answer's."""
    answer = Accumulator(request.model, 0.0)
    answer.add(chunk_of(body), 0.0)
    completion = answer.completion(request, place, asked=asked)
    return replace(completion, started=started, seconds=0.0, first_token_seconds=None)


def error_of(answer: Mapping[str, Any], place: Model) -> AlcfError:
    """The error of a line that has no completion, in our words, whoever refused."""
    response = answer.get("response")
    response = response if isinstance(response, Mapping) else {}
    said = answer.get("error") or response.get("body")
    told = said if isinstance(said, Mapping) and ("error" in said or "object" in said) else None
    status = response.get("status_code")
    if not isinstance(status, int) or not 400 <= status < 600:
        status = 500
    written = json.dumps({"error": said or "no answer"} if told is None else told)
    asked = f"{place.name} on {place.cluster}"
    return error_for(status, {}, written.encode(), asked=asked)


def _are_choices(value: object) -> bool:
    return isinstance(value, Sequence) and len(value) > 0 and isinstance(value[0], Mapping)


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _unread(what: str) -> GatewayError:
    return GatewayError(f"The gateway's {what} could not be understood.", RUN_AGAIN)
