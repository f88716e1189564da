"""Weights and graphs of TensorFlow.js, read with NumPy and TensorFlow's GraphDef."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge_agender.imaging.frame import Array

DTYPES = {"float32": np.float32, "int32": np.int32, "uint8": np.uint8, "uint16": np.uint16, "float16": np.float16}


def weights(groups: list[dict[str, Any]], folder: Path) -> dict[str, Array]:
    """Return the arrays of a weights manifest whose files lie in `folder`; what was quantized becomes float32 again."""
    found: dict[str, Array] = {}
    for group in groups:
        data = b"".join((folder / name).read_bytes() for name in _files(group, folder))
        at = 0
        for each in group["weights"]:
            quantized = each.get("quantization", {})
            stored = np.dtype(DTYPES[quantized.get("dtype", each["dtype"])])
            count = int(np.prod(each["shape"]))
            values: Array = np.frombuffer(data, stored, count, at).reshape(each["shape"])
            at += count * stored.itemsize
            if "scale" in quantized:
                values = values.astype(np.float32) * quantized["scale"] + quantized["min"]
            found[each["name"]] = values.astype(DTYPES[each["dtype"]])
    return found


def _files(group: dict[str, Any], folder: Path) -> list[str]:
    """Return the group's files; face-api's one is published under another name than its manifest says."""
    names = [str(name) for name in group["paths"]]
    return names if all((folder / name).is_file() for name in names) else ["age_gender_model.bin"]


def graph_to_tflite(path: Path, outputs: list[str]) -> bytes:
    """Return a graph model (model.json) as float32 TFLite for one picture; needs TensorFlow."""
    import tensorflow as tf
    from google.protobuf import json_format

    model = json.loads(path.read_text())
    arrays = weights(model["weightsManifest"], path.parent)
    nodes = []
    for node in (plain for each in model["modelTopology"]["node"] for plain in unfused(each)):
        constant = node["op"] == "Const"
        fields = {**node, "attr": {"dtype": node["attr"]["dtype"]}} if constant else node
        made = json_format.ParseDict(fields, tf.compat.v1.NodeDef())
        if constant:
            made.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(arrays[node["name"]]))
        nodes.append(made)
    graph = tf.compat.v1.GraphDef(node=nodes)
    (entry,) = (node.name for node in nodes if node.op == "Placeholder")

    @tf.function(input_signature=[tf.TensorSpec((1, 224, 224, 3), tf.float32)])  # type: ignore[untyped-decorator]
    def run(face: Any) -> Any:
        said = tf.graph_util.import_graph_def(graph, {entry: face}, outputs, name="")
        return tf.concat([tf.reshape(each, (1, -1)) for each in said], 1)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([run.get_concrete_function()])
    return bytes(converter.convert())


def unfused(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a node, or in the place of a dense layer in one the product, the bias and the rectifier."""
    if node["op"] != "_FusedMatMul":
        yield node
        return
    left, right, bias = node["input"]
    number = {"T": {"type": "DT_FLOAT"}}
    name, more = node["name"], len(node["attr"]["fused_ops"]["list"]["s"]) > 1
    yield {"name": f"{name}/product", "op": "MatMul", "input": [left, right], "attr": number}
    yield {"name": f"{name}/sum" if more else name, "op": "BiasAdd", "input": [f"{name}/product", bias], "attr": number}
    if more:
        yield {"name": name, "op": "Relu", "input": [f"{name}/sum"], "attr": number}


def age_gender_net(arrays: dict[str, Array]) -> bytes:
    """Return face-api's AgeGenderNet (a small Xception, then an average and two dense layers) as float32 TFLite.

    In: R, G, B less the means, over 255. Out: logits of male and female, then years. After src/xception/TinyXception.ts
    and src/ageGenderNet/AgeGenderNet.ts of the npm package @vladmandic/face-api. Needs TensorFlow.
    """
    import tensorflow as tf

    def conv(x: Any, name: str, stride: int) -> Any:
        return tf.nn.conv2d(x, arrays[f"{name}/filters"], stride, "SAME") + arrays[f"{name}/bias"]

    def separable(x: Any, name: str) -> Any:
        filters = arrays[f"{name}/depthwise_filter"], arrays[f"{name}/pointwise_filter"]
        return tf.nn.separable_conv2d(x, *filters, [1, 1, 1, 1], "SAME") + arrays[f"{name}/bias"]

    def reduction(x: Any, name: str, activated: bool = True) -> Any:
        y = separable(tf.nn.relu(x) if activated else x, f"{name}/separable_conv0")
        y = separable(tf.nn.relu(y), f"{name}/separable_conv1")
        return tf.nn.max_pool2d(y, 3, 2, "SAME") + conv(x, f"{name}/expansion_conv", 2)

    def main_block(x: Any, name: str) -> Any:
        y = x
        for number in range(3):
            y = separable(tf.nn.relu(y), f"{name}/separable_conv{number}")
        return x + y

    @tf.function(input_signature=[tf.TensorSpec((1, 112, 112, 3), tf.float32)])  # type: ignore[untyped-decorator]
    def run(face: Any) -> Any:
        x = tf.nn.relu(conv(face, "entry_flow/conv_in", 2))
        x = reduction(x, "entry_flow/reduction_block_0", activated=False)
        x = reduction(x, "entry_flow/reduction_block_1")
        for number in range(2):
            x = main_block(x, f"middle_flow/main_block_{number}")
        x = reduction(x, "exit_flow/reduction_block")
        x = tf.nn.relu(separable(x, "exit_flow/separable_conv"))
        pooled = tf.reshape(tf.nn.avg_pool2d(x, 7, 2, "VALID"), (1, 512))
        heads = [pooled @ arrays[f"fc/{name}/weights"] + arrays[f"fc/{name}/bias"] for name in ("gender", "age")]
        return tf.concat(heads, 1)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([run.get_concrete_function()])
    return bytes(converter.convert())
