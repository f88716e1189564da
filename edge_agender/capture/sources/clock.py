"""When a picture was taken, by the stream's own clock. No clock of their own: time is an argument.

Streams arrive in bursts (HLS a segment at a time, Matroska a cluster at a time), late, or from a camera whose clock has
jumped. What is true within them is the distance of their time stamps.
"""

from __future__ import annotations

import math

# A step between two stamps beyond this, and beyond what the stream's pace and its arrival explain, is a discontinuity.
_MAX_STEP_S = 2.0
_STEPS_AT_ONCE = 4.0
# Of so many stamps in a row that are missing or make no sense none is guessed any more, until one has sense again.
_SENSELESS = 3
# The first pictures come at once from what the other side had kept: they say nothing of how late pictures are.
_FIRST_BURST_S = 0.5
# How long arrivals are watched before the delay is cut: soon at first, then rarely, as each cut costs a skip.
_FIRST_WATCH_S, _WATCH_S = 3.0, 30.0
# Delay that is kept, and delay that is worth a skip.
_KEPT_S, _WORTH_S = 0.05, 0.25
# No stream is held back longer than that, whatever its clock says: ten-second segments come within it.
MAX_DELAY_S = 20.0
# A recording does not wait longer than this between two pictures of which its pace does not tell.
_MAX_WAIT_S = 10.0


class LiveClock:
    """Maps time stamps of a live stream to time.monotonic() at which each picture is due.

    Pictures are due at the distances of their stamps, and as early as lets the latest of them be on time. `adaptive`
    False: delay is never cut, as for a sender that is ahead on purpose.
    """

    def __init__(self, period_s: float) -> None:
        """`period_s`: the distance of two pictures while nothing better is known."""
        self._period_s = period_s
        self._offset_s = 0.0
        self._stamp_s: float | None = None
        self._arrival_s = self._due_s = float("-inf")
        self._senseless = self._missing = 0
        self._first_s: float | None = None
        self._watch_from_s, self._watch_s = 0.0, _FIRST_WATCH_S
        self._least_slack_s = math.inf
        self.adaptive = True

    def due_s(self, stamp_s: float | None, arrival_s: float) -> float:
        """Return when the picture of that stamp, which arrived just then, is due: at its arrival or later."""
        if self._first_s is None:
            self._first_s = self._watch_from_s = arrival_s
        if stamp_s is None or not math.isfinite(stamp_s):
            self._missing += 1
            if self._stamp_s is None or self._missing > _SENSELESS:
                self._due_s = max(arrival_s, self._due_s)
                return self._due_s
            stamp_s = self._stamp_s + self._period_s
        else:
            self._missing = 0
        if self._stamp_s is None:
            self._offset_s = arrival_s - stamp_s
        else:
            self._follow(stamp_s - self._stamp_s, stamp_s, arrival_s)
        late_s = arrival_s - (stamp_s + self._offset_s)
        if late_s > 0:
            self._offset_s += late_s
        elif late_s < -MAX_DELAY_S:
            self._offset_s += late_s + MAX_DELAY_S
        self._stamp_s, self._arrival_s = stamp_s, arrival_s
        self._due_s = stamp_s + self._offset_s
        self._watch(arrival_s)
        return self._due_s

    def _follow(self, step_s: float, stamp_s: float, arrival_s: float) -> None:
        """Take the step from the stamp before, or begin anew where it can't be true."""
        gap_s = arrival_s - self._arrival_s
        believable_s = max(_MAX_STEP_S, _STEPS_AT_ONCE * self._period_s, gap_s + _MAX_STEP_S)
        if 0 < step_s <= believable_s:
            self._period_s += (step_s - self._period_s) / 8
            self._senseless = 0
            return
        self._senseless += 1
        known = self._senseless < _SENSELESS
        self._offset_s = max(arrival_s, self._due_s + (self._period_s if known else 0.0)) - stamp_s

    def _watch(self, arrival_s: float) -> None:
        """Cut the delay that no picture needed for a while."""
        assert self._first_s is not None
        if arrival_s - self._first_s < _FIRST_BURST_S:
            return
        self._least_slack_s = min(self._least_slack_s, self._due_s - arrival_s)
        if arrival_s - self._watch_from_s < self._watch_s:
            return
        if self.adaptive and self._least_slack_s > _WORTH_S:
            self._offset_s -= self._least_slack_s - _KEPT_S
        self._watch_from_s, self._watch_s, self._least_slack_s = arrival_s, _WATCH_S, math.inf


class RecordingClock:
    """Positions of a recording's pictures on its own time line, which only ever goes forward.

    `longest_s`: how long the whole is said to last; None where nobody knows.
    """

    def __init__(self, period_s: float, longest_s: float | None) -> None:
        self._period_s = period_s
        self._longest_s = longest_s
        self._begun = False
        self._stamp_s: float | None = None
        self._first_stamp_s = 0.0
        self._position_s = 0.0

    def position_s(self, stamp_s: float | None) -> float:
        """Return the seconds from the first picture to the one of that stamp, damaged and missing stamps replaced."""
        if stamp_s is not None and not math.isfinite(stamp_s):
            stamp_s = None
        if not self._begun:
            self._begun, self._stamp_s = True, stamp_s
            self._first_stamp_s = stamp_s or 0.0
            return 0.0
        step_s = None if stamp_s is None or self._stamp_s is None else stamp_s - self._stamp_s
        known = step_s is not None and stamp_s is not None and self._believable(step_s, stamp_s)
        self._position_s += step_s if known and step_s is not None else self._period_s
        self._stamp_s = self._stamp_s if stamp_s is None else stamp_s
        return self._position_s

    def _believable(self, step_s: float, stamp_s: float) -> bool:
        if step_s <= 0:
            return False
        # Gaps are true where a camera records motion alone, but not beyond the recording's end.
        within = self._longest_s is not None and stamp_s - self._first_stamp_s <= self._longest_s + 1.0
        return within or step_s <= max(_MAX_WAIT_S, _STEPS_AT_ONCE * self._period_s)


class Pace:
    """Plays a recording at its own speed: maps its positions to time.monotonic()."""

    # Further behind than this (the machine slept), it goes on from where it is instead of racing.
    _MAX_LATE_S = 1.0

    def __init__(self, period_s: float) -> None:
        self._longest_wait_s = max(_MAX_WAIT_S, 2 * period_s)
        self._started_s: float | None = None

    def due_s(self, position_s: float, now_s: float) -> float:
        """Return when the picture at that position is due."""
        started_s = self._started_s
        if started_s is None or now_s - started_s - position_s > self._MAX_LATE_S:
            started_s = now_s - position_s
        elif started_s + position_s - now_s > self._longest_wait_s:
            started_s = now_s + self._longest_wait_s - position_s
        self._started_s = started_s
        return started_s + position_s
