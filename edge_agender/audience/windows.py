"""Clock-aligned windows: which one an event belongs to, when one is complete, and how they survive a restart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_agender.audience.demography import AgeBands
from edge_agender.audience.measures import Visit
from edge_agender.audience.tally import Tally, from_plain, to_plain

FORMAT = 1
# A pause between two frames longer than this was not watched.
MAX_FRAME_GAP_S = 2.0
# A window told this much after it was complete is a late one.
LATE_S = 30.0


@dataclass(frozen=True, slots=True)
class ClosedWindow:
    """A complete window, not yet fit for release."""

    start_utc_s: float
    length_s: int
    tally: Tally
    historical: bool


class Windows:
    """Counts into the window of each moment. `grace_s`: how long after its end a visit in it may still become known.

    Times are UTC seconds. A clock that is set forward leaves a hole. One that is set back by more than a window ends
    all windows that are open, and the same start may occur again: both windows count.
    """

    def __init__(self, length_s: int, grace_s: float, bands: AgeBands) -> None:
        self._length_s = length_s
        self._grace_s = grace_s
        self._bands = bands
        self._open: dict[int, Tally] = {}
        self._told = -1
        self._next_number = 0
        self._ready: list[tuple[float, int, Tally]] = []
        self._last_s = -math.inf

    def watch(
        self, utc_s: float, now_s: float, count: int, luma: float | None, throttled: bool | None, content: str | None
    ) -> None:
        """Take in a frame; `now_s` is monotonic, so that a change of the clock covers no time."""
        self._notice_clock(utc_s)
        seconds = now_s - self._last_s
        if seconds > MAX_FRAME_GAP_S or seconds < 0:
            seconds = 0.0
        for index, part_s in self._parts(utc_s, seconds):
            self._at(index).watch(part_s, count, luma, content)
        tally = self._at(self._index(utc_s))
        tally.peak_count = max(tally.peak_count, count)
        if throttled is not None:
            tally.throttled = throttled or bool(tally.throttled)
        self._last_s = now_s

    def leave(self, visit: Visit) -> None:
        """Take in a visit that is over, in the window of its last detection or the oldest that is still open."""
        self._at(self._index(visit.last_utc_s)).leave(visit, self._bands)

    def due(self, utc_s: float) -> list[ClosedWindow]:
        """Return the windows that are complete at `utc_s`, oldest first, each once."""
        self._notice_clock(utc_s)
        self._close([index for index in self._open if self._end_s(index) + self._grace_s <= utc_s])
        ready, self._ready = self._ready, []
        return [
            ClosedWindow(start_s, length_s, tally, utc_s - start_s - length_s - self._grace_s > LATE_S)
            for start_s, length_s, tally in ready
        ]

    def snapshot(self) -> dict[str, Any]:
        """Return all that a new process needs to go on, in JSON's types."""
        return {
            "format": FORMAT,
            "length_s": self._length_s,
            "told": self._told,
            "next_number": self._next_number,
            "open": [[index, to_plain(tally)] for index, tally in sorted(self._open.items())],
            "ready": [[start_s, length_s, to_plain(tally)] for start_s, length_s, tally in self._ready],
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from another process's snapshot; raise ValueError, with nothing changed, where it cannot be used."""
        try:
            if snapshot["format"] != FORMAT:
                raise ValueError(f"format {snapshot['format']}")
            told, length_s, number = (int(snapshot[key]) for key in ("told", "length_s", "next_number"))
            opened = {int(index): from_plain(plain) for index, plain in snapshot["open"]}
            ready = [(float(start_s), int(length), from_plain(plain)) for start_s, length, plain in snapshot["ready"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the windows' state cannot be read: {error}") from None
        self._ready, self._next_number = ready, number
        if length_s == self._length_s:
            self._open, self._told = opened, told
        else:
            # Another length was configured since: what was counted is told as it was counted.
            self._ready += [(index * length_s, length_s, tally) for index, tally in sorted(opened.items())]

    def _close(self, indices: Iterable[int]) -> None:
        for index in sorted(indices):
            self._ready.append((index * self._length_s, self._length_s, self._open.pop(index)))
            self._told = max(self._told, index)

    def _parts(self, utc_s: float, seconds: float) -> Iterator[tuple[int, float]]:
        """Share the `seconds` up to `utc_s` out among the windows they fell in."""
        start_s = utc_s - seconds
        for index in range(self._index(start_s), self._index(utc_s) + 1):
            part_s = min(self._end_s(index), utc_s) - max(index * self._length_s, start_s)
            yield index, part_s

    def _notice_clock(self, utc_s: float) -> None:
        newest = max(self._open, default=self._told)
        if self._index(utc_s) < newest - 1:
            self._close(list(self._open))
            self._told = self._index(utc_s) - 1

    def _at(self, index: int) -> Tally:
        # What is told stays told: an event that comes too late counts in the first window that is still open.
        index = max(index, self._told + 1)
        if index not in self._open:
            self._open[index] = Tally(self._next_number)
            self._next_number += 1
        return self._open[index]

    def _index(self, utc_s: float) -> int:
        return math.floor(utc_s / self._length_s)

    def _end_s(self, index: int) -> float:
        return (index + 1) * self._length_s
