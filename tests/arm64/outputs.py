"""Print what each shipped network says, as JSON: a detector its raw integers, an estimator what is published of a face.

Integers are the same on every machine but for rounding. An estimator reckons in floats and makes integers of every
layer's input by its range, anew each time: a last bit's difference grows there, so its estimates are compared, not its
outputs.
"""

from __future__ import annotations

import json
import sys
import threading

import numpy as np

from edge_agender.capture.sources.demo import DemoSource
from edge_agender.config.settings import DemoConfig, SourceConfig
from edge_agender.imaging.frame import Array
from edge_agender.inference.catalogue import find_model
from edge_agender.inference.network import open_tflite
from edge_agender.inference.tflite import Network
from edge_agender.vision.estimator import ModelEstimator
from edge_agender.vision.pipeline import cut

DETECTORS = ("face-ssd",)
ESTIMATORS = ("agender-ssrnet", "agender-edge")
INPUTS = 4
DEMO = DemoConfig(people=6, pace=False, duration_s=20.0, seed=11)


def opened(name: str) -> Network:
    """Return the first network of a shipped model."""
    spec = find_model(name)
    return open_tflite(spec, spec.networks[0], 1)


def steps(network: Network, output: str) -> Array:
    """Return what one step of each number of an output amounts to: 1 where it is an integer.

    Floats are what integers stood for, one tensor after the other (training.common.joined).
    """
    tensor = network.outputs[output]
    if tensor.quantized:
        return np.ones(int(np.prod(tensor.shape)))
    interpreter = network._interpreter
    known = {each["index"]: each for each in interpreter.get_tensor_details()}
    operators = interpreter._get_ops_details()
    before = {int(op["outputs"][0]): known[int(op["inputs"][0])] for op in operators if op["op_name"] == "DEQUANTIZE"}
    (join,) = (op for op in operators if op["op_name"] == "CONCATENATION" and int(op["outputs"][0]) == tensor.index)
    parts = [before[int(place)] for place in join["inputs"]]
    return np.repeat([part["quantization"][0] for part in parts], [int(np.prod(part["shape"])) for part in parts])


def integers(network: Network) -> dict[str, list[list[int]]]:
    """Return each output for seeded inputs, in quantization steps."""
    random = np.random.default_rng(11)
    told: dict[str, list[list[int]]] = {}
    for _ in range(INPUTS):
        # Smooth as pictures are: noise alone would leave most of a network silent.
        coarse = random.integers(-128, 128, (1, *(max(side // 8, 1) for side in network.input.shape[1:3]), 1))
        value = np.kron(coarse, np.ones((1, 8, 8, network.input.shape[3]))).astype(np.int8)
        for output, array in network.run(value).items():
            in_steps = array.ravel() / steps(network, output)
            told.setdefault(output, []).append([round(float(number)) for number in in_steps])
    return told


def estimates() -> dict[str, list[tuple[float, float]]]:
    """Return years and probability of female of each of the demo's faces, by estimator."""
    estimators = {name: ModelEstimator(find_model(name)) for name in ESTIMATORS}
    told: dict[str, list[tuple[float, float]]] = {name: [] for name in ESTIMATORS}
    with DemoSource(SourceConfig(kind="demo", rate_hz=1.0, demo=DEMO), threading.Event()) as source:
        while (frame := source.read()) is not None:
            with frame:
                boxes = [person.box for person in source.truth(frame.sequence) if person.visible >= 1]
                for name, estimator in estimators.items():
                    said = estimator.estimate([cut(frame.full, box, None, estimator) for box in boxes])
                    told[name] += [(one.years, one.p_female) for one in said if one is not None]
    return told


def main() -> None:
    operators = {name: sorted(set(opened(name).operators())) for name in DETECTORS + ESTIMATORS}
    detectors = {name: integers(opened(name)) for name in DETECTORS}
    json.dump({"operators": operators, "detectors": detectors, "estimators": estimates()}, sys.stdout)


if __name__ == "__main__":
    main()
