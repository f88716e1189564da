"""Has a device become worse since it took a configuration over? Pure: health before, health now, an answer in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Frames a second below this part of those before, in so many messages of health one after the other.
SLOW, SLOW_MESSAGES = 0.7, 2
# More camera restarts than this beside what the time before lets expect, twice over.
CAMERA_RESTARTS = 1
TROUBLES = {"missing": "its camera does not deliver", "frozen": "its camera delivers one and the same picture"}
_NUMBER = re.compile(r"\d+")


def is_slow(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Say whether frames come clearly less often; not where the camera is closed."""
    usual, fps = before.get("fps"), now.get("fps")
    if not usual or fps is None or "off" in (before.get("source"), now.get("source")):
        return False
    return bool(fps < SLOW * usual)


def worse(before: Mapping[str, Any], now: Mapping[str, Any], boot_id: str, slow: int) -> str | None:
    """Return in what a device is worse, None where it is not.

    `before`, `now`: health messages ({}: none had come). `boot_id`: of the process that took the configuration over.
    `slow`: how many messages in a row were `is_slow`.
    """
    if now.get("boot_id") != boot_id:
        return "its service has started anew"
    source = now.get("source")
    if source in TROUBLES and source != before.get("source"):
        return TROUBLES[source]
    usual = {_without_numbers(text) for text in before.get("alarms", ())}
    if new := [text for text in now.get("alarms", ()) if _without_numbers(text) not in usual]:
        return f"a new alarm: {new[0]}"
    if _camera_restarts(before, now):
        return "its camera had to be opened again and again"
    if slow >= SLOW_MESSAGES:
        return f"{now['fps']:.1f} frames a second where it had {before['fps']:.1f}"
    return None


def _camera_restarts(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """More of them than the time before lets expect. Another process has counted from zero."""
    if not before:
        return False
    same = before.get("boot_id") == now.get("boot_id")
    earlier = before.get("camera_restarts", 0) if same else 0
    uptime_s = max(float(before.get("uptime_s", 0.0)), 1.0)
    elapsed_s = max(float(now.get("uptime_s", 0.0)) - (uptime_s if same else 0.0), 0.0)
    expected = before.get("camera_restarts", 0) / uptime_s * elapsed_s
    return bool(now.get("camera_restarts", 0) - earlier > CAMERA_RESTARTS + 2 * expected)


def _without_numbers(text: str) -> str:
    """The same trouble says another temperature each time."""
    return _NUMBER.sub("#", text)
