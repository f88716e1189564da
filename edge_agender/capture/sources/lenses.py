"""What the makers say of the lenses of a Pi's cameras, by the name that libcamera gives the sensor."""

from __future__ import annotations

from edge_agender.imaging.geometry import TYPICAL_HFOV_DEG

# Degrees across the sensor's whole width. The HQ and the global shutter camera show what their lenses do: they are not
# here. Others build imx219 and ov5647 with other lenses under the same name, which no program can tell.
HFOV_DEG = {
    "imx708": 66.0,
    "imx708_noir": 66.0,
    "imx708_wide": 102.0,
    "imx708_wide_noir": 102.0,
    "imx219": 62.2,
    "ov5647": 53.5,
    "imx500": 66.0,
}


def lens_hfov_deg(model: str) -> float:
    """Return the field of view across the sensor of that model; of an unknown one, a typical lens's."""
    return HFOV_DEG.get(model, TYPICAL_HFOV_DEG)
