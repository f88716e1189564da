"""SCRFD-2.5G with landmarks (Guo et al. 2021) as a teacher: what it finds in a picture, by ONNX Runtime.

A cell of each stride has two anchors; boxes and points are distances from the cell's corner in strides.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge_agender.imaging.frame import Array, Picture
from training.detector.predictors import Found, suppress

SIDE = 640
STRIDES = (8, 16, 32)
ANCHORS = 2


class Scrfd:
    """The network, one thread; pictures are fitted into its square."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options)
        self._grids = [np.repeat(_corners(SIDE // stride) * stride, ANCHORS, 0) for stride in STRIDES]

    def detect(self, bgr: Picture, min_score: float) -> Found:
        """Return scores (n,), best first, corners (n, 4) and points (n, 5, 2) in the picture's pixels."""
        factor = SIDE / max(bgr.shape[:2])
        size = (round(bgr.shape[1] * factor), round(bgr.shape[0] * factor))
        canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
        canvas[: size[1], : size[0]] = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA if factor < 1 else 1)
        values = ((canvas[:, :, ::-1].astype(np.float32) - 127.5) / 128).transpose(2, 0, 1)[None]
        said = self._session.run(None, {self._session.get_inputs()[0].name: values})
        parts = [
            _decoded(said[i], said[i + 3] * stride, said[i + 6] * stride, grid, min_score)
            for i, (stride, grid) in enumerate(zip(STRIDES, self._grids, strict=True))
        ]
        scores, boxes, points = (np.concatenate(each) for each in zip(*parts, strict=True))
        order = np.argsort(-scores, kind="stable")
        kept = order[suppress(scores[order], boxes[order])]
        return scores[kept], boxes[kept] / factor, points[kept] / factor


def _corners(count: int) -> Array:
    return np.stack(np.mgrid[:count, :count][::-1], -1).reshape(-1, 2).astype(np.float32)


def _decoded(scores: Array, distances: Array, points: Array, grid: Array, min_score: float) -> Found:
    scores, distances, points = scores.reshape(-1), distances.reshape(-1, 4), points.reshape(-1, 5, 2)
    which = scores >= min_score
    corner, reach = grid[which], distances[which]
    boxes = np.concatenate([corner - reach[:, :2], corner + reach[:, 2:]], 1)
    return scores[which], boxes, corner[:, None] + points[which]
