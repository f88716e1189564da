"""What the status page may know: released values, no picture, no identity. Standard library only.

The service puts a Snapshot here a few times a second; the web threads read it. Nothing else passes between them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

Broker = Literal["online", "connecting", "offline", "none"]


@dataclass(frozen=True, slots=True)
class AimFace:
    """One face for aiming the camera: where it is and how well it can be judged. No estimate and no identity.

    left, top, width and height are parts of the picture, 0..1; size_px is the shorter side in pixels of the full
    picture. sharpness is 0 (blurred) to 1; light is the mean luma of the face, 0 (black) to 1 (white).
    """

    left: float
    top: float
    width: float
    height: float
    size_px: float
    sharpness: float
    light: float
    distance_cm: float | None = None
    looking: bool | None = None


@dataclass(frozen=True, slots=True)
class WindowSummary:
    """One released window; None for what is withheld or not measured."""

    start_utc_s: float
    length_s: float
    viewers: int | None
    opportunities: int | None
    attention_s: float | None
    engaged: int | None = None
    dwell_s: float | None = None
    looked: int | None = None


@dataclass(frozen=True, slots=True)
class DemographicsSummary:
    """One published period. `cells` are (content, gender, age band, viewers, standard deviation)."""

    start_utc_s: float
    length_s: int
    viewers: int
    brought_forward: int
    withheld: int
    cells: tuple[tuple[str | None, str, str, int, float], ...]


@dataclass(frozen=True, slots=True)
class ContentSummary:
    """One content over the windows shown; `id` None for those of too few viewers, and for none."""

    id: str | None
    shown_s: float
    viewers: int | None
    attention_s: float | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of the daemon at one moment.

    last_frame_s is time.monotonic() of the newest frame, so that its age stays true while nobody updates.
    people is None where the privacy level does not release it, or the daemon is switched off; so is `now`, who they
    are as (gender, age band, how many). The two `since` are when the trouble began; None where there is none.
    `frozen`: the camera repeats one picture. `alarms`: what else the health messages say, and since when.
    """

    device: str
    privacy_level: str
    versions: Mapping[str, str]
    utc_s: float
    started_utc_s: float
    last_frame_s: float | None = None
    camera_problem: str | None = None
    enabled: bool = True
    people: int | None = None
    now: tuple[tuple[str, str, int], ...] | None = None
    frozen: bool = False
    alarms: tuple[tuple[str, float], ...] = ()
    camera_since_utc_s: float | None = None
    broker_since_utc_s: float | None = None
    min_cell: int = 1
    period_s: int = 3600
    content: tuple[ContentSummary, ...] = ()
    rate_hz: float | None = None
    latency_s: float | None = None
    frames_captured: int = 0
    frames_dropped: int = 0
    camera_restarts: int = 0
    temperature_c: float | None = None
    throttled: tuple[str, ...] | None = None
    resident_bytes: int | None = None
    cpu_share: float | None = None
    broker: Broker = "none"
    broker_problem: str | None = None
    messages_waiting: int = 0
    messages_dropped: int = 0
    windows: tuple[WindowSummary, ...] = ()
    demographics: tuple[DemographicsSummary, ...] = ()
    picture_width_px: int = 4
    picture_height_px: int = 3
    faces: tuple[AimFace, ...] = ()
    # Of pictures of faces: left, top, width and height in parts of the picture.
    pictures: tuple[tuple[float, float, float, float], ...] = ()


class LiveState:
    """Holds the latest Snapshot. Thread-safe; an update never waits for a reader."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._snapshot: Snapshot | None = None
        self._version = 0
        self._aiming = 0
        self._closed = False

    def update(self, snapshot: Snapshot) -> None:
        with self._changed:
            self._snapshot = snapshot
            self._version += 1
            self._changed.notify_all()

    def read(self) -> Snapshot | None:
        """Return the latest snapshot, None before the first."""
        with self._changed:
            return self._snapshot

    def wait(self, seen: int, timeout_s: float) -> tuple[int, Snapshot | None]:
        """Return the version and snapshot as soon as the version is above `seen`, else after `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._version > seen or self._closed, timeout_s)
            return self._version, self._snapshot

    @contextmanager
    def aiming(self) -> Iterator[None]:
        """Somebody looks at the aim view while this is open."""
        with self._changed:
            self._aiming += 1
        try:
            yield
        finally:
            with self._changed:
                self._aiming -= 1

    @property
    def wants_faces(self) -> bool:
        """True while somebody looks at the aim view: only then need a Snapshot carry faces."""
        with self._changed:
            return self._aiming > 0

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        with self._changed:
            return self._closed
