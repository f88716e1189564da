"""A signal that asks this process to stop.

A handler runs between any two steps of the main thread, inside another handler or while that thread holds a lock too:
the lock of a threading.Event would wait for itself for ever. SimpleQueue.put() is made for this, and so is a flag.
"""

from __future__ import annotations

import signal
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType

STOPS = (signal.SIGTERM, signal.SIGINT)


class StopSignal:
    """Set by SIGTERM and SIGINT from now on. To be made and waited for in the main thread."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[int] = SimpleQueue()
        self._set = False
        for number in STOPS:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._set = True
        self._asked.put(number)

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until asked to stop, `timeout_s` at most; return whether that was so."""
        if not self._set:
            with suppress(Empty):
                self._asked.get(timeout=timeout_s)
        return self._set
