"""Clock-aligned spans of time: which one an event belongs to, when one is complete, and how they survive a restart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

# A pause between two frames longer than this was not watched.
MAX_FRAME_GAP_S = 2.0
# A span published this much after it was complete is a late one.
LATE_S = 30.0
# 2025 and 2100: a clock before the first was not set yet, a state after the second is damaged.
SET_CLOCK_S, LAST_S = 1_735_689_600.0, 4_102_444_800.0
DAY_S = 86_400


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What is counted in a span: a new one by its number; to and from JSON's types (ValueError for what is none)."""

    new: Callable[[int], T]
    to_plain: Callable[[T], dict[str, Any]]
    from_plain: Callable[[Mapping[str, Any]], T]


@dataclass(frozen=True, slots=True)
class Closed(Generic[T]):
    """A complete span, not yet fit for release."""

    start_utc_s: float
    length_s: int
    tally: T
    historical: bool


class Spans(Generic[T]):
    """Finds the tally of each moment. `grace_s`: how long after its end an event in it may still become known.

    Times are UTC seconds. A clock that is set forward leaves a hole. One that is set back by more than a span ends
    all spans that are open, and the same start may occur again: both count.
    """

    def __init__(self, length_s: int, grace_s: float, kind: Kind[T]) -> None:
        self._length_s, self._grace_s, self._kind = length_s, grace_s, kind
        self._open: dict[int, T] = {}
        self._published = -1
        self._next_number = 0
        self._ready: list[tuple[float, int, T]] = []
        self._last_s = -math.inf

    def watched(self, utc_s: float, now_s: float) -> Iterator[tuple[T, float]]:
        """Yield the spans that were watched since the last call, and for how many seconds each.

        `now_s` is monotonic, so that a change of the clock covers no time.
        """
        self._notice_clock(utc_s)
        seconds = now_s - self._last_s
        if seconds > MAX_FRAME_GAP_S or seconds < 0:
            seconds = 0.0
        self._last_s = now_s
        start_s = utc_s - seconds
        for index in range(self._index(start_s), self._index(utc_s) + 1):
            part_s = min(self._end_s(index), utc_s) - max(index * self._length_s, start_s)
            yield self._at(index), part_s

    def at(self, utc_s: float) -> T:
        """Return the span of that moment, or the oldest that is still open."""
        return self._at(self._index(utc_s))

    def due(self, utc_s: float) -> list[Closed[T]]:
        """Return the spans that are complete at `utc_s`, oldest first, each once."""
        self._notice_clock(utc_s)
        self._close([index for index in self._open if self._end_s(index) + self._grace_s <= utc_s])
        ready, self._ready = self._ready, []
        return [
            Closed(start_s, length_s, tally, utc_s - start_s - length_s - self._grace_s > LATE_S)
            for start_s, length_s, tally in ready
        ]

    def cut(self) -> None:
        """End what is open now, whatever the clock says: the same start may come again."""
        published = self._published
        self._close(list(self._open))
        self._published = published

    def snapshot(self) -> dict[str, Any]:
        """Return all that a new process needs to go on, in JSON's types."""
        plain = self._kind.to_plain
        return {
            "length_s": self._length_s,
            "published": self._published,
            "next_number": self._next_number,
            "open": [[index, plain(tally)] for index, tally in sorted(self._open.items())],
            "ready": [[start_s, length_s, plain(tally)] for start_s, length_s, tally in self._ready],
        }

    def restored(self, snapshot: Mapping[str, Any], utc_s: float) -> Spans[T]:
        """Return spans like these that go on from another process's snapshot; raise ValueError for what is none."""
        after = Spans(self._length_s, self._grace_s, self._kind)
        try:
            length_s, number = whole(snapshot["length_s"], 1), whole(snapshot["next_number"])
            published = whole(snapshot["published"], -1)
            opened = {whole(index): self._kind.from_plain(plain) for index, plain in snapshot["open"]}
            ready = [
                (_start(start_s, utc_s), whole(length, 1), self._kind.from_plain(plain))
                for start_s, length, plain in snapshot["ready"]
            ]
            for index in (*opened, max(published, 0)):
                _start(index * length_s, utc_s)
        except (KeyError, TypeError) as error:
            raise ValueError(f"the figures' state cannot be read: {error!r}") from None
        after._ready, after._next_number = ready, number
        if length_s == self._length_s:
            after._open, after._published = opened, published
        else:
            # Another length was configured since: what was counted is published as it was counted.
            after._ready += [(index * length_s, length_s, tally) for index, tally in sorted(opened.items())]
        return after

    def go_on_from(self, before: Spans[T]) -> None:
        """Cover the time since the last frame of others that this process counted with until now."""
        self._last_s = before._last_s

    def _close(self, indices: Iterable[int]) -> None:
        for index in sorted(indices):
            self._ready.append((index * self._length_s, self._length_s, self._open.pop(index)))
            self._published = max(self._published, index)

    def _notice_clock(self, utc_s: float) -> None:
        newest = max(self._open, default=self._published)
        if self._index(utc_s) < newest - 1:
            self._close(list(self._open))
            self._published = self._index(utc_s) - 1

    def _at(self, index: int) -> T:
        # What is published stays so: an event that comes too late counts in the first span that is still open.
        index = max(index, self._published + 1)
        if index not in self._open:
            self._open[index] = self._kind.new(self._next_number)
            self._next_number += 1
        return self._open[index]

    def _index(self, utc_s: float) -> int:
        return math.floor(utc_s / self._length_s)

    def _end_s(self, index: int) -> float:
        return (index + 1) * self._length_s


def whole(value: Any, least: int = 0) -> int:
    """Return a whole number of at least `least`; raise ValueError for anything else, True among it."""
    if type(value) is not int or not least <= value < 1 << 53:
        raise ValueError(f"a whole number was expected, not {value!r:.40}")
    return value


def number(value: Any, least: float = 0.0) -> float:
    """Return a number of at least `least`; raise ValueError for anything else."""
    if type(value) not in (int, float) or not least <= value < 1e12:
        raise ValueError(f"a number was expected, not {value!r:.40}")
    return float(value)


def _start(start_s: Any, utc_s: float) -> float:
    # A clock that was not set yet says nothing about what is too late.
    latest_s = utc_s + DAY_S if utc_s > SET_CLOCK_S else LAST_S
    if number(start_s) > latest_s:
        raise ValueError(f"a start in the future: {start_s}")
    return float(start_s)
