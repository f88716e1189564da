"""How long to wait before trying again: exponential, with full jitter (Brooker, AWS, 2015), for ever."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Waits drawn from 0 to a ceiling that starts at `min_s` and doubles up to `max_s`.

    Full jitter keeps a shop full of devices from coming back to a restarted broker in one moment.
    """

    def __init__(self, min_s: float, max_s: float, draw: Callable[[], float] = random.random) -> None:
        self._min_s = min_s
        self._max_s = max(min_s, max_s)
        self._draw = draw
        self._ceiling_s = min_s

    def next_s(self) -> float:
        """Return the next wait in seconds and double the ceiling."""
        wait_s = self._ceiling_s * self._draw()
        self._ceiling_s = min(self._ceiling_s * 2, self._max_s)
        return wait_s

    def reset(self) -> None:
        self._ceiling_s = self._min_s
