"""YuNet as it was published, through OpenCV's FaceDetectorYN. `edge-agender models add yunet --from DIR` adds it."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np

from edge_agender.config.settings import DetectorConfig
from edge_agender.errors import ModelError
from edge_agender.imaging.frame import Frame
from edge_agender.imaging.preprocess import small_picture, wipe
from edge_agender.imaging.quiet import silence_opencv
from edge_agender.inference.catalogue import read_verified
from edge_agender.inference.spec import ModelSpec
from edge_agender.vision.detectors.suppression import MOST_CANDIDATES, to_detections
from edge_agender.vision.faces import Detection

_EMPTY = np.zeros(0, np.uint8)


class YunetDetector:
    """Faces and five landmarks in the small picture's colours; OpenCV decodes what the network says."""

    def __init__(self, config: DetectorConfig, spec: ModelSpec) -> None:
        if spec.detection is None or spec.detection.decode != "yunet":
            raise ModelError(f"{spec.name} is not YuNet: leave detector.model empty for yunet")
        self._config, self._size = config, spec.input.size
        threshold = spec.detection.score_threshold if config.score_threshold is None else config.score_threshold
        self._net = _opened(spec, max(threshold, 1e-6), config.nms_iou)
        # How long the network has run so far, with OpenCV's decoding.
        self.busy_s = 0.0

    def detect(self, frame: Frame) -> list[Detection]:
        """Return the faces of a frame, boxes in pixels of frame.full and inside it, best score first."""
        small = small_picture(frame.full, self._size) if frame.small_bgr is None else frame.small_bgr
        self._net.setInputSize((small.shape[1], small.shape[0]))
        began_s = time.perf_counter()
        _, found = self._net.detect(small)
        self.busy_s += time.perf_counter() - began_s
        scale = np.divide(frame.size_px, small.shape[1::-1])
        wipe(small, *([frame.full] if frame.small_bgr is None else [frame.small_bgr]))
        if found is None:
            return []
        # x, y, width, height, then right eye, left eye, nose, right and left corner of the mouth, and the score.
        rows = np.asarray(found, float)
        boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1) * np.tile(scale, 2)
        points = rows[:, 4:14].reshape(-1, 5, 2) * scale
        return to_detections(boxes.tolist(), rows[:, 14].tolist(), self._config, frame, points.tolist())


def _opened(spec: ModelSpec, least: float, max_iou: float) -> Any:
    """Return OpenCV's detector over the verified bytes; raise ModelError where this OpenCV does not read them."""
    silence_opencv()  # what it cannot read is said below, in one line
    weights = np.frombuffer(read_verified(spec.folder, spec.networks[0].weights), np.uint8)
    try:
        return cv2.FaceDetectorYN.create("onnx", weights, _EMPTY, spec.input.size, least, max_iou, MOST_CANDIDATES)
    except (cv2.error, AttributeError):
        raise ModelError(
            f"OpenCV {cv2.__version__} does not read {spec.networks[0].weights.name}: set detector.kind to ssd, "
            "or install opencv-python-headless>=4.13"
        ) from None
