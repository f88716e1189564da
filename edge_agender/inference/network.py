"""A ModelSpec's networks, loaded from verified bytes and checked against what the manifest says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import cv2
import numpy as np

from edge_agender.errors import ModelError
from edge_agender.imaging.frame import Array, Picture
from edge_agender.imaging.preprocess import wipe
from edge_agender.inference.catalogue import read_verified
from edge_agender.inference.dnn import DnnNetwork
from edge_agender.inference.encode import as_tensor, picture_values, pixels, scaled
from edge_agender.inference.spec import InputSpec, ModelSpec, NetworkSpec
from edge_agender.inference.tflite import Network, Tensor, dequantize, quantize


class Runner(Protocol):
    @property
    def busy_s(self) -> float:
        """How long the network alone has run so far."""

    def feed(self, picture: Picture) -> dict[str, Array]:
        """Run over a B, G, R or grey picture of any size; return float outputs by name."""


class TfliteRunner:
    def __init__(self, network: Network, spec: InputSpec) -> None:
        self._network, self._spec = network, spec
        self._encode = encoder(network.input, spec) if spec.fixed_scale else None

    @property
    def busy_s(self) -> float:
        return self._network.busy_s

    def feed(self, picture: Picture) -> dict[str, Array]:
        return {name: dequantize(array, self._network.outputs[name]) for name, array in self._run(picture).items()}

    def _run(self, picture: Picture) -> dict[str, Array]:
        if self._encode is None:
            return _run_once(self._network, quantized(picture, self._spec, self._network.input), "nhwc")
        values = pixels(picture, self._spec)
        outputs = self._network.feed(partial(self._encode, values))
        wipe(values, picture)
        return outputs


@dataclass(frozen=True)
class DnnRunner:
    network: DnnNetwork
    spec: InputSpec

    @property
    def busy_s(self) -> float:
        return self.network.busy_s

    def feed(self, picture: Picture) -> dict[str, Array]:
        return _run_once(self.network, picture_values(picture, self.spec), self.spec.layout)


def _run_once(network: Network | DnnNetwork, value: Array, layout: str) -> dict[str, Array]:
    """Run over (h, w, c) values in the network's own type, and overwrite them."""
    tensor = as_tensor(value, layout)
    outputs = network.run(tensor)
    wipe(value, tensor)
    tensor.fill(0)
    return outputs


def lookup_table(tensor: Tensor, spec: InputSpec) -> Array:
    """Return what the network stores for each value of each channel, (1, 256, channels): scaling by one look-up."""
    ramp = np.repeat(np.arange(256, dtype=np.float32)[None, :, None], spec.channels, axis=2)
    return quantize(scaled(ramp, spec), tensor)


def quantized(picture: Picture, spec: InputSpec, tensor: Tensor) -> Array:
    """Return a picture as the network stores its input, where that depends on the picture as a whole."""
    values = picture_values(picture, spec)
    stored = quantize(values, tensor)
    wipe(values, picture, stored)
    return stored


def encoder(tensor: Tensor, spec: InputSpec) -> Callable[[Picture, Array], None]:
    """Return what writes pixels into the network's input, a single picture: scaling and quantizing at once."""
    table = lookup_table(tensor, spec)
    pixel = np.arange(256, dtype=np.uint8)
    if table.dtype == np.int8 and (table[0] == (pixel ^ 128).view(np.int8)[:, None]).all():
        return _flip_bit

    def look_up(picture: Picture, place: Array) -> None:
        found = np.asarray(cv2.LUT(picture, table))
        place[:] = found.reshape(place.shape)
        found.fill(0)

    return look_up


def _flip_bit(picture: Picture, place: Array) -> None:
    """Write pixel - 128, as our own networks want it: twenty times as fast as looking up."""
    np.bitwise_xor(picture, np.uint8(128), out=place.view(np.uint8).reshape(picture.shape))


def open_tflite(spec: ModelSpec, part: NetworkSpec, threads: int) -> Network:
    """Load one of the spec's TFLite networks; raise ModelError where its tensors are not those described."""
    data = read_verified(spec.folder, part.weights)
    network = Network(data, threads, spec.name)
    check_input(network.input, spec.input, spec.name)
    missing = sorted(part.outputs.tensors() - network.outputs.keys())
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


def open_network(spec: ModelSpec, part: NetworkSpec, threads: int) -> Network | DnnNetwork:
    """Load one of the spec's networks, whatever runs it; cv2.dnn has as many threads as cv2, not `threads`."""
    if part.runtime == "tflite":
        return open_tflite(spec, part, threads)
    description = read_verified(spec.folder, part.description) if part.description else None
    return DnnNetwork(part.runtime, read_verified(spec.folder, part.weights), description, spec.name)


def open_runner(spec: ModelSpec, part: NetworkSpec, threads: int) -> Runner:
    """Load one of the spec's networks, to be fed with pictures."""
    network = open_network(spec, part, threads)
    return TfliteRunner(network, spec.input) if isinstance(network, Network) else DnnRunner(network, spec.input)
