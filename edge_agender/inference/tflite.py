"""One TFLite network: raw arrays in, raw arrays out. The only module that imports an interpreter.

`ai-edge-litert` where it is installed, else `tflite-runtime`, its predecessor; never TensorFlow itself.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO, Any

import numpy as np

from edge_agender.errors import ModelError
from edge_agender.imaging.frame import Array

_RUNTIMES = ("ai_edge_litert", "tflite_runtime")
# What XNNPACK says of itself on stderr each time; it has no switch for it.
_CHATTER = (b"INFO: Created TensorFlow Lite", b"INFO: Initialized TensorFlow Lite")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output; a quantized value means (value - zero_point) * scale, and scale is 0 for floats."""

    name: str
    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero_point: int

    @property
    def quantized(self) -> bool:
        return self.scale > 0


def quantize(values: Array, tensor: Tensor) -> Array:
    """Return `values` as the tensor stores them: rounded and limited to its integers, or cast to its float type."""
    if not tensor.quantized:
        return values.astype(tensor.dtype, copy=False)
    limits = np.iinfo(tensor.dtype)
    stored = np.rint(values / tensor.scale) + tensor.zero_point
    return np.asarray(np.clip(stored, limits.min, limits.max), tensor.dtype)


def dequantize(stored: Array, tensor: Tensor) -> Array:
    """Return the values, float32, that the tensor's integers stand for; floats pass as they are."""
    if not tensor.quantized:
        return stored
    values: Array = np.subtract(stored, tensor.zero_point, dtype=np.float32)
    values *= np.float32(tensor.scale)
    return values


class Network:
    """A loaded network with one input. Not for use by two threads at once.

    `outputs` are named as in the model's signature, or by their tensors where it has none.
    """

    def __init__(self, model: bytes, threads: int = 1, name: str = "model") -> None:
        """Load a TFLite flatbuffer; raise ModelError where it is none or cannot run here."""
        self._name = name
        interpreter_class = _interpreter_class()
        try:
            with _quiet_stderr():
                self._interpreter = interpreter_class(model_content=model, num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{name}: not a TFLite model that can run here: {_one_line(error)}") from None
        inputs = self._interpreter.get_input_details()
        if len(inputs) != 1:
            raise ModelError(f"{name}: has {len(inputs)} inputs, expected one picture")
        self.input = _tensor(inputs[0]["name"], inputs[0])
        self.outputs: Mapping[str, Tensor] = MappingProxyType(_named_outputs(self._interpreter))
        # How long it has run so far, without what is done about its input and outputs.
        self.busy_s = 0.0
        # A function: what it returns must be gone before the interpreter runs.
        self._place = self._interpreter.tensor(self.input.index)
        self._indices = [(name, tensor.index) for name, tensor in self.outputs.items()]

    def run(self, value: Array) -> dict[str, Array]:
        """Run once over an array of the input's shape and type; return each output as it is stored."""
        if value.shape != self.input.shape or value.dtype != self.input.dtype:
            raise ModelError(f"{self._name}: given {_kind(value)}, it takes {_kind(self.input)}")
        return self.feed(lambda place: np.copyto(place, value))

    def feed(self, fill: Callable[[Array], None]) -> dict[str, Array]:
        """Run once over what `fill` writes into the interpreter's own input; return each output as it is stored.

        `fill` must not keep the array. The outputs are copies: a view into the interpreter would change, or dangle,
        with its next run. The input is overwritten afterwards: it is a picture.
        """
        try:
            fill(self._place())
            began_s = time.perf_counter()
            self._interpreter.invoke()
            self.busy_s += time.perf_counter() - began_s
            return {name: self._interpreter.get_tensor(index) for name, index in self._indices}
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{self._name}: {_one_line(error)}") from None
        finally:
            self._place().fill(0)

    def operators(self) -> list[str]:
        """Return the operators that run, in the graph's order; each DELEGATE is a stretch of it that XNNPACK runs."""
        known = self._interpreter._get_ops_details()  # those that a DELEGATE replaces are among them
        delegates = [op for op in known if op["op_name"] == "DELEGATE"]
        others = [op for op in known if op["op_name"] != "DELEGATE"]
        makers = {int(made): op for op in others for made in op["outputs"]}
        replaced: set[int] = set()
        for delegate in delegates:
            given, wanted = set(map(int, delegate["inputs"])), list(map(int, delegate["outputs"]))
            while wanted:
                tensor = wanted.pop()
                maker = None if tensor in given else makers.get(tensor)
                if maker and maker["index"] not in replaced:
                    replaced.add(maker["index"])
                    wanted.extend(map(int, maker["inputs"]))
        return [str(op["op_name"]) for op in known if op["index"] not in replaced]


def preload() -> None:
    """Import the interpreter now, if there is one; who needs it will be told where there is none."""
    with suppress(ModelError):
        _interpreter_class()


def runtime_name() -> str:
    """Return the interpreter's package, such as ai_edge_litert; raise ModelError where none is installed."""
    return str(_interpreter_class().__module__).partition(".")[0]


def _interpreter_class() -> Any:
    for package in _RUNTIMES:
        try:
            module = importlib.import_module(f"{package}.interpreter")
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith(package):
                raise ModelError(f"{package} cannot be loaded: {_one_line(error)}: install it again") from None
        except (ImportError, OSError) as error:
            raise ModelError(f"{package} cannot be loaded: {_one_line(error)}: see docs/models.md, Runtimes") from None
        else:
            # Built against NumPy 1, tflite-runtime imports under NumPy 2 and fails at its first call.
            if package == "tflite_runtime" and int(np.__version__.split(".")[0]) >= 2:
                raise ModelError("tflite-runtime needs NumPy 1: pip install ai-edge-litert, or 'numpy<2'")
            return module.Interpreter
    raise ModelError("no TFLite interpreter is installed: pip install ai-edge-litert")


def _named_outputs(interpreter: Any) -> dict[str, Tensor]:
    plain = {
        str(details["name"]): _tensor(str(details["name"]), details) for details in interpreter.get_output_details()
    }
    if len(interpreter.get_signature_list()) != 1:
        return plain
    named = interpreter.get_signature_runner().get_output_details()
    # A signature reports shapes before allocation in some versions: take them from the interpreter.
    by_index = {tensor.index: tensor for tensor in plain.values()}
    if not {details["index"] for details in named.values()} <= by_index.keys():
        return plain
    return {
        str(name): Tensor(str(name), *_rest(by_index[int(details["index"])])) for name, details in sorted(named.items())
    }


def _rest(tensor: Tensor) -> tuple[int, tuple[int, ...], np.dtype[Any], float, int]:
    return tensor.index, tensor.shape, tensor.dtype, tensor.scale, tensor.zero_point


def _tensor(name: str, details: Mapping[str, Any]) -> Tensor:
    scale, zero_point = details["quantization"]
    shape = tuple(int(size) for size in details["shape"])
    return Tensor(name, int(details["index"]), shape, np.dtype(details["dtype"]), float(scale), int(zero_point))


def _kind(array: Array | Tensor) -> str:
    return f"{array.dtype}{list(array.shape)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Hold back the delegate's chatter on file descriptor 2; anything else written meanwhile comes out after."""
    try:
        saved = os.dup(2)
    except OSError:  # stderr is closed: there is nobody to spare
        yield
        return
    with _scratch() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            held.seek(0)
            for line in held:
                if not line.startswith(_CHATTER):
                    os.write(saved, line)
            os.close(saved)


def _scratch() -> IO[bytes]:
    # In memory where possible: a sandboxed service may have no temporary folder.
    return os.fdopen(os.memfd_create("stderr"), "w+b") if sys.platform == "linux" else tempfile.TemporaryFile()
