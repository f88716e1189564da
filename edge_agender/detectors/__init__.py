"""Face detectors with one face: `detect(frame) -> detections in pixels of frame.full, clipped, best first`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agender.settings import DetectorConfig

if TYPE_CHECKING:
    from edge_agender.detectors.haar import HaarDetector
    from edge_agender.detectors.res10 import Res10Detector
    from edge_agender.detectors.ssd import SsdDetector


def open_detector(config: DetectorConfig, public_key: str | None = None) -> SsdDetector | Res10Detector | HaarDetector:
    """Return the detector that is configured; raise ModelError where its model or OpenCV's part is missing.

    With a `public_key`, the manifest must be signed by it (models.load_manifest).
    """
    if config.kind == "haar":
        from edge_agender.detectors.haar import HaarDetector

        return HaarDetector(config)
    if config.kind == "res10":
        from edge_agender.detectors.res10 import Res10Detector

        return Res10Detector(config, public_key=public_key)
    from edge_agender.detectors.ssd import SsdDetector

    return SsdDetector(config, public_key=public_key)
