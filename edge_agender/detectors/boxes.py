"""What every detector does with its boxes in the end."""

from __future__ import annotations

import numpy as np

from edge_agender.decode import suppress
from edge_agender.geometry import clip
from edge_agender.records import Array, Box, Detection, Frame
from edge_agender.settings import DetectorConfig


def to_detections(boxes: Array, scores: Array, config: DetectorConfig, frame: Frame) -> list[Detection]:
    """Return the boxes (n, 4), corners in pixels of frame.full, that stand: finite, inside, tall enough, not doubled.

    `min_face_px` is the least height, in pixels of frame.full, of what the picture shows of a face.
    """
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    boxes, scores = boxes[finite], scores[finite]
    height, width = frame.full.shape[:2]
    found = []
    for place in suppress(boxes, scores, config.nms_iou):
        box = clip(Box(*boxes[place].tolist()), width, height)
        if box is not None and box.height >= config.min_face_px:
            found.append(Detection(box, min(max(float(scores[place]), 0.0), 1.0)))
    return found
