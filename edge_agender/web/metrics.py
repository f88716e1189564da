"""Snapshot -> Prometheus' text format, in base units, through prometheus_client where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from edge_agender.web.snapshot import Snapshot

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

PREFIX = "edge_agender"


def render(snapshot: Snapshot | None, now_s: float) -> tuple[str, bytes] | None:
    """Return content type and text; None where prometheus_client is not installed."""
    try:
        # On the first scrape, not at the start: it takes memory that only those who scrape should pay.
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    except ImportError:
        return None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot, now_s))
    return CONTENT_TYPE_LATEST, generate_latest(registry)


class _Collector:
    def __init__(self, snapshot: Snapshot | None, now_s: float) -> None:
        self._snapshot = snapshot
        self._now_s = now_s

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        snapshot = self._snapshot
        yield GaugeMetricFamily(f"{PREFIX}_up", "1 once frames are counted or the daemon is idle", bool(snapshot))
        if snapshot is None:
            return
        for name, text, value in _gauges(snapshot, self._now_s):
            if value is not None:
                yield GaugeMetricFamily(f"{PREFIX}_{name}", text, value)
        for name, text, count in _counters(snapshot):
            yield CounterMetricFamily(f"{PREFIX}_{name}", text, count)
        yield InfoMetricFamily(f"{PREFIX}_build", "Versions of the program and its models", _labels(snapshot.versions))


def _gauges(snapshot: Snapshot, now_s: float) -> list[tuple[str, str, float | None]]:
    age_s = None if snapshot.last_frame_s is None else max(now_s - snapshot.last_frame_s, 0.0)
    limits = snapshot.throttled
    return [
        ("people", "People in view now", snapshot.people),
        ("enabled", "1 while counting is switched on", snapshot.enabled),
        ("frame_age_seconds", "Seconds since the newest frame", age_s),
        ("frame_rate_hertz", "Frames processed a second", snapshot.rate_hz),
        ("latency_seconds", "From capture to the message, of the newest frame", snapshot.latency_s),
        ("temperature_celsius", "Temperature of the processor", snapshot.temperature_c),
        ("throttled", "1 while the firmware holds the processor back", None if limits is None else bool(limits)),
        ("resident_memory_bytes", "Memory that the daemon holds", snapshot.resident_bytes),
        ("cpu_cores", "Cores in use by the daemon; 1 is one core busy", snapshot.cpu_share),
        ("broker_connected", "1 while connected to the broker", snapshot.broker == "online"),
        ("messages_waiting", "Messages that the broker has not acknowledged yet", snapshot.messages_waiting),
        ("start_time_seconds", "When the daemon started, seconds since the epoch", snapshot.started_utc_s),
    ]


def _counters(snapshot: Snapshot) -> list[tuple[str, str, float]]:
    return [
        ("frames_captured", "Frames that the camera delivered", snapshot.frames_captured),
        ("frames_dropped", "Frames replaced by a newer one before they were looked at", snapshot.frames_dropped),
        ("camera_restarts", "Times that frames had stopped and came again", snapshot.camera_restarts),
        ("messages_dropped", "Messages that no broker will get, live ones among them", snapshot.messages_dropped),
    ]


def _labels(versions: Any) -> dict[str, str]:
    return {name.replace("-", "_").replace(" ", "_"): str(version) for name, version in versions.items()}
