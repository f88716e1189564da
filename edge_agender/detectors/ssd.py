"""Our own single-shot detector: int8 TFLite over luma; boxes are decoded for the few cells that pass the threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

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

    def detect(self, frame: Frame) -> list[Detection]:
        """Return the faces of a frame, boxes in pixels of frame.full and inside it, best score first."""
        canvas, factor = letterbox(frame.small, self._size)
        outputs = self._network.feed(partial(self._encode, canvas))
        forget(canvas, frame.small)
        found = self._cells.above_threshold(outputs)
        if found is None:
            return []
        boxes, values = found
        # By axis: a small picture's sides are rounded, so its two scales differ a little.
        (height, width), (small_height, small_width) = frame.full.shape[:2], frame.small.shape
        x, y = width / small_width / factor, height / small_height / factor
        boxes *= (x, y, x, y)
        scores = decode.sigmoid(values) if self._logits else values
        return to_detections(boxes.tolist(), scores.tolist(), self._config, frame)

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

    def __init__(self, maps: Sequence[_Map]) -> None:
        self._score_names = [each.scores.name for each in maps]
        self._box_names = [each.boxes.name for each in maps]
        self._least = np.concatenate([np.full(len(level.centres), _least_stored(level)) for level in maps])
        # What is stored is linear in what it means, and so are a box's corners: one multiplication and one addition.
        scales, shifts = zip(*(_linear(level.scores) for level in maps), strict=True)
        self._score_scale, self._score_shift = (
            np.concatenate([_each(value, level) for value, level in zip(values, maps, strict=True)])
            for values in (scales, shifts)
        )
        boxes = [(level, *_linear(level.boxes)) for level in maps]
        self._box_origin = np.concatenate(
            [decode.distance_boxes(level.centres, np.full((1, 4), shift), level.stride) for level, _, shift in boxes]
        )
        self._box_step = np.concatenate(
            [
                decode.distance_boxes(np.zeros_like(level.centres), np.full((1, 4), scale), level.stride)
                for level, scale, _ in boxes
            ]
        )

    def above_threshold(self, outputs: Mapping[str, Array]) -> tuple[Array, Array] | None:
        """Return corners (n, 4) in network pixels and values (n,) of the cells above the threshold; None without."""
        stored = np.concatenate([outputs[name] for name in self._score_names], axis=None)
        cells = (stored >= self._least).nonzero()[0]
        if not cells.size:
            return None
        distances = np.concatenate([outputs[name] for name in self._box_names], axis=None).reshape(-1, 4)
        boxes = distances.take(cells, axis=0) * self._box_step.take(cells, axis=0)
        boxes += self._box_origin.take(cells, axis=0)
        return boxes, stored.take(cells) * self._score_scale.take(cells) + self._score_shift.take(cells)


def _each(value: float, level: _Map) -> Array:
    return np.full(len(level.centres), value)


def _linear(tensor: Tensor) -> tuple[float, float]:
    """Return the scale and the shift that make of what is stored what it means."""
    return (tensor.scale, -tensor.scale * tensor.zero_point) if tensor.quantized else (1.0, 0.0)


def _least_stored(level: _Map) -> np.int32 | np.float32:
    """Return the least score, as stored, of a candidate."""
    scale, shift = _linear(level.scores)
    least = (level.least - shift) / scale
    # A whole number: bytes that are made floats first take twice as long to compare.
    return np.int32(math.ceil(least)) if level.scores.quantized else np.float32(least)
