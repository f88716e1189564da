"""Training samples for the detector: labelled pictures in memory, and endless augmented 320x240 canvases from them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from edge_agender.imaging.frame import Array, Picture
from edge_agender.imaging.preprocess import LETTERBOX_LUMA, resize
from training.common.split import held_out
from training.detector.augment import occlude, photometric, texture

SMALLEST_PX = 5.0  # a lower face on the canvas is neither a face nor background
LEAST_VISIBLE = 0.4  # of a face's area; what the canvas cuts off below that is neither


@dataclass(frozen=True)
class Labelled:
    """A luma picture (h, w) with boxes (n, 4), corners in pixels, and which of them to ignore (n,)."""

    path: str
    luma: Picture
    boxes: Array
    ignore: Array


@dataclass(frozen=True)
class Sample:
    """A canvas (240, 320) of luma with boxes (n, 4), corners in canvas pixels, and which to ignore (n,)."""

    luma: Picture
    boxes: Array
    ignore: Array


def read_labels(path: Path) -> list[dict[str, object]]:
    """Return the rows of a labels file: path, width, height and faces with box [x, y, w, h] and ignore."""
    rows: list[dict[str, object]] = json.loads(path.read_text())
    return rows


def load(data: Path, rows: Iterable[dict[str, object]], held: bool | None = False) -> list[Labelled]:
    """Read pictures as luma into memory: those held back, those not, or all (None)."""
    pictures = []
    for row in rows:
        name = str(row["path"])
        if held is not None and held_out(name) != held:
            continue
        luma = cv2.imread(str(data / name), cv2.IMREAD_GRAYSCALE)
        if luma is None:
            raise FileNotFoundError(data / name)
        faces = row["faces"]
        assert isinstance(faces, list)
        boxes = np.array([face["box"] for face in faces], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        pictures.append(Labelled(name, luma, boxes, np.array([face["ignore"] for face in faces], bool)))
    return pictures


class Sampler:
    """Makes augmented samples from scenes (many faces each) and portraits (one each, close)."""

    def __init__(
        self, scenes: Sequence[Labelled], portraits: Sequence[Labelled], seed: int, size: tuple[int, int] = (320, 240)
    ) -> None:
        self.scenes, self.portraits, self.size = list(scenes), list(portraits), size
        self.rng = np.random.default_rng(seed)
        self._order: list[int] = []

    def batch(self, count: int) -> list[Sample]:
        return [self.sample() for _ in range(count)]

    def sample(self) -> Sample:
        rng, (width, height) = self.rng, self.size
        canvas = np.full((height, width), LETTERBOX_LUMA, np.uint8)
        kind = rng.random()
        if kind < 0.56:
            parts = [self._scene(canvas)]
        elif kind < 0.78:
            parts = self._mosaic(canvas)
        elif kind < 0.92 and self.portraits:
            parts = [self._portrait(canvas)]
        else:
            if kind > 0.97 or not self._without_face(canvas):
                texture(canvas, rng)
            parts = []
        boxes = np.concatenate([np.zeros((0, 4), np.float32), *(part[0] for part in parts)])
        ignore = np.concatenate([np.zeros(0, bool), *(part[1] for part in parts)])
        if rng.random() < 0.25:
            occlude(canvas, boxes[~ignore], rng)
        canvas = photometric(canvas, rng)
        if rng.random() < 0.5:
            canvas = np.ascontiguousarray(canvas[:, ::-1])
            boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
        return Sample(canvas, boxes, ignore)

    def _next_scene(self) -> Labelled:
        if not self._order:
            self._order = list(self.rng.permutation(len(self.scenes)))
        return self.scenes[self._order.pop()]

    def _scene(self, view: Picture) -> tuple[Array, Array]:
        """Fill the view with a scene: as at run time, or scaled so that one of its faces gets a drawn size."""
        rng, scene = self.rng, self._next_scene()
        height, width = view.shape
        fit = min(width / scene.luma.shape[1], height / scene.luma.shape[0])
        usable = np.flatnonzero(~scene.ignore)
        if rng.random() < 0.3 or not len(usable):
            factor = fit * rng.uniform(0.75, 1.15)
            return _place(view, scene, factor, rng, None)
        face = scene.boxes[rng.choice(usable)]
        wanted = np.exp(rng.uniform(np.log(8), np.log(0.95 * height)))
        factor = float(np.clip(wanted / (face[3] - face[1]), 0.6 * fit, max(2.5, fit)))
        return _place(view, scene, factor, rng, face)

    def _without_face(self, canvas: Picture) -> bool:
        """Fill the canvas with a part of a scene that no labelled face touches; False where there is none."""
        rng, scene = self.rng, self._next_scene()
        rows, columns = scene.luma.shape
        for _ in range(20):
            height = int(rng.uniform(0.15, 0.7) * rows)
            width = min(int(height * self.size[0] / self.size[1]), columns)
            x, y = int(rng.integers(columns - width + 1)), int(rng.integers(rows - height + 1))
            low, high = scene.boxes[:, :2] < [x + width, y + height], scene.boxes[:, 2:] > [x, y]
            if min(width, height) >= 16 and not (low & high).all(1).any():
                canvas[:] = resize(scene.luma[y : y + height, x : x + width], self.size)
                return True
        return False

    def _portrait(self, view: Picture) -> tuple[Array, Array]:
        """Fill the view with one portrait, up to a face that fills it; a background of noise or another picture."""
        rng, item = self.rng, self.portraits[self.rng.integers(len(self.portraits))]
        if rng.random() < 0.6 and min(view.shape) > 40:
            texture(view, rng)
        height, width = view.shape
        fit = min(width / item.luma.shape[1], height / item.luma.shape[0])
        if rng.random() < 0.35:
            return _place(view, item, fit, rng, None, whole=True)
        face = item.boxes[0]
        wanted = np.exp(rng.uniform(np.log(0.1 * height), np.log(1.05 * height)))
        return _place(view, item, float(np.clip(wanted / (face[3] - face[1]), 0.1, 2.2)), rng, face)

    def _mosaic(self, canvas: Picture) -> list[tuple[Array, Array]]:
        """Divide the canvas at a random point in four, or evenly in nine, and fill each part."""
        rng, (height, width) = self.rng, canvas.shape
        if rng.random() < 0.75:
            xs = [0, int(width * rng.uniform(0.25, 0.75)), width]
            ys = [0, int(height * rng.uniform(0.25, 0.75)), height]
        else:
            xs, ys = [0, width // 3, 2 * width // 3, width], [0, height // 3, 2 * height // 3, height]
        parts = []
        for y1, y2 in pairwise(ys):
            for x1, x2 in pairwise(xs):
                view = canvas[y1:y2, x1:x2]
                portrait = self.portraits and rng.random() < 0.4
                boxes, ignore = self._portrait(view) if portrait else self._scene(view)
                parts.append((boxes + np.float32([x1, y1, x1, y1]), ignore))
        return parts


def _offset(
    factor: float, extent: int, room: int, face: tuple[float, float] | None, whole: bool, rng: np.random.Generator
) -> float:
    """Return where the picture's edge lands along one axis, so that the chosen face is mostly in view."""
    scaled = extent * factor
    if face is not None and not whole:
        start, end = face[0] * factor, face[1] * factor
        slack = 0.15 * (end - start)
        return float(rng.uniform(min(-start - slack, room - end + slack), max(-start - slack, room - end + slack)))
    return float(rng.uniform(min(0, room - scaled), max(0, room - scaled)))


def _place(
    view: Picture, item: Labelled, factor: float, rng: np.random.Generator, face: Array | None, whole: bool = False
) -> tuple[Array, Array]:
    """Draw a scaled picture into the view and return its boxes there and which of them to ignore."""
    height, width = view.shape
    fx, fy = (factor * float(np.exp(rng.normal(0, 0.06))) for _ in range(2))
    rows, columns = item.luma.shape
    left = _offset(fx, columns, width, None if face is None else (face[0], face[2]), whole, rng)
    top = _offset(fy, rows, height, None if face is None else (face[1], face[3]), whole, rng)
    # The part of the source that is in view, in whole source pixels, so that the boxes stay exact.
    x1, y1 = max(int(-left / fx), 0), max(int(-top / fy), 0)
    x2, y2 = min(int((width - left) / fx), columns), min(int((height - top) / fy), rows)
    if x2 - x1 < 4 or y2 - y1 < 4:
        return np.zeros((0, 4), np.float32), np.zeros(0, bool)
    u1, v1 = max(round(left + x1 * fx), 0), max(round(top + y1 * fy), 0)
    u2, v2 = min(round(left + x2 * fx), width), min(round(top + y2 * fy), height)
    if u2 - u1 < 4 or v2 - v1 < 4:
        return np.zeros((0, 4), np.float32), np.zeros(0, bool)
    view[v1:v2, u1:u2] = resize(item.luma[y1:y2, x1:x2], (u2 - u1, v2 - v1))
    gx, gy = (u2 - u1) / (x2 - x1), (v2 - v1) / (y2 - y1)
    boxes = (item.boxes - np.float32([x1, y1, x1, y1])) * np.float32([gx, gy, gx, gy]) + np.float32([u1, v1, u1, v1])
    return _crop_boxes(boxes, item.ignore, (u1, v1, u2, v2))


def _crop_boxes(boxes: Array, ignore: Array, area: tuple[int, int, int, int]) -> tuple[Array, Array]:
    """Clip boxes to the drawn area; hardly visible or tiny ones become ignored, absent ones go."""
    x1, y1, x2, y2 = area
    inside = np.clip(boxes, np.float32([x1, y1, x1, y1]), np.float32([x2, y2, x2, y2]))
    size, full = inside[:, 2:] - inside[:, :2], boxes[:, 2:] - boxes[:, :2]
    visible = size.prod(1) / np.maximum(full.prod(1), 1e-6)
    ignore = ignore | (visible < LEAST_VISIBLE) | (size.min(1) < 0.7 * SMALLEST_PX) | (size[:, 1] < SMALLEST_PX)
    kept = (size > 1).all(1)
    return inside[kept].astype(np.float32), ignore[kept]
