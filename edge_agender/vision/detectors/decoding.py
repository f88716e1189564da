"""Where boxes are decoded: a single-shot network's numbers a cell -> scores, boxes and landmarks in its own pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edge_agender.imaging.frame import Array
from edge_agender.inference.spec import DetectionSpec
from edge_agender.vision import decode

# Numbers a cell, by the manifest's `decode`.
NUMBERS = {"distances": 5, "landmarks": 15}


class Found(NamedTuple):
    """For each cell that passed: a score as the network gives it, a box's corners, and landmarks (n, 5, 2) or None."""

    scores: Array
    boxes: Array
    points: Array | None


class CellDecoder:
    """Decodes the few cells that pass the threshold, for manifest entries with `decode: distances` or `landmarks`."""

    def __init__(self, detection: DetectionSpec, size: tuple[int, int], score_threshold: float) -> None:
        """`size`: width and height of the network's picture; `score_threshold` is a probability."""
        self._corners, self._strides = decode.cells(size, detection.strides)
        self._marks = detection.decode == "landmarks"
        self._logits, self._unit = detection.logits, detection.score_unit
        limited = min(max(score_threshold, 1e-6), 1 - 1e-6)
        self._least = np.float32((decode.logit(limited) if self._logits else limited) / self._unit)
        self.numbers = NUMBERS[detection.decode] * len(self._corners)

    def found(self, values: Array) -> Found:
        """Return what passes of the network's one output, flat, of `numbers` floats."""
        return self._with_landmarks(values) if self._marks else self._boxes_only(values)

    def probabilities(self, scores: Array) -> list[float]:
        """Return scores as probabilities."""
        said: list[float] = (scores * self._unit).tolist()
        return [decode.sigmoid(score) for score in said] if self._logits else said

    def _boxes_only(self, values: Array) -> Found:
        """All scores, then for each cell its centre's distances from the box's sides, in strides."""
        count = len(self._corners)
        which = (values[:count] >= self._least).nonzero()[0]
        corners, strides = self._corners.take(which, axis=0), self._strides.take(which, axis=0)
        distances = values[count:].reshape(-1, 4).take(which, axis=0) * strides
        centres = corners + strides / 2
        boxes = np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], axis=1)
        return Found(values.take(which), boxes, None)

    def _with_landmarks(self, values: Array) -> Found:
        """For each cell a score, the box's centre and the logarithms of its sides, in strides; then all landmarks."""
        rows = values[: 5 * len(self._corners)].reshape(-1, 5)
        which = (rows[:, 0] >= self._least).nonzero()[0]
        rows, strides = rows.take(which, axis=0), self._strides.take(which, axis=0)
        corners = self._corners.take(which, axis=0)
        centres, half = corners + rows[:, 1:3] * strides, np.exp(rows[:, 3:]) * (strides / 2)
        away = values[5 * len(self._corners) :].reshape(-1, 5, 2).take(which, axis=0)
        points = corners[:, None] + away * strides[:, None]
        return Found(rows[:, 0], np.concatenate([centres - half, centres + half], axis=1), points)
