"""From trained weights to the int8 TFLite file that ships:

    python -m training.estimator.convert --weights student.pt --data DIR --patches FILE --out agender-ssrnet.tflite

Batch norm is folded into the convolutions, the network is walked once more with Keras layers, and TensorFlow's
converter quantizes it: weights per channel, activations from the ranges that training crops show. Before that, what
it says of its own certainty is fitted to people whom it never saw (training.estimator.calibrate).
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_agender.imaging.frame import Array
from training.common.export import Floats, folded, to_tflite
from training.common.joined import joined
from training.estimator.calibrate import calibrated
from training.estimator.data import Faces, load, plain
from training.estimator.network import OUTPUTS, Shape, describe

RANGE_FACES = 600


class KerasOps:
    """Builds each layer with its trained weights. Torch pads both sides, so strided padding is explicit."""

    def __init__(self, layers: dict[str, tuple[Floats, Floats]]) -> None:
        import keras

        self._k, self._layers = keras.layers, layers

    def conv(self, name: str, x: Any, out: int, kernel: int, stride: int, act: str) -> Any:
        weight, bias = self._layers[name]
        if kernel > 1 and stride > 1:
            x = self._k.ZeroPadding2D(kernel // 2)(x)
        padding = "valid" if stride > 1 else "same"
        layer = self._k.Conv2D(out, kernel, stride, padding, activation=None if act == "none" else act, name=name)
        y = layer(x)
        layer.set_weights([weight.transpose(2, 3, 1, 0), bias])
        return y

    def add(self, x: Any, y: Any) -> Any:
        return self._k.ReLU()(self._k.Add()([x, y]))

    def times(self, x: Any, y: Any) -> Any:
        return self._k.Multiply()([x, y])

    def halve(self, x: Any) -> Any:
        return self._k.MaxPooling2D(2)(x)

    def mean(self, x: Any) -> Any:
        return self._k.GlobalAveragePooling2D()(x)

    def join(self, parts: Sequence[Any]) -> Any:
        return parts[0] if len(parts) == 1 else self._k.Concatenate()(list(parts))

    def dense(self, name: str, x: Any, out: int, act: str) -> Any:
        weight, bias = self._layers[name]
        layer = self._k.Dense(out, activation=None if act == "none" else act, name=name)
        y = layer(x)
        layer.set_weights([weight.T, bias])
        return y


def scaled(crops: Array) -> Floats:
    return ((crops.astype(np.float32) - 128) / 64).astype(np.float32)


def build(state: dict[str, torch.Tensor], shape: Shape | None = None) -> Any:
    """Return the trained network as a Keras model of one crop."""
    import keras

    x = keras.Input((64, 64, 3), batch_size=1, name="face")
    return keras.Model(x, describe(KerasOps(folded(state)), x, shape or Shape()))


def ranges(faces: Faces) -> Iterator[Floats]:
    """Yield plain crops; black and white too, so that the input's scale is 1/64 with its zero in the middle."""
    for index in range(0, len(faces), max(len(faces) // RANGE_FACES, 1)):
        yield scaled(plain(faces.patches[index])[None])
    for luma in (0, 255):
        yield scaled(np.full((1, 64, 64, 3), luma, np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--patches", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--float", action="store_true", help="float32 instead of int8, to compare")
    args = parser.parse_args()
    state = torch.load(args.weights, weights_only=False)["average"]
    state = calibrated(state, load(args.data, args.patches, "calibration"))
    faces = None if args.float else load(args.data, args.patches, "training")
    data = joined(to_tflite(build(state), None if faces is None else ranges(faces)), OUTPUTS)
    args.out.write_bytes(data)
    print(f"{args.out}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
