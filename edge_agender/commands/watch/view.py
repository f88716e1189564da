"""The fleet as lines: a table for a terminal of any width, or one plain or JSON line a device."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from edge_agender.commands.terminal import fit, paint, width
from edge_agender.commands.watch.detail import detail, shares, who
from edge_agender.commands.watch.fleet import DeviceState

# What a narrow terminal goes without, first to last; device, state and now are always shown.
DROPPED_FIRST = ("lag", "temp", "fps", "table", "who", "window", "alarms")
HEADS = {"device": "DEVICE", "state": "STATE", "now": "NOW", "who": "WHO", "window": "LAST WINDOW",
         "table": "LAST TABLE", "fps": "FPS", "lag": "LAG", "temp": "TEMP", "alarms": "ALARMS"}  # fmt: skip
LEAST_ALARMS_WIDTH, MOST_WHO = 12, 24
NOTHING_YET = "nothing heard yet: may this user read it (the broker's ACL), is mqtt.prefix right, does a device run?"
STATE_COLOURS = {"online": "green", "offline": "red", "stopped": "yellow"}
# A difference of clocks, not a message from the future.
CLOCK_TOLERANCE_S = 0.25


@dataclass(frozen=True, slots=True)
class Screen:
    columns: int
    rows: int
    colours: bool


def table(devices: Sequence[DeviceState], headline: str, now_s: float, screen: Screen) -> list[str]:
    """Return lines that fit the screen: the headline, the heads, one line a device."""
    lines = [fit(headline, screen.columns).rstrip()]
    if not devices:
        return [*lines, fit(NOTHING_YET, screen.columns).rstrip()][: screen.rows]
    rows = [cells(device, now_s) for device in devices]
    widths = _widths(rows, screen.columns)
    lines.append(paint(_row(HEADS, widths), "dim", screen.colours))
    room = max(screen.rows - len(lines) - (1 if len(rows) > screen.rows - len(lines) else 0), 0)
    for device, row in zip(devices[:room], rows, strict=False):
        lines.append(_coloured(device, row, widths, screen.colours))
    if len(devices) == 1:
        lines += detail(devices[0], screen.columns, screen.colours)
    if len(rows) > room:
        lines.append(fit(f"and {len(rows) - room} more: make the window taller, or name one with --device",
                         screen.columns).rstrip())  # fmt: skip
    return lines[: max(screen.rows, 1)]


def cells(device: DeviceState, now_s: float) -> dict[str, str]:
    """Return the text of each column."""
    rate_hz = device.frame_rate_hz(now_s)
    return {
        "device": device.name,
        "state": device.measuring + (" !" if device.alarms else ""),
        "now": _or_dash(device.now),
        "who": fit(who(device.now_cells), MOST_WHO).rstrip() or "-",
        "table": _table(device),
        "fps": "-" if rate_hz is None else f"{rate_hz:.1f}",
        "window": _window(device),
        "lag": _lag(device.lag_s),
        "temp": _temperature(device),
        "alarms": "; ".join(device.alarms) or "-",
    }


def plain_line(device: DeviceState, now_s: float, utc_s: float) -> str:
    """One line for a pipe: a time, then name=value."""
    row = cells(device, now_s)
    row |= {"state": device.measuring, "who": who(device.now_cells) or "-"}
    named = " ".join(f"{name}={_quoted(text)}" for name, text in row.items() if name != "device")
    return f"{_time(utc_s)} {_quoted(device.name)} {named}"


def json_line(device: DeviceState, now_s: float, utc_s: float) -> str:
    return json.dumps({"time": _time(utc_s), **device.as_dict(now_s)})


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if " " in text or '"' in text else text


def _time(utc_s: float) -> str:
    return datetime.fromtimestamp(utc_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)


def _window(device: DeviceState) -> str:
    window = device.window
    if window is None:
        return "-"
    share = "" if window.conversion is None else f", {100 * window.conversion:.0f} % of {window.opportunities}"
    return f"{window.start[11:16]} {window.viewers} viewers{share}"


def _table(device: DeviceState) -> str:
    period = device.period
    if period is None:
        return "-"
    return f"{period.start[11:16]} {period.viewers}" + (f": {told}" if (told := shares(period.cells)) else "")


def _lag(lag_s: float | None) -> str:
    if lag_s is None:
        return "-"
    if lag_s < -CLOCK_TOLERANCE_S or lag_s > 3600:
        return "clock?"
    return f"{max(lag_s, 0) * 1000:.0f} ms" if lag_s < 10 else f"{lag_s:.0f} s"


def _temperature(device: DeviceState) -> str:
    text = "-" if device.temperature_c is None else f"{device.temperature_c:.0f} °C"
    return f"{text} throttled" if device.throttled else text


def _widths(rows: Sequence[dict[str, str]], columns: int) -> dict[str, int]:
    """Return the columns that fit, each as wide as its widest cell; alarms take what is left."""
    widths = {name: max(width(head), *(width(row[name]) for row in rows)) for name, head in HEADS.items()}
    widths["alarms"] = LEAST_ALARMS_WIDTH
    for name in DROPPED_FIRST:
        if _total(widths) <= columns:
            break
        del widths[name]
    if "alarms" in widths:
        widths["alarms"] += columns - _total(widths)
    for name in ("device", "state"):
        widths[name] = max(widths[name] - max(_total(widths) - columns, 0), 1)
    return widths


def _total(widths: dict[str, int]) -> int:
    return sum(widths.values()) + 2 * (len(widths) - 1)


def _row(row: dict[str, str], widths: dict[str, int]) -> str:
    return "  ".join(fit(row[name], columns) for name, columns in widths.items())


def _coloured(device: DeviceState, row: dict[str, str], widths: dict[str, int], colours: bool) -> str:
    shown = {name: fit(row[name], columns) for name, columns in widths.items()}
    shown["state"] = paint(shown["state"], STATE_COLOURS.get(device.measuring, "yellow"), colours)
    if "alarms" in shown and device.alarms:
        shown["alarms"] = paint(shown["alarms"], "red", colours)
    if "temp" in shown and device.throttled:
        shown["temp"] = paint(shown["temp"], "yellow", colours)
    return "  ".join(shown.values())
