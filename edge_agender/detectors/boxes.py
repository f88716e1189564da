"""What every detector does with its boxes in the end."""

from __future__ import annotations

import cv2
import numpy as np

from edge_agender.geometry import clip
from edge_agender.records import Array, Box, Detection, Frame
from edge_agender.settings import DetectorConfig

# Candidates that are compared, best first, so that noise cannot make one frame quadratically dear.
MOST_CANDIDATES = 300


def to_detections(boxes: Array, scores: Array, config: DetectorConfig, frame: Frame) -> list[Detection]:
    """Return the boxes (n, 4), corners in pixels of frame.full, that stand: finite, inside, tall enough, not doubled.

    `min_face_px` is the least height, in pixels of frame.full, of what the picture shows of a face.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        all_finite = np.isfinite(boxes.sum() + scores.sum())
    if not all_finite:
        finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
        boxes, scores = boxes[finite], scores[finite]
    height, width = frame.full.shape[:2]
    found = []
    for place in suppress(boxes, scores, config.nms_iou):
        box = clip(Box(*boxes[place].tolist()), width, height)
        if box is not None and box.height >= config.min_face_px:
            found.append(Detection(box, min(float(scores[place]), 1.0)))
    return found


def suppress(boxes: Array, scores: Array, max_iou: float, limit: int = MOST_CANDIDATES) -> list[int]:
    """Return the boxes (n, 4) that stay, best first: none overlaps a better one by more than `max_iou`.

    Greedy non-maximum suppression among the `limit` best; a score of 0 or less never stays.
    """
    sized = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(sized, scores, 0.0, max_iou, top_k=limit)  # type: ignore[arg-type]  # it takes arrays
    return [int(place) for place in kept]
