"""How far off a face is, from its height."""

from __future__ import annotations

from edge_agender.audience.measures import Distance
from edge_agender.config.audience import DistanceConfig
from edge_agender.imaging.geometry import TYPICAL_HFOV_DEG, focal_px


def distance_cm(face_height_px: float, focal_length_px: float, face_height_cm: float) -> float:
    """Return how far off a face of that height is (pinhole camera)."""
    return face_height_cm * focal_length_px / face_height_px


def counted_focal_px(config: DistanceConfig, picture_width_px: float, known_px: float | None) -> float:
    """Return the focal length that distances count with: as configured, else as the source knows it, else typical."""
    if config.lens_hfov_deg is None and known_px is not None:
        return known_px
    return focal_px(picture_width_px, config.lens_hfov_deg or TYPICAL_HFOV_DEG)


def coarse(centimetres: float, config: DistanceConfig) -> Distance:
    """Return near, mid or far."""
    if centimetres < config.near_cm:
        return "near"
    return "mid" if centimetres < config.far_cm else "far"
