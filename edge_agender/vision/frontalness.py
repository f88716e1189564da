"""How far a face looks this way, from how alike its left and right halves are. No network, no landmarks.

A face turned aside shows its middle line off the middle of the box, and one eye narrower than the other. Both are
seen by mirroring the crop at some columns about its middle and correlating the halves. docs/messages.md says how well
this does, and on what it fails: a head tilted to the shoulder counts as turned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from edge_agender.imaging.frame import Array, Picture
from edge_agender.imaging.preprocess import remargined, resize

# All in pixels of a 64x64 crop with the shipped estimator's margin, in which a face is about 46 high. Chosen on a video
# of a turning head: the frontal frame that is least alike has 0.56, the turned one that is most alike 0.35.
MARGIN = 0.2
SIZE_PX = 64
_TOP_PX, _BOTTOM_PX = 15, 53
_HALF_WIDTH_PX = 13
_SHIFT_PX = 3
_CONTRAST_PX = 11
# Noise of a camera in the dark, in luma: what varies less than this is hardly a feature.
_NOISE_LUMA = 8.0
# What is compared lies this far from the middle at most; two filters, one after the other, see a window's width more.
_REACH_PX = _HALF_WIDTH_PX + _SHIFT_PX
_AROUND_PX = _CONTRAST_PX - 1
_ROWS = slice(_TOP_PX - _AROUND_PX, _BOTTOM_PX + _AROUND_PX)
_COLUMNS = slice(SIZE_PX // 2 - _REACH_PX - _AROUND_PX, SIZE_PX // 2 + _REACH_PX + _AROUND_PX)


def _pairs() -> Array:
    """Return places in a flat table of products of columns, (3, axes, pairs): left by right, left and right squared."""
    axes = _REACH_PX + np.arange(-_SHIFT_PX, _SHIFT_PX + 1)[:, None]
    away = np.arange(_HALF_WIDTH_PX)
    left, right, width = axes - 1 - away, axes + away, 2 * _REACH_PX
    return np.stack([left * width + right, left * width + left, right * width + right])


_PAIRS = _pairs()


def face_lumas(crops: Sequence[Picture], margin: float) -> Picture:
    """Return the luma of faces' crops (n, n, 3), cut with that margin, as `frontalness` wants it: (faces, 64, 64)."""
    lumas = np.empty((len(crops), SIZE_PX, SIZE_PX), np.uint8)
    for crop, luma in zip(crops, lumas, strict=True):
        if margin == MARGIN and len(crop) == SIZE_PX:
            cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY, dst=luma)
        else:
            grey = np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), np.uint8)
            centred = remargined(grey, margin, MARGIN)
            sized = resize(centred, (SIZE_PX, SIZE_PX))
            luma[:] = sized
            for between in (grey, centred, sized):
                between.fill(0)
    return lumas


def frontalness(lumas: Picture) -> list[float]:
    """Return 0 (turned away) to 1 (mirror-symmetric) for each face, of at least one, as face_lumas gives them."""
    even = _even_light(lumas)
    middle = even[:, _AROUND_PX:-_AROUND_PX, _AROUND_PX:-_AROUND_PX]
    # Every column by every other, rows summed up: the halves about any axis are among these products. By a copy, since
    # a matrix by itself takes NumPy's longer way.
    again = middle.copy()
    products = middle.transpose(0, 2, 1) @ again
    pairs = products.reshape(len(lumas), -1).take(_PAIRS, axis=1)
    sums = pairs.sum(axis=3)
    for between in (even, again, products, pairs):
        between.fill(0)
    return [_most_alike(*face) for face in sums.tolist()]


def _most_alike(alike: Sequence[float], left: Sequence[float], right: Sequence[float]) -> float:
    """Return the correlation, 0..1, at the axis where it is highest."""
    best = 0.0
    for both, one, other in zip(alike, left, right, strict=True):
        energies = one * other
        if both > 0 and energies > 0:
            best = max(best, both * both / energies)
    return min(math.sqrt(best), 1.0)


def _even_light(lumas: Picture) -> Array:
    """Local contrast in units of its local deviation, so that light from one side makes no difference.

    Of the part that counts and its surroundings, one face below the other: what a filter sees of the next face is
    part of the surroundings only.
    """
    part = lumas[:, _ROWS, _COLUMNS].copy()
    rows = part.reshape(-1, part.shape[2])
    near = (_CONTRAST_PX, _CONTRAST_PX)
    # Whole numbers for the first filter: of floats it is twice as dear, and noise is larger than the rounding.
    smooth = cv2.blur(rows, near)
    detail = np.asarray(cv2.subtract(rows, smooth, dtype=cv2.CV_32F), np.float32)
    around = cv2.sqrBoxFilter(detail, cv2.CV_32F, near)
    cv2.add(around, _NOISE_LUMA**2, dst=around)  # type: ignore[call-overload]  # it takes numbers
    cv2.sqrt(around, dst=around)
    cv2.divide(detail, around, dst=detail)
    for between in (part, smooth, around):
        between.fill(0)
    return detail.reshape(part.shape)
