"""How much a crop is worth: a small, soft or doubtful one should not outvote a good one."""

from __future__ import annotations

import cv2

from edge_agender.records import Box, Picture

# The network sees 64 pixels; a face of this many, about a crop's side less its margin, loses nothing by scaling.
FULL_DETAIL_PX = 48.0
# Variance of the Laplacian of such a crop: faces in focus lie well above, motion blur halves a crop's worth below.
SHARP_VARIANCE = 120.0


def detail(box: Box, score: float) -> float:
    """Return 0..1 for the size of a face and how sure the detector is of it; needs no pixels."""
    side_px = min(box.width, box.height)
    return min(side_px / FULL_DETAIL_PX, 1.0) ** 2 * score


def sharpness(lumas: Picture) -> list[float]:
    """Return 0.5 (blurred) to 1 (sharp) for each of some faces, as looking.face_lumas gives them."""
    # One below the other: a border row compares itself with the next face, and is left out.
    edges = cv2.Laplacian(lumas.reshape(-1, lumas.shape[2]), cv2.CV_16S).reshape(lumas.shape)
    deviations = [cv2.meanStdDev(each[1:-1])[1][0, 0] for each in edges]
    edges.fill(0)
    return [0.5 + 0.5 * min(float(deviation) ** 2 / SHARP_VARIANCE, 1.0) for deviation in deviations]
