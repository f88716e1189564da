"""One network of OpenCV's dnn module, with the face of tflite.Network."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from edge_agender.errors import ModelError
from edge_agender.imaging.frame import Array
from edge_agender.imaging.quiet import silence_opencv

# OpenCV 5 dropped the Caffe importer and, for models that its new engine cannot read, logs before it tries the old one.
_READERS = {"onnx": "readNetFromONNX", "caffe": "readNetFromCaffe", "tensorflow": "readNetFromTensorflow"}


class DnnNetwork:
    """A loaded network that wants (n, channels, height, width) float32. Not for use by two threads at once."""

    def __init__(self, kind: str, weights: bytes, description: bytes | None = None, name: str = "model") -> None:
        """Load an onnx, caffe or tensorflow network; raise ModelError where this OpenCV cannot."""
        self._name = name
        # How long it has run so far, without what is done about its input and outputs.
        self.busy_s = 0.0
        reader: Callable[..., Any] | None = getattr(cv2.dnn, _READERS[kind], None)
        if reader is None:
            hint = "install opencv-python-headless<5" if kind == "caffe" else "use another build of OpenCV"
            raise ModelError(f"{name}: OpenCV {cv2.__version__} cannot read {kind} models: {hint}")
        silence_opencv()
        buffers = [np.frombuffer(data, np.uint8) for data in _in_order(kind, weights, description)]
        try:
            self._net = reader(*buffers)
            self._names = list(self._net.getUnconnectedOutLayersNames())
        except (cv2.error, SystemError) as error:
            raise ModelError(f"{name}: OpenCV {cv2.__version__} cannot read it: {_reason(error)}") from None

    def run(self, value: Array) -> dict[str, Array]:
        """Run once; return each of the last layers' outputs by its name."""
        try:
            self._net.setInput(value)
            began_s = time.perf_counter()
            outputs = self._net.forward(self._names)
            self.busy_s += time.perf_counter() - began_s
        except cv2.error as error:
            raise ModelError(f"{self._name}: does not run on its input: {_reason(error)}") from None
        return {name: np.asarray(output) for name, output in zip(self._names, outputs, strict=True)}


def _in_order(kind: str, weights: bytes, description: bytes | None) -> list[bytes]:
    if kind == "caffe":
        return [description or b"", weights]
    return [weights] if description is None else [weights, description]


def _reason(error: BaseException) -> str:
    text = " ".join(str(getattr(error, "err", "") or error).split())
    return text[:160]
