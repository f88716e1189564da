"""Small TFLite models whose answers can be worked out by hand, written with the interpreter's own schema."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import yaml
from ai_edge_litert import schema_py_generated as schema

TYPES = {"float32": schema.TensorType.FLOAT32, "int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32}


class Builder:
    """Collects tensors and operators of one subgraph, then packs them with a signature."""

    def __init__(self) -> None:
        self.buffers, self.tensors, self.operators, self.codes = [schema.BufferT()], [], [], []
        self.names: dict[str, int] = {}

    def tensor(self, name, shape, dtype="float32", data=None, scales=None, zero_point=0) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name.encode(), list(shape), TYPES[dtype], 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = list(np.ascontiguousarray(data).tobytes())
            made.buffer = len(self.buffers)
            self.buffers.append(buffer)
        if scales is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = list(scales)
            made.quantization.zeroPoint = [zero_point] * len(scales)
        self.tensors.append(made)
        self.names[name] = len(self.tensors) - 1
        return self.names[name]

    def operator(self, code, inputs, outputs, kind=None, options=None) -> None:
        operator_code = schema.OperatorCodeT()
        operator_code.builtinCode = operator_code.deprecatedBuiltinCode = code
        operator_code.version = 1
        self.codes.append(operator_code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = len(self.codes) - 1, inputs, outputs
        if options is not None:
            operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.operators.append(operator)

    def pack(self, inputs: dict[str, str], outputs: dict[str, str]) -> bytes:
        """Return the model; `inputs` and `outputs` map the signature's names to tensors."""
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs = [self.names[name] for name in inputs.values()]
        graph.outputs = [self.names[name] for name in outputs.values()]
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
        signature.inputs = [self._entry(name, tensor) for name, tensor in inputs.items()]
        signature.outputs = [self._entry(name, tensor) for name, tensor in outputs.items()]
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [graph], self.buffers
        model.operatorCodes, model.signatureDefs, model.description = self.codes, [signature], b"test"
        writer = flatbuffers.Builder(4096)
        writer.Finish(model.Pack(writer), b"TFL3")
        return bytes(writer.Output())

    def _entry(self, name: str, tensor: str) -> Any:
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), self.names[tensor]
        return entry


def colour_means(size: int = 8, channels: int = 3) -> bytes:
    """Return a float32 network whose output `means` holds each channel's mean of what it is fed."""
    made = Builder()
    image = made.tensor("image", (1, size, size, channels))
    axes = made.tensor("axes", (2,), "int32", np.array([1, 2], np.int32))
    means = made.tensor("pooled", (1, channels))
    options = schema.ReducerOptionsT()
    options.keepDims = False
    made.operator(schema.BuiltinOperator.MEAN, [image, axes], [means], schema.BuiltinOptions.ReducerOptions, options)
    return made.pack({"image": "image"}, {"means": "pooled"})


def roots(size: int = 8) -> bytes:
    """Return a float32 network that gives the square roots of the channels' means: NaN where one is negative."""
    made = Builder()
    image = made.tensor("image", (1, size, size, 3))
    axes = made.tensor("axes", (2,), "int32", np.array([1, 2], np.int32))
    means, root = made.tensor("pooled", (1, 3)), made.tensor("root", (1, 3))
    options = schema.ReducerOptionsT()
    options.keepDims = False
    made.operator(schema.BuiltinOperator.MEAN, [image, axes], [means], schema.BuiltinOptions.ReducerOptions, options)
    made.operator(schema.BuiltinOperator.SQRT, [means], [root])
    return made.pack({"image": "image"}, {"means": "root"})


def bright_cells(
    width: int = 320, height: int = 240, stride: int = 16, reach: tuple[float, float, float, float] = (1, 1, 1, 1)
) -> bytes:
    """Return an int8 detector: a cell's score is its mean of (luma - 128) / 64, its box `reach` strides each way."""
    made = Builder()
    rows, columns = height // stride, width // stride
    image = made.tensor("image", (1, height, width, 1), "int8", scales=[1 / 64])
    scores = made.tensor("pooled", (1, rows, columns, 1), "int8", scales=[1 / 64])
    options = schema.Pool2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideW = options.strideH = options.filterWidth = options.filterHeight = stride
    made.operator(
        schema.BuiltinOperator.AVERAGE_POOL_2D, [image], [scores], schema.BuiltinOptions.Pool2DOptions, options
    )
    weights = made.tensor("weights", (4, 1, 1, 1), "int8", np.zeros((4, 1, 1, 1), np.int8), scales=[0.01])
    bias = np.rint(np.array(reach) / (0.01 / 64)).astype(np.int32)
    biases = made.tensor("bias", (4,), "int32", bias, scales=[0.01 / 64])
    boxes = made.tensor("distances", (1, rows, columns, 4), "int8", scales=[1 / 16])
    convolution = schema.Conv2DOptionsT()
    convolution.strideW = convolution.strideH = convolution.dilationWFactor = convolution.dilationHFactor = 1
    made.operator(
        schema.BuiltinOperator.CONV_2D,
        [scores, weights, biases],
        [boxes],
        schema.BuiltinOptions.Conv2DOptions,
        convolution,
    )
    return made.pack({"image": "image"}, {"scores": "pooled", "boxes": "distances"})


def red_faces(
    box: tuple[float, ...], points: tuple[float, ...], width: int = 320, height: int = 240, stride: int = 16
) -> bytes:
    """Return an int8 detector of B, G, R pictures: a cell's score is its mean of (red - 128) / 64.

    `box`: the four numbers of each cell behind its score; `points`: its ten others. All in steps of 1/16.
    """
    made = Builder()
    rows, columns = height // stride, width // stride
    image = made.tensor("image", (1, height, width, 3), "int8", scales=[1.0], zero_point=-128)
    means = made.tensor("pooled", (1, rows, columns, 3), "int8", scales=[1.0], zero_point=-128)
    options = schema.Pool2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideW = options.strideH = options.filterWidth = options.filterHeight = stride
    made.operator(
        schema.BuiltinOperator.AVERAGE_POOL_2D, [image], [means], schema.BuiltinOptions.Pool2DOptions, options
    )
    for name, numbers in (("cells", (-2.0, *box)), ("points", points)):
        red = np.zeros((len(numbers), 1, 1, 3), np.int8)
        red[0, 0, 0, 2] = name == "cells"
        weights = made.tensor(f"{name}_weights", red.shape, "int8", red, scales=[1 / 64])
        bias = np.rint(np.array(numbers) * 64).astype(np.int32)
        biases = made.tensor(f"{name}_bias", bias.shape, "int32", bias, scales=[1 / 64])
        output = made.tensor(f"{name}_conv", (1, rows, columns, len(numbers)), "int8", scales=[1 / 16])
        convolution = schema.Conv2DOptionsT()
        convolution.strideW = convolution.strideH = convolution.dilationWFactor = convolution.dilationHFactor = 1
        kind = schema.BuiltinOptions.Conv2DOptions
        made.operator(schema.BuiltinOperator.CONV_2D, [means, weights, biases], [output], kind, convolution)
    return made.pack({"image": "image"}, {"cells": "cells_conv", "points": "points_conv"})


def file_entry(folder: Path, name: str, data: bytes) -> dict[str, Any]:
    """Write a model file and return its manifest entry."""
    (folder / name).write_bytes(data)
    return {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}


def estimator_entry(weights: dict[str, Any], outputs: dict[str, Any], **scaling: Any) -> dict[str, Any]:
    """Return the manifest entry of a one-network TFLite estimator of 8 px."""
    return {
        "role": "estimator",
        "title": "test",
        "origin": "here",
        "licence": "MIT",
        "input": {"size": [8, 8], "colour": "bgr"} | scaling,
        "networks": [{"runtime": "tflite", "weights": weights, "outputs": outputs}],
    }


def detector_entry(weights: dict[str, Any], stride: int = 16, **detection: Any) -> dict[str, Any]:
    """Return the manifest entry of `bright_cells` with its outputs joined."""
    return {
        "role": "detector",
        "title": "test",
        "origin": "here",
        "licence": "MIT",
        "input": {
            "size": [320, 240],
            "colour": "grey",
            "dtype": "int8",
            "scale": "mean",
            "mean": [128],
            "divide": [64],
        },
        "networks": [{"runtime": "tflite", "weights": weights}],
        "detection": {"decode": "distances", "score_threshold": 0.6, "strides": [stride]} | detection,
    }


def write_manifest(folder: Path, models: dict[str, Any], name: str = "manifest.yaml") -> Path:
    """Write a manifest of entries and return its path."""
    path = folder / name
    path.write_text(yaml.safe_dump({"schema": "edge-agender-models/1", "models": models}))
    return path


def _field(number: int, value: bytes | int) -> bytes:
    """Return one field of a protocol buffer: a small number, or bytes with their length."""
    kind, payload = (0, _varint(value)) if isinstance(value, int) else (2, _varint(len(value)) + value)
    return _varint(number << 3 | kind) + payload


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def onnx_means(size: int = 8) -> bytes:
    """Return an ONNX network, (1, 3, size, size) -> `means` (1, 3, 1, 1), written field by field."""

    def value_info(name: bytes, shape: tuple[int, ...]) -> bytes:
        dimensions = b"".join(_field(1, _field(1, side)) for side in shape)
        return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dimensions)))

    node = _field(1, b"image") + _field(2, b"means") + _field(3, b"pool") + _field(4, b"GlobalAveragePool")
    graph = _field(1, node) + _field(2, b"test")
    graph += _field(11, value_info(b"image", (1, 3, size, size))) + _field(12, value_info(b"means", (1, 3, 1, 1)))
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, b"") + _field(2, 13))


def caffe_classes(weights: np.ndarray, size: int = 8) -> tuple[bytes, bytes]:
    """Return (caffemodel, prototxt): pools, multiplies by `weights` (classes, 3), and ends in `prob`."""
    classes = len(weights)
    text = f"""
name: "test" input: "data" input_dim: 1 input_dim: 3 input_dim: {size} input_dim: {size}
layers {{ name: "pool" type: POOLING bottom: "data" top: "pool" pooling_param {{ pool: AVE global_pooling: true }} }}
layers {{ name: "fc8" type: INNER_PRODUCT bottom: "pool" top: "fc8" inner_product_param {{ num_output: {classes} }} }}
layers {{ name: "prob" type: SOFTMAX bottom: "fc8" top: "prob" }}
"""

    def blob(values: np.ndarray) -> bytes:
        rows, columns = (1, 1, *values.shape)[-2:]
        shape = _field(1, 1) + _field(2, 1) + _field(3, rows) + _field(4, columns)
        return shape + _field(5, np.ascontiguousarray(values, np.float32).tobytes())

    inner_product = 14
    layer = _field(2, b"pool") + _field(3, b"fc8") + _field(4, b"fc8") + _field(5, inner_product)
    layer += _field(6, blob(weights)) + _field(6, blob(np.zeros(classes)))
    layer += _field(17, _field(1, classes))
    return _field(1, b"test") + _field(2, layer), text.encode()
