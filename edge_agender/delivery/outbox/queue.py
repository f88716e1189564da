"""Which message is sent next: live ones, of which the latest win, beside durable ones in the order they were put.

Pure bookkeeping: no thread, clock or file. `Outbox` holds the lock, tells the time and owns the disk.
A durable entry walks incoming -> (writing) -> ready -> sent -> deleting (removing). It is on disk once it has a row_id.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from edge_agender.config.settings import OutboxConfig
from edge_agender.delivery.outbox.parking import Entry, Parking
from edge_agender.messages.message import Message

# Entries held ready for sending. More than the publisher has in flight, few enough not to matter in memory.
READY = 256
LOW = 64


class LiveQueue:
    """Live messages: a bounded queue, and the latest of each retained topic, said again at every connection."""

    def __init__(self, config: OutboxConfig, dropped: Counter[str]) -> None:
        self._config = config
        self._dropped = dropped
        self._queue: deque[Entry] = deque()
        self._retained: dict[str, Message] = {}
        self._unsaid: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._queue) + len(self._unsaid)

    def put(self, message: Message, now_s: float) -> None:
        entry = Entry(message, now_s)
        if message.retain:
            self._retained[message.topic] = message
            self._unsaid[message.topic] = entry
            return
        if len(self._queue) >= self._config.live_messages:
            self._queue.popleft()
            self._dropped["live"] += 1
        self._queue.append(entry)

    def take(self, now_s: float) -> Entry | None:
        if self._unsaid:
            return self._unsaid.pop(next(iter(self._unsaid)))
        while self._queue:
            entry = self._queue.popleft()
            if now_s - entry.put_s <= self._config.live_max_age_s:
                return entry
            self._dropped["live"] += 1
        return None

    def say_again(self, now_s: float) -> None:
        self._unsaid = {topic: Entry(message, now_s) for topic, message in self._retained.items()}


@dataclass(slots=True)
class _Durable:
    incoming: deque[Entry] = field(default_factory=deque)
    writing: list[Entry] = field(default_factory=list)
    ready: deque[Entry] = field(default_factory=deque)
    sent: dict[int, Entry] = field(default_factory=dict)
    deleting: list[int] = field(default_factory=list)
    removing: list[int] = field(default_factory=list)
    delivered: set[int] = field(default_factory=set)  # of those to be deleted


class MessageQueue:
    def __init__(self, config: OutboxConfig) -> None:
        self._config = config
        self.dropped: Counter[str] = Counter()
        self._live = LiveQueue(config, self.dropped)
        self._durable = _Durable()
        self.parking = Parking()
        self._next_replay_s = 0.0
        self._live_turn = False
        self.loaded_row = 0
        self.more_on_disk = False
        self.disk_refuses = False

    # -- for who puts

    def put(self, message: Message, now_s: float) -> Entry | None:
        """Queue a message; return its entry if it is durable."""
        if not message.durable:
            self._live.put(message, now_s)
            return None
        entry = Entry(message, now_s)
        if len(self._durable.incoming) >= self._config.memory_messages:
            self._drop_oldest_in_memory()
        self._durable.incoming.append(entry)
        self._pass_disk_by()
        return entry

    def _drop_oldest_in_memory(self) -> None:
        unstored = next((entry for entry in self._durable.ready if not entry.row_id), None)
        if unstored is None:
            self._durable.incoming.popleft()
        else:
            self._durable.ready.remove(unstored)
        self.dropped["memory"] += 1

    # -- for who sends

    def take(self, now_s: float, durable: bool) -> Entry | None:
        """Return what to send next: live and durable in turn; durable ones only if `durable`."""
        self._live_turn = not self._live_turn
        if self._live_turn:
            return self._live.take(now_s) or (self._take_durable(now_s) if durable else None)
        return (self._take_durable(now_s) if durable else None) or self._live.take(now_s)

    def _take_durable(self, now_s: float) -> Entry | None:
        self._pass_disk_by()
        entry = self.parking.next(now_s) or self._next_ready(now_s)
        if entry is not None:
            self._durable.sent[id(entry)] = entry
        return entry

    def _next_ready(self, now_s: float) -> Entry | None:
        ready = self._durable.ready
        while ready and ready[0].message.topic in self.parking:
            if not self.parking.add(ready.popleft()):
                self.dropped["refused"] += 1
        if not ready:
            return None
        if self.is_historical(ready[0], now_s):
            if now_s < self._next_replay_s:
                return None
            self._next_replay_s = now_s + 1 / self._config.replay_rate_hz
        return ready.popleft()

    def is_historical(self, entry: Entry, now_s: float) -> bool:
        return entry.message.durable and (entry.earlier or now_s - entry.put_s > self._config.historical_after_s)

    def replay_in_s(self, now_s: float) -> float | None:
        """Seconds until the next durable message may go; None where none waits."""
        if self._durable.ready:
            return max(self._next_replay_s - now_s, 0.0)
        return self.parking.next_in_s(now_s)

    def settle(self, entry: Entry, delivered: bool) -> None:
        """The broker has it (`delivered`), or will never take it: it need not be kept waiting."""
        if self._durable.sent.pop(id(entry), None) is None:
            return
        entry.done, entry.delivered = True, delivered
        if entry.row_id:
            self._delete(entry)
        if entry.message.topic in self.parking:
            waited, more_on_disk = self.parking.release(entry.message.topic)
            self._durable.ready.extendleft(reversed(waited))
            if more_on_disk:
                self.disk_opened()

    def refuse(self, entry: Entry, now_s: float) -> None:
        """The broker does not want it now: it waits aside, with whatever else goes to its topic."""
        if self._durable.sent.pop(id(entry), None) is not None:
            self.parking.refuse(entry, now_s)

    def rewind(self, now_s: float) -> None:
        """What was sent but not acknowledged is to be sent again, before everything else."""
        self._durable.ready.extendleft(reversed(self._durable.sent.values()))
        self._durable.sent.clear()
        self._live.say_again(now_s)

    # -- for who writes

    def begin_write(self) -> tuple[list[Entry], list[int]]:
        """Return the entries to put on disk, oldest first, and the rows to delete.

        Entries that are held ready or sent without being on disk are from a time when the disk refused.
        """
        queue = self._durable
        unstored = [entry for entry in self._held() if not entry.row_id]
        queue.writing, queue.incoming = list(queue.incoming), deque()
        queue.removing, queue.deleting = queue.deleting, []
        return unstored + queue.writing, queue.removing

    def written(self, entries: Sequence[Entry], first_row_id: int) -> None:
        """Entries are on disk under rising row numbers. Those that do not fit in memory are loaded in their turn."""
        queue = self._durable
        queue.delivered.difference_update(queue.removing)
        queue.removing = []
        for row_id, entry in enumerate(entries, first_row_id):
            entry.row_id = row_id
            if entry.done:
                self._delete(entry)
        waiting, queue.writing = deque(queue.writing), []
        if self.more_on_disk:
            return
        self._move_to_ready(waiting)
        self.loaded_row = first_row_id + len(entries) - len(waiting) - 1
        self.more_on_disk = bool(waiting)

    def _delete(self, entry: Entry) -> None:
        self._durable.deleting.append(entry.row_id)
        if entry.delivered:
            self._durable.delivered.add(entry.row_id)

    def not_written(self) -> None:
        """The disk refused what `begin_write` returned."""
        queue = self._durable
        queue.deleting[:0], queue.removing = queue.removing, []
        queue.incoming.extendleft(reversed(queue.writing))
        queue.writing = []

    def _pass_disk_by(self) -> None:
        """While the disk refuses, let entries go out from memory, unless older ones are on it or being written."""
        if self.disk_refuses and not self.more_on_disk and not self._durable.writing:
            self._move_to_ready(self._durable.incoming)

    def _move_to_ready(self, waiting: deque[Entry]) -> None:
        while waiting and len(self._durable.ready) < READY:
            self._durable.ready.append(waiting.popleft())

    def disk_opened(self) -> None:
        self.loaded_row, self.more_on_disk = 0, True

    def rows_added(self) -> None:
        """The store has rows behind the last one that nobody put here."""
        self.more_on_disk = True

    def disk_gone(self) -> None:
        """The store cannot be read: nothing more comes from there."""
        self.loaded_row, self.more_on_disk = 0, False

    def disk_replaced(self, former: int, kept: Collection[int]) -> None:
        """A new store holds only the rows `kept` of `former` ones: what else is held here is to be written again."""
        self.disk_opened()
        again = [entry for entry in self._held() if entry.row_id and entry.row_id not in kept]
        for entry in again:
            entry.row_id = 0
        acknowledged = len(set(self._durable.deleting) - set(kept))
        # `former` is 0 for a store that could not even be opened: nobody knows what it held.
        self.dropped["damaged"] += max(former - len(kept) - len(again) - acknowledged, 0)

    def load(self, entries: Iterable[Entry], loaded_row: int, more: bool) -> None:
        """Append what was read from disk up to `loaded_row`, save what is known here already."""
        known = {entry.row_id for entry in self._held()} | set(self._durable.deleting)
        self._durable.ready.extend(entry for entry in entries if entry.row_id not in known)
        self.loaded_row, self.more_on_disk = loaded_row, more

    def delete_later(self, row_ids: Iterable[int], reason: str) -> None:
        """Rows are of no use: count them and delete them with the next commit."""
        rows = list(row_ids)
        self._durable.deleting += rows
        self.dropped += Counter({reason: len(rows)})

    def forget(self, row_ids: Iterable[int], reason: str) -> None:
        """Rows were dropped from disk: count them, and do not send them."""
        gone = set(row_ids)
        self._durable.ready = deque(entry for entry in self._durable.ready if entry.row_id not in gone)
        self.parking.forget(gone)
        self.dropped += Counter({reason: len(gone)})

    def _held(self) -> tuple[Entry, ...]:
        return (*self._durable.sent.values(), *self.parking, *self._durable.ready)

    def sent_rows(self) -> set[int]:
        return {entry.row_id for entry in self._durable.sent.values()} | set(self._durable.deleting)

    @property
    def delivered(self) -> Collection[int]:
        """Of the rows to be deleted, those that the broker has."""
        return self._durable.delivered

    @property
    def wants_rows(self) -> bool:
        return self.more_on_disk and len(self._durable.ready) < LOW

    @property
    def incoming(self) -> Sequence[Entry]:
        return self._durable.incoming

    @property
    def deleting(self) -> int:
        return len(self._durable.deleting) + len(self._durable.removing)

    @property
    def live(self) -> int:
        return len(self._live)

    @property
    def in_memory_only(self) -> int:
        waiting = len(self._durable.incoming) + len(self._durable.writing)
        return waiting + sum(not entry.row_id for entry in self._held())


def as_historical(message: Message) -> Message:
    """The same message with "historical": true in its JSON object; unchanged where its payload is none."""
    try:
        payload = json.loads(message.payload)
    except ValueError:
        return message
    if not isinstance(payload, dict):
        return message
    text = json.dumps({**payload, "historical": True}, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return replace(message, payload=text.encode())
