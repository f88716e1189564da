"""What was sent and is not acknowledged yet, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from edge_agender.delivery.outbox.parking import Entry


@dataclass(frozen=True, slots=True)
class _Sent:
    entry: Entry | None  # None: a status, or a subscription
    at_s: float
    publish: bool


@dataclass(slots=True)
class InFlight:
    """Packets by their number; times are the clock's.

    At QoS 0 no message is acknowledged. There, durable ones wait for the answer to a packet sent after them (a fence):
    a broker handles the packets of a connection in their order, so it has read what came before.
    """

    clock: Callable[[], float] = time.monotonic
    _sent: dict[int, _Sent] = field(default_factory=dict)
    _answered_s: float = float("-inf")
    _unfenced: list[Entry] = field(default_factory=list)
    _fenced: list[Entry] = field(default_factory=list)
    _fence: int | None = None

    def __len__(self) -> int:
        """How many messages count against what the broker takes at once."""
        return len(self.messages())

    def messages(self) -> list[Entry | None]:
        """Return what was published and is not acknowledged; None for a status."""
        return [one.entry for one in self._sent.values() if one.publish] + self._fenced + self._unfenced

    @property
    def carries_durable(self) -> bool:
        return any(entry is not None and entry.message.durable for entry in self.messages())

    def add(self, number: int, entry: Entry | None = None, *, publish: bool = True) -> None:
        self._sent[number] = _Sent(entry, self.clock(), publish)

    def take(self, number: int) -> Entry | None:
        """The broker has answered a packet: return the entry that it was about."""
        sent = self._sent.pop(number, None)
        if sent is None:
            return None
        self._answered_s = self.clock()
        return sent.entry

    def add_unfenced(self, entry: Entry) -> None:
        self._unfenced.append(entry)

    @property
    def wants_fence(self) -> bool:
        return self._fence is None and bool(self._unfenced)

    def fence(self, number: int) -> None:
        """A packet that will be answered has been sent after everything so far."""
        self.add(number, publish=False)
        self._fence, self._fenced, self._unfenced = number, self._unfenced, []

    def pass_fence(self, number: int) -> list[Entry]:
        """The broker has answered a packet: return what it has read by now."""
        self.take(number)
        if number != self._fence:
            return []
        passed, self._fence, self._fenced = self._fenced, None, []
        return passed

    @property
    def waits(self) -> bool:
        """True while the broker owes an answer, or will."""
        return bool(self._sent) or bool(self._unfenced)

    def oldest_s(self) -> float:
        """Return for how long the oldest packet has waited, 0 where none does."""
        return self.clock() - min((one.at_s for one in self._sent.values()), default=self.clock())

    def skipped(self, after_s: float) -> list[Entry]:
        """Return durable messages that have waited for so long although the broker has answered something since."""
        late = [one for one in self._sent.values() if self.clock() - one.at_s > after_s and one.at_s < self._answered_s]
        return [one.entry for one in late if one.entry is not None and one.entry.message.durable]
