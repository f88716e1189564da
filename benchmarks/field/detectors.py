"""YuNet and SCRFD as published, by ONNX Runtime on one thread, behind Detector: `pip install onnxruntime`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_agender.config.settings import DetectorConfig
from edge_agender.errors import ModelError
from edge_agender.imaging.frame import Array, Frame, Picture
from edge_agender.imaging.preprocess import resize
from edge_agender.vision.detectors.suppression import suppress, to_detections
from edge_agender.vision.faces import Detection

STRIDES = (8, 16, 32)
# Scores, corners and points in pixels of the canvas, from a network's outputs.
Decode = Callable[[Array], tuple[Array, Array, Array]]


class OnnxDetector:
    """A picture fitted into the top left of the network's canvas, `side_px` (width, height); black beside it."""

    def __init__(self, path: Path, side_px: tuple[int, int], config: DetectorConfig) -> None:
        """Load a network; raise ModelError where it or ONNX Runtime is missing."""
        self._session = _session(path)
        self._side_px, self._config = side_px, config
        self._decode = self._yunet if "yunet" in path.name else self._scrfd
        self.busy_s = 0.0

    def detect(self, frame: Frame) -> list[Detection]:
        """Return the faces of a frame, boxes in pixels of frame.full and inside it, best score first."""
        canvas, factor = fitted(frame.full, self._side_px)
        scores, boxes, points = (np.asarray(each) for each in self._decode(canvas))
        wanted = scores >= (self._config.score_threshold or 0.5)
        boxes, points, scores = boxes[wanted] / factor, points[wanted] / factor, scores[wanted]
        # Their own way: the best cell's box, not the mean of all that see the face.
        kept = suppress(boxes.tolist(), scores.tolist(), self._config.nms_iou)
        rows = boxes[kept].tolist(), scores[kept].tolist(), self._config, frame, points[kept].tolist()
        return to_detections(*rows)

    def _run(self, value: Array, names: list[str] | None) -> list[Array]:
        (entry,) = self._session.get_inputs()
        began_s = time.perf_counter()
        said: list[Array] = self._session.run(names, {entry.name: value})
        self.busy_s += time.perf_counter() - began_s
        return said

    def _yunet(self, canvas: Array) -> tuple[Array, Array, Array]:
        """After OpenCV's FaceDetectorYN: centres and logarithms of sides in strides, the score a geometric mean."""
        names = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES]
        said = self._run(canvas.transpose(2, 0, 1)[None].astype(np.float32), names)
        face, quality, box, points = (np.concatenate([each[0] for each in said[i : i + 3]]) for i in (0, 3, 6, 9))
        corner, stride = cells(self._side_px, 1)
        middle, half = corner + box[:, :2] * stride, np.exp(box[:, 2:]) * stride / 2
        marks = corner[:, None] + points.reshape(-1, 5, 2) * stride[:, None]
        return np.sqrt(face * quality)[:, 0], np.concatenate([middle - half, middle + half], 1), marks

    def _scrfd(self, canvas: Array) -> tuple[Array, Array, Array]:
        """After InsightFace: distances to the four sides in strides, two anchors a cell; R, G, B, (x - 127.5) / 128."""
        value = ((canvas[..., ::-1].astype(np.float32) - 127.5) / 128).transpose(2, 0, 1)[None]
        said = self._run(np.ascontiguousarray(value), None)
        scores, box, points = (np.concatenate([each[0] for each in said[i : i + 3]]) for i in (0, 3, 6))
        corner, stride = cells(self._side_px, 2)
        box = box * stride
        marks = corner[:, None] + points.reshape(-1, 5, 2) * stride[:, None]
        return scores[:, 0], np.concatenate([corner - box[:, :2], corner + box[:, 2:]], 1), marks


def fitted(bgr: Picture, side_px: tuple[int, int]) -> tuple[Picture, float]:
    """Return a picture in the top left of a canvas (height, width, 3), and canvas pixels per picture pixel."""
    factor = min(side_px[0] / bgr.shape[1], side_px[1] / bgr.shape[0])
    width, height = (max(round(side * factor), 1) for side in (bgr.shape[1], bgr.shape[0]))
    right, below = side_px[0] - width, side_px[1] - height
    canvas = cv2.copyMakeBorder(resize(bgr, (width, height)), 0, below, 0, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    return np.asarray(canvas, np.uint8), factor


def cells(side_px: tuple[int, int], anchors: int) -> tuple[Array, Array]:
    """Return each cell's corner (n, 2) and stride (n, 1), stride by stride, row by row."""
    parts = list(_cells(side_px, anchors))
    return np.concatenate([corner for corner, _ in parts]), np.concatenate([stride for _, stride in parts])


def _cells(side_px: tuple[int, int], anchors: int) -> Iterator[tuple[Array, Array]]:
    for stride in STRIDES:
        y, x = np.mgrid[0 : side_px[1] // stride, 0 : side_px[0] // stride]
        corner = np.repeat(np.stack([x.ravel(), y.ravel()], 1) * stride, anchors, axis=0).astype(np.float32)
        yield corner, np.full((len(corner), 1), stride, np.float32)


def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ModelError("onnxruntime is not installed: pip install onnxruntime") from None
    if not path.is_file():
        raise ModelError(f"{path}: not there: give the folder of the published .onnx files with --models")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
