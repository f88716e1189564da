"""Which of several addresses is tried next, and after how long."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge_agender.common.backoff import Backoff

# Connecting to one that hangs costs ten seconds; for so long it is not tried again, as long as there is another.
HANGS_S = 60.0


class Rotation:
    """`turn` is the number of the present address, of `count`. One that lets us in stays until it fails."""

    def __init__(self, count: int, backoff: Backoff, clock: Callable[[], float] = time.monotonic) -> None:
        self._backoff, self._clock = backoff, clock
        self.turn = self._began = 0
        self._avoided_until_s = [float("-inf")] * count

    def came_up(self) -> None:
        """The present address has let us in: a round begins with it."""
        self._began = self.turn

    def lasted(self) -> None:
        """A connection has proved to be one: waits are short again."""
        self._backoff.reset()
        self._avoided_until_s[self.turn] = float("-inf")

    def next_s(self, *, hangs: bool = False) -> float:
        """Turn to the next address, and return how long to wait before it is tried, in seconds.

        Within a round that is the shortest wait; after a round it grows. `hangs`: the present one is there and answers
        nothing.
        """
        now_s, count = self._clock(), len(self._avoided_until_s)
        if hangs:
            self._avoided_until_s[self.turn] = now_s + HANGS_S
        ahead = [(self.turn + step) % count for step in range(1, count + 1)]
        turn = next((one for one in ahead if self._avoided_until_s[one] <= now_s), ahead[0])
        passed = ahead[: ahead.index(turn) + 1]
        self.turn = turn
        return self._backoff.next_s() if self._began in passed else self._backoff.shortest_s()
