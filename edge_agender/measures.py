"""What an audience amounts to, in numbers: the values between audience, privacy and messages. All are immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_agender.contract import Gender, Reason


@dataclass(frozen=True, slots=True)
class Person:
    """Age and gender of somebody, with their uncertainty; None before there is an estimate."""

    years: float | None
    years_sd: float | None
    gender: Gender
    gender_confidence: float | None


@dataclass(frozen=True, slots=True)
class FrameView:
    """The audience in one frame. `by_age_band` holds every band; `people` are ordered by age, not by identity."""

    sequence: int
    utc_s: float
    people: tuple[Person, ...]
    by_gender: Mapping[Gender, int]
    by_age_band: Mapping[str, int]
    mean_age: float | None

    @property
    def count(self) -> int:
        return len(self.people)


@dataclass(frozen=True, slots=True)
class HealthSample:
    """How the device fares since the sample before; None where this board cannot tell. Fields as in the message."""

    utc_s: float
    uptime_s: float
    frames: int = 0
    fps: float | None = None
    dropped_frames: int = 0
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    detections: int = 0
    detections_saved: int = 0
    estimates: int = 0
    estimates_saved: int = 0
    camera_restarts: int = 0
    cpu_percent: float | None = None
    memory_mb: float | None = None
    temperature_c: float | None = None
    throttled: bool | None = None
    clock_synchronised: bool | None = None
    broker_connects: int = 0
    outbox_waiting: int = 0
    outbox_dropped: int = 0
    alarms: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class SwitchState:
    """Whether it may measure, and what decided that. `enabled` is the remote switch alone."""

    enabled: bool
    measuring: bool
    reason: Reason
