"""What Prometheus reads: messages, lag, gaps, devices. No count of people."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as Base

from edge_agender.fleet.collector import Collector
from edge_agender.fleet.store import Database, StoreBusyError

PREFIX = "edge_agender_fleet"
_COUNTS = {
    "devices": "SELECT count(*) FROM device WHERE revoked_s IS NULL",
    "devices_online": "SELECT count(*) FROM device WHERE revoked_s IS NULL AND state = 'online'",
    "messages_missing": "SELECT coalesce(sum(last - first + 1), 0) FROM gap WHERE outcome IS NULL",
    "messages_lost": "SELECT coalesce(sum(last - first + 1), 0) FROM gap WHERE outcome IS NOT NULL",
    "conflicts": "SELECT count(*) FROM conflict",
    "hours_waiting": "SELECT count(*) FROM dirty",
}
_HELP = {
    "devices": "Devices enrolled or heard of, and not revoked.",
    "devices_online": "Of these, whose last status was online.",
    "messages_missing": "Sequence numbers that have not come and are asked for.",
    "messages_lost": "Sequence numbers that were given up.",
    "conflicts": "Messages that contradict a stored one.",
    "hours_waiting": "Hours for which something came and that are not made again yet.",
}


class FleetMetrics(Base):
    def __init__(
        self, database: Database, collector: Collector, lag: Callable[[], int | None], connected: Callable[[], bool]
    ) -> None:
        self._database, self._collector, self._lag, self._connected = database, collector, lag, connected

    def collect(self) -> Iterator[Metric]:
        totals = self._collector.totals
        stored = CounterMetricFamily(f"{PREFIX}_messages_stored", "Messages stored since the start.", labels=["kind"])
        for kind, count in sorted(totals.stored.items()):
            stored.add_metric([kind], count)
        yield stored
        yield _counter("copies", "Messages that were delivered before.", totals.copies)
        yield _counter("refused", "Messages that cannot be used, kept aside.", totals.refused)
        yield _gauge("broker_connected", "1 while the broker is connected.", int(self._connected()))
        yield _gauge("storing", "0 while the store takes nothing.", int(self._collector.trouble is None))
        if self._collector.last_stored_s is not None:
            yield _gauge("last_stored_seconds", "When a batch was stored last, epoch.", self._collector.last_stored_s)
        if (lag := self._lag()) is not None:
            yield _gauge("lag_messages", "Messages at the broker that are not stored yet.", lag)
        try:
            with self._database.reading() as transaction:
                for name, query in _COUNTS.items():
                    yield _gauge(name, _HELP[name], float(transaction.rows(query)[0][0]))
            yield _gauge("store_bytes", "Size of the store.", self._database.size_bytes())
        except StoreBusyError:
            return


def exposition(metrics: FleetMetrics) -> bytes:
    registry = CollectorRegistry()
    registry.register(metrics)
    return generate_latest(registry)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}_{name}", text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)
