"""The estimator's networks: an SSR-Net for age and gender, and the larger teacher that it learns from.

`describe` walks the SSR-Net with an `ops` object: TorchOps makes trainable layers, training.estimator.convert Keras
ones, CountOps counts multiply-adds. One walk keeps the three the same.

SSR-Net (Yang et al., IJCAI 2018) has two streams that see differently (ReLU with averaging, tanh with maxima), joined
by a product at three depths, and says an age in three stages, each refining the one before. Here both tasks share the
streams, convolutions are followed by residual blocks where pictures are small, and the deepest features say the
coarsest stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BINS = (3, 3, 3)
RANGE_YEARS = 101.0
# By name, in the order in which the shipped model's one output holds them.
OUTPUTS = (*(f"{kind}{stage}" for kind in "pod" for stage in range(1, len(BINS) + 1)), "log_variance", "gender")
Activation = Literal["relu", "tanh", "none"]


@dataclass(frozen=True)
class Shape:
    """Channels of both streams at strides 2 to 16; residual blocks at 4, 8 and 16; width of the joined features."""

    sharp: tuple[int, int, int, int] = (16, 32, 56, 80)
    blocks: tuple[int, int, int] = (2, 2, 0)
    soft: tuple[int, int, int, int] = (16, 24, 32, 48)
    joined: tuple[int, int, int] = (24, 40, 64)


class Ops(Protocol):
    """What `describe` needs; x is whatever the interpreter passes along."""

    def conv(self, name: str, x: Any, out: int, kernel: int, stride: int, act: Activation) -> Any: ...
    def add(self, x: Any, y: Any) -> Any:
        """ReLU of the sum."""

    def times(self, x: Any, y: Any) -> Any: ...
    def halve(self, x: Any) -> Any:
        """Maximum of 2 x 2."""

    def mean(self, x: Any) -> Any: ...
    def join(self, parts: Sequence[Any]) -> Any: ...
    def dense(self, name: str, x: Any, out: int, act: Literal["none", "tanh", "softmax"]) -> Any: ...


def describe(ops: Ops, x: Any, shape: Shape) -> dict[str, Any]:
    """Walk the net over crops (n, 64, 64, 3), B, G, R, as (pixel - 128) / 64.

    Returns by name: p1..p3, probabilities of the stages' bins (n, 3); o1..o3, offsets of the bins (n, 3) in -1..1;
    d1..d3, deltas of the bins' width (n, 1) in -1..1; log_variance of the age (n, 1); gender, the logit of female.
    """
    sharp = _sharp(ops, x, shape)
    soft = _soft(ops, x, shape)
    features = []
    for depth, (a, b, width) in enumerate(zip(sharp, soft, shape.joined, strict=True)):
        left = ops.conv(f"join{depth}_sharp", a, width, 1, 1, "relu")
        right = ops.conv(f"join{depth}_soft", b, width, 1, 1, "tanh")
        # The averages of the sharp stream go along, since a product forgets whatever the other stream is blind to.
        features += [ops.mean(ops.times(left, right)), ops.mean(left)]
    deep, middle, all_of_it = features[4:], features[2:], features
    outputs = {}
    for stage, parts in enumerate((deep, middle, all_of_it), start=1):
        seen = ops.join(parts)
        outputs[f"p{stage}"] = ops.dense(f"p{stage}", seen, BINS[stage - 1], "softmax")
        outputs[f"o{stage}"] = ops.dense(f"o{stage}", seen, BINS[stage - 1], "tanh")
        outputs[f"d{stage}"] = ops.dense(f"d{stage}", seen, 1, "tanh")
    seen = ops.join(all_of_it)
    outputs["log_variance"] = ops.dense("log_variance", seen, 1, "none")
    outputs["gender"] = ops.dense("gender", seen, 1, "none")
    return outputs


def _sharp(ops: Ops, x: Any, shape: Shape) -> list[Any]:
    x = ops.conv("sharp0", x, shape.sharp[0], 3, 2, "relu")
    taps = []
    for depth, (width, blocks) in enumerate(zip(shape.sharp[1:], shape.blocks, strict=True), start=1):
        x = ops.conv(f"sharp{depth}", x, width, 3, 2, "relu")
        for block in range(blocks):
            name = f"sharp{depth}_{block}"
            x = ops.add(x, ops.conv(f"{name}b", ops.conv(f"{name}a", x, width // 2, 3, 1, "relu"), width, 3, 1, "none"))
        taps.append(x)
    return taps


def _soft(ops: Ops, x: Any, shape: Shape) -> list[Any]:
    x = ops.conv("soft0", x, shape.soft[0], 3, 2, "tanh")
    taps = []
    for depth, width in enumerate(shape.soft[1:], start=1):
        x = ops.halve(ops.conv(f"soft{depth}", x, width, 3, 1, "tanh"))
        taps.append(x)
    return taps


class ConvUnit(nn.Module):
    """Convolution, batch norm, activation; folds into one int8 convolution."""

    def __init__(self, inp: int, out: int, kernel: int, stride: int, act: Activation) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inp, out, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(out, momentum=0.03)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return F.relu(x) if self.act == "relu" else torch.tanh(x) if self.act == "tanh" else x


@dataclass
class TorchOps:
    """Makes each layer at its first use, then reuses it."""

    layers: nn.ModuleDict = field(default_factory=nn.ModuleDict)

    def conv(self, name: str, x: Tensor, out: int, kernel: int, stride: int, act: Activation) -> Tensor:
        if name not in self.layers:
            self.layers[name] = ConvUnit(x.shape[1], out, kernel, stride, act)
        return self.layers[name](x)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        return F.relu(x + y)

    def times(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y

    def halve(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2)

    def mean(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(parts), 1)

    def dense(self, name: str, x: Tensor, out: int, act: str) -> Tensor:
        if name not in self.layers:
            self.layers[name] = nn.Linear(x.shape[1], out)
        y = self.layers[name](x).float()
        return y.softmax(1) if act == "softmax" else y.tanh() if act == "tanh" else y


class SSRNet(nn.Module):
    """Trainable estimator; input (n, 3, 64, 64), output as `describe` says."""

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape or Shape()
        self.layers = nn.ModuleDict()
        self._ops = TorchOps(self.layers)
        self.eval()
        with torch.no_grad():
            self(torch.zeros(1, 3, 64, 64))
        self.train()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return describe(self._ops, x, self.shape)


def years(outputs: dict[str, Tensor]) -> Tensor:
    """Return ages (n,) from the stages: edge_agender.vision.decode.stagewise, differentiable and for a batch."""
    width, total = torch.full_like(outputs["d1"][:, 0], RANGE_YEARS), torch.zeros_like(outputs["d1"][:, 0])
    for stage, bins in enumerate(BINS, start=1):
        width = width / (bins * (1 + outputs[f"d{stage}"][:, 0]).clamp(min=0.05))
        places = torch.arange(bins, device=width.device) + outputs[f"o{stage}"]
        total = total + (outputs[f"p{stage}"] * places).sum(1) * width
    return total


@dataclass
class CountOps:
    """Counts multiply-adds and parameters of the folded net; x is a shape (h, w, c) or (c,)."""

    macs: int = 0
    params: int = 0

    def conv(self, name: str, x: tuple[int, ...], out: int, kernel: int, stride: int, act: str) -> tuple[int, ...]:
        h, w = -(-x[0] // stride), -(-x[1] // stride)
        self.macs += h * w * kernel * kernel * x[2] * out
        self.params += kernel * kernel * x[2] * out + out
        return h, w, out

    def add(self, x: tuple[int, ...], y: tuple[int, ...]) -> tuple[int, ...]:
        return x

    def times(self, x: tuple[int, ...], y: tuple[int, ...]) -> tuple[int, ...]:
        return x

    def halve(self, x: tuple[int, ...]) -> tuple[int, ...]:
        return x[0] // 2, x[1] // 2, x[2]

    def mean(self, x: tuple[int, ...]) -> tuple[int, ...]:
        return (x[2],)

    def join(self, parts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        return (sum(part[0] for part in parts),)

    def dense(self, name: str, x: tuple[int, ...], out: int, act: str) -> tuple[int, ...]:
        self.macs += x[0] * out
        self.params += x[0] * out + out
        return (out,)


def count(shape: Shape) -> tuple[int, int]:
    """Return (multiply-adds, parameters) of one crop through the folded net."""
    ops = CountOps()
    describe(ops, (64, 64, 3), shape)
    return ops.macs, ops.params
