"""OpenCV's cascade of Haar features (Viola and Jones 2001), where this OpenCV still has it: 5.0 has not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_agender.config.settings import DetectorConfig
from edge_agender.errors import ModelError
from edge_agender.imaging.frame import Frame
from edge_agender.vision.detectors.suppression import to_detections
from edge_agender.vision.faces import Detection

CASCADE = "haarcascade_frontalface_default.xml"
# Of the sum of the last stage's votes; what passes all stages has at least some. Sure faces reach about 10.
_SURE = 10.0


class HaarDetector:
    """Frontal faces in the small picture; its score is the last stage's vote, as a part of a sure face's."""

    def __init__(self, config: DetectorConfig) -> None:
        self._config = config
        self._least = 0.1 if config.score_threshold is None else config.score_threshold
        self._cascade = _load()
        # How long the cascade alone has run so far.
        self.busy_s = 0.0

    def detect(self, frame: Frame) -> list[Detection]:
        """Return the faces of a frame, boxes in pixels of frame.full and inside it, best score first."""
        began_s = time.perf_counter()
        boxes, _, votes = self._cascade.detectMultiScale3(
            frame.small, scaleFactor=1.1, minNeighbors=3, outputRejectLevels=True
        )
        self.busy_s += time.perf_counter() - began_s
        corners = np.asarray(boxes, float).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        scores = np.clip(np.asarray(votes, float).ravel() / _SURE, 0, 1)
        kept = scores >= self._least
        per_axis = np.divide(frame.size_px, frame.small.shape[1::-1])
        return to_detections(
            (corners[kept] * np.tile(per_axis, 2)).tolist(), scores[kept].tolist(), self._config, frame
        )


def _load() -> Any:
    folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
    if not hasattr(cv2, "CascadeClassifier") or folder is None or not (Path(folder) / CASCADE).is_file():
        raise ModelError(
            f"OpenCV {cv2.__version__} comes without Haar cascades: set detector.kind to ssd, "
            "or install opencv-python-headless<5"
        )
    cascade = cv2.CascadeClassifier(str(Path(folder) / CASCADE))
    if cascade.empty():
        raise ModelError(f"{CASCADE} cannot be read: install opencv-python-headless again, or set detector.kind to ssd")
    return cascade
