"""Serves the page on a thread of this process (uvicorn)."""

from __future__ import annotations

import socket
import threading
from types import TracebackType

import uvicorn

from edge_agender.errors import ConfigError
from edge_agender.fleet.page.app import make_app
from edge_agender.fleet.page.context import Context

STOP_S = 10.0
MOST_CONNECTIONS = 200


class PageServer:
    """A context manager: entering listens (ConfigError where it cannot), leaving stops. `port` is known then."""

    def __init__(self, context: Context) -> None:
        page = context.config.page
        config = uvicorn.Config(
            make_app(context), log_config=None, access_log=False, lifespan="off", server_header=False,
            limit_concurrency=MOST_CONNECTIONS, timeout_keep_alive=15, timeout_graceful_shutdown=3,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._where = (page.host, page.port)
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    def __enter__(self) -> PageServer:
        family = socket.AF_INET6 if ":" in self._where[0] else socket.AF_INET
        self._socket = socket.socket(family)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(self._where)
        except OSError as error:
            self._socket.close()
            raise ConfigError(f"page: {self._where[0]}:{self._where[1]}: {error.strerror}") from None
        self.port = int(self._socket.getsockname()[1])
        # From here on a connection waits rather than fails.
        self._socket.listen(128)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(STOP_S)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])
