"""Face detectors with one face: `detect(frame) -> detections in pixels of frame.full, clipped, best first`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agender.config.settings import DetectorConfig
from edge_agender.errors import ModelError

if TYPE_CHECKING:
    from edge_agender.inference.spec import ModelSpec
    from edge_agender.vision.detectors.haar import HaarDetector
    from edge_agender.vision.detectors.res10 import Res10Detector
    from edge_agender.vision.detectors.ssd import SsdDetector
    from edge_agender.vision.detectors.yunet import YunetDetector

    AnyDetector = SsdDetector | Res10Detector | YunetDetector | HaarDetector


def open_detector(config: DetectorConfig, spec: ModelSpec | None) -> AnyDetector:
    """Return the detector of a configured kind with its model, None for a kind that has none.

    Raises ModelError where the model does not fit the kind, or OpenCV's part is missing.
    """
    if config.kind == "haar":
        from edge_agender.vision.detectors.haar import HaarDetector

        return HaarDetector(config)
    if spec is None:
        raise ModelError(f"detector.kind {config.kind} needs a model: set detector.model")
    if config.kind == "res10":
        from edge_agender.vision.detectors.res10 import Res10Detector

        return Res10Detector(config, spec)
    if config.kind == "yunet":
        from edge_agender.vision.detectors.yunet import YunetDetector

        return YunetDetector(config, spec)
    from edge_agender.vision.detectors.ssd import SsdDetector

    return SsdDetector(config, spec)
