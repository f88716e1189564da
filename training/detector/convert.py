"""From trained weights to the int8 TFLite file that ships:

    python -m training.detector.convert --weights last.pt --data DIR --labels wider.json --out models/face-ssd.tflite

Its output holds the logits of all cells, stride by stride and row by row, then each cell's four distances in strides.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_agender.imaging.preprocess import letterbox
from training.common.export import Floats, folded, to_tflite
from training.common.joined import joined
from training.detector.data import Labelled, Sampler, load, read_labels
from training.detector.network import INPUT_HEIGHT, INPUT_WIDTH, STRIDES, Shape, describe

CALIBRATION_SCENES = 200
OUTPUTS = [f"{kind}{stride}" for kind in ("score", "box") for stride in STRIDES]


class KerasOps:
    """Builds each layer with its trained weights. Torch pads both sides, so strided padding is explicit."""

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
        norm: bool = True,
    ) -> Any:
        weight, bias = self._layers[name]
        if kernel > 1 and stride > 1:
            x = self._k.ZeroPadding2D(kernel // 2)(x)
        padding = "valid" if stride > 1 else "same"
        if depthwise:
            layer = self._k.DepthwiseConv2D(kernel, stride, padding, name=name)
            order = (2, 3, 0, 1)  # (channels, 1, k, k) to (k, k, channels, 1)
        else:
            layer = self._k.Conv2D(out, kernel, stride, padding, name=name)
            order = (2, 3, 1, 0)
        y = layer(x)
        layer.set_weights([weight.transpose(order), bias])
        return self._k.ReLU(6.0)(y) if act else y

    def add(self, x: Any, y: Any) -> Any:
        return self._k.Add()([x, y])

    def enlarge(self, x: Any, like: Any) -> Any:
        size = tuple(like.shape[1:3])
        return self._k.Resizing(*size, interpolation="bilinear")(x)


def build(state: dict[str, torch.Tensor], shape: Shape) -> Any:
    """Return the trained network as a Keras model of one 320x240 luma picture."""
    import keras

    x = keras.Input((INPUT_HEIGHT, INPUT_WIDTH, 1), batch_size=1, name="luma")
    outputs = {}
    for stride, (score, box) in zip(STRIDES, describe(KerasOps(folded(state)), x, shape), strict=True):
        outputs |= {f"score{stride}": score, f"box{stride}": box}
    return keras.Model(x, outputs)


def scaled(luma: Any) -> Floats:
    return ((luma.astype(np.float32) - 128) / 64)[None, :, :, None]


def calibration(scenes: Sequence[Labelled], portraits: Sequence[Labelled]) -> Iterator[Floats]:
    """Yield pictures as at run time, and augmented samples with close faces; black and white fix the input's scale."""
    for scene in scenes[:CALIBRATION_SCENES]:
        yield scaled(letterbox(scene.luma, (INPUT_WIDTH, INPUT_HEIGHT))[0])
    for sample in Sampler(scenes, portraits, seed=5).batch(CALIBRATION_SCENES):
        yield scaled(sample.luma)
    for luma in (0, 255):
        yield scaled(np.full((INPUT_HEIGHT, INPUT_WIDTH), luma, np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True, help="wider.json")
    parser.add_argument("--portraits", type=Path, help="written by training.detector.portraits")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--float", action="store_true", help="float32 instead of int8, to compare")
    args = parser.parse_args()
    saved = torch.load(args.weights, weights_only=False)
    scenes = load(args.data, read_labels(args.labels)[: 2 * CALIBRATION_SCENES], held=False)
    portraits = load(args.data, read_labels(args.portraits)[:200], held=False) if args.portraits else []
    model = build(saved["average"], Shape(**saved["shape"]))
    data = joined(to_tflite(model, None if args.float else calibration(scenes, portraits)), OUTPUTS)
    args.out.write_bytes(data)
    print(f"{args.out}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
