"""From the teacher's ONNX file to the TFLite file of agender-edge:

    python -m training.estimator.edge --teacher teacher.onnx --out agender-edge.tflite

EdgeNeXt-XS (Maaz et al., 2022) as EdgeFace (George et al., 2023) trained it for recognition, with a head on the means
of its inner features. Walked once more with Keras layers for one picture of 112 x 112. Weights become int8 per channel,
activations stay float: layer norm and attention across channels lose too much to integers (models/agender-edge.md).
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from training.common.export import Floats
from training.common.joined import without_names

PX = 112
NORM_EPSILON = 1e-6
HEADS = 4
GRID = 3
KERNELS = (3, 5, 7, 9)  # of the depthwise convolutions, by stage
DEPTHS = (3, 3, 9, 3)
SCALES = (0, 2, 3, 4)  # parts into which the last block of a stage splits the channels; 0: it is a plain block
TAPPED = (1, 2, 3)  # stages whose features the head reads


class Weights:
    """The tensors of the ONNX file by name; weights of dense layers by their place in the graph."""

    def __init__(self, path: Path) -> None:
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(str(path)).graph
        stored = {each.name: numpy_helper.to_array(each).astype(np.float32) for each in graph.initializer}
        self._all = {name.removesuffix("_h"): value for name, value in stored.items()}
        constants = {
            node.output[0]: numpy_helper.to_array(node.attribute[0].t)
            for node in graph.node
            if node.op_type == "Constant"
        }
        self._dense = {}
        for node in graph.node:
            if node.op_type == "MatMul" and node.input[1] in self._all:
                self._dense[node.output[0].removesuffix("/MatMul_output_0")] = self._all[node.input[1]]
            if node.op_type == "Clip" and node.output[0] == "/Clip_output_0":
                self.limits = tuple(float(constants[name]) for name in node.input[1:])
            if node.op_type == "Div" and node.output[0] == "/Div_2_output_0":
                self.shrink = float(constants[node.input[1]])
            if node.op_type == "MatMul" and node.output[0] == "years":
                self.centres = np.asarray(constants[node.input[1]], np.float32).ravel()

    def __contains__(self, name: str) -> bool:
        return f"m.{name}" in self._all

    def __getitem__(self, name: str) -> Floats:
        return self._all[name if name in self._all else f"m.{name}"]

    def put(self, name: str, value: Floats) -> None:
        """Put a trained tensor in place of the file's."""
        self._all[name if name in self._all else f"m.{name}"] = value

    def dense(self, name: str) -> tuple[Floats, Floats]:
        """Return weight (in, out) and bias (out,) of a layer such as stages.0.blocks.1.mlp.fc1."""
        return self._dense[_place(name)], self[f"{name}.bias"]

    def put_dense(self, name: str, weight: Floats) -> None:
        self._dense[_place(name)] = weight


def _place(name: str) -> str:
    stage, blocks, block, *rest = name.removeprefix("stages.").split(".")
    return "/".join([f"/stages.{stage}", blocks, f"{blocks}.{block}", *rest])


class Walk:
    """Builds the layers with their weights. Tensors are (1, height, width, channels)."""

    def __init__(self, weights: Weights) -> None:
        import keras

        self.w, self.k, self.ops = weights, keras.layers, keras.ops

    def with_weights(self, layer: Any, x: Any, *values: Floats) -> Any:
        y = layer(x)
        layer.set_weights([np.ascontiguousarray(value, np.float32) for value in values])
        return y

    def conv(self, name: str, x: Any, stride: int) -> Any:
        weight = self.w[f"{name}.weight"].transpose(2, 3, 1, 0)
        layer = self.k.Conv2D(weight.shape[3], weight.shape[0], stride, "valid")
        return self.with_weights(layer, x, weight, self.w[f"{name}.bias"])

    def depthwise(self, name: str, x: Any) -> Any:
        weight = self.w[f"{name}.weight"].transpose(2, 3, 0, 1)
        return self.with_weights(self.k.DepthwiseConv2D(weight.shape[0], 1, "same"), x, weight, self.w[f"{name}.bias"])

    def norm(self, x: Any) -> Any:
        """Layer norm over the channels; its scale and shift are left to the next layer."""
        centred = x - self.ops.mean(x, axis=-1, keepdims=True)
        return centred * self.ops.rsqrt(self.ops.mean(centred * centred, axis=-1, keepdims=True) + NORM_EPSILON)

    def stem(self, x: Any) -> Any:
        """The first layer; its norm is added to later, so scale and shift stay."""
        return self.norm(self.conv("stem.0", x, 4)) * self.w["stem.1.weight"] + self.w["stem.1.bias"]

    def downsampled(self, name: str, x: Any) -> Any:
        weight, bias = self.w[f"{name}.1.weight"].transpose(2, 3, 1, 0), self.w[f"{name}.1.bias"]
        scale, shift = self.w[f"{name}.0.weight"], self.w[f"{name}.0.bias"]
        layer = self.k.Conv2D(bias.size, 2, 2, "valid")
        shifted = bias + np.einsum("hwio,i->o", weight, shift)
        return self.with_weights(layer, self.norm(x), weight * scale[:, None], shifted)

    def dense(self, name: str, x: Any, norm: str = "", scale: Floats | None = None, act: str | None = None) -> Any:
        """A dense layer on every place as a 1 x 1 convolution, after a layer norm where one is named; times `scale`."""
        weight, bias = self.w.dense(name)
        if norm:
            x = self.norm(x)
            bias = bias + self.w[f"{norm}.bias"] @ weight
            weight = weight * self.w[f"{norm}.weight"][:, None]
        factor = np.ones_like(bias) if scale is None else scale
        layer = self.k.Conv2D(bias.size, 1, activation=act)
        return self.with_weights(layer, x, (weight * factor)[None, None], bias * factor)

    def mlp(self, name: str, x: Any) -> Any:
        x = self.dense(f"{name}.mlp.fc1", x, norm=f"{name}.norm", act="gelu")
        return self.dense(f"{name}.mlp.fc2", x, scale=self.w[f"{name}.gamma"])

    def block(self, name: str, x: Any) -> Any:
        return self.k.Add()([x, self.mlp(name, self.depthwise(f"{name}.conv_dw", x))])

    def split_block(self, name: str, x: Any, scales: int) -> Any:
        """Depthwise convolutions over parts of the channels, attention across channels, then the dense pair."""
        width = -(-x.shape[-1] // scales)
        parts = [x[..., start : start + width] for start in range(0, x.shape[-1], width)]
        done, last = [], None
        for index, part in enumerate(parts[:-1]):
            last = self.depthwise(f"{name}.convs.{index}", part if last is None else last + part)
            done.append(last)
        done.append(parts[-1])
        place = f"{name}.pos_embd.token_projection"
        if f"{place}.bias" in self.w:
            # Columns before joining, rows after: the converter would fold both into one constant of 50 kB.
            columns = self.places(place, x.shape[2], axis=2)
            done = [part + columns[..., i * width : (i + 1) * width] for i, part in enumerate(done)]
        y = self.k.Concatenate()(done)
        if f"{place}.bias" in self.w:
            y = y + self.places(place, x.shape[1], axis=1)
        y = y + self.attention(name, y)
        return self.k.Add()([x, self.mlp(name, y)])

    def attention(self, name: str, x: Any) -> Any:
        """Cross-covariance attention (El-Nouby et al., 2021): channels attend to channels, by head."""
        _, height, width, channels = x.shape
        each = channels // HEADS
        qkv = self.dense(f"{name}.xca.qkv", x, norm=f"{name}.norm_xca")
        qkv = self.ops.transpose(self.ops.reshape(qkv, (height * width, 3 * HEADS, each)), (1, 2, 0))
        query, key, value = self.ops.split(qkv, 3, axis=0)  # (heads, channels of a head, places)
        likeness = self.ops.matmul(self._unit_length(query), self.ops.transpose(self._unit_length(key), (0, 2, 1)))
        likeness = likeness * self.w[f"{name}.xca.temperature"]
        seen = self.ops.matmul(self.ops.softmax(likeness, axis=-1), value)
        seen = self.ops.reshape(self.ops.transpose(seen, (2, 0, 1)), (1, height, width, channels))
        return self.dense(f"{name}.xca.proj", seen, scale=self.w[f"{name}.gamma_xca"])

    def _unit_length(self, x: Any) -> Any:
        return x * self.ops.rsqrt(self.ops.sum(x * x, axis=-1, keepdims=True) + 1e-12)

    def places(self, name: str, count: int, axis: int) -> Floats:
        """Return the constant that tells rows (axis 1) or columns (axis 2) apart, to be added to every place."""
        half = self.w[f"{name}.weight"].shape[1] // 2
        rate = 10000.0 ** (2 * (np.arange(half) // 2) / half)
        angle = (np.arange(1, count + 1) / (count + 1e-6) * 2 * np.pi)[:, None] / rate
        wave = np.where(np.arange(half) % 2 == 0, np.sin(angle), np.cos(angle))
        weight = self.w[f"{name}.weight"][:, (axis - 1) * half : axis * half, 0, 0]
        known = wave @ weight.T + (self.w[f"{name}.bias"] if axis == 1 else 0)
        return known.astype(np.float32).reshape((1, count, 1, -1) if axis == 1 else (1, 1, count, -1))

    def grid(self, index: int, x: Any) -> Any:
        """Return the means over a 3 x 3 grid, flat in the order channel, row, column: one matrix product."""
        rows = self.w[f"p.{index}.A"]
        mix = np.einsum("ih,jw->hwij", rows, rows).reshape(-1, GRID * GRID)
        flat = self.ops.reshape(x, (1, -1, x.shape[-1]))
        means = self.ops.matmul(self.ops.transpose(flat, (0, 2, 1)), mix[None])
        return self.ops.reshape(means, (1, x.shape[-1] * GRID * GRID))

    def head(self, features: Any) -> Any:
        low, high = self.w.limits
        seen = self.ops.clip((features - self.w["mu"]) * (1 / self.w["sd"]), low, high)
        weight, bias = self.w["head.0.weight"].T / self.w.shrink, self.w["head.0.bias"]
        factor = self.w["head.1.weight"] / np.sqrt(self.w["head.1.running_var"] + 1e-5)
        bias = (bias - self.w["head.1.running_mean"]) * factor + self.w["head.1.bias"]
        hidden = self.with_weights(self.k.Dense(bias.size, activation="gelu"), seen, weight * factor, bias)
        weight, bias = self.w["head.3.weight"].T, self.w["head.3.bias"]
        return self.with_weights(self.k.Dense(bias.size, name="values"), hidden, weight, bias)


def build(weights: Weights) -> Any:
    """Return the network as a Keras model of one picture (1, 112, 112, 3), R, G, B, as (pixel - 127.5) / 127.5.

    Its output (1, 22): the logit of female, then those of 21 ages (Weights.centres).
    """
    import keras

    walk = Walk(weights)
    given = keras.Input((PX, PX, 3), batch_size=1, name="face")
    x, features = given, []
    for stage, (depth, scales) in enumerate(zip(DEPTHS, SCALES, strict=True)):
        x = walk.downsampled(f"stages.{stage}.downsample", x) if stage else walk.stem(x)
        for block in range(depth):
            name = f"stages.{stage}.blocks.{block}"
            last = block == depth - 1 and scales > 0
            x = walk.split_block(name, x, scales) if last else walk.block(name, x)
        if stage in TAPPED:
            features.append(walk.grid(len(features), x))
    return keras.Model(given, {"values": walk.head(walk.k.Concatenate()(features))})


def to_tflite(model: Any) -> bytes:
    """Return the flatbuffer: weights int8 per channel, activations float32."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    # tflite-runtime 2.14 does not know dense layers with a scale for each output.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    return without_names(converter.convert())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    data = to_tflite(build(Weights(args.teacher)))
    args.out.write_bytes(data)
    print(f"{args.out}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
