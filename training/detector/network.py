"""The face detector's network, described once and read three ways: torch, Keras and a multiply-add counter.

`describe` walks the network with an `ops` object. `TorchOps` makes trainable layers, `training.detector.convert`
has one that makes Keras layers, and `CountOps` counts. One walk keeps the three the same by construction.

The net is YuNet-n (Wu, Peng and Yu: YuNet, a tiny millisecond-level face detector, 2023; libfacedetection.train,
Apache-2.0) layer for layer, so that its published weights fit: pairs of a pointwise and a depthwise convolution and a
top-down pyramid over strides 8, 16 and 32. What differs costs time otherwise. The input is 320x240, not a multiple of
32: the last level has the row that pooling leaves over. A stride of 2 pads behind the picture only, as TFLite does
without a further operator. Each stride's output is a dense 3x3 convolution, the product of YuNet's pointwise and
depthwise pair, and the two logits of a cell, face and quality, are one, their mean. And landmarks have a pair of layers
of their own before them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDES = (8, 16, 32)
INPUT_HEIGHT, INPUT_WIDTH = 240, 320
STEM, WIDTH = 16, 64  # channels up to stride 4, and from there on
OUTPUTS = {"cells": 5, "points": 10}  # channels of each stride: logit and box; landmarks
LOGIT_UNIT = 4.0  # the first channel times this is the logit: the five then have about the same range


class Ops(Protocol):
    """What `describe` needs; x is whatever the interpreter passes along (tensor, Keras tensor, shape)."""

    def conv(
        self,
        name: str,
        x: Any,
        out: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        depthwise: bool = False,
        act: bool = True,
    ) -> Any: ...
    def halve(self, x: Any) -> Any: ...
    def add(self, x: Any, y: Any) -> Any: ...
    def enlarge(self, x: Any, like: Any) -> Any: ...


def channels(x: Any) -> int:
    return int(x.shape[1] if isinstance(x, Tensor) else x.shape[-1])


def _pair(ops: Ops, name: str, x: Any, out: int) -> Any:
    x = ops.conv(f"{name}_pw", x, out, 1, act=False)
    return ops.conv(f"{name}_dw", x, out, 3, depthwise=True)


def describe(ops: Ops, x: Any) -> list[tuple[Any, Any]]:
    """Walk the net over x, B, G, R (n, 240, 320, 3) as 0 to 255; return for each stride (n, h, w, 5) and (n, h, w, 10).

    Of each cell: its logit divided by LOGIT_UNIT, the centre's distance from the cell's upper left corner in strides,
    and the logarithm of the box's width and height in strides; then x and y, in strides from the same corner, of the
    right eye, left eye, nose, and the mouth's right and left corner.
    """
    x = ops.halve(_pair(ops, "body2", ops.conv("stem", x, STEM, 3, 2), STEM))
    x = _pair(ops, "body4_a", x, STEM)
    for part in "bcd":
        x = _pair(ops, f"body4_{part}", x, WIDTH)
    levels = []
    for stride in STRIDES:
        x = ops.halve(x)
        for part in "ab":
            x = _pair(ops, f"body{stride}_{part}", x, WIDTH)
        levels.append(x)
    for i in (2, 1, 0):
        merged = levels[i] if i == 2 else ops.add(levels[i], ops.enlarge(levels[i + 1], levels[i]))
        levels[i] = _pair(ops, f"neck{STRIDES[i]}", merged, WIDTH)
    return [_outputs(ops, stride, level) for stride, level in zip(STRIDES, levels, strict=True)]


def _outputs(ops: Ops, stride: int, x: Any) -> tuple[Any, Any]:
    found = ops.conv(f"cells{stride}", _pair(ops, f"head{stride}", x, WIDTH), OUTPUTS["cells"], act=False)
    return found, ops.conv(f"points{stride}", _pair(ops, f"mark{stride}", x, WIDTH), OUTPUTS["points"], act=False)


class ConvUnit(nn.Module):
    """Convolution and ReLU. Without a norm: the published weights have theirs folded in."""

    def __init__(self, inp: int, out: int, kernel: int, stride: int, depthwise: bool, act: bool) -> None:
        super().__init__()
        padding, groups = kernel // 2 if stride == 1 else 0, inp if depthwise else 1
        self.conv = nn.Conv2d(inp, out, kernel, stride, padding, groups=groups)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        if self.conv.stride[0] == 2:
            x = F.pad(x, (0, 1, 0, 1))
        x = self.conv(x)
        return F.relu(x) if self.act else x


@dataclass
class TorchOps:
    """Makes each layer at its first use, then reuses it."""

    layers: nn.ModuleDict = field(default_factory=nn.ModuleDict)

    def conv(
        self,
        name: str,
        x: Tensor,
        out: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        depthwise: bool = False,
        act: bool = True,
    ) -> Tensor:
        if name not in self.layers:
            self.layers[name] = ConvUnit(x.shape[1], out, kernel, stride, depthwise, act)
        return self.layers[name](x)

    def halve(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2, ceil_mode=True)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y

    def enlarge(self, x: Tensor, like: Tensor) -> Tensor:
        height, width = like.shape[2:]
        return F.interpolate(x, scale_factor=2, mode="nearest")[:, :, :height, :width]


class FaceNet(nn.Module):
    """Trainable detector; input (n, 3, h, w) of 0 to 255, output (n, cells, 15) with logits in full."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self._ops = TorchOps(self.layers)
        self.eval()
        with torch.no_grad():
            self(torch.zeros(1, 3, 64, 64))
        self.train()

    def forward(self, x: Tensor) -> Tensor:
        levels = [torch.cat(maps, 1) for maps in describe(self._ops, x)]
        rows = torch.cat([level.permute(0, 2, 3, 1).flatten(1, 2) for level in levels], 1).float()
        return torch.cat([rows[..., :1] * LOGIT_UNIT, rows[..., 1:]], -1)


@dataclass(frozen=True)
class _Map:
    shape: tuple[int, int, int]


@dataclass
class CountOps:
    """Counts multiply-adds and parameters of the net; x is a (h, w, c) array-like with `.shape`."""

    macs: int = 0
    params: int = 0

    def conv(
        self,
        name: str,
        x: Any,
        out: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        depthwise: bool = False,
        act: bool = True,
    ) -> Any:
        h, w, inp = x.shape
        h, w = -(-h // stride), -(-w // stride)
        weights = kernel * kernel * out * (1 if depthwise else inp)
        self.macs += h * w * weights
        self.params += weights + out
        return _Map((h, w, out))

    def halve(self, x: Any) -> Any:
        h, w, c = x.shape
        return _Map((-(-h // 2), -(-w // 2), c))

    def add(self, x: Any, y: Any) -> Any:
        return x

    def enlarge(self, x: Any, like: Any) -> Any:
        return like


def count(height: int = INPUT_HEIGHT, width: int = INPUT_WIDTH) -> tuple[int, int]:
    """Return (multiply-adds, parameters) of one picture through the net."""
    ops = CountOps()
    describe(ops, _Map((height, width, 3)))
    return ops.macs, ops.params


def cells(height: int, width: int) -> Tensor:
    """Return each cell's corner and stride (x, y, stride) in pixels, (cells, 3), in the order of `FaceNet.forward`."""
    rows = []
    for stride in STRIDES:
        h, w = -(-height // stride), -(-width // stride)
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        rows.append(torch.stack([x.flatten() * stride, y.flatten() * stride, torch.full((h * w,), stride)], 1).float())
    return torch.cat(rows)
