"""The off switch: opening hours, a remote command, a local file, a pin. Off means that the camera is closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from edge_agender.config.hours import Hours, parse_hours
from edge_agender.config.settings import ScheduleConfig
from edge_agender.device.clock import local_now
from edge_agender.device.gpio import Pin
from edge_agender.device.state import StateFolder

STATE_NAME = "enabled"
Reason = Literal["on", "command", "file", "pin", "hours", "state"]


@dataclass(frozen=True, slots=True)
class SwitchState:
    """Whether it may measure, and what decided that. `enabled` is the remote switch alone."""

    enabled: bool
    measuring: bool
    reason: Reason


def decide(
    hours: Sequence[Hours],
    local: datetime,
    *,
    remote_enabled: bool,
    file_off: bool = False,
    pin_off: bool = False,
    forgotten: bool = False,
) -> SwitchState:
    """Return whether to measure at the local time, and what stands against it; no hours are always open.

    `forgotten`: nobody can read how the remote switch was set last.
    """
    if file_off:
        return SwitchState(remote_enabled, False, "file")
    if pin_off:
        return SwitchState(remote_enabled, False, "pin")
    if not remote_enabled:
        return SwitchState(remote_enabled, False, "state" if forgotten else "command")
    if hours and not any(span.contains(local) for span in hours):
        return SwitchState(remote_enabled, False, "hours")
    return SwitchState(remote_enabled, True, "on")


class Switch:
    """Remembers the remote command over restarts; looks at clock, file and pin when asked. ConfigError: no such pin."""

    def __init__(self, config: ScheduleConfig, folder: StateFolder) -> None:
        self._hours = [parse_hours(line) for line in config.hours]
        self._off_file = config.off_file
        self._pin = None if config.off_pin is None else Pin(config.off_pin_chip, config.off_pin)
        self._folder = folder
        saved = folder.load(STATE_NAME)
        if saved is not None and not isinstance(saved, bool):
            folder.set_aside(STATE_NAME, "neither true nor false")
        # Whoever switched it off must not be overruled by a damaged file or folder: only what was never set is on.
        self._forgotten = not isinstance(saved, bool) and folder.doubts(STATE_NAME)
        self._remote_enabled = saved if isinstance(saved, bool) else not self._forgotten
        self._unsaved = self._forgotten

    def set_remote(self, enabled: bool) -> None:
        if enabled != self._remote_enabled or self._forgotten:
            self._remote_enabled, self._unsaved, self._forgotten = enabled, True, False
        self._save()

    def _save(self) -> None:
        if self._unsaved:
            self._unsaved = not self._folder.save(STATE_NAME, self._remote_enabled)

    def state(self, local: datetime | None = None) -> SwitchState:
        """Return whether to measure at a local time (now by default), and why."""
        self._save()  # a disk that was full may take it now
        return decide(
            self._hours,
            local or local_now(),
            remote_enabled=self._remote_enabled,
            file_off=self._off_file is not None and _is_there(self._off_file),
            pin_off=self._pin is not None and self._pin.closed_to_ground(),
            forgotten=self._forgotten,
        )

    def close(self) -> None:
        """Give the pin back."""
        if self._pin is not None:
            self._pin.close()
            self._pin = None


def _is_there(path: Path) -> bool:
    """Also true where it may not be looked for: when in doubt, off."""
    try:
        return path.exists()
    except OSError:
        return True
