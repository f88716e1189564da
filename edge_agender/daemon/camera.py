"""The camera as the switch says: open while measuring, closed otherwise, and counted over all of its openings."""

from __future__ import annotations

from edge_agender.capture.counts import Counts
from edge_agender.capture.thread import Capture
from edge_agender.common.timing import StageTimes
from edge_agender.config.settings import Config, ScheduleConfig, SourceConfig
from edge_agender.device.state import StateFolder
from edge_agender.device.switch import Switch, SwitchState
from edge_agender.errors import ConfigError, EdgeAgenderError
from edge_agender.imaging.frame import Frame

SWITCH_EVERY_S = 1.0


class Camera:
    """Opens and closes the capture. Raises ConfigError where the switch's pin cannot be had."""

    def __init__(self, config: Config, folder: StateFolder, times: StageTimes, *, until_end: bool) -> None:
        self._source, self._schedule = config.source, config.schedule
        self._folder, self._times, self._until_end = folder, times, until_end
        self._switch = Switch(config.schedule, folder)
        self._switch_due_s = 0.0
        self._progress_s = self._last_s = float("-inf")
        self.switch_state: SwitchState | None = None
        self.capture: Capture | None = None
        self.counts = Counts()

    @property
    def problem(self) -> str | None:
        """One line on why no frames come just now; None while they do, or while switched off."""
        return self.capture.problem if self.capture else None

    @property
    def dark(self) -> bool:
        """True where the picture has been of one colour for long."""
        return self.capture is not None and self.capture.dark

    def follow_switch(self, now_s: float) -> SwitchState | None:
        """Open or close the capture as the switch says, where that is due; return its state if that changed.

        Raises what the source raises.
        """
        if now_s < self._switch_due_s:
            return None
        self._switch_due_s = now_s + SWITCH_EVERY_S
        state = self._switch.state()
        if state.measuring and self.capture is None:
            self.capture = self._open(self._source)
        elif not state.measuring:
            self.close_capture()
        changed = state != self.switch_state
        self.switch_state = state
        return state if changed else None

    def set_remote(self, enabled: bool) -> None:
        """Take in the remote switch's command."""
        self._switch.set_remote(enabled)
        self.look_again()

    def look_again(self) -> None:
        """Have the switch asked at the next step."""
        self._switch_due_s = 0.0

    def take(self, timeout_s: float) -> Frame | None:
        """Return the next frame of the open capture, None where none came in time."""
        frame = self.capture.slot.take(timeout_s) if self.capture else None
        if frame is not None:
            self._last_s = frame.captured_s
        return frame

    def tries(self) -> bool:
        """True where a source without frames just now has made another attempt: it is troubled, but not stuck."""
        if self.capture is None:
            return False
        tried = self.capture.problem is not None and self.capture.progress_s > self._progress_s
        self._progress_s = self.capture.progress_s
        return tried

    def reconfigure(self, config: Config) -> None:
        """Let a new schedule and source take over; where one cannot be had, the old ones stay and it raises why."""
        if config.schedule != self._schedule:
            self._replace_switch(config.schedule)
        if config.source != self._source:
            self._replace_capture(config)
        self._source, self._schedule = config.source, config.schedule
        self.look_again()

    def close_capture(self) -> None:
        capture, self.capture = self.capture, None
        if capture is not None:
            capture.close()

    def close(self) -> None:
        self.close_capture()
        self._switch.close()

    def _open(self, source: SourceConfig) -> Capture:
        # Pictures are looked at once: their folder started again would be a crowd that never leaves.
        until_end = self._until_end or source.kind == "images"
        return Capture(source, until_end=until_end, times=self._times, after_s=self._last_s, counts=self.counts)

    def _replace_switch(self, schedule: ScheduleConfig) -> None:
        self._switch.close()
        try:
            self._switch = Switch(schedule, self._folder)
        except ConfigError:
            self._switch = Switch(self._schedule, self._folder)
            raise

    def _replace_capture(self, config: Config) -> None:
        if self.capture is None:
            return
        self.close_capture()
        if not self._switch.state().measuring:
            return
        try:
            self.capture = self._open(config.source)
        except EdgeAgenderError:
            if config.schedule != self._schedule:
                self._replace_switch(self._schedule)
            self.capture = self._open(self._source)
            raise
