"""What the daemon knows of its own device's health."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

# starting: not opened yet; ok: frames come; frozen: they repeat one picture; missing: they do not come, and it is tried
# again; off: closed on purpose.
SourceState = Literal["starting", "ok", "frozen", "missing", "off"]


@dataclass(frozen=True, slots=True)
class Alarm:
    """What needs a person, and when it began."""

    text: str
    since_utc_s: float


@dataclass(frozen=True, slots=True)
class HealthSample:
    """Device health since the sample before; None where it is unknown or withheld. As in the message."""

    utc_s: float
    uptime_s: float
    source: SourceState = "starting"
    frames: int = 0
    fps: float | None = None
    dropped_frames: int = 0
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    detections: int | None = 0
    detections_saved: int | None = 0
    estimates: int | None = 0
    estimates_saved: int | None = 0
    camera_restarts: int = 0
    cpu_percent: float | None = None
    memory_mb: float | None = None
    temperature_c: float | None = None
    throttled: bool | None = None
    clock_synchronised: bool | None = None
    broker_connects: int = 0
    outbox_waiting: int = 0
    outbox_dropped: int = 0
    outbox_dropped_by: Mapping[str, int] = field(default_factory=dict)
    # The highest sequence number by boot and durable kind.
    last: Mapping[tuple[str, str], int] = field(default_factory=dict)
    alarms: tuple[Alarm, ...] = ()
