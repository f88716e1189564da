"""What an audience amounts to, in numbers: the values between audience, privacy and messages. All are immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from edge_agender.contract import Distance, Gender, Reason


class Person(NamedTuple):
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
    outbox_dropped_by: Mapping[str, int] = field(default_factory=dict)
    alarms: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class ContentShare:
    """What of a visit fell to one content. `attention_s` is None where looks were not measured."""

    id: str
    dwell_s: float
    attention_s: float | None


@dataclass(frozen=True, slots=True)
class Visit:
    """One person's stay, known once it is over. Exact, so it stays in the device: privacy makes a Viewer of it."""

    first_utc_s: float
    last_utc_s: float
    dwell_s: float
    attention_s: float | None
    glances: int | None
    person: Person
    distance: Distance
    content: tuple[ContentShare, ...]
    is_viewer: bool


@dataclass(frozen=True, slots=True)
class Viewer:
    """What is released of a visit. `start_utc_s` is a full minute."""

    start_utc_s: float
    dwell_s: float
    attention_s: float | None
    glances: int | None
    person: Person
    distance: Distance
    content: tuple[ContentShare, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    gender: Gender
    age_band: str
    viewers: int


@dataclass(frozen=True, slots=True)
class Demographics:
    """Viewers by gender and age band, small cells left out; `suppressed` is what the cells left out sum to."""

    min_cell: int
    cells: tuple[Cell, ...]
    suppressed: int


@dataclass(frozen=True, slots=True)
class ContentWindow:
    """What happened while one content was on the sign."""

    id: str
    shown_s: float
    mean_count: float | None
    viewers: int
    dwell_s: float
    attention_s: float
    demographics: Demographics | None


@dataclass(frozen=True, slots=True)
class Window:
    """What is released of one span of time. Fields as in the message."""

    number: int
    start_utc_s: float
    length_s: int
    historical: bool
    covered_s: float
    opportunities_to_see: int
    viewers: int
    dwell_total_s: float
    dwell_histogram: tuple[int, ...]
    attention_viewers: int
    attention_total_s: float
    glances: int
    mean_count: float | None
    peak_count: int
    demographics: Demographics | None
    content: tuple[ContentWindow, ...]
    light: float | None
    throttled: bool | None


@dataclass(frozen=True, slots=True)
class SwitchState:
    """Whether it may measure, and what decided that. `enabled` is the remote switch alone."""

    enabled: bool
    measuring: bool
    reason: Reason
