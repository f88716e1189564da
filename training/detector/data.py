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
from training.detector.augment import occlude, photometric, texture, turned

SMALLEST_PX = 5.0  # a lower face on the canvas is neither a face nor background
LEAST_VISIBLE = 0.4  # of a face's area; what the canvas cuts off below that is neither
MIRRORED_POINTS = [1, 0, 2, 4, 3]  # a mirrored right eye is a left one
POINTS = 5


@dataclass(frozen=True)
class Faces:
    """Boxes (n, 4), corners in pixels; which of them to ignore (n,); points (n, 5, 2), nan where unknown."""

    boxes: Array
    ignore: Array
    points: Array

    def at(self, factor: Array, shift: Array) -> Faces:
        """Return them scaled by (x, y) factors, then moved by (x, y) pixels."""
        return Faces(
            (self.boxes * np.tile(factor, 2) + np.tile(shift, 2)).astype(np.float32),
            self.ignore,
            (self.points * factor + shift).astype(np.float32),
        )

    def kept(self, which: Array) -> Faces:
        return Faces(self.boxes[which], self.ignore[which], self.points[which])

    def mirrored(self, width: int) -> Faces:
        """Return them as in the mirrored picture."""
        boxes = np.stack([width - self.boxes[:, 2], self.boxes[:, 1], width - self.boxes[:, 0], self.boxes[:, 3]], 1)
        points = self.points[:, MIRRORED_POINTS] * np.float32([-1, 1]) + np.float32([width, 0])
        return Faces(boxes, self.ignore, points)


def together(parts: Sequence[Faces]) -> Faces:
    """Return all of them in one."""
    parts = [NOBODY, *parts]
    return Faces(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("boxes", "ignore", "points")))


NOBODY = Faces(np.zeros((0, 4), np.float32), np.zeros(0, bool), np.zeros((0, POINTS, 2), np.float32))


@dataclass(frozen=True)
class Labelled:
    """A picture (h, w, 3), B, G, R, and its faces."""

    path: str
    bgr: Picture
    faces: Faces


@dataclass(frozen=True)
class Sample:
    """A canvas (240, 320, 3), B, G, R, and its faces in canvas pixels."""

    bgr: Picture
    faces: Faces


def read_labels(path: Path) -> list[dict[str, object]]:
    """Return the rows of a labels file: path, width, height and faces with box [x, y, w, h], ignore and points."""
    rows: list[dict[str, object]] = json.loads(path.read_text())
    return rows


def faces_of(rows: Sequence[dict[str, object]]) -> Faces:
    """Return a picture's labels as arrays."""
    boxes = np.array([face["box"] for face in rows], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    unknown = [[float("nan")] * 2] * POINTS
    points = np.array([face.get("points") or unknown for face in rows], np.float32)
    return Faces(boxes, np.array([face["ignore"] for face in rows], bool), points.reshape(-1, POINTS, 2))


def load(data: Path, rows: Iterable[dict[str, object]]) -> list[Labelled]:
    """Read pictures into memory. Raises FileNotFoundError."""
    pictures = []
    for row in rows:
        bgr, faces = cv2.imread(str(data / str(row["path"]))), row["faces"]
        if bgr is None:
            raise FileNotFoundError(data / str(row["path"]))
        assert isinstance(faces, list)
        pictures.append(Labelled(str(row["path"]), np.asarray(bgr, np.uint8), faces_of(faces)))
    return pictures


class Sampler:
    """Makes augmented samples from scenes (many faces each), portraits (one each, close) and pictures without faces."""

    def __init__(
        self,
        scenes: Sequence[Labelled],
        portraits: Sequence[Labelled],
        empty: Sequence[Labelled],
        seed: int,
        size: tuple[int, int] = (320, 240),
    ) -> None:
        self.scenes, self.portraits, self.empty, self.size = list(scenes), list(portraits), list(empty), size
        self.rng = np.random.default_rng(seed)
        self._order: list[int] = []

    def batch(self, count: int) -> list[Sample]:
        return [self.sample() for _ in range(count)]

    def sample(self) -> Sample:
        rng, (width, height) = self.rng, self.size
        canvas = np.full((height, width, 3), LETTERBOX_LUMA, np.uint8)
        kind = rng.random()
        if kind < 0.68:
            parts = [self._scene(canvas)]
        elif kind < 0.81:
            parts = self._mosaic(canvas)
        elif kind < 0.91 and self.portraits:
            parts = [self._portrait(canvas)]
        else:
            parts = []
            self._without_faces(canvas, kind)
        faces = together(parts)
        if rng.random() < 0.15:
            canvas, faces = _turn(canvas, faces, rng)
        if rng.random() < 0.15:
            occlude(canvas, faces.boxes[~faces.ignore], rng)
        canvas = photometric(canvas, rng)
        if rng.random() < 0.5:
            canvas, faces = np.ascontiguousarray(canvas[:, ::-1]), faces.mirrored(width)
        return Sample(canvas, faces)

    def _next_scene(self) -> Labelled:
        if not self._order:
            self._order = list(self.rng.permutation(len(self.scenes)))
        return self.scenes[self._order.pop()]

    def _scene(self, view: Picture) -> Faces:
        """Fill the view with a scene: as at run time, or scaled so that one of its faces gets a drawn size."""
        rng, scene = self.rng, self._next_scene()
        height, width = view.shape[:2]
        fit = min(width / scene.bgr.shape[1], height / scene.bgr.shape[0])
        usable = np.flatnonzero(~scene.faces.ignore)
        if rng.random() < 0.5 or not len(usable):
            return _place(view, scene, fit * rng.uniform(0.85, 1.1), rng, None)
        face = scene.faces.boxes[rng.choice(usable)]
        wanted = np.exp(rng.uniform(np.log(8), np.log(0.9 * height)))
        factor = float(np.clip(wanted / (face[3] - face[1]), 0.6 * fit, max(2.5, fit)))
        return _place(view, scene, factor, rng, face)

    def _without_faces(self, canvas: Picture, kind: float) -> None:
        """Fill the canvas with a picture without faces, a part of a scene that no face touches, or a texture."""
        if kind < 0.965 and self.empty:
            item = self.empty[self.rng.integers(len(self.empty))]
            _place(canvas, item, max(320 / item.bgr.shape[1], 240 / item.bgr.shape[0]), self.rng, None)
        elif kind > 0.99 or not self._beside_faces(canvas):
            texture(canvas, self.rng)

    def _beside_faces(self, canvas: Picture) -> bool:
        """Fill the canvas with a part of a scene that no labelled face touches; False where there is none."""
        rng, scene = self.rng, self._next_scene()
        rows, columns = scene.bgr.shape[:2]
        for _ in range(20):
            height = int(rng.uniform(0.15, 0.7) * rows)
            width = min(int(height * self.size[0] / self.size[1]), columns)
            x, y = int(rng.integers(columns - width + 1)), int(rng.integers(rows - height + 1))
            low, high = scene.faces.boxes[:, :2] < [x + width, y + height], scene.faces.boxes[:, 2:] > [x, y]
            if min(width, height) >= 16 and not (low & high).all(1).any():
                canvas[:] = resize(scene.bgr[y : y + height, x : x + width], self.size)
                return True
        return False

    def _portrait(self, view: Picture) -> Faces:
        """Fill the view with one portrait, up to a face that fills it; a background of noise or another picture."""
        rng, item = self.rng, self.portraits[self.rng.integers(len(self.portraits))]
        if rng.random() < 0.6 and min(view.shape[:2]) > 40:
            texture(view, rng)
        height, width = view.shape[:2]
        fit = min(width / item.bgr.shape[1], height / item.bgr.shape[0])
        if rng.random() < 0.35:
            return _place(view, item, fit, rng, None, whole=True)
        face = item.faces.boxes[0]
        wanted = np.exp(rng.uniform(np.log(0.1 * height), np.log(1.05 * height)))
        return _place(view, item, float(np.clip(wanted / (face[3] - face[1]), 0.1, 2.6)), rng, face)

    def _mosaic(self, canvas: Picture) -> list[Faces]:
        """Divide the canvas at a random point in four, or evenly in nine, and fill each part."""
        rng, (height, width) = self.rng, canvas.shape[:2]
        if rng.random() < 0.75:
            xs = [0, int(width * rng.uniform(0.25, 0.75)), width]
            ys = [0, int(height * rng.uniform(0.25, 0.75)), height]
        else:
            xs, ys = [0, width // 3, 2 * width // 3, width], [0, height // 3, 2 * height // 3, height]
        parts = []
        for y1, y2 in pairwise(ys):
            for x1, x2 in pairwise(xs):
                view = canvas[y1:y2, x1:x2]
                faces = self._portrait(view) if self.portraits and rng.random() < 0.4 else self._scene(view)
                parts.append(faces.at(np.float32([1, 1]), np.float32([x1, y1])))
        return parts


def _turn(canvas: Picture, faces: Faces, rng: np.random.Generator) -> tuple[Picture, Faces]:
    """Turn the canvas by up to 45 degrees, mostly by few. A face is taken for an ellipse in its box."""
    height, width = canvas.shape[:2]
    degrees = float(np.clip(rng.normal(0, 20), -45, 45))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0).astype(np.float32)
    middle = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    half = (faces.boxes[:, 2:] - faces.boxes[:, :2]) / 2
    half = np.sqrt(half**2 @ (matrix[:, :2] ** 2).T)
    points = faces.points @ matrix[:, :2].T + matrix[:, 2]
    whole = Faces(np.concatenate([middle - half, middle + half], 1), faces.ignore, points)
    return turned(canvas, matrix, LETTERBOX_LUMA), _cropped(whole, (0, 0, width, height))


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
) -> Faces:
    """Draw a scaled picture into the view and return its faces there."""
    height, width = view.shape[:2]
    fx, fy = (factor * float(np.exp(rng.normal(0, 0.05))) for _ in range(2))
    rows, columns = item.bgr.shape[:2]
    left = _offset(fx, columns, width, None if face is None else (face[0], face[2]), whole, rng)
    top = _offset(fy, rows, height, None if face is None else (face[1], face[3]), whole, rng)
    # The part of the source that is in view, in whole source pixels, so that the boxes stay exact.
    x1, y1 = max(int(-left / fx), 0), max(int(-top / fy), 0)
    x2, y2 = min(int((width - left) / fx), columns), min(int((height - top) / fy), rows)
    if x2 - x1 < 4 or y2 - y1 < 4:
        return NOBODY
    u1, v1 = max(round(left + x1 * fx), 0), max(round(top + y1 * fy), 0)
    u2, v2 = min(round(left + x2 * fx), width), min(round(top + y2 * fy), height)
    if u2 - u1 < 4 or v2 - v1 < 4:
        return NOBODY
    view[v1:v2, u1:u2] = resize(item.bgr[y1:y2, x1:x2], (u2 - u1, v2 - v1))
    scale = np.float32([(u2 - u1) / (x2 - x1), (v2 - v1) / (y2 - y1)])
    faces = item.faces.at(scale, np.float32([u1, v1]) - np.float32([x1, y1]) * scale)
    return _cropped(faces, (u1, v1, u2, v2))


def _cropped(faces: Faces, area: tuple[int, int, int, int]) -> Faces:
    """Clip boxes to the drawn area; hardly visible or tiny ones become ignored, absent ones go."""
    x1, y1, x2, y2 = area
    inside = np.clip(faces.boxes, np.float32([x1, y1, x1, y1]), np.float32([x2, y2, x2, y2]))
    size, full = inside[:, 2:] - inside[:, :2], faces.boxes[:, 2:] - faces.boxes[:, :2]
    visible = size.prod(1) / np.maximum(full.prod(1), 1e-6)
    ignore = faces.ignore | (visible < LEAST_VISIBLE) | (size.min(1) < 0.7 * SMALLEST_PX) | (size[:, 1] < SMALLEST_PX)
    return Faces(inside.astype(np.float32), ignore, faces.points.astype(np.float32)).kept((size > 1).all(1))
