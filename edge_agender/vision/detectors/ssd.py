"""Our own single-shot detector: int8 TFLite over luma; boxes are decoded for the few cells that pass the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from edge_agender.config.settings import DETECTOR_MODELS, DetectorConfig
from edge_agender.errors import ModelError
from edge_agender.imaging.frame import Array, Frame
from edge_agender.imaging.preprocess import letterbox, wipe
from edge_agender.inference.network import encoder, open_tflite
from edge_agender.inference.spec import ModelSpec
from edge_agender.vision import decode
from edge_agender.vision.detectors.boxes import to_detections
from edge_agender.vision.faces import Detection

DEFAULT_MODEL = DETECTOR_MODELS["ssd"]


class SsdDetector:
    """A detector of TFLite whose manifest entry says `decode: distances`."""

    def __init__(self, config: DetectorConfig, spec: ModelSpec) -> None:
        if spec.detection is None or spec.detection.decode != "distances" or spec.networks[0].runtime != "tflite":
            raise ModelError(f"{spec.name} is no TFLite face detector: leave detector.model empty for {DEFAULT_MODEL}")
        if spec.input.colour != "grey" or not spec.input.fixed_scale:
            raise ModelError(f"{spec.name}: a detector's input is grey with a fixed scale")
        self._config, self._size = config, spec.input.size
        self._network = open_tflite(spec, spec.networks[0], config.threads)
        self._encode = encoder(self._network.input, spec.input)
        self._centres, self._steps = _cells(self._size, spec.detection.strides)
        self._scale, self._scaled = (1.0, 1.0), (self._centres, self._steps)
        self._check_output(spec.name)
        threshold = spec.detection.score_threshold if config.score_threshold is None else config.score_threshold
        limited = min(max(threshold, 1e-6), 1 - 1e-6)
        self._logits = spec.detection.logits
        self._least = np.float32(decode.logit(limited) if self._logits else limited)

    @property
    def busy_s(self) -> float:
        """How long its network alone has run so far."""
        return self._network.busy_s

    def detect(self, frame: Frame) -> list[Detection]:
        """Return the faces of a frame, boxes in pixels of frame.full and inside it, best score first."""
        canvas, factor = letterbox(frame.small, self._size)
        (values,) = self._network.feed(partial(self._encode, canvas)).values()
        wipe(canvas, frame.small)
        values, count = values.ravel(), len(self._centres)
        cells = (values[:count] >= self._least).nonzero()[0]
        if not cells.size:
            return []
        # By axis: a small picture's sides are rounded, so its two scales differ a little.
        (width, height), (small_height, small_width) = frame.size_px, frame.small.shape
        centres, steps = self._in_pixels(width / small_width / factor, height / small_height / factor)
        distances = values[count:].reshape(-1, 4).take(cells, axis=0)
        boxes = centres.take(cells, axis=0) + distances * steps.take(cells, axis=0)
        scores = values.take(cells).tolist()
        if self._logits:
            scores = [decode.sigmoid(score) for score in scores]
        return to_detections(boxes.tolist(), scores, self._config, frame)

    def _in_pixels(self, x: float, y: float) -> tuple[Array, Array]:
        """Return centres and steps in pixels, of which one of the network's is x by y: the same for every picture."""
        if self._scale != (x, y):
            self._scale = (x, y)
            self._scaled = (
                self._centres * np.array([x, y, x, y], np.float32),
                self._steps * np.array([x, y, x, y], np.float32),
            )
        return self._scaled

    def _check_output(self, name: str) -> None:
        shapes = {output: tensor.shape for output, tensor in self._network.outputs.items()}
        numbers = 5 * len(self._centres)
        if [np.prod(shape) for shape in shapes.values()] != [numbers] or any(
            tensor.quantized for tensor in self._network.outputs.values()
        ):
            raise ModelError(f"{name}: its outputs are {shapes}, expected one of {numbers} floats, five a cell")


def _cells(size: tuple[int, int], strides: Sequence[int]) -> tuple[Array, Array]:
    """Return decode.cells of every stride of a network of that size, one after the other."""
    parts = [decode.cells(-(-size[0] // stride), -(-size[1] // stride), stride) for stride in strides]
    centres, steps = zip(*parts, strict=True)
    return np.concatenate(centres).astype(np.float32), np.concatenate(steps).astype(np.float32)
