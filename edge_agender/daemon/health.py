"""Device health: counters and latencies collected between two health messages."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from edge_agender.capture.counts import Counts
from edge_agender.config.settings import Config
from edge_agender.delivery.mqtt.publisher import LinkState
from edge_agender.delivery.outbox.outbox import OutboxState
from edge_agender.delivery.sinks import Sink
from edge_agender.device import board
from edge_agender.device.clock import clock_synchronised
from edge_agender.device.health import Alarm, HealthSample, SourceState
from edge_agender.messages.build import health_message
from edge_agender.messages.message import Message
from edge_agender.messages.sender import Sender
from edge_agender.vision.pipeline import Work

KEEP_LATENCIES = 2048


class HealthMeter:
    """Collects what happened since the last sample. Times are time.monotonic() seconds."""

    def __init__(self, now_s: float) -> None:
        self._started_s = self._last_s = now_s
        self._cpu = board.CpuMeter()
        self._cpu.share(now_s)
        self._latencies_s: deque[float] = deque(maxlen=KEEP_LATENCIES)
        self.latest_latency_s: float | None = None
        self._last_work = Work()
        self._last_dropped = 0

    def frame_done(self, latency_s: float) -> None:
        """Note the time from a frame's capture to its message being handed over."""
        self._latencies_s.append(latency_s)
        self.latest_latency_s = latency_s

    def sample(
        self,
        now_s: float,
        utc_s: float,
        *,
        source: SourceState = "starting",
        work: Work,
        dropped_frames: int,
        camera_restarts: int = 0,
        outbox: OutboxState | None,
        link: LinkState | None,
        alarms: tuple[Alarm, ...],
    ) -> HealthSample:
        """Return what happened since the last call and begin anew. `work`, `dropped_frames` are totals so far."""
        seconds = max(now_s - self._last_s, 1e-9)
        last, reading = self._last_work, board.read()
        frames, share = work.frames - last.frames, self._cpu.share(now_s)
        result = HealthSample(
            utc_s=utc_s,
            uptime_s=now_s - self._started_s,
            source=source,
            frames=frames,
            fps=frames / seconds,
            dropped_frames=dropped_frames - self._last_dropped,
            latency_p50_ms=percentile_ms(self._latencies_s, 50),
            latency_p95_ms=percentile_ms(self._latencies_s, 95),
            detections=work.searches - last.searches,
            detections_saved=frames - (work.searches - last.searches),
            estimates=work.estimates - last.estimates,
            estimates_saved=work.faces - last.faces - (work.estimates - last.estimates),
            camera_restarts=camera_restarts,
            cpu_percent=None if share is None else 100 * share,
            memory_mb=None if reading.resident_bytes is None else reading.resident_bytes / 1e6,
            temperature_c=reading.temperature_c,
            throttled=board.slowed_down(reading.throttling),
            clock_synchronised=clock_synchronised(),
            broker_connects=link.connects if link else 0,
            outbox_waiting=outbox.live + outbox.durable if outbox else 0,
            outbox_dropped=sum(outbox.dropped.values()) if outbox else 0,
            outbox_dropped_by=dict(outbox.dropped) if outbox else {},
            last=outbox.last if outbox else {},
            alarms=alarms,
        )
        self._last_s, self._last_dropped = now_s, dropped_frames
        self._last_work = Work(work.frames, work.searches, work.faces, work.estimates)
        self._latencies_s.clear()
        return result


class HealthReporter:
    """Makes the health message every `publish.health_s` seconds, the next at `due_s` (time.monotonic() seconds)."""

    def __init__(self, config: Config, sender: Sender, now_s: float) -> None:
        self._sender = sender
        self.configure(config)
        self._meter = HealthMeter(now_s)
        self.due_s = now_s + self._every_s
        self._sequence = 0

    def configure(self, config: Config) -> None:
        """Follow another configuration."""
        self._every_s = config.publish.health_s
        self._counts_work = config.privacy.level != "aggregate"

    @property
    def latest_latency_s(self) -> float | None:
        return self._meter.latest_latency_s

    def frame_done(self, latency_s: float) -> None:
        """Note the time from a frame's capture to its message being handed over."""
        self._meter.frame_done(latency_s)

    def due(
        self,
        now_s: float,
        utc_s: float,
        *,
        source: SourceState,
        work: Work,
        counts: Counts,
        sink: Sink,
        alarms: tuple[Alarm, ...],
    ) -> Iterator[Message]:
        """Yield the message where it is due."""
        if now_s < self.due_s:
            return
        self.due_s = now_s + self._every_s
        sample = self._meter.sample(
            now_s,
            utc_s,
            source=source,
            work=work,
            dropped_frames=counts.dropped,
            camera_restarts=counts.restarts,
            outbox=sink.outbox(),
            link=sink.link(),
            alarms=alarms,
        )
        yield health_message(self._sender, sample if self._counts_work else _without_work(sample), self._sequence)
        self._sequence += 1


def _without_work(sample: HealthSample) -> HealthSample:
    """How often faces were looked at says how long a lone one stayed."""
    return replace(sample, detections=None, detections_saved=None, estimates=None, estimates_saved=None)


def percentile_ms(durations_s: Sequence[float] | deque[float], percent: int) -> float | None:
    """Return a percentile (1..99) in milliseconds, None of nothing."""
    if not durations_s:
        return None
    if len(durations_s) == 1:
        return durations_s[0] * 1e3
    return statistics.quantiles(durations_s, n=100, method="inclusive")[percent - 1] * 1e3
