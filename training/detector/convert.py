"""From trained weights to the int8 TFLite file that ships:

    python -m training.detector.convert --weights whole.pt --data DIR --labels labels.json --out models/face-ssd.tflite

Its output holds five floats a cell, cell by cell, row by row, stride by stride, then ten a cell in the same order: what
`network.describe` says of each.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_agender.imaging.frame import Picture
from training.common.export import Floats, folded, to_tflite
from training.common.joined import joined
from training.detector.data import Labelled, Sampler, load, read_labels
from training.detector.network import INPUT_HEIGHT, INPUT_WIDTH, STRIDES, describe
from training.detector.predictors import canvas_of
from training.detector.split import held_out

CALIBRATION_SCENES = 150
OUTPUTS = [f"{kind}{stride}" for kind in ("cells", "points") for stride in STRIDES]


class KerasOps:
    """Builds each layer with its trained weights. A stride of 2 pads as TFLite's `same` does: behind the picture."""

    def __init__(self, layers: dict[str, tuple[Floats, Floats]]) -> None:
        import keras

        self._k, self._layers = keras.layers, layers

    def conv(
        self,
        name: str,
        x: Any,
        out: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        depthwise: bool = False,
        act: bool = True,
    ) -> Any:
        weight, bias = self._layers[name]
        if depthwise:
            layer = self._k.DepthwiseConv2D(kernel, stride, "same", name=name)
            order = (2, 3, 0, 1)  # (channels, 1, k, k) to (k, k, channels, 1)
        else:
            layer = self._k.Conv2D(out, kernel, stride, "same", name=name)
            order = (2, 3, 1, 0)
        y = layer(x)
        layer.set_weights([weight.transpose(order), bias])
        return self._k.ReLU()(y) if act else y

    def halve(self, x: Any) -> Any:
        return self._k.MaxPooling2D(2, padding="same")(x)

    def add(self, x: Any, y: Any) -> Any:
        return self._k.Add()([x, y])

    def enlarge(self, x: Any, like: Any) -> Any:
        # Every value four times, then laid out two by two: RESIZE_NEAREST_NEIGHBOR is none of XNNPACK's operators.
        import tensorflow as tf

        x = self._k.Lambda(lambda values: tf.nn.depth_to_space(values, 2))(self._k.Concatenate()([x] * 4))
        more = x.shape[1] - like.shape[1]
        return self._k.Cropping2D(((0, more), (0, 0)))(x) if more else x


def build(state: dict[str, torch.Tensor]) -> Any:
    """Return the trained network as a Keras model of one 320x240 picture, B, G, R, 0 to 255."""
    import keras

    x = keras.Input((INPUT_HEIGHT, INPUT_WIDTH, 3), batch_size=1, name="bgr")
    outputs = {}
    for stride, (found, points) in zip(STRIDES, describe(KerasOps(folded(state)), x), strict=True):
        outputs |= {f"cells{stride}": found, f"points{stride}": points}
    return keras.Model(x, outputs)


def calibration(scenes: Sequence[Labelled], portraits: Sequence[Labelled]) -> Iterator[Floats]:
    """Yield pictures as at run time, and augmented samples with close faces; black and white fix the input's scale."""
    every: list[Picture] = [canvas_of(scene.bgr)[0] for scene in scenes[:CALIBRATION_SCENES]]
    every += [sample.bgr for sample in Sampler(scenes, portraits, [], seed=5).batch(CALIBRATION_SCENES)]
    every += [np.full((INPUT_HEIGHT, INPUT_WIDTH, 3), level, np.uint8) for level in (0, 255)]
    yield from (each[None].astype(np.float32) for each in every)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True, help="written by training.detector.labels")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--float", action="store_true", help="float32 instead of int8, to compare")
    args = parser.parse_args()
    saved = torch.load(args.weights, weights_only=False)
    rows = read_labels(args.labels)
    seen = [row for row in rows if row["kind"] == "scene" and not held_out(str(row["path"]))]
    scenes = load(args.data, seen[:: max(len(seen) // (2 * CALIBRATION_SCENES), 1)])
    portraits = load(args.data, [row for row in rows if row["kind"] == "portrait"][::20])
    model = build(saved["average"])
    data = joined(to_tflite(model, None if args.float else calibration(scenes, portraits)), OUTPUTS)
    args.out.write_bytes(data)
    print(f"{args.out}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
