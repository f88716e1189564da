"""Our own single-shot detector: int8 TFLite over luma; boxes are decoded for the few cells that pass the threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_agender import decode
from edge_agender.detectors.boxes import to_detections
from edge_agender.errors import ModelError
from edge_agender.model_spec import Level, ModelSpec
from edge_agender.models import find_model
from edge_agender.networks import encoder, open_tflite
from edge_agender.preprocess import forget, letterbox
from edge_agender.records import Array, Detection, Frame
from edge_agender.settings import DETECTOR_MODELS, DetectorConfig
from edge_agender.tflite import Tensor, dequantize

DEFAULT_MODEL = DETECTOR_MODELS["ssd"]


@dataclass(frozen=True)
class _Map:
    """One level with its tensors, its cells' centres, and the stored score at which a cell becomes a candidate."""

    stride: int
    centres: Array
    scores: Tensor
    boxes: Tensor
    least: float


class SsdDetector:
    """A detector of TFLite whose manifest entry says `decode: distances`."""

    def __init__(self, config: DetectorConfig, spec: ModelSpec | None = None, public_key: str | None = None) -> None:
        spec = spec or find_model(config.model or DEFAULT_MODEL, public_key=public_key)
        if spec.detection is None or spec.detection.decode != "distances" or spec.networks[0].runtime != "tflite":
            raise ModelError(f"{spec.name} is no TFLite face detector: leave detector.model empty for {DEFAULT_MODEL}")
        if spec.input.colour != "grey" or not spec.input.fixed_scale:
            raise ModelError(f"{spec.name}: a detector's input is grey with a fixed scale")
        self._config, self._size = config, spec.input.size
        self._network = open_tflite(spec, spec.networks[0], config.threads)
        self._logits = spec.detection.logits
        threshold = spec.detection.score_threshold if config.score_threshold is None else config.score_threshold
        self._maps = [self._map(level, threshold, spec) for level in spec.detection.levels]
        self._encode = encoder(self._network.input, spec.input)

    def detect(self, frame: Frame) -> list[Detection]:
        """Return the faces of a frame, boxes in pixels of frame.full and inside it, best score first."""
        canvas, factor = letterbox(frame.small, self._size)
        encoded = self._encode(canvas)
        forget(canvas, frame.small)
        outputs = self._network.run(encoded[None, :, :, None])
        encoded.fill(0)
        found = [candidates for each in self._maps if (candidates := self._candidates(outputs, each)) is not None]
        if not found:
            return []
        boxes, values = found[0] if len(found) == 1 else (np.concatenate(part) for part in zip(*found, strict=True))
        # By axis: a small picture's sides are rounded, so its two scales differ a little.
        (height, width), (small_height, small_width) = frame.full.shape[:2], frame.small.shape
        x, y = width / small_width / factor, height / small_height / factor
        scores = decode.sigmoid(values) if self._logits else values
        return to_detections(boxes * np.array((x, y, x, y)), scores, self._config, frame)

    def _candidates(self, outputs: dict[str, Array], level: _Map) -> tuple[Array, Array] | None:
        """Return corners (n, 4) in network pixels and values (n,) of the cells above the threshold; None without."""
        stored = outputs[level.scores.name].ravel()
        cells = (stored >= level.least).nonzero()[0]
        if not cells.size:
            return None
        distances = dequantize(outputs[level.boxes.name].reshape(-1, 4)[cells], level.boxes)
        boxes = decode.distance_boxes(level.centres[cells], distances, level.stride)
        return boxes, dequantize(stored[cells], level.scores)

    def _map(self, level: Level, threshold: float, spec: ModelSpec) -> _Map:
        scores, boxes = self._network.outputs[level.scores], self._network.outputs[level.boxes]
        width, height = (-(-side // level.stride) for side in self._size)
        if scores.shape[:3] != (1, height, width) or np.prod(scores.shape) != height * width:
            raise ModelError(f"{spec.name}: {level.scores} is {list(scores.shape)}, expected [1, {height}, {width}, 1]")
        if boxes.shape != (1, height, width, 4):
            raise ModelError(f"{spec.name}: {level.boxes} is {list(boxes.shape)}, expected [1, {height}, {width}, 4]")
        limited = min(max(threshold, 1e-6), 1 - 1e-6)
        value = decode.logit(limited) if self._logits else limited
        # A whole number: bytes are compared with it as bytes.
        least = math.ceil(value / scores.scale + scores.zero_point) if scores.quantized else value
        return _Map(level.stride, decode.cell_centres(width, height, level.stride), scores, boxes, least)
