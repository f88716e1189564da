"""The values that walk through the pipeline. All are immutable; arrays inside them are never written to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Picture: TypeAlias = NDArray[np.uint8]


class Box(NamedTuple):
    """Corners in pixels of the picture that it belongs to; x2 and y2 are exclusive."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    @property
    def area(self) -> float:
        return max(self.width, 0.0) * max(self.height, 0.0)

    @property
    def centre(self) -> tuple[float, float]:
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2


class Detection(NamedTuple):
    """One face found: its box in pixels of the full picture and the detector's score in 0..1."""

    box: Box
    score: float


class Estimate(NamedTuple):
    """What a network says of one face. `years_sd` is one standard deviation; NaN where a model gives none."""

    years: float
    years_sd: float
    p_female: float


def _keep() -> None:
    """Nothing to give back."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One capture: a grey picture for detection and the full one for crops.

    `small` is luma, uint8, (h, w); `full` is B, G, R, uint8, (H, W, 3) with the same aspect ratio.
    `captured_s` is time.monotonic() at the capture; `utc_s` the wall clock then, seconds since the epoch.
    `focal_px` is the lens's focal length in pixels of `full`; None where the source says nothing of it.
    `release` gives the buffers back to the source: call it once, after which no array may be read. `with frame:` does.
    """

    sequence: int
    captured_s: float
    utc_s: float
    small: Picture
    full: Picture
    release: Callable[[], None] = field(default=_keep, repr=False)
    focal_px: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def scale(self) -> float:
        """Full-picture pixels per small-picture pixel."""
        return self.full.shape[1] / self.small.shape[1]


class Face(NamedTuple):
    """One tracked person in one frame: where, and the running estimate over the track (None before the first).

    `last_seen_s` is older than the frame where the person is carried on without a detection. `frontal` (0..1) says
    how far the face looks this way; None where this frame did not measure it.
    """

    track_id: int
    box: Box
    score: float
    estimate: Estimate | None
    first_seen_s: float
    hits: int
    last_seen_s: float
    frontal: float | None = None
