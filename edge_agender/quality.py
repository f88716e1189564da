"""How much a crop is worth: a small, soft or doubtful one should not outvote a good one."""

from __future__ import annotations

import cv2

from edge_agender.preprocess import forget, resize
from edge_agender.records import Box, Picture

# The network sees 64 pixels; a face of this many, about a crop's side less its margin, loses nothing by scaling.
FULL_DETAIL_PX = 48.0
# An estimator may want larger crops, in which the same face has softer edges.
_SIZE_PX = (64, 64)
# Variance of the Laplacian of such a crop: faces in focus lie well above, motion blur halves a crop's worth below.
SHARP_VARIANCE = 120.0


def detail(box: Box, score: float) -> float:
    """Return 0..1 for the size of a face and how sure the detector is of it; needs no pixels."""
    side_px = min(box.width, box.height)
    return min(side_px / FULL_DETAIL_PX, 1.0) ** 2 * score


def sharpness(crop_bgr: Picture) -> float:
    """Return 0.5 for a blurred crop (n, n, 3) up to 1 for a sharp one."""
    sized = resize(crop_bgr, _SIZE_PX)
    green = cv2.extractChannel(sized, 1)
    edges = cv2.Laplacian(green, cv2.CV_16S)
    _, deviation = cv2.meanStdDev(edges)
    green.fill(0)
    edges.fill(0)
    forget(sized, crop_bgr)
    return 0.5 + 0.5 * min(float(deviation[0, 0]) ** 2 / SHARP_VARIANCE, 1.0)
