"""How far a face looks this way, from how alike its left and right halves are. No network, no landmarks.

A face turned aside shows its middle line off the middle of the box, and one eye narrower than the other. Both are
seen by mirroring the crop at some columns about its middle and correlating the halves. docs/messages.md says how well
this does, and on what it fails: a head tilted to the shoulder counts as turned.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge_agender.preprocess import forget, remargined, resize
from edge_agender.records import Array, Picture

# All in pixels of a 64x64 crop with the shipped estimator's margin, in which a face is about 46 high. Chosen on a video
# of a turning head: the frontal frame that is least alike has 0.56, the turned one that is most alike 0.35.
MARGIN = 0.2
_SIZE_PX = 64
_ROWS = slice(15, 53)
_HALF_WIDTH_PX = 13
_SHIFT_PX = 3
_CONTRAST_PX = 11
# Noise of a camera in the dark, in luma: what varies less than this is no feature.
_NOISE_LUMA = 4.0


def _halves() -> tuple[Array, Array]:
    """Return places in a flat crop (axes, pixels): left of each axis, as a mirror there shows it, and right of it."""
    rows = np.arange(_SIZE_PX)[_ROWS, None] * _SIZE_PX
    axes = _SIZE_PX // 2 + np.arange(-_SHIFT_PX, _SHIFT_PX + 1)[:, None, None]
    away = np.arange(_HALF_WIDTH_PX)
    left, right = ((rows + columns).reshape(len(axes), -1) for columns in (axes - 1 - away, axes + away))
    return left, right


_LEFT, _RIGHT = _halves()


def frontalness(crop_luma: Picture, margin: float = MARGIN) -> float:
    """Return 0 (turned away) to 1 (mirror-symmetric) for the luma of a face's crop (n, n), as crop_face cuts it."""
    centred = remargined(crop_luma, margin, MARGIN)
    sized = resize(centred, (_SIZE_PX, _SIZE_PX))
    even = _even_light(sized)
    # No place is outside: "clip" spares the check.
    left, right = even.take(_LEFT, mode="clip"), even.take(_RIGHT, mode="clip")
    products = zip(_dot(left, right), _dot(left, left), _dot(right, right), strict=True)
    best = max(alike / math.sqrt(one * other) if one * other > 0 else 0.0 for alike, one, other in products)
    for between in (even, left, right):
        between.fill(0)
    forget(sized, crop_luma)
    forget(centred, crop_luma)
    return min(max(best, 0.0), 1.0)


def _even_light(luma: Picture) -> Array:
    """Local contrast in units of its local deviation, so that light from one side makes no difference."""
    near = (_CONTRAST_PX, _CONTRAST_PX)
    detail = luma.astype(np.float32)
    around: Array = cv2.blur(detail, near, borderType=cv2.BORDER_REPLICATE)
    detail -= around
    cv2.sqrBoxFilter(detail, cv2.CV_32F, near, dst=around, borderType=cv2.BORDER_REPLICATE)
    np.sqrt(np.maximum(around, 0, out=around), out=around)
    around += _NOISE_LUMA
    detail /= around
    around.fill(0)
    return detail


def _dot(a: Array, b: Array) -> list[float]:
    products: list[float] = np.einsum("ap,ap->a", a, b).tolist()
    return products
