"""The preview's page, on this machine's loopback alone: pictures as MJPEG, figures as JSON. Standard library.

The address holds a random word, since others on this machine reach loopback too.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from socketserver import TCPServer
from typing import Any

from edge_agender.commands.preview.screen import Screen
from edge_agender.errors import UsageError

HOST = "127.0.0.1"
FILES = {
    "": ("preview.html", "text/html; charset=utf-8"),
    "preview.css": ("preview.css", "text/css; charset=utf-8"),
    "preview.js": ("preview.js", "text/javascript; charset=utf-8"),
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
BOUNDARY = "picture"


class PreviewServer(ThreadingHTTPServer):
    """Listens on loopback from construction on."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, screen: Screen) -> None:
        self.screen = screen
        self.word = secrets.token_urlsafe(9)
        super().__init__((HOST, port), Handler)

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}/{self.word}/"

    def server_bind(self) -> None:
        """Bind without http.server's reverse look-up of our own name."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no news."""


class Handler(BaseHTTPRequestHandler):
    """One request, one connection. Any address but the page's own is not there."""

    server: PreviewServer
    timeout = 10.0
    server_version, sys_version = "edge-agender-preview", ""

    def do_GET(self) -> None:
        host = (self.headers.get("Host") or "").rpartition(":")[0]
        _, word, name = [*self.path.partition("?")[0].split("/", 2), "", ""][:3]
        if host not in (HOST, "localhost") or not secrets.compare_digest(word.encode(), self.server.word.encode()):
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"There is nothing here.\n")
        elif name in FILES:
            file, kind = FILES[name]
            self._send(HTTPStatus.OK, kind, resources.files(__package__).joinpath("static", file).read_bytes())
        elif name == "state":
            self._send(HTTPStatus.OK, "application/json", json.dumps(self.server.screen.state()).encode())
        elif name == "pictures":
            self._pictures()
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"There is nothing here.\n")

    def _pictures(self) -> None:
        self._head(HTTPStatus.OK, f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        with suppress(OSError), self.server.screen.watching():
            for jpeg in self.server.screen.pictures():
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self._head(status, kind, len(body))
        with suppress(OSError):
            self.wfile.write(body)

    def _head(self, status: HTTPStatus, kind: str, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


@contextmanager
def serve(port: int, screen: Screen) -> Iterator[PreviewServer]:
    """Serve the page while open; raise UsageError where the port cannot be had."""
    try:
        server = PreviewServer(port, screen)
    except OSError as error:
        advice = "give another --port, or 0 for any that is free"
        raise UsageError(f"port {port}: {error.strerror or error}: {advice}") from None
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="page", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        screen.close()
        server.shutdown()
        thread.join()
        server.server_close()
