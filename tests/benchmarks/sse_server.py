"""A gateway that streams faster than any model: its events are made before the first is sent.

    python tests/benchmarks/sse_server.py http://127.0.0.1:PORT

Chats are answered from memory: the prompt is JSON, `{"shape": …, "chunks": …, "rate": …}`, with
the rate in chunks a second, 0 for as fast as they are read. Everything else is the sandbox's,
whose address is the argument. Prints its own address and serves until its standard input ends.
"""

from __future__ import annotations

import http.server
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request

from benchmarks.shapes import in_chunks, text_of

#: Chunks that reach the network together, and so seconds between two writes at a rate. Each is a
#: chunk of HTTP of its own, as servers of models send them.
TOGETHER = 20


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    behind = ""

    def do_GET(self) -> None:
        request = urllib.request.Request(self.behind + self.path)
        request.add_header("Authorization", self.headers.get("Authorization", ""))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                status, kind, body = answer.status, answer.headers["content-type"], answer.read()
        except urllib.error.HTTPError as problem:
            with problem:
                status, kind = problem.code, problem.headers["content-type"]
                body = problem.read()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        wanted = json.loads(sent["messages"][-1]["content"])
        chunks = in_chunks(text_of(wanted["shape"], wanted["chunks"]))
        events = [*(event({"content": c}) for c in chunks), event({}, "stop"), "data: [DONE]\n\n"]
        framed = [f"{len(e.encode()):x}\r\n{e}\r\n".encode() for e in events]
        writes = [b"".join(framed[i : i + TOGETHER]) for i in range(0, len(framed), TOGETHER)]
        writes.append(b"0\r\n\r\n")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        begun = time.monotonic()
        for number, data in enumerate(writes):
            if wanted["rate"]:
                due = begun + number * TOGETHER / wanted["rate"]
                time.sleep(max(0.0, due - time.monotonic()))
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def event(delta: dict[str, str], reason: str | None = None) -> str:
    chunk = {
        "id": "chatcmpl-0123456789abcdef",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "benchmark",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }
    return f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n"


def main() -> None:
    Handler.behind = sys.argv[1]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
