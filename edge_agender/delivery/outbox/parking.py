"""Where messages wait whose topic the broker refuses: they must neither be lost nor hold up the other topics.

Every `retry_s` the oldest of a topic is tried again; once one is taken, the rest of its topic follows. Trying seldom
matters: Mosquitto 2.0.11 (Debian bookworm) ends the connection of an MQTT 5 client after each refusal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from edge_agender.messages.message import Message

RETRY_S = 60.0
# Entries in memory at most. More stay on disk and are read again once a topic is free.
LIMIT = 1024


@dataclass(eq=False, slots=True)
class Entry:
    """A message on its way out. `put_s` is monotonic; `earlier` says that a former process put it.

    `row_id` is 0 as long as it is not on disk; `done`: the broker has it, or never will; `delivered`: it has it.
    `hang_ups`: how often the broker ended the connection while nothing but this was on its way.
    """

    message: Message
    put_s: float
    row_id: int = 0
    earlier: bool = False
    done: bool = False
    delivered: bool = False
    hang_ups: int = 0


@dataclass(slots=True)
class _Lot:
    entries: deque[Entry] = field(default_factory=deque)
    try_at_s: float = 0.0


class Parking:
    def __init__(self, retry_s: float = RETRY_S) -> None:
        self.retry_s = retry_s
        self._lots: dict[str, _Lot] = {}
        self._left_on_disk = False

    def __contains__(self, topic: str) -> bool:
        return topic in self._lots

    def __iter__(self) -> Iterator[Entry]:
        return (entry for lot in self._lots.values() for entry in lot.entries)

    @property
    def topics(self) -> list[str]:
        return sorted(self._lots)

    def refuse(self, entry: Entry, now_s: float) -> None:
        """The broker refused this one: its topic is closed until one is taken."""
        lot = self._lots.setdefault(entry.message.topic, _Lot())
        lot.try_at_s = now_s + self.retry_s
        lot.entries.append(entry)
        # Several were in flight, and were refused one after the other: back into the order of putting.
        lot.entries = deque(sorted(lot.entries, key=lambda one: (not one.earlier, one.row_id or 1 << 62, one.put_s)))

    def add(self, entry: Entry) -> bool:
        """Park one of a closed topic behind the others; False if it is nowhere on disk and there is no room."""
        if sum(len(lot.entries) for lot in self._lots.values()) < LIMIT:
            self._lots[entry.message.topic].entries.append(entry)
            return True
        self._left_on_disk = self._left_on_disk or entry.row_id > 0
        return entry.row_id > 0

    def next(self, now_s: float) -> Entry | None:
        """Return the oldest of a topic that is to be tried again now."""
        for lot in self._lots.values():
            if lot.entries and now_s >= lot.try_at_s:
                lot.try_at_s = now_s + self.retry_s
                return lot.entries.popleft()
        return None

    def next_in_s(self, now_s: float) -> float | None:
        times = [lot.try_at_s for lot in self._lots.values() if lot.entries]
        return max(min(times) - now_s, 0.0) if times else None

    def release(self, topic: str) -> tuple[list[Entry], bool]:
        """Open a topic again; return what waited, and whether more of what was parked has to be read from disk."""
        lot = self._lots.pop(topic, _Lot())
        more, self._left_on_disk = self._left_on_disk, False
        return list(lot.entries), more

    def forget(self, row_ids: Collection[int]) -> None:
        """Rows were dropped from disk; a topic of which nothing waits any more is open again."""
        for topic, lot in list(self._lots.items()):
            before = len(lot.entries)
            lot.entries = deque(entry for entry in lot.entries if entry.row_id not in row_ids)
            if before and not lot.entries:
                del self._lots[topic]
