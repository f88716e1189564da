"""Published Keras weights -> TFLite float32. Needs the extra [convert], TensorFlow; imported only by `models add`."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import tempfile
from pathlib import Path
from typing import Any

from edge_agender.errors import ModelError

STAGES = 3
BINS = 3


def convert(how: str, weights: bytes, name: str) -> bytes:
    """Return the TFLite network for a Keras .h5 file: `ssrnet-keras` holds weights alone, `keras` a whole network.

    A whole network's outputs are named after the layers that make them.
    """
    keras, tensorflow = _tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.h5"
        path.write_bytes(weights)
        try:
            network = ssrnet(keras, path, name) if how == "ssrnet-keras" else _whole(keras, path)
            converter = tensorflow.lite.TFLiteConverter.from_keras_model(network)
            # The exporter prints a page to stdout, which belongs to whoever called us.
            with contextlib.redirect_stdout(io.StringIO()):
                return bytes(converter.convert())
        except (OSError, ValueError, TypeError, KeyError) as error:
            reason = " ".join(str(error).split())[:160]
            raise ModelError(f"{name}: cannot be converted: {reason or type(error).__name__}") from None


def _tensorflow() -> tuple[Any, Any]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    try:
        return importlib.import_module("keras"), importlib.import_module("tensorflow")
    except ImportError:
        raise ModelError(
            "converting Keras weights needs TensorFlow: pip install 'edge-agender[convert]', here or on another "
            "machine, whose models folder you can then copy"
        ) from None


def _whole(keras: Any, path: Path) -> Any:
    network = keras.saving.load_model(path, compile=False)
    outputs = {layer.split("/")[0]: tensor for layer, tensor in zip(network.output_names, network.outputs, strict=True)}
    return keras.Model(network.inputs, outputs)


def ssrnet(keras: Any, path: Path, name: str) -> Any:
    """Return the published SSR-Net (Yang et al. 2018) with the weights of a Keras 2 file; output `value`.

    An age net's range is 101 years, a gender net's is 1; the file's layer names tell which it is.
    """
    h5py = importlib.import_module("h5py")
    with h5py.File(path) as file:
        groups = file.get("model_weights", file)
        saved = {layer: _arrays(groups[layer]) for layer in groups if len(groups[layer].attrs.get("weight_names", ()))}
    is_age = "pred_age_stage1" in saved
    network = _SsrNet(keras, "pred_age_stage" if is_age else "pred_stage", 101.0 if is_age else 1.0).build()
    own = {layer.name: layer for layer in network.layers if layer.weights}
    if own.keys() != saved.keys():
        strange = sorted(own.keys() ^ saved.keys())
        raise ModelError(f"{name}: these are not the weights of an SSR-Net: {', '.join(strange[:5])}")
    for layer, arrays in saved.items():
        own[layer].set_weights(arrays)
    return network


def _arrays(group: Any) -> list[Any]:
    return [group[key.decode() if isinstance(key, bytes) else key][()] for key in group.attrs["weight_names"]]


class _SsrNet:
    """Builds the network with the layer names that its authors' Keras gave: conv2d_1 ... in the order of their code."""

    def __init__(self, keras: Any, prediction: str, span: float) -> None:
        self._keras, self._prediction, self._span = keras, prediction, span

    def build(self) -> Any:
        picture = self._keras.Input((64, 64, 3), name="image")
        rectified = self._stream(picture, first=1, width=32, activation="relu", pool="AveragePooling2D")
        bounded = self._stream(picture, first=5, width=16, activation="tanh", pool="MaxPooling2D")
        # The first stage reads the deepest features, each further one shallower ones, pooled to a 4x4 or 3x3 grid.
        stages = []
        for stage, (level, pooled) in enumerate(((3, 0), (1, 4), (0, 8))):
            stages.append(self._stage(stage, bounded[level], rectified[level], pooled))
        return self._keras.Model(picture, {"value": self._sum(stages)})

    def _stream(self, x: Any, first: int, width: int, activation: str, pool: str) -> list[Any]:
        layers = self._keras.layers
        features = []
        for number in range(first, first + 4):
            x = layers.Conv2D(width, 3, name=f"conv2d_{number}")(x)
            x = layers.BatchNormalization(epsilon=1e-3, name=f"batch_normalization_{number}")(x)
            x = layers.Activation(activation)(x)
            if number < first + 3:
                x = getattr(layers, pool)(2, 2)(x)
            features.append(x)
        return features

    def _stage(self, stage: int, bounded: Any, rectified: Any, pooled: int) -> tuple[Any, Any, Any]:
        layers = self._keras.layers
        flat, mixed = [], []
        for side, (x, pool) in enumerate(((bounded, layers.MaxPooling2D), (rectified, layers.AveragePooling2D))):
            x = layers.Conv2D(10, 1, activation="relu", name=f"conv2d_{9 + 2 * stage + side}")(x)
            x = layers.Flatten()(pool(pooled, pooled)(x) if pooled else x)
            flat.append(x)
            mixed.append(layers.Dense(BINS, activation="relu", name=f"dense_{1 + 3 * stage + side}")(x))
        delta = layers.Dense(1, activation="tanh", name=f"delta_s{stage + 1}")(layers.Multiply()(flat))
        joined = layers.Multiply()(mixed)
        joined = layers.Dense(2 * BINS, activation="relu", name=f"dense_{3 + 3 * stage}")(joined)
        weights = layers.Dense(BINS, activation="relu", name=f"{self._prediction}{stage + 1}")(joined)
        offsets = layers.Dense(BINS, activation="tanh", name=f"local_delta_stage{stage + 1}")(joined)
        return weights, offsets, delta

    def _sum(self, stages: list[tuple[Any, Any, Any]]) -> Any:
        ops = self._keras.ops
        places = ops.convert_to_tensor([[0.0, 1.0, 2.0]])
        total, width = 0.0, self._span
        for weights, offsets, delta in stages:
            width = width / (BINS * (1.0 + delta))
            total = total + ops.sum(weights * (places + offsets), axis=1, keepdims=True) * width
        return total
