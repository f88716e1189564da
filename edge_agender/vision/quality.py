"""How much a crop is worth: a small, soft or doubtful one should not outvote a good one."""

from __future__ import annotations

import cv2
import numpy as np

from edge_agender.imaging.frame import Picture
from edge_agender.imaging.geometry import Box

# The network sees 64 pixels; a face of this many, about a crop's side less its margin, loses nothing by scaling.
FULL_DETAIL_PX = 48.0
# Mean square, in luma², of what a 3x3 mean takes off such a crop: faces in focus lie well above, motion blur halves a
# crop's worth below. It ranks faces as the variance of the Laplacian does (which is 120 here) at half the price.
SHARP_LUMA2 = 12.4


def detail(box: Box, score: float) -> float:
    """Return 0..1 for the size of a face and how sure the detector is of it; needs no pixels."""
    side_px = min(box.width, box.height)
    return min(side_px / FULL_DETAIL_PX, 1.0) ** 2 * score


def sharpness(lumas: Picture) -> list[float]:
    """Return 0.5 (blurred) to 1 (sharp) for each face, of at least one, as looking.face_lumas gives them."""
    smooth = np.asarray(cv2.blur(lumas.reshape(-1, lumas.shape[2]), (3, 3)), np.uint8).reshape(lumas.shape)
    # One below the other: a border row sees the next face, and is left out.
    inside = [(luma[1:-1], blurred[1:-1]) for luma, blurred in zip(lumas, smooth, strict=True)]
    taken_off = [cv2.norm(luma, blurred) ** 2 / luma.size for luma, blurred in inside]
    smooth.fill(0)
    return [0.5 + 0.5 * min(mean_square / SHARP_LUMA2, 1.0) for mean_square in taken_off]
