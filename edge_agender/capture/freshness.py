"""Fresh means changed: a sensor or an encoder that repeats one picture, and a lens that is covered or in the dark.

Real sensors are never still: of two pictures half a second apart most pixels differ by a level or two. A picture that
is repeated stays the same but for a clock drawn over it and the small changes of an encoder's key frames.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_agender.imaging.frame import Frame, Picture

log = logging.getLogger(__name__)

# Looking this often is enough, and costs nothing that can be measured of a frame.
LOOK_EVERY_S = 0.5
# One pixel of each 8x8 of a 320x240 picture: enough to tell, too few to show anybody.
_STEP_PX = 8
# Levels by which an encoder's key frames change a repeated picture, and the part of the picture that a clock takes. A
# scene with a sensor's noise changes 3 to 10 % by more at each key frame, measured with x264 at 300 kbit/s and CRF 30.
_SAME_LEVELS = 2
_OVERLAY_PART = 0.01
# Of the looks since the reference, so many must have found all but this part as the look before had.
_STILL_PART, _RIPPLE_PART = 0.6, 0.1
_FEWEST_LOOKS = 3
# What counts as one colour: standard deviation of luma, 0..255. A lit scene has 30 and more.
_UNIFORM_SD = 4.0
_DARK_SD, _DARK_MEAN = 10.0, 16.0
# A hand before the lens, or a lamp that goes off and on, is no alarm.
DARK_AFTER_S = 60.0
# Pauses between two attempts to heal a frozen camera by opening it again: doubled from the first to the last.
_FIRST_REOPEN_S, _LAST_REOPEN_S = 10.0, 600.0


FROZEN = "camera frozen: it sends one picture again and again: nobody is counted; restart it if this lasts"
DARK = "lens covered or dark: the picture has been of one colour for a minute"


class Freshness:
    """Looks at a source's luma pictures. Times are those of the frames, in seconds, and never run backwards."""

    def __init__(self, frozen_after_s: float) -> None:
        """`frozen_after_s`: how long one picture must last to be frozen; 0 turns that off."""
        self._frozen_after_s = frozen_after_s
        self._next_s = float("-inf")
        self._reference: NDArray[np.uint8] | None = None
        self._before: NDArray[np.uint8] | None = None
        self._reference_s = 0.0
        self._looks = self._stills = 0
        self._uniform_since_s: float | None = None
        self.frozen = False
        self.dark = False

    def look(self, luma: Picture, now_s: float) -> None:
        """Look at a luma picture (h, w), where it is time to."""
        if now_s < self._next_s:
            return
        self._next_s = now_s + LOOK_EVERY_S
        half = _STEP_PX // 2
        sample = np.ascontiguousarray(luma[half::_STEP_PX, half::_STEP_PX])
        uniform = _is_uniform(sample)
        self._watch_light(uniform, now_s)
        self._watch_change(sample, uniform, now_s)

    def _watch_light(self, uniform: bool, now_s: float) -> None:
        if not uniform:
            self._uniform_since_s = None
        elif self._uniform_since_s is None:
            self._uniform_since_s = now_s
        since_s = self._uniform_since_s
        self.dark = since_s is not None and now_s - since_s >= DARK_AFTER_S

    def _watch_change(self, sample: NDArray[np.uint8], uniform: bool, now_s: float) -> None:
        before, self._before = self._before, sample
        # Clipped black repeats itself from a healthy sensor too: it is dark, not frozen.
        if uniform or _changed(sample, self._reference, _SAME_LEVELS, _OVERLAY_PART):
            self._reference, self._reference_s = sample, now_s
            self._looks = self._stills = 0
            self.frozen = False
            return
        self._looks += 1
        self._stills += not _changed(sample, before, 0, _RIPPLE_PART)
        lasted = self._looks >= _FEWEST_LOOKS and now_s - self._reference_s >= self._frozen_after_s > 0
        self.frozen = lasted and self._stills >= _STILL_PART * self._looks


class FreshWatch:
    """Holds back the frames of a frozen camera and has it opened again. The capture's thread asks; any may read."""

    def __init__(self, reopen: Callable[[], None], frozen_after_s: float) -> None:
        self._reopen = reopen
        self._freshness = Freshness(frozen_after_s)
        self._pause_s, self._reopen_s = _FIRST_REOPEN_S, float("-inf")
        self.problem: str | None = None

    @property
    def dark(self) -> bool:
        return self._freshness.dark

    def is_fresh(self, frame: Frame) -> bool:
        """Return whether the frame shows more than what was shown for long."""
        self._freshness.look(frame.small, frame.captured_s)
        if not self._freshness.frozen:
            if self.problem is not None:
                log.info("camera: its picture changes again")
            self.problem, self._pause_s, self._reopen_s = None, _FIRST_REOPEN_S, float("-inf")
            return True
        if self.problem is None:
            self.problem = FROZEN
            log.warning("%s", FROZEN)
        if frame.captured_s >= self._reopen_s:
            self._reopen_s = frame.captured_s + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LAST_REOPEN_S)
            self._reopen()
        return False


def _is_uniform(sample: NDArray[np.uint8]) -> bool:
    mean, sd = (float(value[0, 0]) for value in cv2.meanStdDev(sample))
    return sd < _UNIFORM_SD or (sd < _DARK_SD and mean < _DARK_MEAN)


def _changed(sample: NDArray[np.uint8], other: NDArray[np.uint8] | None, levels: int, part: float) -> bool:
    if other is None or other.shape != sample.shape:
        return True
    difference = cv2.absdiff(sample, other)
    return int(np.count_nonzero(difference > levels)) > part * sample.size
