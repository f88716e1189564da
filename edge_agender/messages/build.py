"""Released values -> topics and JSON. The only place where a payload is built; contract.py says what is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from edge_agender.audience.demography import GENDERS
from edge_agender.audience.measures import (
    Attention,
    CellKey,
    ContentWindow,
    Demographics,
    FrameView,
    Gender,
    Person,
    Stays,
    Viewer,
    Window,
)
from edge_agender.device.health import HealthSample, SourceState
from edge_agender.device.switch import SwitchState
from edge_agender.messages.contract import (
    AttentionPayload,
    AudiencePayload,
    ByGender,
    CellPayload,
    ContentPayload,
    DemographicsPayload,
    DwellHistogram,
    DwellPayload,
    EnabledPayload,
    FacePayload,
    FramePayload,
    HealthPayload,
    OptionValue,
    RemoteState,
    ReportedPayload,
    State,
    StatusPayload,
    VersionsPayload,
    ViewerPayload,
    WindowPayload,
)
from edge_agender.messages.message import Message
from edge_agender.messages.sender import Sender


def frame_message(sender: Sender, view: FrameView) -> Message:
    """Who is in view in one processed frame."""
    audience: AudiencePayload = {
        "count": view.count,
        "by_gender": _by_gender(view.by_gender),
        "by_age_band": dict(view.by_age_band),
        "cells": [{"gender": gender, "age_band": band, "count": count} for (gender, band), count in view.cells.items()],
        "mean_age": None if view.mean_age is None else round(view.mean_age),
    }
    payload: FramePayload = {
        "schema": "edge-agender.frame",
        "version": 1,
        "device": sender.device,
        "boot_id": sender.boot_id,
        "sequence": view.sequence,
        "captured": utc_text(view.utc_s),
        "audience": audience,
    }
    if view.people is not None:
        payload["faces"] = [_face(person) for person in view.people]
    return sender.message("frame", payload)


def status_message(sender: Sender, state: State, source: SourceState | None = None) -> Message:
    """`offline` is the will: hand it to the broker on connecting. `source` is what is known of it while online."""
    payload: StatusPayload = {
        "schema": "edge-agender.status",
        "version": 1,
        "device": sender.device,
        "boot_id": sender.boot_id,
        "state": state,
        "source": source,
        "software": sender.software,
    }
    return sender.message("status", payload, retain=True)


def health_message(sender: Sender, sample: HealthSample, sequence: int) -> Message:
    payload: HealthPayload = {
        "schema": "edge-agender.health",
        "version": 1,
        "device": sender.device,
        "boot_id": sender.boot_id,
        "sequence": sequence,
        "sent": utc_text(sample.utc_s),
        "uptime_s": round(sample.uptime_s, 1),
        "source": sample.source,
        "fps": _rounded(sample.fps, 1),
        "frames": sample.frames,
        "dropped_frames": sample.dropped_frames,
        "latency_p50_ms": _rounded(sample.latency_p50_ms, 1),
        "latency_p95_ms": _rounded(sample.latency_p95_ms, 1),
        "detections": sample.detections,
        "detections_saved": sample.detections_saved,
        "estimates": sample.estimates,
        "estimates_saved": sample.estimates_saved,
        "camera_restarts": sample.camera_restarts,
        "cpu_percent": _rounded(sample.cpu_percent, 1),
        "memory_mb": _rounded(sample.memory_mb, 1),
        "temperature_c": _rounded(sample.temperature_c, 1),
        "throttled": sample.throttled,
        "clock_synchronised": sample.clock_synchronised,
        "broker_connects": sample.broker_connects,
        "outbox_waiting": sample.outbox_waiting,
        "outbox_dropped": sample.outbox_dropped,
        "outbox_dropped_by": dict(sample.outbox_dropped_by),
        "sequences": {kind: last for (boot_id, kind), last in sample.last.items() if boot_id == sender.boot_id},
        "alarms": [alarm.text for alarm in sample.alarms],
        "alarms_since": [utc_text(alarm.since_utc_s) for alarm in sample.alarms],
    }
    return sender.message("health", payload)


def enabled_message(sender: Sender, switch: SwitchState) -> Message:
    payload: EnabledPayload = {
        "schema": "edge-agender.enabled",
        "version": 1,
        "device": sender.device,
        "boot_id": sender.boot_id,
        "enabled": switch.enabled,
        "measuring": switch.measuring,
        "reason": switch.reason,
    }
    return sender.message("enabled", payload, retain=True)


@dataclass(frozen=True, slots=True)
class Report:
    """What is said of the configuration from afar; fields as in `ReportedPayload`, times in UTC seconds."""

    utc_s: float
    state: RemoteState
    desired_revision: int | None
    applied_revision: int
    applied_utc_s: float | None
    digest: str
    reasons: Sequence[str]
    effective: Mapping[str, OptionValue]


def reported_message(sender: Sender, report: Report) -> Message:
    payload: ReportedPayload = {
        "schema": "edge-agender.reported",
        "version": 1,
        "device": sender.device,
        "boot_id": sender.boot_id,
        "sent": utc_text(report.utc_s),
        "state": report.state,
        "desired_revision": report.desired_revision,
        "applied_revision": report.applied_revision,
        "applied": None if report.applied_utc_s is None else utc_text(report.applied_utc_s),
        "digest": report.digest,
        "reasons": list(report.reasons),
        "effective": dict(report.effective),
    }
    return sender.message("reported", payload, retain=True)


def viewer_message(sender: Sender, viewer: Viewer, sequence: int) -> Message:
    payload: ViewerPayload = {
        "schema": "edge-agender.viewer",
        "version": 1,
        "device": sender.device,
        "boot_id": sender.boot_id,
        "sequence": sequence,
        "historical": False,
        "start": utc_text(viewer.start_utc_s),
        "dwell_s": round(viewer.dwell_s, 1),
        "attention_s": _rounded(viewer.attention_s, 1),
        "glances": viewer.glances,
        **_face(viewer.person),
        "distance": viewer.distance,
        "content": [
            {"id": share.id, "dwell_s": round(share.dwell_s, 1), "attention_s": _rounded(share.attention_s, 1)}
            for share in viewer.content
        ],
    }
    return sender.message("viewer", payload, durable=True)


def window_message(sender: Sender, window: Window, sequence: int, versions: VersionsPayload) -> Message:
    payload: WindowPayload = {
        "schema": "edge-agender.window",
        "version": 1,
        "device": sender.device,
        "boot_id": sender.boot_id,
        "sequence": sequence,
        "historical": window.historical,
        "number": window.number,
        "start": utc_text(window.start_utc_s),
        "length_s": window.length_s,
        "covered_s": round(window.covered_s, 1),
        "opportunities_to_see": window.opportunities_to_see,
        "viewers": window.viewers,
        "engaged": window.attention.engaged if window.attention else None,
        "conversion": _ratio(window.viewers, window.opportunities_to_see, 3),
        "dwell": _dwell(window.dwell, window.viewers) if window.dwell else None,
        "attention": _attention(window.attention) if window.attention else None,
        "audience": {"mean": _rounded(window.mean_count, 2), "peak": window.peak_count},
        "content": [_content(content) for content in window.content],
        "light": _rounded(window.light, 0),
        "throttled": window.throttled,
        "versions": versions,
    }
    return sender.message("window", payload, durable=True)


def utc_text(utc_s: float) -> str:
    """Return seconds since the epoch as 2026-01-31T12:00:00.000Z."""
    seconds, microseconds = divmod(round(utc_s * 1e6), 1_000_000)
    return f"{_second_text(seconds)}.{microseconds // 1000:03d}Z"


@lru_cache(maxsize=4)
def _second_text(utc_s: int) -> str:
    """Return 2026-01-31T12:00:00: frames come many to a second."""
    return datetime.fromtimestamp(utc_s, UTC).replace(tzinfo=None).isoformat()


def demographics_message(sender: Sender, period: Demographics, sequence: int, versions: VersionsPayload) -> Message:
    """Who the viewers of a period were."""
    payload: DemographicsPayload = {
        "schema": "edge-agender.demographics",
        "version": 1,
        "device": sender.device,
        "boot_id": sender.boot_id,
        "sequence": sequence,
        "historical": period.historical,
        "number": period.number,
        "start": utc_text(period.start_utc_s),
        "length_s": period.length_s,
        "covered_s": round(period.covered_s, 1),
        "viewers": period.viewers,
        "brought_forward": period.brought_forward,
        "withheld": period.withheld,
        "min_cell": period.min_cell,
        "cells": [_cell(*cell) for cell in period.cells],
        "versions": versions,
    }
    return sender.message("demographics", payload, durable=True)


def _cell(key: CellKey, viewers: int, sd: float) -> CellPayload:
    gender: Gender = GENDERS[GENDERS.index(key.gender)]
    return {
        "content": key.content,
        "gender": gender,
        "age_band": key.age_band,
        "viewers": viewers,
        "sd": round(sd, 1),
    }


def _attention(attention: Attention) -> AttentionPayload:
    return {
        "viewers": attention.viewers,
        "total_s": round(attention.total_s, 1),
        "mean_s": _ratio(attention.total_s, attention.viewers, 1),
        "glances": attention.glances,
    }


def _dwell(stays: Stays, viewers: int) -> DwellPayload:
    return {
        "total_s": round(stays.total_s, 1),
        "mean_s": _ratio(stays.total_s, viewers, 1),
        "histogram": None if stays.histogram is None else _histogram(stays.histogram),
    }


def _histogram(counts: Sequence[int]) -> DwellHistogram:
    return {"0-5": counts[0], "5-15": counts[1], "15-30": counts[2], "30-60": counts[3], "60+": counts[4]}


def _content(content: ContentWindow) -> ContentPayload:
    return {
        "id": content.id,
        "shown_s": round(content.shown_s, 1),
        "viewers": content.viewers,
        "dwell_s": _rounded(content.dwell_s, 1),
        "attention_s": _rounded(content.attention_s, 1),
        "exposure": None if content.dwell_s is None else _ratio(content.dwell_s, content.shown_s, 2),
    }


def _by_gender(counts: Mapping[Gender, int]) -> ByGender:
    return {"female": counts["female"], "male": counts["male"], "unknown": counts["unknown"]}


def _face(person: Person) -> FacePayload:
    return {
        "age": {"years": _rounded(person.years, 1), "sd": _rounded(person.years_sd, 1)},
        "gender": {"label": person.gender, "confidence": _rounded(person.gender_confidence, 2)},
    }


def _ratio(part: float, whole: float, digits: int) -> float | None:
    return round(part / whole, digits) if whole else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
