"""Single-shot detectors in TFLite: from a frame to the network's picture, and from its boxes to the frame's."""

from __future__ import annotations

from functools import partial

import numpy as np

from edge_agender.config.settings import DETECTOR_MODELS, DetectorConfig
from edge_agender.errors import ModelError
from edge_agender.imaging.frame import Frame, Picture
from edge_agender.imaging.preprocess import letterbox, small_picture, wipe
from edge_agender.inference.network import encoder, open_tflite
from edge_agender.inference.spec import ModelSpec
from edge_agender.vision.detectors.decoding import NUMBERS, CellDecoder
from edge_agender.vision.detectors.suppression import to_detections
from edge_agender.vision.faces import Detection

DEFAULT_MODEL = DETECTOR_MODELS["ssd"]


class SsdDetector:
    """A detector of TFLite whose manifest entry says `decode: distances` or `decode: landmarks`."""

    def __init__(self, config: DetectorConfig, spec: ModelSpec) -> None:
        detection = spec.detection
        if detection is None or detection.decode not in NUMBERS or spec.networks[0].runtime != "tflite":
            raise ModelError(f"{spec.name} is no TFLite face detector: leave detector.model empty for {DEFAULT_MODEL}")
        if spec.input.colour == "rgb" or not spec.input.fixed_scale:
            raise ModelError(f"{spec.name}: a detector's input is grey or B, G, R, with a fixed scale")
        self._config, self._size = config, spec.input.size
        self._network = open_tflite(spec, spec.networks[0], config.threads)
        self._encode = encoder(self._network.input, spec.input)
        self._coloured = spec.input.colour == "bgr"
        threshold = detection.score_threshold if config.score_threshold is None else config.score_threshold
        self._decoder = CellDecoder(detection, self._size, threshold)
        self._check_output(spec.name)

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
        scores, boxes, points = self._decoder.found(values.ravel())
        if not scores.size:
            return []
        # By axis: a small picture's sides are rounded, so its two scales differ a little.
        (width, height), (small_height, small_width) = frame.size_px, small.shape[:2]
        scale = np.array((width / small_width / factor, height / small_height / factor), np.float32)
        return to_detections(
            (boxes * np.tile(scale, 2)).tolist(),
            self._decoder.probabilities(scores),
            self._config,
            frame,
            () if points is None else (points * scale).tolist(),
        )

    def _small(self, frame: Frame) -> Picture:
        """Return the small picture in the network's colours."""
        if not self._coloured:
            return frame.small
        return small_picture(frame.full, self._size) if frame.small_bgr is None else frame.small_bgr

    def _check_output(self, name: str) -> None:
        shapes = {output: tensor.shape for output, tensor in self._network.outputs.items()}
        numbers = self._decoder.numbers
        if [np.prod(shape) for shape in shapes.values()] != [numbers] or any(
            tensor.quantized for tensor in self._network.outputs.values()
        ):
            raise ModelError(f"{name}: its outputs are {shapes}, expected one of {numbers} floats")
