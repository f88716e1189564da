"""What keeps this device from counting or sending, since when, and what to do: the lines on top of the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge_agender.web.snapshot import Snapshot

HOT_C = 80.0
REMEDIES = {
    "camera": "See that it is plugged in and on; edge-agender doctor says more.",
    "broker": "See that it is on and that mqtt.hosts, user and password are right. Nothing is lost meanwhile.",
    "hot": "Give it air or a heat sink: the processor slows down.",
    "power": "Use the supply made for this board and a short cable.",
}


def alarms(snapshot: Snapshot, problem: str | None) -> list[dict[str, Any]]:
    """Return {"kind", "text", "since_utc_s", "remedy"} for each, the worst first; `problem` is health_problem's."""
    found = [(kind, text, since, REMEDIES[kind]) for kind, text, since in _found(snapshot, problem)]
    found += [("health", *_sentences(text, since)) for text, since in snapshot.alarms]
    return [dict(zip(("kind", "text", "since_utc_s", "remedy"), each, strict=True)) for each in found]


def _sentences(alarm: str, since_utc_s: float) -> tuple[str, float, str]:
    """Return (what is wrong, since when, what to do): an alarm ends with what to do, behind its last colon."""
    text, colon, remedy = alarm.rpartition(": ")
    return (f"{_upper(text)}.", since_utc_s, f"{_upper(remedy)}.") if colon else (f"{_upper(remedy)}.", since_utc_s, "")


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _found(snapshot: Snapshot, problem: str | None) -> Iterator[tuple[str, str, float | None]]:
    if problem is not None:
        yield "camera", f"Nothing is counted: {problem}.", snapshot.camera_since_utc_s
    if snapshot.broker == "offline":
        reason = snapshot.broker_problem or "it does not answer"
        waiting = f" {snapshot.messages_waiting} messages wait." if snapshot.messages_waiting else ""
        yield "broker", f"The broker is away: {reason}.{waiting}", snapshot.broker_since_utc_s
    if snapshot.throttled and "under_voltage" in snapshot.throttled:
        yield "power", "The supply's voltage is too low.", None
    elif snapshot.temperature_c is not None and snapshot.temperature_c >= HOT_C:
        yield "hot", f"The processor has {snapshot.temperature_c:.0f} °C.", None
