"""What networks and tracker say of one face."""

from __future__ import annotations

from typing import NamedTuple

from edge_agender.imaging.geometry import Box
from edge_agender.vision.head_pose import HeadPose

Point = tuple[float, float]


class Landmarks(NamedTuple):
    """Five points of a face, x and y in pixels; right and left are the person's own."""

    right_eye: Point
    left_eye: Point
    nose: Point
    right_mouth: Point
    left_mouth: Point


class Detection(NamedTuple):
    """One face found: its box in pixels of the full picture and the detector's score in 0..1.

    `landmarks`, in the same pixels, may lie outside the picture; None from a detector that finds boxes only.
    """

    box: Box
    score: float
    landmarks: Landmarks | None = None


class Estimate(NamedTuple):
    """What a network says of one face. `years_sd` is one standard deviation; NaN where a model gives none."""

    years: float
    years_sd: float
    p_female: float


class StillFace(NamedTuple):
    """A picture of a face, on a wall or a screen: where it is, and the track that it was before this was known."""

    track_id: int
    box: Box


class Face(NamedTuple):
    """One tracked person in one frame: where, and the running estimate over the track (None before the first).

    `last_seen_s` is older than the frame where the person is carried on without a detection. `pose` is where the head
    points, from landmarks; `frontal` (0..1) how far it points this way, from the pose or, of a face without landmarks,
    from how alike its halves are. Both are None where this frame did not measure them.
    """

    track_id: int
    box: Box
    score: float
    estimate: Estimate | None
    first_seen_s: float
    hits: int
    last_seen_s: float
    frontal: float | None = None
    pose: HeadPose | None = None
