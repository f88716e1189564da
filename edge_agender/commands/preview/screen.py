"""The latest annotated picture and the figures beside it, between the player and whoever watches. Thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Screen:
    """Holds one picture, encoded, and one state; a slow browser misses pictures, never delays them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jpeg = b""
        self._version = 0
        self._watchers = 0
        self._state: Mapping[str, Any] = {}
        self._closed = False

    @property
    def watched(self) -> bool:
        """True while a browser shows the pictures: only then are they worth encoding."""
        with self._changed:
            return self._watchers > 0

    def wait_for_watcher(self, timeout_s: float) -> bool:
        """Return whether somebody watches, after `timeout_s` at most."""
        with self._changed:
            return self._changed.wait_for(lambda: self._watchers > 0 or self._closed, timeout_s)

    def show(self, jpeg: bytes) -> None:
        with self._changed:
            self._jpeg, self._version = jpeg, self._version + 1
            self._changed.notify_all()

    def tell(self, state: Mapping[str, Any]) -> None:
        with self._changed:
            self._state = state

    def state(self) -> Mapping[str, Any]:
        with self._changed:
            return self._state

    @contextmanager
    def watching(self) -> Iterator[None]:
        with self._changed:
            self._watchers += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._watchers -= 1

    def pictures(self) -> Iterator[bytes]:
        """Yield each new picture, the latest where several came; ends when the screen is closed."""
        seen = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda since=seen: self._version > since or self._closed)  # type: ignore[misc]
                if self._closed:
                    return
                seen, jpeg = self._version, self._jpeg
            yield jpeg

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
