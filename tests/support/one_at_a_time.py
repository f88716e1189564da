"""A server on loopback that talks to one client after the other."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Self


class OneAtATime(ABC):
    """A context manager; `talk` has each connection until it returns. `connections` counts them."""

    # What a client that leaves in the middle makes of a conversation.
    ends: tuple[type[Exception], ...] = (ConnectionError,)

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._serve)

    @abstractmethod
    def talk(self, connection: socket.socket) -> None:
        """Speak with one client; what is in `ends` ends it."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(60)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            with connection, suppress(*self.ends):
                self.talk(connection)
