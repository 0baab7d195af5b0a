"""Error envelopes of the gateway, as recorded: who is refused gets one of these."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

JSON = dict[str, Any]
JSON_TYPE = "application/json; charset=utf-8"
DONE = "data: [DONE]\n\n"
HIDDEN_REASON = {
    "object": "error",
    "message": "An error occurred during processing",
    "type": "InternalServerError",
    "param": None,
    "code": 500,
}
ENGINE_FAILURE = {
    "object": "error",
    "message": "CUDA out of memory",
    "type": "InternalServerError",
    "param": None,
    "code": 500,
}
STREAMING_TIMEOUT = {
    "object": "error",
    "message": "Streaming task timed out: No data received from compute endpoint after 30 "
    "seconds. This may indicate network or endpoint configuration issues.",
    "type": "StreamingTimeoutError",
    "param": None,
    "code": 504,
}
NOT_FOUND_PAGE = """
<!doctype html>
<html lang="en">
<head>
  <title>Not Found</title>
</head>
<body>
  <h1>Not Found</h1><p>The requested resource was not found on this server.</p>
</body>
</html>
"""
BAD_GATEWAY_PAGE = """<html>
<head><title>502 Bad Gateway</title></head>
<body>
<center><h1>502 Bad Gateway</h1></center>
<hr><center>nginx</center>
</body>
</html>
"""
# The skeleton of what Globus Compute sends back when the function it ran has raised.
TRACEBACK = """
 Traceback (most recent call last):
   File "inference_function.py", line 195, in handle_non_streaming_request
 Exception: API request failed with status code: {status}
 Response text: {text}

 During handling of the above exception, another exception occurred:

 Traceback (most recent call last):
   File "inference_function.py", line 481, in inference_function
 Exception: Unexpected error of type Exception: API request failed with status code: {status}
 Response text: {text}
 Response time: 0.07
"""


@dataclass(frozen=True)
class Refusal:
    """A refused request: the HTTP status and the JSON body of its envelope."""

    status: int
    body: JSON

    def response(self) -> Response:
        """The refusal as the gateway sends it."""
        return reply(self.body, self.status)


class Refused(Exception):
    """Ends a request with a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.status)
        self.refusal = refusal


def error_body(status: int, kind: str, message: str) -> JSON:
    """What a model server says when it refuses a request."""
    told: JSON = {"object": "error", "message": message, "type": kind}
    return {**told, "param": None, "code": status}


def reply(body: object, status: int = 200) -> Response:
    """JSON with the content type that the gateway declares."""
    return Response(json.dumps(body), status, media_type=JSON_TYPE)


def error(status: int, code: str, message: str, **info: Any) -> Refusal:
    """Envelope A: the gateway's own errors."""
    return Refusal(status, {"error": {"code": code, "message": message, "info": info}})


def detail(status: int, text: str | list[JSON]) -> Refusal:
    """Envelope B (a text) or C (a list of validation errors)."""
    return Refusal(status, {"detail": text})


def internal_error() -> Refusal:
    """Envelope D: an exception nobody caught."""
    body = {
        "code": "internal_error",
        "message": "Internal Server Error",
        "error_id": uuid.uuid4().hex,
    }
    return Refusal(500, {"error": body})


def unauthorized(message: str) -> Refusal:
    """A 401 of envelope A."""
    return error(401, "unauthorized", message)


def page(status: int, text: str) -> Response:
    """Envelope E: HTML, or a bare text declared as HTML."""
    return Response(text, status, media_type="text/html; charset=utf-8")


def event(data: JSON) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(data)}\n\n"


def endpoint_error(kind: str, status: int, body: bytes) -> Refusal:
    """A model server's HTTP error as a cluster of this kind ("compute" or "direct") reports it."""
    if kind == "direct":
        # The gateway shows the Python repr of the first 256 bytes.
        text = f"Upstream endpoint returned {status}: {body[:256]!r}."
        return error(status, "internal_endpoint_error", text)
    text = TRACEBACK.format(status=status, text=body.decode("utf-8", "replace"))
    return error(500, "internal_endpoint_error", text)


def endpoint_error_event(kind: str, model: str, url: str, body: bytes) -> str:
    """A model server's HTTP error within a stream of status 200."""
    text = body.decode("utf-8", "replace")
    if kind == "direct":
        return api_error_event(
            model,
            "Unexpected error calling stream API: Error: Could not send stream API call to "
            f"{url}: {text}",
        )
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    known = isinstance(found, dict) and found.get("object") == "error"
    # Newer model servers put the reason under "error"; Globus Compute then hides it.
    return event(found if known else HIDDEN_REASON)


def api_error_event(model: str, reason: str) -> str:
    """The assistant text by which a direct endpoint reports its own failure."""
    delta = {"role": "assistant", "content": f"\n\n[ERROR] Error: {reason}"}
    return event(
        {
            "id": "chatcmpl-api-error",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}],
        }
    )
