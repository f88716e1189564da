"""Fresh means changed: a sensor or an encoder that repeats one picture, and a lens that is covered or in the dark.

Real sensors are never still: of two pictures half a second apart most pixels differ by a level or two. A picture that
is repeated stays the same but for a clock drawn over it and the small changes of an encoder's key frames.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_agender.imaging.frame import Picture

# Looking this often is enough, and costs nothing that can be measured of a frame.
LOOK_EVERY_S = 0.5
# One pixel of each 8x8 of a 320x240 picture: enough to tell, too few to show anybody.
_STEP_PX = 8
# Levels by which an encoder's key frames change a repeated picture; and the part of the picture that a clock takes.
_SAME_LEVELS = 2
_OVERLAY_PART = 0.01
# Of the looks since the reference, so many must have found the picture of the look before.
_STILL_PART = 0.6
_FEWEST_LOOKS = 3
# What counts as one colour: standard deviation of luma, 0..255. A lit scene has 30 and more.
_UNIFORM_SD = 4.0
_DARK_SD, _DARK_MEAN = 10.0, 16.0
# A hand before the lens, or a lamp that goes off and on, is no alarm.
DARK_AFTER_S = 60.0


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
        if uniform or _changed(sample, self._reference, _SAME_LEVELS):
            self._reference, self._reference_s = sample, now_s
            self._looks = self._stills = 0
            self.frozen = False
            return
        self._looks += 1
        self._stills += not _changed(sample, before, 0)
        lasted = self._looks >= _FEWEST_LOOKS and now_s - self._reference_s >= self._frozen_after_s > 0
        self.frozen = lasted and self._stills >= _STILL_PART * self._looks


def _is_uniform(sample: NDArray[np.uint8]) -> bool:
    mean, sd = (float(value[0, 0]) for value in cv2.meanStdDev(sample))
    return sd < _UNIFORM_SD or (sd < _DARK_SD and mean < _DARK_MEAN)


def _changed(sample: NDArray[np.uint8], other: NDArray[np.uint8] | None, levels: int) -> bool:
    if other is None or other.shape != sample.shape:
        return True
    difference = cv2.absdiff(sample, other)
    return int(np.count_nonzero(difference > levels)) > _OVERLAY_PART * sample.size
