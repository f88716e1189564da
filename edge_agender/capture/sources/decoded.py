"""A decoded video picture as the pipeline wants it: upright, pixels square, converted only as far as needed."""

from __future__ import annotations

import re
import struct
from typing import Any

import cv2
import numpy as np

from edge_agender.imaging.frame import Array, Picture
from edge_agender.imaging.orientation import SIDEWAYS, UPRIGHT, of_display_matrix, upright

# Their first plane is luma, eight bits a pixel.
_LUMA_FIRST = re.compile(r"yuvj?4(20|22|44|40|11)p|yuva4(20|22|44)p|nv(12|21|16|24|42)|gray")
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_MATRIX = struct.Struct("=9i")
# Pixels more oblong than this are a damaged header.
_MOST_OBLONG = 4.0
_ALMOST_SQUARE = 0.01


class StillPicture:
    """A picture that is B, G, R already."""

    def __init__(self, bgr: Picture) -> None:
        self._bgr = bgr

    @property
    def size_px(self) -> tuple[int, int]:
        return self._bgr.shape[1], self._bgr.shape[0]

    def luma(self) -> None:
        return None

    def bgr(self) -> Picture:
        return self._bgr


class DecodedPicture:
    """One av.VideoFrame. `aspect`: width of a pixel by its height. Buffers are the decoder's: never written to."""

    def __init__(self, frame: Any, aspect: float, orientation: int, converter: Any) -> None:
        self._frame = frame
        self._converter = converter
        self._aspect = aspect if 1 / _MOST_OBLONG <= aspect <= _MOST_OBLONG else 1.0
        self._orientation = orientation
        # The lines of an interlaced picture are of two moments: one of them is kept.
        self._step = 2 if frame.interlaced_frame else 1

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the picture as it is to be looked at."""
        width, height = self._square_px()
        return (height, width) if self._orientation in SIDEWAYS else (width, height)

    def luma(self) -> tuple[Picture, bool] | None:
        """Return the luma plane (h, w) upright with pixels perhaps not square, and whether black in it is 16.

        It may be the decoder's own. None for formats that have no such plane.
        """
        name = self._frame.format.name
        if not _LUMA_FIRST.fullmatch(name):
            return None
        limited = not (name.startswith(("yuvj", "gray")) or self._frame.color_range == _FULL_RANGE)
        plane = _rows(self._frame.planes[0], self._frame.height)[:: self._step, : self._frame.width]
        return upright(np.asarray(plane, np.uint8), self._orientation), limited

    def bgr(self) -> Picture:
        """Return a new picture (h, w, 3), B, G, R, upright, its pixels square."""
        height, width = self._frame.height, self._frame.width
        made = self._converter.reformat(self._frame, format="bgr24", interpolation="POINT", threads=1)
        rows = _rows(made.planes[0], height)[:: self._step, : width * 3]
        picture = np.asarray(rows.reshape(rows.shape[0], width, 3), np.uint8)
        size = self._square_px()
        if picture.shape[1::-1] != size:
            scaled = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)
            picture.fill(0)
            picture = scaled
        turned = upright(picture, self._orientation)
        if turned is not picture:
            picture.fill(0)
        return turned

    def _square_px(self) -> tuple[int, int]:
        """Width and height with square pixels, before it is turned: the shorter side grows, so that nothing is lost."""
        width, height = self._frame.width, self._frame.height
        if abs(self._aspect - 1) < _ALMOST_SQUARE:
            return width, height
        if self._aspect > 1:
            return round(width * self._aspect), height
        return width, round(height / self._aspect)


def _rows(plane: Any, height: int) -> Array:
    return np.frombuffer(plane, np.uint8)[: height * plane.line_size].reshape(height, plane.line_size)


def orientation_of(frame: Any) -> int:
    """Return which way up an av.VideoFrame is. It then is in a cycle of references: do not ask each frame."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    data = bytes(matrix) if matrix is not None else b""
    if len(data) < _MATRIX.size:
        return UPRIGHT
    a, b, _, c, d, *_ = _MATRIX.unpack_from(data)
    return of_display_matrix(a, b, c, d)
