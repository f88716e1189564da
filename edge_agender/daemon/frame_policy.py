"""Which processed frames become a message: every one, a maximum rate, or on change; seldom when nobody is there."""

from __future__ import annotations

from collections.abc import Hashable

from edge_agender.config.settings import PublishConfig

# A frame that comes this much early for its turn is still on time: cameras do not keep step to the millisecond.
GRACE_S = 0.002


class FramePolicy:
    """Remembers what was last published, and when. Times are time.monotonic() seconds."""

    def __init__(self, config: PublishConfig) -> None:
        self._config = config
        self._last_s = float("-inf")
        self._last_summary: Hashable = None

    def due(self, summary: Hashable, count: int, now_s: float) -> bool:
        """Tell whether the frame is to be published, and remember it if so.

        `summary` is what a subscriber would call the same audience: equal values mean no change.
        """
        if not self._is_due(summary, count, now_s):
            return False
        self._last_s, self._last_summary = now_s, (count, summary)
        return True

    def _is_due(self, summary: Hashable, count: int, now_s: float) -> bool:
        changed = (count, summary) != self._last_summary
        elapsed_s = now_s - self._last_s + GRACE_S
        if self._config.frames == "rate" and elapsed_s < 1 / self._config.max_rate_hz:
            return False
        if count == 0:
            return changed or elapsed_s >= self._config.idle_s
        return changed or self._config.frames != "change"
