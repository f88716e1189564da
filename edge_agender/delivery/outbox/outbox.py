"""Store and forward: live messages in memory, durable ones on disk until the broker acknowledged them.

A durable message is on disk before it is published. One thread owns the disk (outbox_writer.py), so that neither a
slow card nor a dead broker holds up who puts or who sends.

Ages are counted by the outbox's own clock: monotonic seconds, continued after a restart from the newest stored row.
No jump of the wall clock makes a message old; the time for which the device was off does not count.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

from edge_agender.config.settings import OutboxConfig
from edge_agender.delivery.outbox.parking import Entry
from edge_agender.delivery.outbox.queue import MessageQueue, as_historical
from edge_agender.delivery.outbox.store import numbered
from edge_agender.delivery.outbox.writer import BATCHED_KINDS, Writer
from edge_agender.device.paths import state_folder
from edge_agender.messages.inbound import Resend
from edge_agender.messages.message import Message

# A commit takes well under a millisecond where the card is idle; a card that stalls must not stall the counting.
PUT_WAIT_S = 0.05
CLOSE_WAIT_S = 1.5


@dataclass(frozen=True, slots=True)
class OutboxState:
    """What waits, and what was lost by reason: live, size, age, memory, damaged, refused. No alarm: all is well.

    `last`: the highest sequence number that was put, by boot and kind.
    """

    live: int
    durable: int
    durable_bytes: int
    dropped: Mapping[str, int]
    alarm: str | None
    last: Mapping[tuple[str, str], int] = field(default_factory=dict)


class Outbox:
    """`put` from any thread; `take`, `acknowledge`, `reject` and `rewind` from the one that sends."""

    def __init__(
        self, config: OutboxConfig, clock: Callable[[], float] = time.monotonic, retry_s: float = 30.0
    ) -> None:
        self._clock = clock
        self._lock = threading.Condition()
        self._queue = MessageQueue(config)
        self._listener: Callable[[], None] = lambda: None
        self._last: dict[tuple[str, str], int] = {}
        folder = config.path or state_folder()
        self._writer = Writer(config, folder, self._queue, self._lock, clock, retry_s, self._tell)

    def __enter__(self) -> Outbox:
        self._writer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.stop(CLOSE_WAIT_S)

    def _tell(self) -> None:
        self._listener()

    # -- for who puts

    def put(self, message: Message) -> None:
        """Queue a message. A durable one is on disk on return, unless the disk is slow or in trouble, or its kind is
        written in batches; never blocks longer than PUT_WAIT_S, never raises for the disk's or the broker's sake."""
        with self._lock:
            entry = self._queue.put(message, self._clock())
            if entry is not None:
                self._note_number(message)
                self._hand_to_writer(entry)
        self._tell()

    def _note_number(self, message: Message) -> None:
        if message.kind not in BATCHED_KINDS and (number := numbered(message)) is not None:
            boot_id, sequence = number
            self._last[boot_id, message.kind] = max(sequence, self._last.get((boot_id, message.kind), sequence))

    def _hand_to_writer(self, entry: Entry) -> None:
        self._lock.notify_all()
        if self._writer.healthy and entry.message.kind not in BATCHED_KINDS:
            self._lock.wait_for(lambda: entry.row_id or not self._writer.healthy, PUT_WAIT_S)

    # -- for who sends

    def listen(self, listener: Callable[[], None]) -> None:
        """Have `listener` called, from any thread and quickly, whenever there may be something to take."""
        self._listener = listener

    def take(self, durable: bool = True) -> tuple[Entry, Message] | None:
        """Return what to send next and the receipt to give back for it; None if there is nothing now.

        Durable messages come in order, and only if `durable`. What is sent late, or was put by a former process, is
        marked "historical": true and rate-limited.
        """
        with self._lock:
            now_s = self._clock()
            entry = self._queue.take(now_s, durable)
            if entry is None:
                return None
            if self._queue.wants_rows:
                self._lock.notify_all()
            historical = self._queue.is_historical(entry, now_s)
        return entry, as_historical(entry.message) if historical else entry.message

    def replay_in_s(self) -> float | None:
        """Seconds until `take` has a durable message; None where none waits."""
        with self._lock:
            return self._queue.replay_in_s(self._clock())

    def has_something_now(self) -> bool:
        """Say whether a live message waits, or a durable one that the rate limit lets go at once."""
        with self._lock:
            return self._queue.live > 0 or self._queue.replay_in_s(self._clock()) == 0

    def acknowledge(self, entry: Entry) -> None:
        """The broker has it: forget it, here and on disk."""
        with self._lock:
            self._queue.settle(entry, delivered=True)
            self._lock.notify_all()

    def refuse(self, entry: Entry) -> None:
        """The broker does not want it now: keep it, try its topic again from time to time, and go on with others."""
        with self._lock:
            self._queue.refuse(entry, self._clock())

    def reject(self, entry: Entry, reason: str = "refused") -> None:
        """It will never be sent: forget it and count it."""
        with self._lock:
            self._queue.settle(entry, delivered=False)
            self._queue.dropped[reason] += 1
            self._lock.notify_all()

    def send_again(self, wanted: Resend) -> None:
        """Send what was sent before once more, as far as it is kept (`keep_sent_days`); returns at once."""
        with self._lock:
            self._writer.wanted.append(wanted)
            self._lock.notify_all()

    def rewind(self) -> None:
        """The connection ended: what it left unacknowledged, and every retained live message, is to be sent again."""
        with self._lock:
            self._queue.rewind(self._clock())

    # -- for who watches

    def state(self) -> OutboxState:
        with self._lock:
            stored = self._writer.stored - self._queue.deleting
            alarms = [text for text in (self._writer.trouble, self._writer.damage) if text]
            alarms += [f"the broker refuses {topic}: change its ACL" for topic in self._queue.parking.topics]
            return OutboxState(
                live=self._queue.live,
                durable=max(stored, 0) + self._queue.in_memory_only,
                durable_bytes=self._writer.stored_bytes,
                dropped=dict(self._queue.dropped),
                alarm="; ".join(alarms) or None,
                last=dict(self._last),
            )
