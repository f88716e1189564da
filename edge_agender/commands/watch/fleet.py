"""What is known of each device from its messages, which are strangers': every field is checked before it is used."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from typing import Any

from edge_agender.commands.terminal import clean

MAX_DEVICES = 1000
MAX_PAYLOAD_BYTES = 65536
MAX_ALARMS = 8
RATE_OVER_S = 5.0
STATES = ("online", "stopped", "offline")
KINDS = ("status", "enabled", "health", "window", "frame", "demographics")
GENDERS = ("female", "male", "unknown")
# What a table of gender and age may hold at most: a stranger's message must not fill memory or screen.
MAX_CELLS = 400
# A camera that does not deliver, as status says it; "off" has a reason of its own.
NO_CAMERA = ("missing", "starting", "frozen")

Cells = dict[tuple[str, str], int]


@dataclass(slots=True)
class LastWindow:
    start: str
    viewers: int
    opportunities: int
    conversion: float | None
    engaged: int | None = None
    attention_s: float | None = None


@dataclass(slots=True)
class LastPeriod:
    """The last published table: viewers and one standard deviation by gender and age band."""

    start: str
    viewers: int
    withheld: int
    cells: Cells
    sds: dict[tuple[str, str], float]


@dataclass(slots=True)
class DeviceState:
    """None: not known yet. `lag_s`: taken on the device to received here, so it is as true as both clocks are."""

    name: str
    state: str | None = None
    off_reason: str | None = None
    source: str | None = None
    now: int | None = None
    now_cells: Cells = field(default_factory=dict)
    fps: float | None = None
    lag_s: float | None = None
    temperature_c: float | None = None
    throttled: bool = False
    window: LastWindow | None = None
    period: LastPeriod | None = None
    alarms: tuple[str, ...] = ()
    _frames_s: deque[float] = field(default_factory=lambda: deque(maxlen=256))

    @property
    def measuring(self) -> str:
        """State in a word: what its status says, or why an online device does not measure."""
        if self.state == "online" and self.off_reason:
            return f"off ({self.off_reason})"
        if self.state == "online" and self.source in NO_CAMERA:
            return f"camera {self.source}"
        return self.state or "unknown"

    def frame_rate_hz(self, now_s: float) -> float | None:
        """What health says, else the frame messages of the last seconds."""
        if self.fps is not None or self.state in ("offline", "stopped"):
            return self.fps
        recent = [time_s for time_s in self._frames_s if now_s - time_s <= RATE_OVER_S]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 2 and recent[-1] > recent[0] else None

    def as_dict(self, now_s: float) -> dict[str, Any]:
        window = self.window
        rate_hz = self.frame_rate_hz(now_s)
        return {
            "device": self.name,
            "state": self.measuring,
            "now": self.now,
            "now_cells": _plain(self.now_cells),
            "fps": None if rate_hz is None else round(rate_hz, 1),
            "window": window
            and {
                "start": window.start,
                "viewers": window.viewers,
                "conversion": window.conversion,
                "engaged": window.engaged,
                "attention_s": window.attention_s,
            },
            "demographics": self.period
            and {
                "start": self.period.start,
                "viewers": self.period.viewers,
                "withheld": self.period.withheld,
                "cells": _plain(self.period.cells),
            },
            "lag_s": None if self.lag_s is None else round(self.lag_s, 3),
            "temperature_c": self.temperature_c,
            "throttled": self.throttled,
            "alarms": list(self.alarms),
        }

    def change_key(self) -> tuple[object, ...]:
        """What makes a change worth a line on a pipe; figures that flicker are not in it."""
        window = self.window and (self.window.start, self.window.viewers)
        period = self.period and self.period.start
        return (self.measuring, self.now, tuple(sorted(self.now_cells.items())), window, period, self.alarms)


class Fleet:
    """The devices heard of, by name. Time is an argument: monotonic `now_s`, and `utc_s` of this machine."""

    def __init__(self, prefix: str) -> None:
        self._start = prefix + "/"
        self._devices: dict[str, DeviceState] = {}

    def devices(self) -> list[DeviceState]:
        return sorted(self._devices.values(), key=lambda device: device.name)

    def hear(self, topic: str, raw: bytes, now_s: float, utc_s: float, retained: bool = False) -> DeviceState | None:
        """Take one message in and return its device; None where it says nothing usable."""
        level, _, kind = topic.removeprefix(self._start).rpartition("/")
        payload = _parse(raw)
        device = self._device(level) if payload is not None and kind in KINDS else None
        if device is None or payload is None:
            return None
        getattr(self, f"_{kind}")(device, payload, now_s)
        # What the broker kept for us says nothing about how long it takes; nor what the device kept.
        if not retained and payload.get("historical") is not True:
            _take_lag(device, payload, utc_s)
        return device

    def _device(self, level: str) -> DeviceState | None:
        if level not in self._devices:
            if len(self._devices) >= MAX_DEVICES or not (name := clean(level, 64)):
                return None
            self._devices[level] = DeviceState(name)
        return self._devices[level]

    def _status(self, device: DeviceState, payload: dict[str, Any], _now_s: float) -> None:
        state = payload.get("state")
        device.state = state if isinstance(state, str) and state in STATES else None
        source = payload.get("source")
        device.source = clean(source, 20) if isinstance(source, str) else None
        if device.state != "online":
            device.now = device.fps = device.lag_s = device.temperature_c = None
            device.throttled, device.alarms, device.now_cells = False, (), {}

    def _enabled(self, device: DeviceState, payload: dict[str, Any], _now_s: float) -> None:
        reason = payload.get("reason")
        off = payload.get("measuring") is False
        device.off_reason = (clean(reason, 20) if isinstance(reason, str) else "unknown") if off else None
        if off:
            device.now, device.now_cells = None, {}

    def _health(self, device: DeviceState, payload: dict[str, Any], _now_s: float) -> None:
        device.fps = _number(payload.get("fps"))
        device.temperature_c = _number(payload.get("temperature_c"))
        device.throttled = payload.get("throttled") is True
        device.alarms = tuple(_alarms(payload.get("alarms"), payload.get("alarms_since")))

    def _window(self, device: DeviceState, payload: dict[str, Any], _now_s: float) -> None:
        start, viewers = payload.get("start"), _count(payload.get("viewers"))
        if not isinstance(start, str) or viewers is None:
            return
        # After an outage older windows come late; the newest stays.
        if device.window is not None and clean(start, 30) < device.window.start:
            return
        opportunities = _count(payload.get("opportunities_to_see")) or 0
        looks = payload.get("attention")
        looks = looks if isinstance(looks, dict) else {}
        device.window = LastWindow(
            clean(start, 30),
            viewers,
            opportunities,
            _number(payload.get("conversion")),
            _count(payload.get("engaged")),
            _number(looks.get("mean_s")),
        )

    def _demographics(self, device: DeviceState, payload: dict[str, Any], _now_s: float) -> None:
        start, viewers = payload.get("start"), _count(payload.get("viewers"))
        if not isinstance(start, str) or viewers is None:
            return
        if device.period is not None and clean(start, 30) < device.period.start:
            return
        cells, sds = _cells(payload.get("cells"), "viewers")
        device.period = LastPeriod(clean(start, 30), viewers, _count(payload.get("withheld")) or 0, cells, sds)

    def _frame(self, device: DeviceState, payload: dict[str, Any], now_s: float) -> None:
        audience = payload.get("audience")
        if payload.get("historical") is True or not isinstance(audience, dict):
            return
        device.now = _count(audience.get("count"))
        device.now_cells = _cells(audience.get("cells"), "count")[0]
        device._frames_s.append(now_s)


def _cells(rows: object, count: str) -> tuple[Cells, dict[tuple[str, str], float]]:
    """Return counts and standard deviations by gender and age band, contents together, of a list in a message."""
    cells: Cells = {}
    sds: dict[tuple[str, str], float] = {}
    for row in rows[:MAX_CELLS] if isinstance(rows, list) else ():
        if not isinstance(row, dict) or row.get("gender") not in GENDERS or not isinstance(row.get("age_band"), str):
            continue
        key, many = (row["gender"], clean(row["age_band"], 10)), _count(row.get(count)) or 0
        cells[key] = cells.get(key, 0) + many
        sds[key] = math.hypot(sds.get(key, 0.0), _number(row.get("sd")) or 0.0)
    return cells, sds


def _alarms(texts: object, since: object) -> Iterator[str]:
    """Yield each alarm with the time here at which it began."""
    texts, since = texts if isinstance(texts, list) else [], since if isinstance(since, list) else []
    for text, began in list(zip_longest(texts, since[: len(texts)]))[:MAX_ALARMS]:
        if isinstance(text, str):
            yield clean(text) + _since(began)


def _since(stamp: object) -> str:
    stamp_s = _stamp_s(stamp)
    with suppress(ValueError, OverflowError, OSError):
        return "" if stamp_s is None else f" (since {datetime.fromtimestamp(stamp_s):%Y-%m-%d %H:%M})"
    return ""


def _plain(cells: Cells) -> dict[str, dict[str, int]]:
    """Return the cells that are not empty as gender -> age band -> count."""
    plain: dict[str, dict[str, int]] = {}
    for (gender, band), count in sorted(cells.items()):
        if count:
            plain.setdefault(gender, {})[band] = count
    return plain


def _parse(raw: bytes) -> dict[str, Any] | None:
    if len(raw) > MAX_PAYLOAD_BYTES:
        return None
    try:
        payload = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def _take_lag(device: DeviceState, payload: dict[str, Any], utc_s: float) -> None:
    stamp_s = _stamp_s(payload.get("captured", payload.get("sent")))
    if stamp_s is not None:
        device.lag_s = utc_s - stamp_s


def _stamp_s(stamp: object) -> float | None:
    """Return the UTC seconds of a time in ISO 8601; None for anything else."""
    if not isinstance(stamp, str) or len(stamp) > 30:
        return None
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and abs(value) < 1e9 else None


def _count(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number >= 0 else None
