"""The camera as the switch says: open while measuring, closed otherwise, tried again where it is missing."""

from __future__ import annotations

import logging
import time

from edge_agender.capture.counts import Counts
from edge_agender.capture.thread import Capture
from edge_agender.common.backoff import Backoff
from edge_agender.common.timing import StageTimes
from edge_agender.config.settings import Config, ScheduleConfig, SourceConfig
from edge_agender.device.health import SourceState
from edge_agender.device.state import StateFolder
from edge_agender.device.switch import Switch, SwitchState
from edge_agender.errors import CameraError, ConfigError
from edge_agender.imaging.frame import Frame

log = logging.getLogger(__name__)

SWITCH_EVERY_S = 1.0
# A source in trouble for so long shows nobody. Shorter, and whoever stands there is still the same visitor.
MISSING_AFTER_S = 3.0
RETRY_MIN_S, RETRY_MAX_S = 2.0, 60.0


class Camera:
    """Opens and closes the capture, and counts over all of its openings. ConfigError: the switch's pin cannot be had.

    `patient`: a camera that is missing, at the start or later, is waited for; else CameraError is raised.
    """

    def __init__(
        self, config: Config, folder: StateFolder, times: StageTimes, *, until_end: bool, patient: bool
    ) -> None:
        self._source, self._schedule = config.source, config.schedule
        self._folder, self._times = folder, times
        self._until_end, self._patient = until_end, patient
        self._switch = Switch(config.schedule, folder)
        self._switch_due_s = self._retry_at_s = 0.0
        self._backoff = Backoff(RETRY_MIN_S, RETRY_MAX_S)
        self._missing: str | None = None
        # By the source's clock, which may be that of a recording, and by this machine's.
        self._last_captured_s = self._progress_s = float("-inf")
        self._seen_s: float | None = None
        self._opened_s = 0.0
        self.switch_state: SwitchState | None = None
        self.capture: Capture | None = None
        self.counts = Counts()

    @property
    def problem(self) -> str | None:
        """One line on why no frames come just now; None while they do, or while switched off."""
        return self.capture.problem if self.capture else self._missing

    def source_state(self, now_s: float) -> SourceState:
        """Return what becomes of the source at `now_s`."""
        if self.capture is None:
            return "missing" if self._missing else "off"
        if self.capture.frozen:
            return "frozen"
        last_s = self._opened_s if self._seen_s is None else self._seen_s
        if self.capture.problem is not None and now_s - last_s >= MISSING_AFTER_S:
            return "missing"
        return "starting" if self._seen_s is None else "ok"

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
        if not state.measuring:
            self.close_capture()
            self._missing = None
        elif self.capture is None and now_s >= self._retry_at_s:
            self._try_to_open()
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
            self._last_captured_s, self._seen_s = frame.captured_s, time.monotonic()
            self._backoff.reset()  # not when it opens: what opens and dies at once is no camera yet
        return frame

    def ended(self) -> bool:
        """Return whether no frame will ever come. Raises what ended the capture, save what may heal."""
        try:
            return self.capture is not None and self.capture.ended
        except CameraError as error:
            self._lose(error)
            return False

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
            try:
                self._replace_capture(config.source)
            except Exception:
                if config.schedule != self._schedule:
                    self._replace_switch(self._schedule)
                raise
        self._source, self._schedule = config.source, config.schedule
        self.look_again()

    def close_capture(self) -> None:
        capture, self.capture = self.capture, None
        self._seen_s = None
        if capture is not None:
            capture.close()

    def close(self) -> None:
        self.close_capture()
        self._switch.close()

    def _try_to_open(self) -> None:
        before, again = self.counts.restarts, self._missing is not None
        self.counts.restarts += again  # before it opens: the capture counts on from there
        try:
            self.capture = self._open(self._source)
        except CameraError as error:
            self.counts.restarts = before
            self._lose(error)
            return
        if again:
            log.info("the camera is there again")
        self._missing = None

    def _lose(self, error: CameraError) -> None:
        """Wait for a camera that is not there, or no longer; raise its error where nobody would wait for it."""
        if not self._patient:
            raise error
        self.close_capture()
        text = str(error)
        if text != self._missing:
            log.warning("%s (counting goes on once it is there; trying again for ever)", text)
        self._missing = text
        self._retry_at_s = time.monotonic() + RETRY_MIN_S / 2 + self._backoff.next_s()

    def _open(self, source: SourceConfig) -> Capture:
        # Pictures are looked at once: their folder started again would be a crowd that never leaves.
        until_end = self._until_end or source.kind == "images"
        self._opened_s, self._seen_s = time.monotonic(), None
        return Capture(
            source, until_end=until_end, times=self._times, after_s=self._last_captured_s, counts=self.counts
        )

    def _replace_switch(self, schedule: ScheduleConfig) -> None:
        self._switch.close()
        try:
            self._switch = Switch(schedule, self._folder)
        except ConfigError:
            self._switch = Switch(self._schedule, self._folder)
            raise

    def _replace_capture(self, source: SourceConfig) -> None:
        self.close_capture()
        if not self._switch.state().measuring:
            return
        try:
            self.capture = self._open(source)
        except Exception:
            self._try_to_open()
            raise
        self._missing = None
