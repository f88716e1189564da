"""Which of several addresses is tried next, and after how long."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge_agender.common.backoff import Backoff

# Connecting to one that hangs costs ten seconds; for so long it is not tried again, as long as there is another, or
# until so many attempts at each of the others have failed.
HANGS_S, ROUNDS = 60.0, 3


class Rotation:
    """`turn` is the number of the present address, of `count`. One that lets us in stays until it fails."""

    def __init__(self, count: int, backoff: Backoff, clock: Callable[[], float] = time.monotonic) -> None:
        self._backoff, self._clock = backoff, clock
        self.turn = self._began = self._in_vain = 0
        self._avoided_until_s = [float("-inf")] * count

    def came_up(self) -> None:
        """The present address has let us in: a round begins with it."""
        self._began = self.turn

    def lasted(self) -> None:
        """A connection has proved to be one: waits are short again."""
        self._backoff.reset()
        self._in_vain = 0
        self._avoided_until_s[self.turn] = float("-inf")

    def next_s(self, *, hangs: bool = False) -> float:
        """Turn to the next address, and return how long to wait before it is tried, in seconds.

        Within a round that is the shortest wait; after a round it grows. `hangs`: the present one is there and answers
        nothing.
        """
        now_s, count = self._clock(), len(self._avoided_until_s)
        self._in_vain += 1
        if hangs:
            self._avoided_until_s[self.turn], self._in_vain = now_s + HANGS_S, 0
        self._forgive(now_s)
        ahead = [(self.turn + step) % count for step in range(1, count + 1)]
        turn = next((one for one in ahead if self._avoided_until_s[one] <= now_s), ahead[0])
        passed = ahead[: ahead.index(turn) + 1]
        self.turn = turn
        return self._backoff.next_s() if self._began in passed else self._backoff.shortest_s()

    def _forgive(self, now_s: float) -> None:
        """Let the one that has been avoided longest be tried, where no other is any good."""
        avoided = [until_s for until_s in self._avoided_until_s if until_s > now_s]
        others = len(self._avoided_until_s) - len(avoided)
        if avoided and others and self._in_vain >= ROUNDS * others:
            self._avoided_until_s[self._avoided_until_s.index(min(avoided))] = now_s
            self._in_vain = 0
