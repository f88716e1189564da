"""Messages as devices send them, small enough to count by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from edge_agender.fleet.intake import read
from edge_agender.fleet.records import Arrival, Durable

PREFIX = "edge-agender"
BOOT = "9d0dc6166d012353"
DAY_S = 86400
# A Sunday, midnight UTC.
MIDNIGHT_S = 1795305600
NOW_S = MIDNIGHT_S + 10 * DAY_S
VERSIONS = {"software": "0.1.0", "detector": "ssd", "estimator": "agender-ssrnet", "configuration": "5be01c7ad1f2"}


def utc(start_s: float) -> str:
    return datetime.fromtimestamp(start_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def window(
    sequence: int, viewers: int = 6, device: str = "lobby", boot_id: str = BOOT, **fields: Any
) -> dict[str, Any]:
    """A minute with `viewers`; the start follows from the number, which is the sequence if not given."""
    number = fields.pop("number", sequence)
    content = fields.pop("content", {"spring-sale": viewers})
    return {
        **{"schema": "edge-agender.window", "version": 1, "device": device, "boot_id": boot_id},
        **{"sequence": sequence, "historical": False, "number": number, "start": utc(MIDNIGHT_S + 60 * number)},
        **{"length_s": 60, "covered_s": 60.0, "opportunities_to_see": viewers, "viewers": viewers, "engaged": viewers},
        "conversion": 1.0 if viewers else None,
        "dwell": {
            "total_s": 4.0 * viewers,
            "mean_s": 4.0 if viewers else None,
            "histogram": {"0-5": viewers, "5-15": 0, "15-30": 0, "30-60": 0, "60+": 0},
        },
        "attention": {
            **{"viewers": viewers, "total_s": 2.0 * viewers, "mean_s": 2.0 if viewers else None, "glances": viewers}
        },
        "audience": {"mean": viewers / 15, "peak": min(viewers, 3)},
        "demographics": None,
        "content": [
            {
                **{"id": name, "shown_s": 60.0, "mean_count": 0.5, "viewers": count, "dwell_s": 4.0 * count},
                **{"attention_s": 2.0 * count, "exposure": 0.5, "demographics": None},
            }
            for name, count in content.items()
        ],
        **{"light": 100.0, "throttled": False, "versions": VERSIONS},
        **fields,
    }


def demographics(sequence: int, cells: dict[tuple[str | None, str, str], int], **fields: Any) -> dict[str, Any]:
    """An hour's table; the start follows from the number, which is the sequence if not given."""
    number = fields.pop("number", sequence)
    viewers = sum(cells.values())
    return {
        **{"schema": "edge-agender.demographics", "version": 1, "device": "lobby", "boot_id": BOOT},
        **{"sequence": sequence, "historical": False, "number": number, "start": utc(MIDNIGHT_S + 3600 * number)},
        **{"length_s": 3600, "covered_s": 3600.0, "viewers": viewers, "brought_forward": 0, "withheld": 0},
        "min_cell": 5,
        "cells": [
            {"content": content, "gender": gender, "age_band": band, "viewers": count, "sd": 1.5}
            for (content, gender, band), count in cells.items()
        ],
        "versions": VERSIONS,
        **fields,
    }


def health(sequences: dict[str, int], sequence: int = 0, device: str = "lobby", **fields: Any) -> dict[str, Any]:
    counts = (
        "uptime_s", "frames", "dropped_frames", "detections", "detections_saved", "estimates", "estimates_saved",
        "camera_restarts", "broker_connects", "outbox_waiting", "outbox_dropped",
    )  # fmt: skip
    unknown = (
        "fps", "latency_p50_ms", "latency_p95_ms", "cpu_percent", "memory_mb", "temperature_c", "throttled",
        "clock_synchronised",
    )  # fmt: skip
    return {
        **{"schema": "edge-agender.health", "version": 1, "device": device, "boot_id": BOOT, "sequence": sequence},
        **{"sent": utc(NOW_S), "source": "ok", "alarms": [], "sequences": sequences},
        **dict.fromkeys(counts, 0),
        **dict.fromkeys(unknown),
        **fields,
    }


def status(state: str, device: str = "lobby") -> dict[str, Any]:
    return {
        **{"schema": "edge-agender.status", "version": 1, "device": device, "boot_id": BOOT, "state": state},
        **{"source": "ok" if state == "online" else None, "software": "0.1.0"},
    }


def arrival(payload: dict[str, Any], received_s: float = NOW_S) -> Arrival:
    kind = payload["schema"].removeprefix("edge-agender.")
    topic = f"{PREFIX}/{payload['device']}/{kind}"
    return Arrival(topic, json.dumps(payload).encode(), received_s)


def record(payload: dict[str, Any], received_s: float = NOW_S) -> Durable:
    """What the intake makes of a durable message; fails where it refuses it."""
    found = read(arrival(payload, received_s), PREFIX)
    assert isinstance(found, Durable), found
    return found
