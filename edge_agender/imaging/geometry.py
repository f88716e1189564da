"""Boxes: overlap, clipping, and the way from one stream's pixels to another's. Lenses: angles and focal lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_agender.imaging.frame import Array

# Across the picture of a camera whose lens nobody knows: Camera Module 2's, and about that of many a webcam.
TYPICAL_HFOV_DEG = 62.0


def focal_px(width_px: float, hfov_deg: float) -> float:
    """Return the focal length in pixels of a lens that shows `hfov_deg` across that width."""
    return width_px / 2 / math.tan(math.radians(hfov_deg) / 2)


def angle_deg(width_px: float, focal_length_px: float) -> float:
    """Return the degrees that a lens of that focal length shows across that width."""
    return math.degrees(2 * math.atan(width_px / 2 / focal_length_px))


def iou(a: Sequence[Box] | Array, b: Sequence[Box] | Array) -> NDArray[np.float64]:
    """Return the intersection over union of every pair, shape (len(a), len(b)); arrays are (n, 4) corners."""
    if not len(a) or not len(b):
        return np.zeros((len(a), len(b)))
    left, right = np.asarray(a, float), np.asarray(b, float)
    low = np.maximum(left[:, None, :2], right[None, :, :2])
    high = np.minimum(left[:, None, 2:], right[None, :, 2:])
    inter = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(np.clip(x[:, 2:] - x[:, :2], 0, None), axis=1) for x in (left, right)]
    union = areas[0][:, None] + areas[1][None] - inter
    return np.asarray(inter / np.maximum(union, 1e-9))


def clip(box: Box, width: int, height: int) -> Box | None:
    """Return the part of the box inside a width x height picture; None where less than a pixel is left."""
    x1, y1, x2, y2 = max(box.x1, 0.0), max(box.y1, 0.0), min(box.x2, float(width)), min(box.y2, float(height))
    # What is no number is not at least one either.
    return Box(x1, y1, x2, y2) if x2 - x1 >= 1 and y2 - y1 >= 1 else None


def square(box: Box, margin: float) -> Box:
    """Return the square round the box's centre whose side is its longer side, widened by `margin` on each side.

    `margin` is a part of the longer side: 0.25 gives a square of 1.5 times the longer side.
    """
    half = max(box.width, box.height) * (0.5 + margin)
    x, y = box.centre
    return Box(x - half, y - half, x + half, y + half)


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
