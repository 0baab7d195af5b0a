"""A forward proxy on loopback that notes what is asked of it, and answers for everyone."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def noting_proxy() -> Iterator[tuple[str, list[str]]]:
    """Yields the proxy's URL and the request lines it got; each is answered with a 502."""
    lines: list[str] = []
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError, OSError):
                connection, _ = server.accept()
                with connection:
                    connection.settimeout(2)
                    lines.append(connection.recv(65536).split(b"\r\n")[0].decode())
                    connection.sendall(b"HTTP/1.1 502 no\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}", lines
    finally:
        stop.set()
        thread.join()
        server.close()
