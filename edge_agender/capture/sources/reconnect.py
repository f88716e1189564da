"""What cameras that come and go share: trying again for ever, with growing pauses, and reporting it once."""

from __future__ import annotations

import logging
import random
import threading
import time
from abc import ABC, abstractmethod

from edge_agender.capture.sources.base import BaseSource
from edge_agender.config.settings import SourceConfig

log = logging.getLogger(__name__)

# Frames come with jitter: one that is early by less than this part of the period is not skipped.
_EARLY_PART = 0.25

FIRST_RETRY_S = 1.0
# While it waits to try again, it shows this often that it is not stuck: well within the watchdog's 30 s.
STILL_WAITING_S = 5.0


class WantedRate:
    """Which frames are wanted of a camera that sends more than that. Times are seconds on any one clock."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._next_s = float("-inf")

    def wants(self, at_s: float) -> bool:
        """Return whether a frame of that time is wanted."""
        return at_s >= self._next_s - self._period_s * _EARLY_PART

    def take(self, at_s: float) -> bool:
        """Return the same, and count the frame as taken. One that came late does not cost the next one its turn."""
        if not self.wants(at_s):
            return False
        self._next_s = max(self._next_s, at_s - self._period_s) + self._period_s
        return True


class ReconnectingSource(BaseSource, ABC):
    """A live source that is opened again whenever its frames stop. `name` is what may be shown of its address."""

    live = True

    def __init__(self, config: SourceConfig, stop: threading.Event, name: str) -> None:
        super().__init__()
        self._config, self._stop, self._name = config, stop, name
        self._retry_s = FIRST_RETRY_S
        self._came = False

    @abstractmethod
    def disconnect(self) -> None:
        """Give up what is open, where anything is; the next read opens it anew."""

    def reopen(self) -> None:
        self.restarts += 1
        self.disconnect()

    def close(self) -> None:
        self.disconnect()

    def arrived(self) -> None:
        """A frame has come."""
        self.made_progress()
        self.restarts += self._came and self.problem is not None
        self._came = True
        self.healed(log, f"{self._name}: frames arrive again")
        self._retry_s = FIRST_RETRY_S

    def wait_to_retry(self, reason: str) -> None:
        """Report why no frames come, and pause before the next attempt; `stop` ends it."""
        until_s = time.monotonic() + self._retry_s * random.uniform(0.5, 1.0)
        self.made_progress()
        self.failed(log, f"{self._name}: {reason}; trying again for as long as it takes")
        self._retry_s = min(self._retry_s * 2, self._config.opencv.reconnect_max_s)
        while (left_s := until_s - time.monotonic()) > 0 and not self._stop.wait(min(left_s, STILL_WAITING_S)):
            self.made_progress()
