"""From a broker into the store: what is acknowledged is stored. Nothing that arrives can stop it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from edge_agender.common.backoff import Backoff
from edge_agender.errors import first_line
from edge_agender.fleet.intake import read
from edge_agender.fleet.keeping import Outcome, keep
from edge_agender.fleet.records import Arrival, Record, Refused
from edge_agender.fleet.store import Database, StoreBusyError

_log = logging.getLogger(__name__)

BATCH = 500
WAIT_S = 0.5


class Source(Protocol):
    """A broker's side. What is taken and not acknowledged is delivered again, to this collector or its successor."""

    def take(self, limit: int, wait_s: float) -> list[Arrival]:
        """Return what has arrived, oldest first; wait for the first one so long at most."""

    def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        """These are stored. Thread-safe, and never raises: an acknowledgement that is lost costs a copy."""


class Collector:
    """One loop on one thread; `totals` are since the start."""

    def __init__(self, source: Source, database: Database, prefix: str, clock: Callable[[], float] = time.time) -> None:
        self._source, self._database, self._prefix, self._clock = source, database, prefix, clock
        self.totals = Outcome()
        self.trouble: str | None = None
        self.last_stored_s: float | None = None
        self._backoff = Backoff(0.5, 30.0)

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.turn(stop)

    def turn(self, stop: threading.Event, wait_s: float = WAIT_S) -> int:
        """Store and acknowledge what has arrived; return how many messages that were."""
        arrivals = self._source.take(BATCH, wait_s)
        if arrivals and self._store(arrivals, stop):
            self._source.acknowledge(arrivals)
            return len(arrivals)
        return 0

    def _store(self, arrivals: Sequence[Arrival], stop: threading.Event) -> bool:
        """Return once these are stored; False where that was not possible before `stop`."""
        records = [record for arrival in arrivals if (record := read(arrival, self._prefix)) is not None]
        while True:
            try:
                self.totals.add(self._keep(records))
            except StoreBusyError as error:
                self._tell(str(error))
                if stop.wait(self._backoff.next_s()):
                    return False
            else:
                self._healed()
                return True

    def _keep(self, records: Sequence[Record]) -> Outcome:
        """Store a batch; one that the store cannot hold, for whatever reason, is put aside alone."""
        try:
            return keep(self._database, records, self._clock())
        except StoreBusyError:
            raise
        except Exception as error:
            _log.debug("a batch of %d", len(records), exc_info=True)
            if len(records) == 1:
                return keep(self._database, [_aside(records[0], error)], self._clock())
        outcome, middle = Outcome(), len(records) // 2
        for half in (records[:middle], records[middle:]):
            outcome.add(self._keep(half))
        return outcome

    def _tell(self, trouble: str) -> None:
        if self.trouble is None:
            _log.warning("%s: nothing is acknowledged until this heals", trouble)
        self.trouble = trouble

    def _healed(self) -> None:
        if self.trouble is not None:
            _log.info("messages are stored again")
        self.trouble, self.last_stored_s = None, self._clock()
        self._backoff.reset()


def _aside(record: Record, error: Exception) -> Refused:
    if isinstance(record, Refused):
        return Refused("?", b"", record.received_s, "a message that cannot even be kept aside")
    reason = f"the store does not take it: {type(error).__name__}: {first_line(error)[:150]}"
    return Refused(f"{record.device}/{record.kind}", record.raw.encode(), record.received_s, reason)
