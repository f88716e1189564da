"""A ModelSpec's networks, loaded from verified bytes and checked against what the manifest says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge_agender.dnn import DnnNetwork
from edge_agender.errors import ModelError
from edge_agender.model_input import as_tensor, picture_values
from edge_agender.model_spec import InputSpec, ModelSpec, NetworkSpec
from edge_agender.models import read_verified
from edge_agender.records import Array, Picture
from edge_agender.tflite import Network, Tensor, dequantize, quantize


class Runner(Protocol):
    def feed(self, values: Array) -> dict[str, Array]:
        """Run over scaled values (height, width, channels); return float outputs by name."""


@dataclass(frozen=True)
class TfliteRunner:
    network: Network

    def feed(self, values: Array) -> dict[str, Array]:
        stored = self.network.run(quantize(as_tensor(values, "nhwc"), self.network.input))
        return {name: dequantize(array, self.network.outputs[name]) for name, array in stored.items()}


@dataclass(frozen=True)
class DnnRunner:
    network: DnnNetwork
    layout: str

    def feed(self, values: Array) -> dict[str, Array]:
        return self.network.run(as_tensor(values, self.layout))


def open_tflite(spec: ModelSpec, part: NetworkSpec, threads: int) -> Network:
    """Load one of the spec's TFLite networks; raise ModelError where its tensors are not those described."""
    data = read_verified(spec.folder, part.weights)
    network = Network(data, threads, spec.name)
    check_input(network.input, spec.input, spec.name)
    wanted = part.outputs.tensors() | (spec.detection.tensors() if spec.detection else set())
    missing = sorted(wanted - network.outputs.keys())
    if missing:
        raise ModelError(f"{spec.name}: has no output {', '.join(missing)}; it has {', '.join(network.outputs)}")
    return network


def check_input(tensor: Tensor, spec: InputSpec, name: str) -> None:
    """Raise ModelError unless the network's input has the shape and type that its manifest says."""
    if tensor.shape != spec.shape or tensor.dtype != np.dtype(spec.dtype):
        raise ModelError(
            f"{name}: its input is {tensor.dtype}{list(tensor.shape)}, the manifest says {spec.dtype}{list(spec.shape)}"
        )
    if tensor.dtype.kind in "iu" and not tensor.quantized:
        raise ModelError(f"{name}: its {tensor.dtype} input carries no quantization scale")


def open_runner(spec: ModelSpec, part: NetworkSpec, threads: int) -> Runner:
    """Load one of the spec's networks, whatever runs it."""
    if part.runtime == "tflite":
        return TfliteRunner(open_tflite(spec, part, threads))
    description = read_verified(spec.folder, part.description) if part.description else None
    weights = read_verified(spec.folder, part.weights)
    return DnnRunner(DnnNetwork(part.runtime, weights, description, spec.name), spec.input.layout)


def outputs_for(runner: Runner, picture: Picture, spec: InputSpec) -> dict[str, Array]:
    """Return a runner's float outputs for one picture."""
    return runner.feed(picture_values(picture, spec))
