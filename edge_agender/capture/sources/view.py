"""Which part of a raw picture counts and which way up it is: region of interest, rotation, flips, sizes."""

from __future__ import annotations

import cv2
import numpy as np

from edge_agender.config.settings import RegionConfig, SourceConfig
from edge_agender.imaging.frame import Picture
from edge_agender.imaging.geometry import Box

_ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}

_WHOLE = RegionConfig()


class View:
    """Turns raw pictures the way they are looked at.

    The order is: rotate clockwise, flip, then cut out the region, whose parts therefore count in the picture as seen.
    """

    def __init__(
        self,
        region: RegionConfig = _WHOLE,
        rotate_deg: int = 0,
        flip_horizontal: bool = False,
        flip_vertical: bool = False,
    ) -> None:
        self._rotate_deg = rotate_deg
        self._flip_horizontal = flip_horizontal
        self._flip_vertical = flip_vertical
        self._raw_region = _before_turning(region, rotate_deg, flip_horizontal, flip_vertical)

    @classmethod
    def of(cls, config: SourceConfig) -> View:
        return cls(config.region, config.rotate_deg, config.flip_horizontal, config.flip_vertical)

    @property
    def raw_region(self) -> Box:
        """The region as parts of the raw picture's width and height."""
        return self._raw_region

    def size_px(self, raw_px: tuple[int, int]) -> tuple[int, int]:
        """Return width and height of the picture as seen, of a raw one that is so wide and high."""
        parts = self._raw_region
        across, down = _span(parts.x1, parts.x2, raw_px[0]), _span(parts.y1, parts.y2, raw_px[1])
        width, height = across.stop - across.start, down.stop - down.start
        return (height, width) if self._rotate_deg in (90, 270) else (width, height)

    def apply(self, raw: Picture) -> Picture:
        """Return the picture as seen: a view of `raw` where nothing is turned, else a new array."""
        # Cut first: turning a part costs less than turning the whole.
        picture = cut(raw, self._raw_region)
        if self._rotate_deg:
            picture = np.asarray(cv2.rotate(picture, _ROTATIONS[self._rotate_deg]), np.uint8)
        if self._flip_horizontal or self._flip_vertical:
            code = -1 if self._flip_horizontal and self._flip_vertical else int(self._flip_horizontal)
            picture = np.asarray(cv2.flip(picture, code), np.uint8)
        return picture


def cut(picture: Picture, parts: Box) -> Picture:
    """Return the view of `picture` inside `parts` of its width and height, at least one pixel."""
    height, width = picture.shape[:2]
    return picture[_span(parts.y1, parts.y2, height), _span(parts.x1, parts.x2, width)]


def _span(start: float, end: float, length_px: int) -> slice:
    first_px = min(max(round(start * length_px), 0), length_px - 1)
    return slice(first_px, max(round(end * length_px), first_px + 1))


def _before_turning(region: RegionConfig, rotate_deg: int, flip_horizontal: bool, flip_vertical: bool) -> Box:
    x1, y1, x2, y2 = region.x, region.y, region.x + region.width, region.y + region.height
    if flip_horizontal:
        x1, x2 = 1 - x2, 1 - x1
    if flip_vertical:
        y1, y2 = 1 - y2, 1 - y1
    if rotate_deg == 90:
        x1, y1, x2, y2 = y1, 1 - x2, y2, 1 - x1
    elif rotate_deg == 180:
        x1, y1, x2, y2 = 1 - x2, 1 - y2, 1 - x1, 1 - y1
    elif rotate_deg == 270:
        x1, y1, x2, y2 = 1 - y2, x1, 1 - y1, x2
    return Box(x1, y1, x2, y2)
