"""Which of several addresses is tried next, and after how long."""

from __future__ import annotations

from edge_agender.common.backoff import Backoff


class Rotation:
    """`turn` is the number of the present address, of `count`. One that lets us in stays until it fails."""

    def __init__(self, count: int, backoff: Backoff) -> None:
        self._count, self._backoff = count, backoff
        self.turn = self._began = 0

    def came_up(self) -> None:
        """The present address has let us in: a round begins with it."""
        self._began = self.turn

    def lasted(self) -> None:
        """A connection has proved to be one: waits are short again."""
        self._backoff.reset()

    def next_s(self) -> float:
        """Turn to the next address, and return how long to wait before it is tried, in seconds.

        Within a round that is the shortest wait; after a round it grows.
        """
        self.turn = (self.turn + 1) % self._count
        return self._backoff.next_s() if self.turn == self._began else self._backoff.shortest_s()
