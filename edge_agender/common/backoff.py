"""How long to wait before trying again: exponential, with full jitter (Brooker, AWS, 2015), for ever."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Waits drawn from `least` (a part, 0..1) of a ceiling up to that, which starts at `min_s` and doubles to `max_s`.

    Full jitter keeps a shop full of devices from coming back to a restarted broker in one moment.
    """

    def __init__(
        self, min_s: float, max_s: float, draw: Callable[[], float] = random.random, least: float = 0.0
    ) -> None:
        self._min_s = min_s
        self._max_s = max(min_s, max_s)
        self._draw = draw
        self._least = least
        self._ceiling_s = min_s

    @property
    def ceiling_s(self) -> float:
        """The longest that the next wait can be."""
        return self._ceiling_s

    def next_s(self) -> float:
        """Return the next wait in seconds and double the ceiling."""
        wait_s = self._ceiling_s * (self._least + (1 - self._least) * self._draw())
        self._ceiling_s = min(self._ceiling_s * 2, self._max_s)
        return wait_s

    def reset(self) -> None:
        self._ceiling_s = self._min_s

    def shortest_s(self) -> float:
        """Return a wait below the first ceiling, and leave the present one as it is."""
        return self._min_s * self._draw()
