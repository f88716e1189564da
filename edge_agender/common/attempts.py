"""How often a password may be tried."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

# Five wrong passwords a minute from one address: 2.6 million a year, nothing against eight random characters.
TRIES = 5
TRIES_PERIOD_S = 60.0
REMEMBERED_ADDRESSES = 256


class Attempts:
    """Counts failures by address over a period; bounded, the oldest address is forgotten first. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Return how long this address must wait before its next try, 0 when it may try now."""
        with self._lock:
            recent = self._recent(address)
            return max(recent[0] + TRIES_PERIOD_S - self._clock(), 0.0) if len(recent) >= TRIES else 0.0

    def failed(self, address: str) -> None:
        with self._lock:
            recent = self._recent(address)
            recent.append(self._clock())
            self._failures[address] = recent
            self._failures.move_to_end(address)
            while len(self._failures) > REMEMBERED_ADDRESSES:
                self._failures.popitem(last=False)

    def _recent(self, address: str) -> list[float]:
        since = self._clock() - TRIES_PERIOD_S
        return [when for when in self._failures.get(address, []) if when > since]
