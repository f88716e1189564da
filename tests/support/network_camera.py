"""A network camera for tests: drawn pictures as MJPEG over HTTP. It falls silent, goes away and comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

from tests.support.broker import free_port

BETWEEN_FRAMES_S = 0.01


def grey_jpeg(level: int, size: tuple[int, int] = (96, 64)) -> bytes:
    """A picture of one grey, by which it is known again after compression."""
    return bytes(cv2.imencode(".jpg", np.full((size[1], size[0], 3), level, np.uint8))[1])


def jpeg(picture: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", picture)[1])


@dataclass
class NetworkCamera:
    """Shows `picture` again and again while it is `on()`; `body` instead is sent once, as a file is."""

    picture: bytes = b""
    body: bytes | None = None
    silent: bool = False
    port: int = field(default_factory=free_port)
    connections: int = 0

    def __post_init__(self) -> None:
        self._off = threading.Event()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}/video"

    def shows(self, level: int) -> None:
        self.picture = grey_jpeg(level)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Serve; leaving it ends every connection, and the port refuses new ones."""
        self._off.clear()
        server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        server.daemon_threads = False  # server_close() waits for them
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield
        finally:
            self._off.set()
            server.shutdown()
            thread.join()
            server.server_close()

    def parts(self) -> Iterator[bytes]:
        while not self._off.is_set():
            if not self.silent:
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(self.picture)}\r\n\r\n"
                yield head.encode() + self.picture + b"\r\n"
            time.sleep(BETWEEN_FRAMES_S)


def _handler(camera: NetworkCamera) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            camera.connections += 1
            self.send_response(200)
            streams = camera.body is None
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame" if streams else "video/avi")
            if camera.body is not None:
                self.send_header("Content-Length", str(len(camera.body)))
            self.end_headers()
            with suppress(OSError):  # whoever watched has left
                for part in [camera.body] if camera.body is not None else camera.parts():
                    self.wfile.write(part)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    return Handler
