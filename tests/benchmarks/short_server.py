"""A gateway that answers chats at once, with one short answer, so that clients alone are measured.

    python -m benchmarks.short_server http://127.0.0.1:PORT

Everything but chats is the sandbox's, whose address is the argument. Prints its own address and
serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.request
from typing import Any

ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "A short answer, of a few words."},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20},
}


def http(body: bytes, status: int = 200) -> bytes:
    head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


SHORT = http(json.dumps(ANSWER).encode())


class Connection(asyncio.Protocol):
    """One connection of one client, which sends a request at a time."""

    behind = ""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._data = b""
        self._forwarding: Any = None

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._data = body[_length(head) :]
        if head.startswith(b"POST"):
            self._transport.write(SHORT)
        else:
            self._forwarding = asyncio.ensure_future(self._forward(head.decode()))

    async def _forward(self, head: str) -> None:
        path = head.split(" ", 2)[1]
        lines = (line.partition(": ") for line in head.split("\r\n")[1:])
        bearer = next((value for name, _, value in lines if name.lower() == "authorization"), "")
        answer = await asyncio.to_thread(_read, self.behind + path, bearer)
        self._transport.write(answer)


def _length(head: bytes) -> int:
    lines = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    return next((int(value) for name, _, value in lines if name == b"content-length"), 0)


def _read(url: str, bearer: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers={"Authorization": bearer})
    try:
        with opener.open(request, timeout=30) as answer:
            return http(answer.read(), answer.status)
    except urllib.error.HTTPError as problem:
        with problem:
            return http(problem.read(), problem.code)


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    Connection.behind = sys.argv[1]
    asyncio.run(serve())
