"""What every detector does with its boxes in the end: doubled ones suppressed, small and senseless ones left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import compress

import cv2
import numpy as np

from edge_agender.config.settings import DetectorConfig
from edge_agender.imaging.frame import Frame
from edge_agender.imaging.geometry import Box, clip, iou
from edge_agender.vision.faces import Detection, Landmarks

# Candidates that are compared, best first, so that noise cannot make one frame quadratically dear.
MOST_CANDIDATES = 300
BLENDED_IOU = 0.5


def to_detections(
    boxes: Sequence[Sequence[float]],
    scores: Sequence[float],
    config: DetectorConfig,
    frame: Frame,
    points: Sequence[Sequence[Sequence[float]]] = (),
) -> list[Detection]:
    """Return the boxes, corners in pixels of frame.full, that stand: finite, inside, tall enough, not doubled.

    `min_face_px` is the least height, in pixels of frame.full, of what the picture shows of a face. `points` has five
    landmarks a box, in the same pixels, or nothing at all. Plain numbers: for the few boxes of a frame, arrays would
    cost more than the arithmetic.
    """
    if not math.isfinite(sum(map(sum, boxes)) + sum(scores)):
        finite = [math.isfinite(sum(box) + score) for box, score in zip(boxes, scores, strict=True)]
        boxes, scores = list(compress(boxes, finite)), list(compress(scores, finite))
        points = list(compress(points, finite))
    width, height = frame.size_px
    found = []
    kept = suppress(boxes, scores, config.nms_iou)
    if len(kept) < len(boxes):
        boxes, points = blended(boxes, scores, points, kept)
    else:
        boxes, points = [boxes[place] for place in kept], [points[place] for place in kept] if points else ()
    for index, place in enumerate(kept):
        box = clip(Box(*boxes[index]), width, height)
        if box is not None and box.height >= config.min_face_px:
            found.append(Detection(box, min(scores[place], 1.0), _landmarks(points[index]) if points else None))
    return found


def blended(
    boxes: Sequence[Sequence[float]],
    scores: Sequence[float],
    points: Sequence[Sequence[Sequence[float]]],
    kept: Sequence[int],
) -> tuple[Sequence[Sequence[float]], Sequence[Sequence[Sequence[float]]]]:
    """Return the boxes and points that are kept, each the mean of all that overlap it by half, weighted by score.

    After BlazeFace (Bazarevsky et al. 2019): cells that see the same face err independently, so that their mean is
    nearer the truth and steadier from frame to frame than the best of them (models/face-ssd.md).
    """
    corners, weights = np.asarray(boxes, float).reshape(-1, 4), np.asarray(scores, float)
    best = corners[list(kept)]
    shared = iou(best, corners) >= BLENDED_IOU
    parts = shared * weights
    parts /= parts.sum(axis=1, keepdims=True)
    marks = np.asarray(points, float).reshape(len(boxes), -1) if points else None
    means = (parts @ corners).tolist()
    return means, () if marks is None else (parts @ marks).reshape(len(kept), -1, 2).tolist()


def _landmarks(points: Sequence[Sequence[float]]) -> Landmarks | None:
    """Return five finite points; None for others."""
    if not math.isfinite(sum(map(sum, points))):
        return None
    return Landmarks(*((x, y) for x, y in points))


def suppress(
    boxes: Sequence[Sequence[float]], scores: Sequence[float], max_iou: float, limit: int = MOST_CANDIDATES
) -> list[int]:
    """Return the places of the boxes, corners, that stay, best first: none overlaps a better one by over `max_iou`.

    Greedy non-maximum suppression among the `limit` best; a score of 0 or less never stays.
    """
    sized = [(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in boxes]
    return [int(place) for place in cv2.dnn.NMSBoxes(sized, scores, 0.0, max_iou, top_k=limit)]
