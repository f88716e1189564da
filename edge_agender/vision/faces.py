"""What networks and tracker say of one face."""

from __future__ import annotations

from typing import NamedTuple

from edge_agender.imaging.geometry import Box


class Detection(NamedTuple):
    """One face found: its box in pixels of the full picture and the detector's score in 0..1."""

    box: Box
    score: float


class Estimate(NamedTuple):
    """What a network says of one face. `years_sd` is one standard deviation; NaN where a model gives none."""

    years: float
    years_sd: float
    p_female: float


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
