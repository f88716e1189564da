"""Feeds the status page: a snapshot of released values a few times a second, faces only while somebody aims."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from edge_agender.audience.distance import counted_focal_px, distance_cm
from edge_agender.audience.measures import ContentWindow, Demographics, Window
from edge_agender.audience.visits import looks
from edge_agender.daemon.engine import Engine
from edge_agender.daemon.engine_status import EngineStatus
from edge_agender.delivery.mqtt.publisher import LinkState
from edge_agender.delivery.sinks import Sink
from edge_agender.device import board
from edge_agender.messages.sender import Sender
from edge_agender.web.snapshot import (
    AimFace,
    Broker,
    ContentSummary,
    DemographicsSummary,
    LiveState,
    Snapshot,
    WindowSummary,
)

EVERY_S = 0.5
AIMING_EVERY_S = 0.1
RATE_OVER_S = 2.0


class StatusFeed:
    """Builds snapshots from the engine's status and the sink. One thread: the main loop's."""

    def __init__(self, live: LiveState, engine: Engine, sink: Sink, sender: Sender) -> None:
        self._live, self._engine, self._sink, self._sender = live, engine, sink, sender
        self._started_utc_s = time.time()
        self._due_s = 0.0
        self._last_frame_s: float | None = None
        self._counted_s, self._counted, self._rate_hz = time.monotonic(), 0, 0.0
        self._cpu = board.CpuMeter()
        self._cpu_share: float | None = None
        self._since = Since()

    def update(self, now_s: float) -> None:
        """Put a new snapshot out, where one is due."""
        observation = self._engine.observation
        if observation is not None:
            self._last_frame_s = observation.captured_s
        if now_s < self._due_s:
            return
        aiming = self._live.wants_faces
        self._due_s = now_s + (AIMING_EVERY_S if aiming else EVERY_S)
        status = self._engine.status(aiming=aiming)
        self._count(status.frames, now_s)
        self._live.update(self._snapshot(status, aiming))

    def _count(self, frames: int, now_s: float) -> None:
        seconds = now_s - self._counted_s
        if seconds >= RATE_OVER_S:
            self._rate_hz = (frames - self._counted) / seconds
            self._counted_s, self._counted = now_s, frames
            self._cpu_share = self._cpu.share(now_s)

    def _snapshot(self, status: EngineStatus, aiming: bool) -> Snapshot:
        config, view, switch = status.config, status.view, status.switch
        reading, outbox, link = board.read(), self._sink.outbox(), self._sink.link()
        seen, utc_s = status.observation, time.time()
        self._since.note(utc_s, camera=status.problem, link=link)
        size = seen.picture_px if seen else (config.source.width_px, config.source.height_px)
        return Snapshot(
            device=self._sender.device,
            privacy_level=config.privacy.level,
            versions={name: str(value) for name, value in status.versions.items()},
            utc_s=utc_s,
            started_utc_s=self._started_utc_s,
            last_frame_s=self._last_frame_s,
            camera_problem=status.problem,
            enabled=switch is None or switch.measuring,
            people=None if view is None else view.count,
            now=None if view is None else tuple((*key, count) for key, count in view.cells.items() if count),
            frozen=status.source == "frozen",
            alarms=_other_alarms(status, link),
            camera_since_utc_s=self._since.camera_utc_s,
            broker_since_utc_s=self._since.broker_utc_s,
            min_cell=config.privacy.min_cell,
            period_s=config.demographics.period_s,
            content=tuple(content_sums(status.windows)),
            rate_hz=self._rate_hz,
            latency_s=status.latency_s,
            frames_captured=status.counts.captured,
            frames_dropped=status.counts.dropped,
            camera_restarts=status.counts.restarts,
            temperature_c=reading.temperature_c,
            throttled=_throttled(reading.throttling),
            resident_bytes=reading.resident_bytes,
            cpu_share=self._cpu_share,
            broker=_broker(link),
            broker_problem=link.last_error if link else None,
            messages_waiting=outbox.live + outbox.durable if outbox else 0,
            messages_dropped=sum(outbox.dropped.values()) if outbox else 0,
            windows=tuple(_summary(window) for window in status.windows),
            demographics=tuple(_period(period) for period in status.periods),
            picture_width_px=size[0],
            picture_height_px=size[1],
            faces=tuple(_faces(status)) if aiming else (),
            pictures=tuple(_pictures(status)) if aiming else (),
        )


class Since:
    """Remembers when camera and broker went away. Times are UTC seconds."""

    def __init__(self) -> None:
        self.camera_utc_s: float | None = None
        self.broker_utc_s: float | None = None

    def note(self, utc_s: float, *, camera: str | None, link: LinkState | None) -> None:
        self.camera_utc_s = None if camera is None else self.camera_utc_s or utc_s
        away = link is not None and not link.connected and bool(link.last_error)
        self.broker_utc_s = (self.broker_utc_s or utc_s) if away else None


def content_sums(windows: Iterable[Window]) -> Iterator[ContentSummary]:
    """Yield each content's sums over released windows, the most shown first; a sum with a withheld part is None."""
    parts: dict[str | None, list[ContentWindow]] = {}
    for window in windows:
        for content in window.content:
            parts.setdefault(content.id, []).append(content)
    for id_, each in sorted(parts.items(), key=lambda item: -sum(part.shown_s for part in item[1])):
        viewers = [part.viewers for part in each if part.viewers is not None]
        looks = [part.attention_s for part in each if part.attention_s is not None]
        yield ContentSummary(
            id=id_,
            shown_s=round(sum(part.shown_s for part in each), 1),
            viewers=sum(viewers) if len(viewers) == len(each) else None,
            attention_s=round(sum(looks), 1) if len(looks) == len(each) else None,
        )


def _faces(status: EngineStatus) -> Iterator[AimFace]:
    observation, audience = status.observation, status.config.audience
    if observation is None or not status.capturing:
        return
    width, height = observation.picture_px
    focal = counted_focal_px(audience.distance, width, observation.focal_px)
    for face in observation.faces:
        box = face.box
        sharp, light = status.conditions.get(face.track_id, (1.0, 0.5))
        yield AimFace(
            left=box.x1 / width,
            top=box.y1 / height,
            width=box.width / width,
            height=box.height / height,
            size_px=min(box.width, box.height),
            sharpness=sharp,
            light=light,
            distance_cm=distance_cm(box.height, focal, audience.distance.face_height_cm),
            looking=looks(face, audience.looking),
        )


def _pictures(status: EngineStatus) -> Iterator[tuple[float, float, float, float]]:
    observation = status.observation
    if observation is None or not status.capturing:
        return
    width, height = observation.picture_px
    for picture in observation.pictures:
        box = picture.box
        yield box.x1 / width, box.y1 / height, box.width / width, box.height / height


def _other_alarms(status: EngineStatus, link: LinkState | None) -> tuple[tuple[str, float], ...]:
    """Return the alarms without those that the page says in words of its own."""
    said = {status.problem, link.last_error if link else None}
    return tuple((alarm.text, alarm.since_utc_s) for alarm in status.alarms if alarm.text not in said)


def _throttled(throttling: board.Throttling | None) -> tuple[str, ...] | None:
    if throttling is None:
        return None
    now = throttling.now
    return tuple(
        name
        for name in ("under_voltage", "frequency_capped", "throttled", "soft_temperature_limit")
        if getattr(now, name)
    )


def _broker(link: LinkState | None) -> Broker:
    if link is None:
        return "none"
    if link.connected:
        return "online"
    return "offline" if link.last_error else "connecting"


def _summary(window: Window) -> WindowSummary:
    looks = window.attention
    return WindowSummary(
        start_utc_s=window.start_utc_s,
        length_s=window.length_s,
        viewers=window.viewers,
        opportunities=window.opportunities_to_see,
        attention_s=looks.total_s if looks and looks.viewers else None,
        engaged=looks.engaged if looks else None,
        dwell_s=window.dwell.total_s if window.dwell else None,
        looked=looks.viewers if looks else None,
    )


def _period(period: Demographics) -> DemographicsSummary:
    return DemographicsSummary(
        start_utc_s=period.start_utc_s,
        length_s=period.length_s,
        viewers=period.viewers,
        brought_forward=period.brought_forward,
        withheld=period.withheld,
        cells=tuple((*key, viewers, sd) for key, viewers, sd in period.cells),
    )
