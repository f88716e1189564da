"""The face detector's network, described once and read three ways: torch, Keras and a multiply-add counter.

`describe` walks the network with an `ops` object. `TorchOps` makes trainable layers, `training.detector.convert`
has one that makes Keras layers, and `CountOps` counts. One walk keeps the three the same by construction.

The net is a single-shot detector without anchors (FCOS, Tian et al. 2019; the level-sharing of SCRFD, Guo et al. 2021):
dense 3x3 convolutions where the picture is large and channels are few, depthwise-separable ones (MobileNet, Howard et
al. 2017) elsewhere, a top-down pyramid (FPN, Lin et al. 2017), and a light head for each stride.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDES = (8, 16, 32)
INPUT_HEIGHT, INPUT_WIDTH = 240, 320


@dataclass(frozen=True)
class Shape:
    """Width of each part in channels, and how many residual blocks each stride has."""

    stem: int = 16
    stages: tuple[int, int, int, int] = (24, 48, 80, 112)  # strides 4, 8, 16, 32
    blocks: tuple[int, int, int, int] = (0, 2, 2, 2)
    dense: tuple[bool, bool, bool, bool] = (False, True, True, False)
    neck: int = 48


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
        norm: bool = True,
    ) -> Any: ...
    def add(self, x: Any, y: Any) -> Any: ...
    def enlarge(self, x: Any, like: Any) -> Any: ...


def channels(x: Any) -> int:
    return int(x.shape[1] if isinstance(x, Tensor) else x.shape[-1])


def _separable(ops: Ops, name: str, x: Any, out: int, stride: int = 1, act: bool = True) -> Any:
    x = ops.conv(f"{name}_dw", x, channels(x), 3, stride, depthwise=True)
    return ops.conv(f"{name}_pw", x, out, 1, act=act)


def _residual(ops: Ops, name: str, x: Any, dense: bool) -> Any:
    if dense:
        y = ops.conv(f"{name}_in", x, channels(x) // 2, 1)
        y = ops.conv(f"{name}_out", y, channels(x), 3)
    else:
        y = _separable(ops, name, x, channels(x))
    return ops.add(x, y)


def describe(ops: Ops, x: Any, shape: Shape) -> list[tuple[Any, Any]]:
    """Walk the net over x, luma (n, 240, 320, 1) as (pixel - 128) / 64.

    Returns for each stride (scores, boxes): logits (n, h, w, 1), and distances from the cell's centre to the box's
    left, top, right and bottom in strides (n, h, w, 4). They may be negative: a tiny face can lie beside the centre.
    """
    x = ops.conv("stem", x, shape.stem, 3, 2)
    features = []
    for index, (width, count, dense) in enumerate(zip(shape.stages, shape.blocks, shape.dense, strict=True)):
        x = ops.conv(f"down{index}", x, width, 3, 2)
        for block in range(count):
            x = _residual(ops, f"body{index}_{block}", x, dense)
        features.append(x)
    levels = [ops.conv(f"lateral{i}", feature, shape.neck, 1) for i, feature in enumerate(features[1:])]
    for i in (1, 0):
        merged = ops.add(levels[i], ops.enlarge(levels[i + 1], levels[i]))
        levels[i] = _separable(ops, f"merge{i}", merged, shape.neck)
    return [_head(ops, stride, level, shape.neck) for stride, level in zip(STRIDES, levels, strict=True)]


def _head(ops: Ops, stride: int, x: Any, width: int) -> tuple[Any, Any]:
    x = _separable(ops, f"head{stride}_a", x, width)
    x = _separable(ops, f"head{stride}_b", x, width)
    return (
        ops.conv(f"score{stride}", x, 1, 1, act=False, norm=False),
        ops.conv(f"box{stride}", x, 4, 1, act=False, norm=False),
    )


class ConvUnit(nn.Module):
    """Convolution, batch norm, ReLU6; folds into one int8 convolution."""

    def __init__(self, inp: int, out: int, kernel: int, stride: int, depthwise: bool, act: bool, norm: bool) -> None:
        super().__init__()
        groups = inp if depthwise else 1
        self.conv = nn.Conv2d(inp, out, kernel, stride, kernel // 2, groups=groups, bias=not norm)
        self.norm = nn.BatchNorm2d(out, momentum=0.03) if norm else None
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        return F.relu6(x) if self.act else x


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
        norm: bool = True,
    ) -> Tensor:
        if name not in self.layers:
            self.layers[name] = ConvUnit(x.shape[1], out, kernel, stride, depthwise, act, norm)
        return self.layers[name](x)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y

    def enlarge(self, x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


class FaceSSD(nn.Module):
    """Trainable detector; input (n, 1, h, w), outputs logits (n, cells) and distances in strides (n, cells, 4)."""

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape or Shape()
        self.layers = nn.ModuleDict()
        self._ops = TorchOps(self.layers)
        self.eval()
        with torch.no_grad():
            self.maps(torch.zeros(1, 1, 64, 64))
        self.train()
        for stride in STRIDES:  # start at p = 0.01 and boxes four strides wide (focal loss, Lin et al. 2017)
            nn.init.constant_(self.layers[f"score{stride}"].conv.bias, -4.6)
            nn.init.constant_(self.layers[f"box{stride}"].conv.bias, 2.0)
            nn.init.normal_(self.layers[f"box{stride}"].conv.weight, std=0.01)
            nn.init.normal_(self.layers[f"score{stride}"].conv.weight, std=0.01)

    def maps(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        return describe(self._ops, x, self.shape)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.maps(x)
        scores = torch.cat([score.flatten(1) for score, _ in maps], 1)
        boxes = torch.cat([box.permute(0, 2, 3, 1).flatten(1, 2) for _, box in maps], 1)
        return scores.float(), boxes.float()


@dataclass
class CountOps:
    """Counts multiply-adds and parameters of the folded net; x is a (h, w, c) array-like with `.shape`."""

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
        norm: bool = True,
    ) -> Any:
        h, w, inp = x.shape
        h, w = -(-h // stride), -(-w // stride)
        weights = kernel * kernel * out * (1 if depthwise else inp)
        self.macs += h * w * weights
        self.params += weights + out
        return _Map((h, w, out))

    def add(self, x: Any, y: Any) -> Any:
        return x

    def enlarge(self, x: Any, like: Any) -> Any:
        h, w, c = like.shape
        self.macs += 4 * h * w * c
        return like


@dataclass(frozen=True)
class _Map:
    shape: tuple[int, int, int]


def count(shape: Shape, height: int = INPUT_HEIGHT, width: int = INPUT_WIDTH) -> tuple[int, int]:
    """Return (multiply-adds, parameters) of one picture through the folded net."""
    ops = CountOps()
    describe(ops, _Map((height, width, 1)), shape)
    return ops.macs, ops.params


def cells(height: int, width: int) -> Tensor:
    """Return each cell's (x, y, stride) in pixels, (cells, 3), in the order of `FaceSSD.forward`."""
    rows = []
    for stride in STRIDES:
        h, w = -(-height // stride), -(-width // stride)
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        rows.append(
            torch.stack(
                [(x.flatten() + 0.5) * stride, (y.flatten() + 0.5) * stride, torch.full((h * w,), float(stride))], 1
            )
        )
    return torch.cat(rows)
