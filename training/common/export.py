"""From trained torch weights to TFLite: folding batch norm, and TensorFlow's converter with or without int8."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float32]
NORM_EPSILON = 1e-5  # torch's BatchNorm2d


def folded(state: dict[str, torch.Tensor]) -> dict[str, tuple[Floats, Floats]]:
    """Return weight and bias by layer, of a model that holds its layers in `layers`, batch norm folded in.

    Convolutions (out, in, k, k), dense layers (out, in), biases (out,).
    """
    layers = {}
    for name in sorted({key.split(".")[1] for key in state}):
        prefix = f"layers.{name}."
        get = {key.removeprefix(prefix): value.double() for key, value in state.items() if key.startswith(prefix)}
        weight = get["conv.weight"] if "conv.weight" in get else get["weight"]
        if "norm.weight" in get:
            factor = get["norm.weight"] * (get["norm.running_var"] + NORM_EPSILON).rsqrt()
            bias = get["norm.bias"] - get["norm.running_mean"] * factor
            weight = weight * factor[:, None, None, None]
        else:
            bias = get["conv.bias"] if "conv.bias" in get else get["bias"]
        layers[name] = (weight.float().numpy(), bias.float().numpy())
    return layers


def to_tflite(model: Any, calibration: Iterable[Floats] | None) -> bytes:
    """Return a Keras model as a flatbuffer: int8 with ranges from `calibration` inputs (with batch), else float32.

    Outputs keep the names of the model's output dictionary in the flatbuffer's signature.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if calibration is not None:
        inputs = list(calibration)

        def representative() -> Iterator[list[Floats]]:
            yield from ([each] for each in inputs)

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    data: bytes = converter.convert()
    return data
