"""Our own single-shot detector: int8 TFLite over luma; boxes are decoded for the few cells that pass the threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

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
from edge_agender.tflite import Tensor

DEFAULT_MODEL = DETECTOR_MODELS["ssd"]


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
        self._cells = _Cells([self._map(level, threshold, spec) for level in spec.detection.levels])
        self._encode = encoder(self._network.input, spec.input)

    @property
    def busy_s(self) -> float:
        """How long its network alone has run so far."""
        return self._network.busy_s

    def detect(self, frame: Frame) -> list[Detection]:
        """Return the faces of a frame, boxes in pixels of frame.full and inside it, best score first."""
        canvas, factor = letterbox(frame.small, self._size)
        outputs = self._network.feed(partial(self._encode, canvas))
        forget(canvas, frame.small)
        # By axis: a small picture's sides are rounded, so its two scales differ a little.
        (height, width), (small_height, small_width) = frame.full.shape[:2], frame.small.shape
        boxes, values = self._cells.above_threshold(
            outputs, width / small_width / factor, height / small_height / factor
        )
        scores = [decode.sigmoid(value) for value in values] if self._logits else values
        return to_detections(boxes, scores, self._config, frame)

    def _map(self, level: Level, threshold: float, spec: ModelSpec) -> _Map:
        scores, boxes = self._network.outputs[level.scores], self._network.outputs[level.boxes]
        width, height = (-(-side // level.stride) for side in self._size)
        if scores.shape[:3] != (1, height, width) or np.prod(scores.shape) != height * width:
            raise ModelError(f"{spec.name}: {level.scores} is {list(scores.shape)}, expected [1, {height}, {width}, 1]")
        if boxes.shape != (1, height, width, 4):
            raise ModelError(f"{spec.name}: {level.boxes} is {list(boxes.shape)}, expected [1, {height}, {width}, 4]")
        limited = min(max(threshold, 1e-6), 1 - 1e-6)
        value = decode.logit(limited) if self._logits else limited
        return _Map(level.stride, decode.cell_centres(width, height, level.stride), scores, boxes, value)


@dataclass(frozen=True, slots=True)
class _Map:
    """One level with its tensors, its cells' centres, and the score at which a cell becomes a candidate."""

    stride: int
    centres: Array
    scores: Tensor
    boxes: Tensor
    least: float


class _Cells:
    """The cells of all levels, one after the other: what is done once a frame need not be done once a level."""

    def __init__(self, levels: Sequence[_Map]) -> None:
        self._score_names = [level.scores.name for level in levels]
        self._box_names = [level.boxes.name for level in levels]
        self._least = np.concatenate([np.full(len(level.centres), _least_stored(level)) for level in levels])
        self._meaning = np.concatenate([_meaning(level) for level in levels])
        self._scaled, self._scales = self._meaning, (1.0, 1.0)

    def above_threshold(
        self, outputs: Mapping[str, Array], x: float, y: float
    ) -> tuple[list[list[float]], list[float]]:
        """Return the corners, in pixels of which a network's pixel is x by y, and values of the cells above it."""
        # Numbers of one type from here on: nothing that follows has to convert them.
        scores = np.concatenate([outputs[name] for name in self._score_names], axis=None, dtype=self._least.dtype)
        cells = (scores >= self._least).nonzero()[0]
        if not cells.size:
            return [], []
        distances = np.concatenate([outputs[name] for name in self._box_names], axis=None).reshape(-1, 4)
        meaning = self._for_pixels(x, y).take(cells, axis=0)
        boxes = distances.take(cells, axis=0) * meaning[:, :4] + meaning[:, 4:8]
        values = scores.take(cells) * meaning[:, 8] + meaning[:, 9]
        return boxes.tolist(), values.tolist()

    def _for_pixels(self, x: float, y: float) -> Array:
        """Return the meaning in such pixels, which stay the same for a source's pictures."""
        if self._scales != (x, y):
            self._scaled, self._scales = self._meaning * (x, y, x, y, x, y, x, y, 1, 1), (x, y)
        return self._scaled


def _meaning(level: _Map) -> Array:
    """Return each cell's factors and addends, (cells, 10): of the corners' four distances as stored, and of the score.

    What is stored is linear in what it means, and so are corners in distances.
    """
    (scale, shift), cells = _linear(level.boxes), len(level.centres)
    factors = decode.distance_boxes(np.zeros((cells, 4)), np.full((1, 4), scale), level.stride)
    addends = decode.distance_boxes(level.centres, np.full((1, 4), shift), level.stride)
    return np.concatenate([factors, addends, np.tile(_linear(level.scores), (cells, 1))], axis=1)


def _linear(tensor: Tensor) -> tuple[float, float]:
    """Return the scale and the shift that make of what is stored what it means."""
    return (tensor.scale, -tensor.scale * tensor.zero_point) if tensor.quantized else (1.0, 0.0)


def _least_stored(level: _Map) -> np.integer[Any] | np.floating[Any]:
    """Return the least score, as stored, of a candidate: of a type that holds it where no byte would."""
    scale, shift = _linear(level.scores)
    least = (level.least - shift) / scale
    if not level.scores.quantized:
        return np.float32(least)
    kind: type[np.integer[Any]] = np.promote_types(level.scores.dtype, np.int16).type
    return kind(min(max(math.ceil(least), np.iinfo(kind).min), np.iinfo(kind).max))
