"""What keeps this device from counting or sending, since when, and what to do: the lines on top of the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge_agender.web.snapshot import Snapshot

# So long without anybody is no quiet day: the camera looks at a wall, or is covered.
QUIET_S = 86_400.0
HOT_C = 80.0
REMEDIES = {
    "camera": "See that it is plugged in and on; edge-agender doctor says more.",
    "broker": "See that it is on and that mqtt.hosts, user and password are right. Nothing is lost meanwhile.",
    "quiet": "Open Aim the camera and stand where the audience stands: the camera may be covered, or look elsewhere.",
    "hot": "Give it air or a heat sink: the processor slows down.",
    "power": "Use the supply made for this board and a short cable.",
}


def alarms(snapshot: Snapshot, problem: str | None) -> list[dict[str, Any]]:
    """Return {"kind", "text", "since_utc_s", "remedy"} for each, the worst first; `problem` is health_problem's."""
    return [
        {"kind": kind, "text": text, "since_utc_s": since, "remedy": REMEDIES[kind]}
        for kind, text, since in _found(snapshot, problem)
    ]


def _found(snapshot: Snapshot, problem: str | None) -> Iterator[tuple[str, str, float | None]]:
    if problem is not None:
        yield "camera", f"Nothing is counted: {problem}.", snapshot.camera_since_utc_s
    if snapshot.broker == "offline":
        reason = snapshot.broker_problem or "it does not answer"
        waiting = f" {snapshot.messages_waiting} messages wait." if snapshot.messages_waiting else ""
        yield "broker", f"The broker is away: {reason}.{waiting}", snapshot.broker_since_utc_s
    seen = snapshot.last_seen_utc_s
    if problem is None and snapshot.enabled and seen is not None and snapshot.utc_s - seen >= QUIET_S:
        yield "quiet", "Nobody was seen for a day.", seen
    if snapshot.throttled and "under_voltage" in snapshot.throttled:
        yield "power", "The supply's voltage is too low.", None
    elif snapshot.temperature_c is not None and snapshot.temperature_c >= HOT_C:
        yield "hot", f"The processor has {snapshot.temperature_c:.0f} °C.", None
