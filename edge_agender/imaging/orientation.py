"""Which way up a picture is: EXIF's eight orientations, of which a video's display matrix says the same."""

from __future__ import annotations

import cv2
import numpy as np

from edge_agender.imaging.frame import Picture

UPRIGHT = 1
# Orientation by the signs of the display matrix (ISO/IEC 14496-12, 6.2.2): x' = a x + c y, y' = b x + d y.
_BY_MATRIX = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
_TURNS = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
_FLIPS = {2: 1, 4: 0}
# These lie on their side: their width is the upright picture's height.
SIDEWAYS = frozenset([5, 6, 7, 8])


def upright(picture: Picture, orientation: int) -> Picture:
    """Return the picture (h, w) or (h, w, 3) the right way up; the very same where it is already, or says nonsense."""
    if orientation in _TURNS:
        return np.asarray(cv2.rotate(picture, _TURNS[orientation]), np.uint8)
    if orientation in _FLIPS:
        return np.asarray(cv2.flip(picture, _FLIPS[orientation]), np.uint8)
    if orientation == 5:
        return np.asarray(cv2.transpose(picture), np.uint8)
    if orientation == 7:
        return np.asarray(cv2.rotate(cv2.transpose(picture), cv2.ROTATE_180), np.uint8)
    return picture


def of_display_matrix(a: float, b: float, c: float, d: float) -> int:
    """Return the orientation nearest to a display matrix, of any scale; upright where it is none."""
    size = max(abs(a), abs(b), abs(c), abs(d))
    if not size:
        return UPRIGHT
    # Turns between two quarters go to the nearer one.
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    parts = (0, _sign(b), _sign(c), 0) if turned else (_sign(a), 0, 0, _sign(d))
    return _BY_MATRIX.get(parts, UPRIGHT)


def _sign(value: float) -> int:
    return 1 if value > 0 else -1
