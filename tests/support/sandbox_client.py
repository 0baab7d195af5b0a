"""A sandbox's clients that nobody here wrote, and a model server for it to forward to."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx

from alcf_magics.sandbox import Sandbox

RECORDINGS = Path(__file__).with_name("recordings")
GATEWAY = "681c10cc-f684-4540-bcd7-0b4df3bc26ef"
GATEWAY_SCOPE = f"https://auth.globus.org/scopes/{GATEWAY}/action_all"
CLIENT = "58fdd3bc-e1c3-4ce5-80ea-8d6b87cfb944"
VERIFIER = "a-verifier-that-is-long-enough-for-the-specification-0"
GPT = "openai/gpt-oss-120b"
HELLO: Any = [{"role": "user", "content": "Say `hello` in five words."}]


def authorize_url(sandbox: Sandbox, **changed: str) -> str:
    """The authorize URL of a native app; a parameter set to "" is left out."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest())
    query = {
        "client_id": CLIENT,
        "response_type": "code",
        "redirect_uri": f"{sandbox.globus_auth_url}/v2/web/auth-code",
        "scope": f"openid {GATEWAY_SCOPE}",
        "state": "s t&a<te",
        "code_challenge": challenge.decode().rstrip("="),
        "code_challenge_method": "S256",
        "access_type": "offline",
        **changed,
    }
    query = {name: value for name, value in query.items() if value}
    return str(httpx.URL(f"{sandbox.globus_auth_url}/v2/oauth2/authorize", params=query))


def ask_token(sandbox: Sandbox, **form: str) -> httpx.Response:
    return httpx.post(
        f"{sandbox.globus_auth_url}/v2/oauth2/token", data={"client_id": CLIENT, **form}
    )


def exchange(sandbox: Sandbox, code: str, **changed: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": VERIFIER,
        "redirect_uri": f"{sandbox.globus_auth_url}/v2/web/auth-code",
    }
    return ask_token(sandbox, **{**form, **changed})


def login(sandbox: Sandbox, **changed: str) -> dict[str, dict[str, Any]]:
    """Grants by resource server."""
    answer = exchange(sandbox, sandbox.approve(authorize_url(sandbox, **changed))).json()
    return {grant["resource_server"]: grant for grant in [answer, *answer["other_tokens"]]}


def refresh(sandbox: Sandbox, token: str, **changed: str) -> httpx.Response:
    return ask_token(sandbox, grant_type="refresh_token", refresh_token=token, **changed)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def gateway(sandbox: Sandbox, **changed: str) -> httpx.Client:
    token = login(sandbox, **changed)[GATEWAY]["access_token"]
    return httpx.Client(base_url=sandbox.gateway_url, headers=bearer(token), trust_env=False)


def chat(client: httpx.Client, base: str = "sophia/vllm", **changed: Any) -> httpx.Response:
    body = {"model": GPT if base == "sophia/vllm" else "gpt-oss-120b", "messages": HELLO, **changed}
    return client.post(f"{base}/v1/chat/completions", json=body)


def events(text: str) -> list[Any]:
    """The data of each event; [DONE] as a string."""
    found = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [data if data == "[DONE]" else json.loads(data) for data in found]


def deltas(text: str, name: str = "content") -> list[str]:
    """The texts of one delta field in a stream."""
    chunks = [event for event in events(text) if isinstance(event, dict)]
    found = [choice["delta"].get(name) for c in chunks for choice in c.get("choices", [])]
    return [text for text in found if text is not None]


def recording(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDINGS / f"{name}.json").read_text("utf-8"))
    return found


def replay(client: httpx.Client, name: str) -> tuple[httpx.Response, dict[str, Any]]:
    """Send a recorded request again: the sandbox's answer, and the recording."""
    recorded = recording(name)
    request = recorded["request"]
    body = request["body"]
    content = body if isinstance(body, str) else json.dumps(body).encode() if body else None
    path = request["path"].removeprefix("/resource_server")
    return client.request(request["method"], path, content=content), recorded


def within(seconds: float, true: Callable[[], object]) -> bool:
    """Whether something becomes true in time."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.005)
    return bool(true())


def keys(value: Any) -> Any:
    """The keys of nested JSON; a list counts as its first item."""
    if isinstance(value, dict):
        return {name: keys(inner) for name, inner in value.items()}
    return [keys(inner) for inner in value[:1]] if isinstance(value, list) else None


class ModelServer(BaseHTTPRequestHandler):
    """A tiny OpenAI-compatible server; the prompt says how it behaves."""

    bodies: ClassVar[list[dict[str, Any]]] = []
    left = threading.Event()

    def do_GET(self) -> None:
        self.send(200, json.dumps({"data": [{"id": "tiny"}, {"id": "other"}]}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.bodies.append(body)
        prompt = body["messages"][-1]["content"]
        if prompt.startswith("refuse"):
            error = {"object": "error", "message": "too long " + "x" * 300, "code": 400}
            newer = {"error": {"message": "too long"}}
            self.send(400, json.dumps(newer if "newer" in prompt else error))
        elif not body.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": "4"}}
            self.send(200, json.dumps({"id": "c", "model": "tiny", "choices": [choice]}))
        else:
            choice = {"index": 0, "delta": {"content": "4"}}
            text = json.dumps({"id": "c", "model": "tiny", "choices": [choice]})
            wait = prompt == "wait"
            self.send(200, f"data: {text}\n\n" + ("" if wait else "data: [DONE]\n\n"), wait)
            if wait and self.connection.recv(1) == b"":
                self.left.set()

    def send(self, status: int, text: str, more: bool = False) -> None:
        self.send_response(status)
        if not more:
            self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""


class ForgetfulModelServer(ModelServer):
    """The same, which promises to keep a connection and ends it when the next request comes."""

    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        self.handle_one_request()
        self.rfile.read(1)


@contextlib.contextmanager
def served(by: type[ModelServer]) -> Iterator[str]:
    """The address of a running server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), by) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
