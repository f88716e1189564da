"""The demo: synthetic faces walk in, stop and leave before a plain moving background, and the truth is known."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from pydantic import BaseModel

from edge_agender.capture.sources.base import BaseSource, Framer
from edge_agender.capture.sources.crowd import Crowd, DemoPerson, FaceFacts
from edge_agender.capture.sources.view import View
from edge_agender.config.settings import SourceConfig
from edge_agender.errors import MediaError
from edge_agender.imaging.frame import Frame, Picture
from edge_agender.imaging.geometry import Box
from edge_agender.imaging.preprocess import resize, to_bgr

SHEET = Path(__file__).with_name("demo_faces.png")

_SPARE_SPRITES = 2
_BACKGROUND_SCALE = 4  # nothing in it is small, and memory is
# Later than this (the machine slept), the demo goes on from where it is instead of racing.
_MAX_LATE_S = 1.0
# Faces are drawn in heights of this step, so that few sizes are made.
_HEIGHT_STEP_PX = 8
_BACKGROUND_PERIOD_S = 40.0


@dataclass(frozen=True, slots=True, eq=False)
class FaceTile:
    """One face of the sheet. `face` is where a detector's box would be, in pixels of the tile; alpha is 0..255."""

    facts: FaceFacts
    face: Box
    bgr: Picture
    alpha: Picture


class _Face(BaseModel):
    x: int
    y: int
    gender: Literal["female", "male"]
    mean_age_years: float
    face_box: tuple[float, float, float, float] | None = None


class _Sheet(BaseModel):
    tile_px: tuple[int, int]
    faces: list[_Face]


def load_sheet(picture: Path = SHEET) -> list[FaceTile]:
    """Return the faces of a sprite sheet and of the .json beside it. Raises MediaError where they don't fit."""
    try:
        described = _Sheet.model_validate_json(picture.with_suffix(".json").read_text("utf-8"))
        sheet = cv2.imdecode(np.fromfile(picture, np.uint8), cv2.IMREAD_UNCHANGED)
        if sheet is None or not described.faces:
            raise ValueError("no faces in it")
        return [_tile(np.asarray(sheet, np.uint8), described.tile_px, face) for face in described.faces]
    except (OSError, ValueError, cv2.error) as error:
        reason = " ".join(str(error).split())
        raise MediaError(f"{picture}: the demo's faces cannot be read: install the package again ({reason})") from None


class DemoSource(BaseSource):
    """Synthetic faces, the same for the same seed: live at `rate_hz`, or as fast as frames are asked for.

    Region, rotation and flips are for cameras: the demo is always the right way up. Unpaced, `captured_s`
    follows the demo's own clock, so that times within it (dwell, gaps) keep their length.
    """

    def __init__(self, config: SourceConfig, stop: threading.Event, sheet: Sequence[FaceTile] | None = None) -> None:
        super().__init__()
        self._config, demo = config, config.demo
        self.live = demo.pace
        self._stop = stop
        tiles = load_sheet() if sheet is None else sheet
        size_px = (config.width_px, config.height_px)
        self._crowd = Crowd([tile.facts for tile in tiles], demo.people, size_px, demo.seed, demo.stay)
        self._painter = _Painter(tiles, size_px, demo.seed)
        self._framer = Framer(config, View())
        self._sequence = 0
        self._started_s: float | None = None

    def __enter__(self) -> DemoSource:
        return self

    def people(self, t_s: float) -> list[DemoPerson]:
        """Return who is in view `t_s` seconds after the start, far ones first."""
        return self._crowd.at(t_s)

    def truth(self, frame_sequence: int) -> list[DemoPerson]:
        """Return who is in the frame of that sequence number, far ones first."""
        return self._crowd.at(frame_sequence / self._config.rate_hz)

    def read(self) -> Frame | None:
        t_s = self._sequence / self._config.rate_hz
        duration_s = self._config.demo.duration_s
        if self._stop.is_set() or (duration_s is not None and t_s >= duration_s):
            return None
        due_s = self._due_s(t_s)
        if self.live and self._stop.wait(max(due_s - time.monotonic(), 0.0)):
            return None
        picture = self._painter.paint(self._crowd.at(t_s), t_s)
        self._sequence += 1
        self.made_progress()
        return self._framer.frame(picture, due_s)

    def _due_s(self, t_s: float) -> float:
        now_s = time.monotonic()
        if self._started_s is None or (self.live and now_s - self._started_s - t_s > _MAX_LATE_S):
            self._started_s = now_s - t_s
        return self._started_s + t_s


class _Painter:
    """Draws people. Faces are scaled and multiplied with their alpha once a size, not once a frame."""

    def __init__(self, tiles: Sequence[FaceTile], size_px: tuple[int, int], seed: int) -> None:
        self._tiles = tiles
        self._size_px = size_px
        self._background = _background(size_px, seed)
        self._sprites: dict[tuple[int, int], tuple[Picture, Picture, float]] = {}

    def paint(self, people: Sequence[DemoPerson], t_s: float) -> Picture:
        """Return a new picture (H, W, 3), B, G, R."""
        width = self._size_px[0] // _BACKGROUND_SCALE
        travel = self._background.shape[1] - width
        left = round(travel * (0.5 + 0.5 * math.sin(2 * math.pi * t_s / _BACKGROUND_PERIOD_S)))
        picture = resize(self._background[:, left : left + width], self._size_px)
        for person in people:
            self._body(picture, person)
        for person in people:
            self._face(picture, person)
        while len(self._sprites) > len(people) + _SPARE_SPRITES:
            self._sprites.pop(next(iter(self._sprites)))
        return picture

    def _face(self, picture: Picture, person: DemoPerson) -> None:
        faded, rest, factor = self._sprite(person.face, person.box.height)
        face = self._tiles[person.face].face
        x, y = round(person.box.x1 - face.x1 * factor), round(person.box.y1 - face.y1 * factor)
        height, width = faded.shape[:2]
        x1, y1 = max(x, 0), max(y, 0)
        x2, y2 = min(x + width, picture.shape[1]), min(y + height, picture.shape[0])
        if x1 >= x2 or y1 >= y2:
            return
        inside = slice(y1 - y, y2 - y), slice(x1 - x, x2 - x)
        under = picture[y1:y2, x1:x2]
        cv2.multiply(under, rest[inside], dst=under, scale=1 / 255)
        cv2.add(under, faded[inside], dst=under)

    def _sprite(self, face: int, height_px: float) -> tuple[Picture, Picture, float]:
        """The tile times its alpha, what alpha leaves of the picture under it, and its scale."""
        key = face, max(round(height_px / _HEIGHT_STEP_PX), 1) * _HEIGHT_STEP_PX
        if key in self._sprites:
            self._sprites[key] = self._sprites.pop(key)  # the one used longest ago goes first
        else:
            tile = self._tiles[face]
            factor = key[1] / tile.face.height
            size = (max(round(tile.bgr.shape[1] * factor), 1), max(round(tile.bgr.shape[0] * factor), 1))
            alpha = np.repeat(resize(tile.alpha, size)[:, :, None], 3, axis=2)
            faded = np.asarray(cv2.multiply(resize(tile.bgr, size), alpha, scale=1 / 255), np.uint8)
            self._sprites[key] = faded, np.asarray(255 - alpha, np.uint8), factor
        return self._sprites[key]

    def _body(self, picture: Picture, person: DemoPerson) -> None:
        box, shade = person.box, 60 + 37 * person.face % 90
        middle = round(box.centre[0]), round(box.y2 + box.height * 0.75)
        axes = round(box.width * 0.95), round(box.height * 0.85)
        cv2.ellipse(picture, middle, axes, 0, 0, 360, (shade, shade * 0.8, 150 - shade * 0.6), cv2.FILLED)


def _background(size_px: tuple[int, int], seed: int) -> Picture:
    """A soft wall of light and shade, at part of the picture's size, a quarter wider so that it can move behind it."""
    coarse = np.random.default_rng(seed).integers(95, 175, (4, 7, 3), np.uint8)
    width, height = size_px[0] // _BACKGROUND_SCALE, size_px[1] // _BACKGROUND_SCALE
    wide = cv2.resize(coarse, (width * 5 // 4, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(wide, np.uint8)


def _tile(sheet: Picture, size_px: tuple[int, int], described: _Face) -> FaceTile:
    (width, height), (x, y) = size_px, (described.x, described.y)
    tile = sheet[y : y + height, x : x + width]
    if tile.shape[:2] != (height, width):
        raise ValueError(f"the tile at {x}, {y} lies outside the sheet")
    box = (
        Box(*described.face_box)
        if described.face_box
        else Box(0.08 * width, 0.08 * height, 0.92 * width, 0.92 * height)
    )
    facts = FaceFacts(described.gender, described.mean_age_years, box.width / box.height)
    # Copied: a view would keep the whole sheet in memory.
    alpha = tile[:, :, 3].copy() if tile.shape[2:] == (4,) else _soft_oval(width, height)
    return FaceTile(facts, box, to_bgr(tile), alpha)


def _soft_oval(width: int, height: int) -> Picture:
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
    inside = 1 - np.hypot(x[None, :], y[:, None])
    return np.asarray(np.clip(inside / 0.2, 0, 1) * 255, np.uint8)
