"""Print each shipped model's raw outputs for seeded inputs, as JSON: the same on every machine but rounding."""

from __future__ import annotations

import json
import sys

import numpy as np

from edge_agender.imaging.frame import Array
from edge_agender.inference.catalogue import find_model
from edge_agender.inference.network import open_tflite
from edge_agender.inference.tflite import Network

INPUTS = 4
FLOAT_STEP = 0.02  # of a logit, or of a probability: half a year and less


def steps(network: Network, output: str) -> Array:
    """Return what one step of each number of an output amounts to: 1 where it is an integer.

    Floats are what integers stood for, one tensor after the other (training.common.joined); or FLOAT_STEP each, where
    the network reckons in floats.
    """
    tensor = network.outputs[output]
    if tensor.quantized:
        return np.ones(int(np.prod(tensor.shape)))
    if not np.issubdtype(network.input.dtype, np.integer):
        return np.full(int(np.prod(tensor.shape)), FLOAT_STEP)
    interpreter = network._interpreter
    known = {each["index"]: each for each in interpreter.get_tensor_details()}
    operators = interpreter._get_ops_details()
    before = {int(op["outputs"][0]): known[int(op["inputs"][0])] for op in operators if op["op_name"] == "DEQUANTIZE"}
    (join,) = (op for op in operators if op["op_name"] == "CONCATENATION" and int(op["outputs"][0]) == tensor.index)
    parts = [before[int(place)] for place in join["inputs"]]
    return np.repeat([part["quantization"][0] for part in parts], [int(np.prod(part["shape"])) for part in parts])


def outputs(name: str) -> dict[str, object]:
    spec = find_model(name)
    network = open_tflite(spec, spec.networks[0], 1)
    random = np.random.default_rng(11)
    told: dict[str, list[list[int]]] = {}
    for _ in range(INPUTS):
        # Smooth as pictures are: noise alone would leave most of a network silent.
        coarse = random.integers(-128, 128, (1, *(max(side // 8, 1) for side in network.input.shape[1:3]), 1))
        value = np.kron(coarse, np.ones((1, 8, 8, network.input.shape[3])))
        if np.issubdtype(network.input.dtype, np.integer):
            value = value.astype(np.int8)
        else:
            value = ((value + 128) / (1.0 if spec.input.scale == "none" else 127.5)).astype(np.float32)
        for output, array in network.run(value).items():
            in_steps = array.ravel() / steps(network, output)
            told.setdefault(output, []).append([round(float(number)) for number in in_steps])
    return {"operators": sorted(set(network.operators())), "outputs": told}


if __name__ == "__main__":
    json.dump({name: outputs(name) for name in ("face-ssd", "agender-ssrnet", "agender-edge")}, sys.stdout)
