"""The machine underneath: what it is, how warm, whether it is throttled, what we take of it. None where unknown.

Everything is read from files below `root`, so that a test, or a doctor looking at another system, can point elsewhere.
"""

from __future__ import annotations

import os
import platform
import struct
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path("/")

# The firmware's bits: https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
UNDER_VOLTAGE, FREQUENCY_CAPPED, THROTTLED, SOFT_TEMPERATURE_LIMIT = 1, 2, 4, 8
SINCE_BOOT_SHIFT = 16


@dataclass(frozen=True, slots=True)
class Board:
    """What does not change while the process runs."""

    model: str | None
    os: str | None
    kernel: str
    architecture: str
    userland_bits: int
    cpus: int


@dataclass(frozen=True, slots=True)
class Throttles:
    """What the firmware holds the processor back for, at one moment or at any time since boot."""

    under_voltage: bool
    frequency_capped: bool
    throttled: bool
    soft_temperature_limit: bool

    @property
    def any(self) -> bool:
        return any(asdict(self).values())


@dataclass(frozen=True, slots=True)
class Throttling:
    now: Throttles
    since_boot: Throttles


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the board: degrees Celsius, the firmware's limits, our resident bytes, the load over one minute."""

    temperature_c: float | None
    throttling: Throttling | None
    resident_bytes: int | None
    load_1min: float | None


class CpuMeter:
    """Our share of one CPU between two calls: 1.0 is one core busy, 2.0 two."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None

    def share(self, now_s: float, used_s: float | None = None) -> float | None:
        """Return the share since the last call, None at the first; `used_s` is the CPU time used up to now."""
        used_s = time.process_time() if used_s is None else used_s
        last, self._last = self._last, (now_s, used_s)
        if last is None or now_s <= last[0]:
            return None
        return max(used_s - last[1], 0.0) / (now_s - last[0])


def identify(root: Path = ROOT) -> Board:
    """Return what this machine is."""
    return Board(
        model=_model(root),
        os=_os_release(root).get("PRETTY_NAME"),
        kernel=platform.release(),
        architecture=platform.machine(),
        userland_bits=8 * struct.calcsize("P"),
        cpus=os.cpu_count() or 1,
    )


def read(root: Path = ROOT) -> Reading:
    """Return what the board says now; a few file reads, well below a millisecond."""
    return Reading(temperature_c(root), throttling(root), resident_bytes(root), load_1min(root))


def temperature_c(root: Path = ROOT) -> float | None:
    """Return the processor's temperature: the zone that is named after it, else the first one."""
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone*"))
    zones.sort(key=lambda zone: not any(word in (_text(zone / "type") or "") for word in ("cpu", "soc", "x86_pkg")))
    for zone in zones:
        try:
            return int(_text(zone / "temp") or "") / 1000
        except ValueError:
            continue
    return None


def slowed_down(throttling: Throttling | None) -> bool | None:
    """Return whether any limit is at work now; None where the board tells of none."""
    return None if throttling is None else throttling.now.any


def throttling(root: Path = ROOT) -> Throttling | None:
    """Return what the Raspberry Pi's firmware reports, None on other boards."""
    for path in sorted((root / "sys/devices/platform").glob("*/*firmware*/get_throttled")):
        try:
            bits = int(_text(path) or "", 16)
        except ValueError:
            continue
        return Throttling(_limits(bits), _limits(bits >> SINCE_BOOT_SHIFT))
    return None


def resident_bytes(root: Path = ROOT) -> int | None:
    """Return how much memory this process holds."""
    fields = (_text(root / "proc/self/statm") or "").split()
    try:
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
    except (IndexError, ValueError):
        return None


def load_1min(root: Path = ROOT) -> float | None:
    try:
        return float((_text(root / "proc/loadavg") or "").split()[0])
    except (IndexError, ValueError):
        return None


def _model(root: Path) -> str | None:
    for name in ("sys/firmware/devicetree/base/model", "proc/device-tree/model", "sys/class/dmi/id/product_name"):
        if text := _text(root / name):
            return text
    return None


def _os_release(root: Path) -> dict[str, str]:
    text = _text(root / "etc/os-release") or _text(root / "usr/lib/os-release") or ""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key: value.strip("\"'") for key, _, value in pairs}


def _limits(bits: int) -> Throttles:
    flags = (UNDER_VOLTAGE, FREQUENCY_CAPPED, THROTTLED, SOFT_TEMPERATURE_LIMIT)
    return Throttles(*(bool(bits & flag) for flag in flags))


def _text(path: Path) -> str | None:
    """The file's text without its end, None where it cannot be read (a device tree's strings end with a NUL)."""
    try:
        return path.read_bytes().decode("utf-8", "replace").strip("\0 \n") or None
    except OSError:
        return None
