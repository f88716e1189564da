"""A small HTTP server: few routes, few connections, GET only. Standard library (docs/decisions: status server)."""

from __future__ import annotations

import ipaddress
import json
import logging
import socket
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edge_agender import __version__
from edge_agender.config.settings import WebConfig
from edge_agender.web import metrics, view
from edge_agender.web.access import Access
from edge_agender.web.snapshot import LiveState

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 24
# Browsers keep six connections to a host: as many tabs as one person opens, and room for requests beside them.
MAX_STREAMS = 8
REQUEST_TIMEOUT_S = 10.0
HEARTBEAT_S = 10.0
STATUS_PERIOD_S = 1.0
AIM_PERIOD_S = 0.2

FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/audience.js": ("audience.js", "text/javascript; charset=utf-8"),
    "/charts.js": ("charts.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class StatusServer(ThreadingHTTPServer):
    """Listens from construction on (OSError where it cannot), serves between start() and stop()."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, config: WebConfig, live: LiveState, access: Access) -> None:
        self.config, self.live, self.access = config, live, access
        self.streams = threading.BoundedSemaphore(MAX_STREAMS)
        self.stopping = threading.Event()
        self._connections = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._asking: dict[socket.socket, float] = {}
        self._thread: threading.Thread | None = None
        if ":" in config.host:
            self.address_family = socket.AF_INET6
        super().__init__((config.host, config.port), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def shown_host(self) -> str:
        """The host as one types it into a browser."""
        if self.config.host in ("0.0.0.0", "::"):
            return socket.gethostname()
        return f"[{self.config.host}]" if ":" in self.config.host else self.config.host

    def server_bind(self) -> None:
        """Bind without http.server's reverse look-up of our own name, which waits for a DNS that may be away."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.port

    def start(self) -> None:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.25,), name="web", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and let the streams end; waits for the listening thread only."""
        self.stopping.set()
        self.live.close()
        if self._thread is not None:
            self.shutdown()
            self._thread.join()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._connections.acquire(blocking=False):
            self._refuse(request)
            return
        self._asking[request] = time.monotonic() + REQUEST_TIMEOUT_S
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.asked(request)
            self._connections.release()

    def asked(self, request: socket.socket) -> None:
        """The request has been read in full."""
        self._asking.pop(request, None)

    def service_actions(self) -> None:
        """Cut off who takes too long to ask: a byte now and then would hold a connection for ever."""
        now_s = time.monotonic()
        for request, until_s in list(self._asking.items()):
            if now_s > until_s:
                self.asked(request)
                self._cut(request)

    def _refuse(self, request: socket.socket) -> None:
        with suppress(OSError):
            request.setblocking(False)
            request.send(BUSY)
        self.shutdown_request(request)

    @staticmethod
    def _cut(request: socket.socket) -> None:
        with suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else must not stay hidden."""
        logger.debug("status page: %s", client_address, exc_info=True)


class Handler(BaseHTTPRequestHandler):
    """One request, one connection."""

    server: StatusServer
    protocol_version = "HTTP/1.1"
    server_version = f"edge-agender/{__version__}"
    sys_version = ""
    timeout = REQUEST_TIMEOUT_S

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.asked(self.connection)
        if not self._allowed():
            return
        url = urlsplit(self.path)
        if url.path in FILES:
            self._file(*FILES[url.path])
        elif url.path == "/events":
            self._events(aim="aim" in parse_qs(url.query).get("view", []))
        elif url.path == "/status.json":
            self._json(HTTPStatus.OK, view.page(self.server.live.read(), self.server.config, time.monotonic()))
        elif url.path == "/healthz":
            self._health()
        elif url.path == "/metrics":
            self._metrics()
        else:
            self._text(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _allowed(self) -> bool:
        access, address = self.server.access, _network(self.client_address[0])
        if not access.knows_host(self.headers.get("Host")):
            self._text(HTTPStatus.MISDIRECTED_REQUEST, "Unknown host name: add it to web.hostnames.")
        elif urlsplit(self.path).path == "/healthz" or not access.needs_password:
            return True
        elif wait_s := access.attempts.wait_s(address):
            retry = {"Retry-After": str(int(wait_s) + 1)}
            self._text(HTTPStatus.TOO_MANY_REQUESTS, "Too many wrong passwords: wait a minute.", retry)
        elif access.knows_password(self.headers.get("Authorization")):
            return True
        else:
            if self.headers.get("Authorization"):
                access.attempts.failed(address)
            challenge = {"WWW-Authenticate": 'Basic realm="edge-agender", charset="UTF-8"'}
            self._text(HTTPStatus.UNAUTHORIZED, "The page needs its password.", challenge)
        return False

    def _file(self, name: str, kind: str) -> None:
        self._send(HTTPStatus.OK, kind, resources.files(__package__).joinpath("static", name).read_bytes())

    def _health(self) -> None:
        state = view.health_state(self.server.live.read(), self.server.config.stalled_after_s, time.monotonic())
        fine = state in view.FINE
        status = HTTPStatus.OK if fine else HTTPStatus.SERVICE_UNAVAILABLE
        self._json(status, {"status": "ok" if fine else "failing", "state": state})

    def _metrics(self) -> None:
        rendered = metrics.render(self.server.live.read(), time.monotonic())
        if rendered is None:
            self._text(HTTPStatus.NOT_IMPLEMENTED, "Metrics need prometheus-client: pip install 'edge-agender[web]'")
        else:
            self._send(HTTPStatus.OK, *rendered)

    def _events(self, *, aim: bool) -> None:
        if not self.server.streams.acquire(blocking=False):
            self._text(HTTPStatus.SERVICE_UNAVAILABLE, "Too many pages are open.", {"Retry-After": "5"})
            return
        try:
            self._head(HTTPStatus.OK, "text/event-stream; charset=utf-8")
            if self.command != "HEAD":
                self._stream(aim=aim and self.server.config.aim)
        except OSError:
            logger.debug("status page: %s went away", self.client_address[0])
        finally:
            self.server.streams.release()

    def _stream(self, *, aim: bool) -> None:
        if not aim:
            self._follow(view.page, STATUS_PERIOD_S)
            return
        with self.server.live.aiming():
            self._follow(view.aim, AIM_PERIOD_S)

    def _follow(self, render: view.Render, period_s: float) -> None:
        """Send the state as it changes, at most once a period, and at least a heartbeat."""
        live, seen = self.server.live, 0
        self.wfile.write(b"retry: 2000\n\n")
        while not self.server.stopping.is_set():
            seen, snapshot = live.wait(seen, HEARTBEAT_S)
            data = json.dumps(render(snapshot, self.server.config, time.monotonic()), separators=(",", ":"))
            self.wfile.write(f"data: {data}\n\n".encode())
            self.server.stopping.wait(period_s)

    def _json(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _text(self, status: HTTPStatus, text: str, headers: dict[str, str] | None = None) -> None:
        self._send(status, "text/plain; charset=utf-8", f"{text}\n".encode(), headers)

    def _send(self, status: HTTPStatus, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        self._head(status, kind, {"Content-Length": str(len(body)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: HTTPStatus, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Connection": "close", **HEADERS, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: who looks at the page is nobody's business."""
        logger.debug("status page: " + format, *args)


def _network(address: str) -> str:
    """The address that tries are counted by: an IPv6 client owns its whole /64."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
