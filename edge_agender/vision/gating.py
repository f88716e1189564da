"""Work only when there is work: which frames are worth a detection.

A still scene without people is looked at a few times a second at most; motion, or somebody in view, raises that.
The gate compares means of blocks, so that sensor noise and compression do not count as motion, with a background
that follows slow changes of light. It decides from the small luma picture alone.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_agender.config.settings import GatingConfig
from edge_agender.imaging.frame import Picture
from edge_agender.imaging.preprocess import resize, wipe

# Blocks of 8x8 pixels of a 320x240 picture: a walking head of 16 px changes at least two of them.
GRID = (40, 30)


class MotionGate:
    """Tells whether anything moved, from the difference of block means to a slowly following background."""

    def __init__(self, threshold_luma: float, blocks: int = 2, follow_s: float = 2.0) -> None:
        self._threshold = threshold_luma
        self._blocks = blocks
        self._follow_s = follow_s
        self._background: NDArray[np.float32] | None = None
        self._last_s = 0.0

    def moved(self, small: Picture, now_s: float) -> bool:
        """Compare a luma picture (h, w) with the background and let the background follow it."""
        means = resize(small, GRID)
        grid = means.astype(np.float32)
        wipe(means, small)
        background = self._background
        if background is None:
            self._background, self._last_s = grid, now_s
            return True
        # A lamp or the sign itself changes all blocks alike: take the common part out.
        difference = grid - background
        weight = min(max(now_s - self._last_s, 0.0) / self._follow_s, 1.0)
        cv2.accumulateWeighted(grid, background, weight)
        ordered = np.partition(difference, difference.size // 2, axis=None)
        difference -= ordered[difference.size // 2]
        changed = int(np.count_nonzero(np.abs(difference, out=difference) > self._threshold))
        for between in (grid, difference, ordered):
            between.fill(0)
        self._last_s = now_s
        return changed >= self._blocks


class Cadence:
    """Decides for each frame whether the detector runs."""

    def __init__(self, config: GatingConfig) -> None:
        self._config = config
        self._gate = MotionGate(config.motion_luma)
        self._last_detection_s = float("-inf")
        self._pending_motion = False
        self.mean_luma = 0.0

    def reset(self) -> None:
        """Search the next frame, whatever its time."""
        self._last_detection_s = float("-inf")

    def due(self, small: Picture, now_s: float, *, people: bool) -> bool:
        """True where this frame should be searched for faces. `people`: somebody is being tracked.

        `now_s` must not run backwards.
        """
        self.mean_luma = cv2.mean(small)[0]
        # Motion in a skipped frame still counts: the next one due is searched because of it.
        self._pending_motion |= self._config.motion and self._gate.moved(small, now_s)
        # Half a millisecond of grace: frames of a 15 Hz camera do not come 66.667 ms apart to the microsecond.
        if now_s - self._last_detection_s < self._interval_s(people) - 0.0005:
            return False
        self._last_detection_s, self._pending_motion = now_s, False
        return True

    def _interval_s(self, people: bool) -> float:
        config = self._config
        if config.motion and not self._pending_motion:
            return config.still_interval_s if people else config.idle_interval_s
        return config.active_interval_s if config.cadence else 0.0
