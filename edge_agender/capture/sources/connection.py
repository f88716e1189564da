"""One connection to a camera: a thread that waits for the network, so that nobody else has to, and a bounded queue."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from edge_agender.capture.sources.media import Shot
from edge_agender.errors import MediaError

# Ten seconds of 8 Mbit/s: what a segment of HLS holds. Beyond that the other side is made to wait.
MAX_QUEUE_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class Item:
    """Coded data that arrived together. `starts`: it can be decoded without what came before."""

    data: Any
    size_bytes: int
    starts: bool
    arrival_s: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a feed once its first item is there.

    `period_s`: distance of two pictures, `duration_s`: how long a recording lasts, each None where nobody says.
    `has_stamps`: its time stamps are its own. `independent`: each item is a picture by itself.
    """

    period_s: float | None = None
    duration_s: float | None = None
    has_stamps: bool = False
    independent: bool = False


class Feed(Protocol):
    """What a connection reads. `items` and what it calls run in the connection's thread, `decode` in its consumer's."""

    @property
    def facts(self) -> Facts: ...

    def items(self) -> Iterator[tuple[Any, int, bool]]:
        """Connect and yield (data, size in bytes, whether it starts anew). Raises MediaError."""

    def decode(self, data: Any) -> list[Shot]:
        """Return the pictures that are complete. Raises MediaError for what must not be decoded."""

    def flush(self) -> None:
        """The next data starts anew."""

    def stop(self) -> None:
        """Nobody takes anything any more: wait for nothing. Called by any thread."""

    def close(self) -> None:
        """Called by the connection's thread when nothing is decoded any more."""


class Connection:
    """Reads a feed until it ends, fails or is left. Nothing here waits for the other side but its own thread."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.was_full = False
        self._changed = threading.Condition()
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._left = self._ended = False
        self._failure: MediaError | None = None
        threading.Thread(target=self._run, name="camera", daemon=True).start()

    @property
    def ended(self) -> bool:
        """True once all that came has been taken and nothing more will come. Raises MediaError where it failed."""
        with self._changed:
            if self._items or not self._ended:
                return False
            if self._failure is not None:
                raise self._failure
            return True

    def take(self, timeout_s: float) -> Item | None:
        """Return what came first; None after `timeout_s` without anything, and at the end."""
        with self._changed:
            if not self._items and not self._ended:
                self._changed.wait(timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            self._bytes -= item.size_bytes
            self._changed.notify_all()
            return item

    def start_waits(self) -> bool:
        """True where something that starts anew is in the queue."""
        with self._changed:
            return any(item.starts for item in self._items)

    def leave(self) -> None:
        """Let go of it. Its thread closes what is open as soon as it notices, at the latest after its timeout."""
        self.feed.stop()
        with self._changed:
            self._left = True
            self._items.clear()
            self._bytes = 0
            self._changed.notify_all()

    def _run(self) -> None:
        failure: MediaError | None = None
        try:
            for data, size_bytes, starts in self.feed.items():
                if not self._put(Item(data, size_bytes, starts, time.monotonic())):
                    break
        except MediaError as error:
            failure = error
        except Exception as error:
            failure = MediaError(f"cannot be read ({type(error).__name__})")
        with self._changed:
            self._failure, self._ended = failure, True
            self._changed.notify_all()
            while not self._left:  # what is in the queue is still being decoded
                self._changed.wait()
        self.feed.close()

    def _put(self, item: Item) -> bool:
        with self._changed:
            while self._items and self._bytes + item.size_bytes > MAX_QUEUE_BYTES and not self._left:
                self.was_full = True
                self._changed.wait()
            if self._left:
                return False
            self._items.append(item)
            self._bytes += item.size_bytes
            self._changed.notify_all()
            return True
