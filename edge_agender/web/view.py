"""Snapshot -> what the page shows, as JSON-ready mappings. Nothing is added to what the snapshot releases."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeAlias

from edge_agender.config.settings import WebConfig
from edge_agender.web import mounting
from edge_agender.web.alarms import alarms
from edge_agender.web.snapshot import AimFace, DemographicsSummary, Snapshot, WindowSummary

# What a daemon says that has only just begun.
STILL_STARTING, NO_FRAME_YET = "still starting", "no frame yet"

# What /healthz says: of those that are no failure, and for the texts above; else "camera", "frozen", or
# "stalled" without frames.
FINE = frozenset({"ok", "off"})
_WORDS = {STILL_STARTING: "starting", NO_FRAME_YET: "no_frame"}

Render: TypeAlias = Callable[[Snapshot | None, WebConfig, float], dict[str, Any]]


def page(snapshot: Snapshot | None, config: WebConfig, now_s: float) -> dict[str, Any]:
    """Return the status view; {"ready": false} before the first snapshot."""
    if snapshot is None:
        return {"ready": False}
    problem = health_problem(snapshot, config.stalled_after_s, now_s)
    return {
        "ready": True,
        "device": snapshot.device,
        "enabled": snapshot.enabled,
        "aim": config.aim,
        "camera": {"alive": problem is None, "problem": problem, "frame_age_s": frame_age_s(snapshot, now_s)},
        "alarms": alarms(snapshot, problem),
        "people": snapshot.people,
        "now": None if snapshot.now is None else [list(cell) for cell in snapshot.now],
        "min_cell": snapshot.min_cell,
        "period_s": snapshot.period_s,
        "content": [asdict(each) for each in snapshot.content],
        "rate_hz": _rounded(snapshot.rate_hz, 1),
        "latency_ms": _rounded(_times(snapshot.latency_s, 1000), 0),
        "frames": {"captured": snapshot.frames_captured, "dropped": snapshot.frames_dropped},
        "board": {
            "temperature_c": _rounded(snapshot.temperature_c, 1),
            "throttled": None if snapshot.throttled is None else list(snapshot.throttled),
            "memory_mb": _rounded(_times(snapshot.resident_bytes, 1e-6), 0),
            "cpu_percent": _rounded(_times(snapshot.cpu_share, 100), 0),
        },
        "broker": {
            "state": snapshot.broker,
            "problem": snapshot.broker_problem,
            "waiting": snapshot.messages_waiting,
        },
        "windows": [_window(window) for window in snapshot.windows],
        "demographics": [_period(period) for period in snapshot.demographics],
        "privacy_level": snapshot.privacy_level,
        "versions": dict(snapshot.versions),
        "utc_s": round(snapshot.utc_s, 3),
        "uptime_s": round(snapshot.utc_s - snapshot.started_utc_s),
    }


def aim(snapshot: Snapshot | None, config: WebConfig, now_s: float) -> dict[str, Any]:
    """Return the aim view: boxes on an empty background, and the mounting rules."""
    if snapshot is None:
        return {"ready": False}
    rules = [asdict(rule) for rule in mounting.check(snapshot.faces)]
    return {
        "ready": True,
        "aspect": round(snapshot.picture_width_px / max(snapshot.picture_height_px, 1), 4),
        "alive": health_problem(snapshot, config.stalled_after_s, now_s) is None,
        "faces": [_face(face) for face in snapshot.faces],
        "pictures": [[round(part, 4) for part in picture] for picture in snapshot.pictures],
        "rules": rules,
    }


def health_problem(snapshot: Snapshot | None, stalled_after_s: float, now_s: float) -> str | None:
    """Return why no audience is being counted, None while it is, or while the daemon is switched off on purpose."""
    if snapshot is None:
        return STILL_STARTING
    if not snapshot.enabled:
        return None
    if snapshot.camera_problem:
        return snapshot.camera_problem
    age_s = frame_age_s(snapshot, now_s)
    if age_s is None:
        return NO_FRAME_YET
    return f"no frame for {age_s:.0f} s" if age_s > stalled_after_s else None


def health_state(snapshot: Snapshot | None, stalled_after_s: float, now_s: float) -> str:
    """Return the same in one word, for who asks without a password: a problem's text may name what is in this house."""
    problem = health_problem(snapshot, stalled_after_s, now_s)
    if problem is None:
        return "ok" if snapshot is None or snapshot.enabled else "off"
    if problem in _WORDS:
        return _WORDS[problem]
    if snapshot is None or not snapshot.camera_problem:
        return "stalled"
    return "frozen" if snapshot.frozen else "camera"


def frame_age_s(snapshot: Snapshot, now_s: float) -> float | None:
    return None if snapshot.last_frame_s is None else round(max(now_s - snapshot.last_frame_s, 0.0), 1)


def _window(window: WindowSummary) -> dict[str, Any]:
    return {
        "start_utc_s": window.start_utc_s,
        "length_s": window.length_s,
        "viewers": window.viewers,
        "opportunities": window.opportunities,
        "attention_s": _rounded(window.attention_s, 1),
        "engaged": window.engaged,
        "dwell_s": _rounded(window.dwell_s, 1),
        "looked": window.looked,
    }


def _period(period: DemographicsSummary) -> dict[str, Any]:
    """Return a period with [viewers, standard deviation] by gender and age band, contents together."""
    cells: dict[str, dict[str, list[float]]] = {}
    for _, gender, band, viewers, sd in period.cells:
        cell = cells.setdefault(gender, {}).setdefault(band, [0, 0.0])
        cell[0] += viewers
        cell[1] = round(math.hypot(cell[1], sd), 1)
    return {
        "start_utc_s": period.start_utc_s,
        "length_s": period.length_s,
        "viewers": period.viewers,
        "withheld": period.withheld,
        "cells": cells,
    }


def _face(face: AimFace) -> dict[str, Any]:
    shown = {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(face).items()}
    return {**shown, "grade": mounting.grade(face)}


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
