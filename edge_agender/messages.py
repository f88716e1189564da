"""Released values -> topics and JSON. The only place where a payload is built; contract.py says what is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from edge_agender.contract import (
    AudiencePayload,
    ByGender,
    EnabledPayload,
    FacePayload,
    FramePayload,
    Gender,
    HealthPayload,
    State,
    StatusPayload,
)
from edge_agender.measures import FrameView, HealthSample, Person, SwitchState
from edge_agender.message import Message

# Built once: json.dumps with arguments makes a new encoder for each message.
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Sender:
    """Who speaks, and how: topics are {prefix}/{device}/{kind}. `qos` by kind; a kind not in it is sent at 0."""

    prefix: str
    device: str
    boot_id: str
    software: str
    qos: Mapping[str, int]

    def topic(self, kind: str) -> str:
        return f"{self.prefix}/{self.device}/{kind}"

    def message(self, kind: str, payload: Any, *, retain: bool = False, durable: bool = False) -> Message:
        data = _encode(payload).encode()
        return Message(kind, self.topic(kind), data, self.qos.get(kind, 0), retain, durable)


def frame_message(sender: Sender, view: FrameView) -> Message:
    """Who is in view in one processed frame."""
    audience: AudiencePayload = {
        "count": view.count,
        "by_gender": _by_gender(view.by_gender),
        "by_age_band": dict(view.by_age_band),
        "mean_age": _rounded(view.mean_age, 1),
    }
    payload: FramePayload = {
        "schema": "edge-agender.frame",
        "version": 1,
        "device": sender.device,
        "boot_id": sender.boot_id,
        "sequence": view.sequence,
        "captured": utc_text(view.utc_s),
        "audience": audience,
        "faces": [_face(person) for person in view.people],
    }
    return sender.message("frame", payload)


def status_message(sender: Sender, state: State) -> Message:
    """`offline` is the will: hand it to the broker on connecting."""
    payload: StatusPayload = {
        "schema": "edge-agender.status",
        "version": 1,
        "device": sender.device,
        "boot_id": sender.boot_id,
        "state": state,
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
        "alarms": list(sample.alarms),
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


def utc_text(utc_s: float) -> str:
    """Return seconds since the epoch as 2026-01-31T12:00:00.000Z."""
    return datetime.fromtimestamp(utc_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _by_gender(counts: Mapping[Gender, int]) -> ByGender:
    return {"female": counts["female"], "male": counts["male"], "unknown": counts["unknown"]}


def _face(person: Person) -> FacePayload:
    return {
        "age": {"years": _rounded(person.years, 1), "sd": _rounded(person.years_sd, 1)},
        "gender": {"label": person.gender, "confidence": _rounded(person.gender_confidence, 2)},
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
