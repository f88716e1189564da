"""OpenCV's own SSD with a ResNet-10 body, 300x300, through cv2.dnn. `edge-agender models add res10` fetches it."""

from __future__ import annotations

import numpy as np

from edge_agender.config.settings import DetectorConfig
from edge_agender.errors import ModelError
from edge_agender.imaging.frame import Frame
from edge_agender.inference.network import open_runner
from edge_agender.inference.spec import ModelSpec
from edge_agender.vision.detectors.suppression import to_detections
from edge_agender.vision.faces import Detection


class Res10Detector:
    """Reads the full picture, stretched to a square as in its training: the luma alone would cost it accuracy."""

    def __init__(self, config: DetectorConfig, spec: ModelSpec) -> None:
        if spec.detection is None or spec.detection.decode != "res10":
            raise ModelError(f"{spec.name} is not OpenCV's face detector: leave detector.model empty for res10")
        self._config = config
        self._runner = open_runner(spec, spec.networks[0], config.threads)
        threshold = config.score_threshold
        self._least = spec.detection.score_threshold if threshold is None else threshold

    @property
    def busy_s(self) -> float:
        """How long its network alone has run so far."""
        return self._runner.busy_s

    def detect(self, frame: Frame) -> list[Detection]:
        """Return the faces of a frame, boxes in pixels of frame.full and inside it, best score first."""
        (rows,) = self._runner.feed(frame.full).values()
        rows = rows.reshape(-1, 7)
        rows = rows[rows[:, 2] >= self._least]
        width, height = frame.size_px
        boxes = rows[:, 3:7].astype(float) * np.asarray([width, height, width, height])
        return to_detections(boxes.tolist(), rows[:, 2].tolist(), self._config, frame)
