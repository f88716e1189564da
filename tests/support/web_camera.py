"""A web server that answers as a test says: cameras' ways of sending pictures over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Request:
    """One request. `send` writes the raw answer, head and all."""

    path: str
    headers: dict[str, str]
    send: Callable[[bytes], None]
    left: threading.Event


@dataclass
class WebServer:
    """Calls `answer` for each request, in a thread of its own; `requests` are those so far."""

    answer: Callable[[Request], None]
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    def uri(self, path: str = "/", credentials: str = "") -> str:
        return f"http://{credentials}127.0.0.1:{self.port}{path}"

    @contextmanager
    def on(self) -> Iterator[WebServer]:
        left = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:  # noqa: N805
                request = Request(handler.path, dict(handler.headers), handler.wfile.write, left)
                self.requests.append(request)
                with suppress(OSError):  # whoever watched has left
                    self.answer(request)
                handler.close_connection = True

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        server.daemon_threads = False
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            left.set()
            server.shutdown()
            thread.join()
            server.server_close()


def head(kind: str, *lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Type: {kind}", *lines, "", ""]).encode()
