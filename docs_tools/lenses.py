"""docs/mount.md's tables: how many pixels a face has, by distance and lens, and how far each lens reaches.

A pinhole camera, as `audience.distance` counts it. The limits are the code's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_agender.capture.sources.lenses import HFOV_DEG
from edge_agender.config.settings import Config
from edge_agender.imaging.geometry import angle_deg, focal_px
from edge_agender.web.mounting import AimLimits

# Least width of a detected box by its height: the median over 150 portraits of All-Age-Faces (0.74); UTKFace has 0.86.
WIDTH_BY_HEIGHT = 0.75
# Height of a face in the small picture from which the detector is good at it (models/face-ssd.md: 4 % of 240 lines).
DETECTABLE_PX = 10.0
CHECKED_AT_M = 2.0
COUNTED_DEG = (52, 54, 62, 66, 86)
DISTANCES_M = (0.5, 1, 1.5, 2, 3, 4, 5, 6, 8)


@dataclass(frozen=True)
class Lens:
    """A camera as its maker describes it; the sensor's own aspect ratio is that of the full field of view."""

    name: str
    hfov_deg: float
    sensor_aspect: float

    def seen_deg(self, aspect: float) -> float:
        """Return the field of view across a picture of that width by height, of a sensor that keeps its height."""
        kept = min(aspect / self.sensor_aspect, 1.0)
        return angle_deg(kept, focal_px(1, self.hfov_deg))


LENSES = (
    Lens("Camera Module 3", HFOV_DEG["imx708"], 16 / 9),
    Lens("Camera Module 3 Wide", HFOV_DEG["imx708_wide"], 16 / 9),
    Lens("Camera Module 2", HFOV_DEG["imx219"], 4 / 3),
    Lens("Camera Module 1", HFOV_DEG["ov5647"], 4 / 3),
)


def face_height_px(distance_m: float, hfov_deg: float, width_px: float) -> float:
    """Return the height of an adult's face, in pixels of a picture that many pixels wide."""
    return Config().audience.distance.face_height_cm * focal_px(width_px, hfov_deg) / (distance_m * 100)


def face_px(distance_m: float, hfov_deg: float, width_px: float) -> float:
    """Return the face's shorter side, which the aim view shows and judges."""
    return WIDTH_BY_HEIGHT * face_height_px(distance_m, hfov_deg, width_px)


def reach_m(hfov_deg: float, width_px: float, small_width_px: float) -> tuple[float, float]:
    """Return how far a face is wide enough to be estimated, and high enough to be found well, in metres."""
    return (
        face_px(1, hfov_deg, width_px) / AimLimits().min_face_px,
        face_height_px(1, hfov_deg, small_width_px) / DETECTABLE_PX,
    )


def blur_px(speed_m_s: float, exposure_ms: float, detail_px: float) -> float:
    """Return how far a face moves during an exposure, in pixels of a face that is `detail_px` wide, at any distance."""
    width_cm = WIDTH_BY_HEIGHT * Config().audience.distance.face_height_cm
    return speed_m_s * 100 * exposure_ms / 1000 / width_cm * detail_px


def faces_table() -> str:
    """Return the shorter side of a face by distance and lens, at the default picture; small ones are marked."""
    source, limits = Config().source, AimLimits()
    seen = [lens.seen_deg(source.width_px / source.height_px) for lens in LENSES]
    lines = ["| distance | " + " | ".join(lens.name for lens in LENSES) + " |", "|---:|" + "---:|" * len(LENSES)]
    lines.append("| *field of view* | " + " | ".join(f"*{angle:.0f}°*" for angle in seen) + " |")
    for distance_m in DISTANCES_M:
        sides = [face_px(distance_m, angle, source.width_px) for angle in seen]
        lines.append(f"| {distance_m:g} m | " + " | ".join(_marked(side, limits) for side in sides) + " |")
    return "\n".join(lines)


def _marked(side_px: float, limits: AimLimits) -> str:
    if side_px < limits.min_face_px:
        return f"{side_px:.0f} ✗"
    return f"{side_px:.0f} !" if side_px < limits.good_face_px else f"**{side_px:.0f}**"


def reach_table() -> str:
    """Return how far each lens reaches and how broad a strip it sees, at the default sizes."""
    source = Config().source
    aspect = source.width_px / source.height_px
    lines = [
        "| camera | field of view, across × up | estimated up to | found well up to | strip seen at 3 m, across × up |",
        "|---|---|---:|---:|---|",
    ]
    for lens in LENSES:
        seen = lens.seen_deg(aspect)
        half = math.tan(math.radians(seen) / 2)
        up = angle_deg(1 / aspect, focal_px(1, seen))
        estimated, found = reach_m(seen, source.width_px, source.small_width_px)
        strip = f"{6 * half:.1f} × {6 * half / aspect:.1f} m"
        lines.append(f"| {lens.name} | {seen:.0f}° × {up:.0f}° | {estimated:.1f} m | {found:.1f} m | {strip} |")
    return "\n".join(lines)


def heights_table() -> str:
    """Return how far above or below the eyes a camera may be, by distance, for some angles."""
    angles = (10, 15, 20)
    lines = ["| distance | " + " | ".join(f"{angle}°" for angle in angles) + " |", "|---:|" + "---:|" * len(angles)]
    for distance_m in (1, 1.5, 2, 3, 4, 6):
        cells = [f"{100 * distance_m * math.tan(math.radians(angle)):.0f} cm" for angle in angles]
        lines.append(f"| {distance_m:g} m | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def correction_table() -> str:
    """Return the field of view to set, by what the doctor and, for somebody at 2 m, the aim view say."""
    told_m = (1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.5, 3.0)
    lines = ["| it says | " + " | ".join(f"{told:.1f} m" for told in told_m) + " |", "|---|" + "---|" * len(told_m)]
    for counted_deg in COUNTED_DEG:
        focal = focal_px(1, counted_deg)
        right = [angle_deg(1, focal * CHECKED_AT_M / told) for told in told_m]
        lines.append(f"| set instead of {counted_deg:g} | " + " | ".join(f"{angle:.0f}" for angle in right) + " |")
    return "\n".join(lines)
