"""Which way a head points, from five landmarks: no network, no camera matrix.

The points are fitted by a fixed head under scaled orthographic projection: POS, the first step of POSIT (DeMenthon and
Davis, "Model-based object pose in 25 lines of code", 1995). The head's shape was found from teachers' landmarks of
64,000 faces alone, by factorization (Tomasi and Kanade, "Shape and motion from image streams under orthography", 1992),
each face taken with its mirror image; `training.detector.head_shape` does it again. Five points cannot tell a long nose
from a lowered head: pitch is the least certain of the three angles.

POS reads the yaw off the nose and ignores that a turned face is narrow. Of profiles, whose farther eye a detector
guesses, the nose says too little: there the eyes' distance counts for two thirds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Right eye, left eye, nose, mouth's right and left corner of a head that looks into the camera, in distances between
# the eyes: x to the picture's right, y down, z away from the camera.
HEAD = (
    (-0.5, 0.0, 0.0),
    (0.5, 0.0, 0.0),
    (0.0, 0.557, -0.242),
    (-0.435, 0.960, 0.169),
    (0.435, 0.960, 0.169),
)


class HeadPose(NamedTuple):
    """Where a head points, in degrees, as the picture shows it; 0, 0, 0 looks straight into the camera.

    Yaw: positive to the picture's right. Pitch: positive up. Roll: the head's tilt, positive clockwise in the picture.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float

    @property
    def frontal(self) -> float:
        """How far the head points this way: 1 straight into the camera, 0.42 33 degrees aside, 0 from 57 on.

        The farther of yaw and pitch counts; pitch, being less certain, a little less.
        """
        return max(1.0 - max(abs(self.yaw_deg), 0.9 * abs(self.pitch_deg)) / 57.0, 0.0)


def head_pose(points: Sequence[tuple[float, float]]) -> HeadPose | None:
    """Return the pose of a head whose right eye, left eye, nose, right and left corner of the mouth are at `points`.

    x and y in pixels, y down; "right" is the person's right. None where the points fall together or into one line.
    """
    right, down = ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    for (x, y), weights in zip(points, _WEIGHTS, strict=True):
        for axis, weight in enumerate(weights):
            right[axis] += x * weight
            down[axis] += y * weight
    rows = _orthonormal(right, down)
    if rows is None:
        return None
    (xx, xy, xz), (yx, yy, yz) = rows
    away_x, away_y, away_z = xy * yz - xz * yy, xz * yx - xx * yz, xx * yy - xy * yx
    yaw = math.degrees(math.atan2(away_x, math.hypot(xx, yx)))
    return HeadPose(
        yaw_deg=math.copysign(max(abs(yaw), (abs(yaw) + 2 * _narrowness_deg(points)) / 3), yaw),
        pitch_deg=-math.degrees(math.atan2(away_y, away_z)),
        roll_deg=math.degrees(math.atan2(yx, xx)),
    )


def _narrowness_deg(points: Sequence[tuple[float, float]]) -> float:
    """Return the yaw at which the eyes are as near to each other as here, in parts of their distance from the mouth.

    From the front the two distances are about equal; 0 where the eyes are farther apart than that.
    """
    (right_x, right_y), (left_x, left_y), _, (corner_x, corner_y), (other_x, other_y) = points
    down_x, down_y = (right_x + left_x - corner_x - other_x) / 2, (right_y + left_y - corner_y - other_y) / 2
    apart, height = math.hypot(left_x - right_x, left_y - right_y), math.hypot(down_x, down_y)
    return math.degrees(math.acos(apart / height)) if apart < height else 0.0


def _orthonormal(a: Sequence[float], b: Sequence[float]) -> tuple[list[float], list[float]] | None:
    """Return the orthonormal pair nearest to two vectors made equally long; None where they are nearly parallel."""
    length_a, length_b = math.hypot(*a), math.hypot(*b)
    if not min(length_a, length_b) > 0:
        return None
    a, b = [value / length_a for value in a], [value / length_b for value in b]
    total, difference = [p + q for p, q in zip(a, b, strict=True)], [p - q for p, q in zip(a, b, strict=True)]
    length_t, length_d = math.hypot(*total) * math.sqrt(2), math.hypot(*difference) * math.sqrt(2)
    if min(length_t, length_d) < 1e-3:
        return None
    total, difference = [value / length_t for value in total], [value / length_d for value in difference]
    return (
        [p + q for p, q in zip(total, difference, strict=True)],
        [p - q for p, q in zip(total, difference, strict=True)],
    )


def _weights() -> tuple[tuple[float, ...], ...]:
    """Return for each point what one pixel of it adds to the head's three axes: least squares, done once."""
    centred = np.asarray(HEAD) - np.mean(HEAD, axis=0)
    return tuple(tuple(row) for row in np.linalg.pinv(centred).T.tolist())


_WEIGHTS = _weights()
