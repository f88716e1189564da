"""Single-shot detectors in TFLite; boxes and landmarks are decoded for the few cells that pass the threshold."""

from __future__ import annotations

from functools import partial

import numpy as np

from edge_agender.config.settings import DETECTOR_MODELS, DetectorConfig
from edge_agender.errors import ModelError
from edge_agender.imaging.frame import Array, Frame, Picture
from edge_agender.imaging.preprocess import letterbox, small_picture, wipe
from edge_agender.inference.network import encoder, open_tflite
from edge_agender.inference.spec import ModelSpec
from edge_agender.vision import decode
from edge_agender.vision.detectors.boxes import to_detections
from edge_agender.vision.faces import Detection

DEFAULT_MODEL = DETECTOR_MODELS["ssd"]
_NUMBERS = {"distances": 5, "landmarks": 15}  # a cell
# For each cell that passed: a score, a box's corners and, where the network has them, landmarks (n, 5, 2).
_Found = tuple[Array, Array, Array | None]


class SsdDetector:
    """A detector of TFLite whose manifest entry says `decode: distances` or `decode: landmarks`."""

    def __init__(self, config: DetectorConfig, spec: ModelSpec) -> None:
        detection = spec.detection
        if detection is None or detection.decode not in _NUMBERS or spec.networks[0].runtime != "tflite":
            raise ModelError(f"{spec.name} is no TFLite face detector: leave detector.model empty for {DEFAULT_MODEL}")
        if spec.input.colour == "rgb" or not spec.input.fixed_scale:
            raise ModelError(f"{spec.name}: a detector's input is grey or B, G, R, with a fixed scale")
        self._config, self._size = config, spec.input.size
        self._network = open_tflite(spec, spec.networks[0], config.threads)
        self._encode = encoder(self._network.input, spec.input)
        self._coloured, self._marks = spec.input.colour == "bgr", detection.decode == "landmarks"
        self._corners, self._strides = decode.cells(self._size, detection.strides)
        self._check_output(spec.name, _NUMBERS[detection.decode])
        threshold = detection.score_threshold if config.score_threshold is None else config.score_threshold
        limited = min(max(threshold, 1e-6), 1 - 1e-6)
        self._logits, self._unit = detection.logits, detection.score_unit
        self._least = np.float32((decode.logit(limited) if self._logits else limited) / self._unit)

    @property
    def busy_s(self) -> float:
        """How long its network alone has run so far."""
        return self._network.busy_s

    def detect(self, frame: Frame) -> list[Detection]:
        """Return the faces of a frame, boxes in pixels of frame.full and inside it, best score first."""
        small = self._small(frame)
        canvas, factor = letterbox(small, self._size)
        (values,) = self._network.feed(partial(self._encode, canvas)).values()
        source = frame.small if not self._coloured else frame.full if frame.small_bgr is None else frame.small_bgr
        for between in (canvas, small):
            wipe(between, source)
        scores, boxes, points = (self._with_landmarks if self._marks else self._boxes_only)(values.ravel())
        if not scores.size:
            return []
        # By axis: a small picture's sides are rounded, so its two scales differ a little.
        (width, height), (small_height, small_width) = frame.size_px, small.shape[:2]
        scale = np.array((width / small_width / factor, height / small_height / factor), np.float32)
        said = (scores * self._unit).tolist()
        return to_detections(
            (boxes * np.tile(scale, 2)).tolist(),
            [decode.sigmoid(score) for score in said] if self._logits else said,
            self._config,
            frame,
            () if points is None else (points * scale).tolist(),
        )

    def _small(self, frame: Frame) -> Picture:
        """Return the small picture in the network's colours."""
        if not self._coloured:
            return frame.small
        return small_picture(frame.full, self._size) if frame.small_bgr is None else frame.small_bgr

    def _boxes_only(self, values: Array) -> _Found:
        """Return what `distances` says, in network pixels."""
        count = len(self._corners)
        which = (values[:count] >= self._least).nonzero()[0]
        corners, strides = self._corners.take(which, axis=0), self._strides.take(which, axis=0)
        distances = values[count:].reshape(-1, 4).take(which, axis=0) * strides
        centres = corners + strides / 2
        boxes = np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], axis=1)
        return values.take(which), boxes, None

    def _with_landmarks(self, values: Array) -> _Found:
        """Return what `landmarks` says, in network pixels."""
        rows = values[: 5 * len(self._corners)].reshape(-1, 5)
        which = (rows[:, 0] >= self._least).nonzero()[0]
        rows, strides = rows.take(which, axis=0), self._strides.take(which, axis=0)
        corners = self._corners.take(which, axis=0)
        centres, half = corners + rows[:, 1:3] * strides, np.exp(rows[:, 3:]) * (strides / 2)
        away = values[5 * len(self._corners) :].reshape(-1, 5, 2).take(which, axis=0)
        points = corners[:, None] + away * strides[:, None]
        return rows[:, 0], np.concatenate([centres - half, centres + half], axis=1), points

    def _check_output(self, name: str, each: int) -> None:
        shapes = {output: tensor.shape for output, tensor in self._network.outputs.items()}
        numbers = each * len(self._corners)
        if [np.prod(shape) for shape in shapes.values()] != [numbers] or any(
            tensor.quantized for tensor in self._network.outputs.values()
        ):
            raise ModelError(f"{name}: its outputs are {shapes}, expected one of {numbers} floats, {each} a cell")
