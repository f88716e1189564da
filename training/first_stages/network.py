"""The student: two stages of EdgeFace-XS as they are, three blocks of its third, narrowed, and SSR-Net's head.

The first stages stay as recognition taught them (their weights int8); what is trained is what comes after, from the
same network's weights. Ages are said as SSR-Net says them (Yang et al., 2018): three stages of three bins.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.common.export import Floats
from training.estimator.edge import Walk, Weights, to_tflite
from training.estimator.network import OUTPUTS

INPUT_PX = 64
GROWN_PX = 96  # faces are recognised at 112; at 96 the net stays within 40 M multiply-adds
MAP, FIRST_MAP = (12, 12, 64), (24, 24, 32)
CHANNELS, INNER, BLOCKS, HIDDEN = 100, 136, 3, 32
NORM_EPSILON = 1e-6
COLUMNS = {
    "p1": (0, 3), "p2": (3, 6), "p3": (6, 9), "o1": (9, 12), "o2": (12, 15), "o3": (15, 18),
    "d1": (18, 19), "d2": (19, 20), "d3": (20, 21), "log_variance": (21, 22), "gender": (22, 23),
}  # fmt: skip
assert tuple(COLUMNS) == OUTPUTS
AGE_ROWS = 21  # of the last layer's, which say the age


class Norm(nn.Module):
    """Layer norm over the last axis."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, (x.shape[-1],), self.weight, self.bias, NORM_EPSILON)


class Block(nn.Module):
    """EdgeNeXt's block: a depthwise convolution, then two dense layers on every place; (n, h, w, c)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(CHANNELS, CHANNELS, 7, 1, 3, groups=CHANNELS)
        self.norm, self.gamma = Norm(CHANNELS), nn.Parameter(torch.ones(CHANNELS))
        self.fc1, self.fc2 = nn.Linear(CHANNELS, INNER), nn.Linear(INNER, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv_dw(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.gamma * self.fc2(F.gelu(self.fc1(self.norm(y))))


class Upper(nn.Module):
    """What is trained. Takes the first stages' map (n, 12, 12, 64); returns the outputs by name and 96 features."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.down = Norm(MAP[2]), nn.Conv2d(MAP[2], CHANNELS, 2, 2)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.last, self.drop = Norm(CHANNELS), nn.Dropout(0.1)
        self.hidden, self.bn = nn.Linear(9 * CHANNELS, HIDDEN), nn.BatchNorm1d(HIDDEN, momentum=0.02)
        self.out, self.fd = nn.Linear(HIDDEN, 23), nn.Linear(9 * CHANNELS, 96)

    def grid(self, x: Tensor) -> Tensor:
        """Return what was seen (n, 900), by channel and then by place of nine."""
        x = self.down(self.norm(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x)
        return F.avg_pool2d(self.last(x).permute(0, 3, 1, 2), 2).flatten(1)

    def hidden_layer(self, grid: Tensor) -> Tensor:
        return F.gelu(self.bn(self.hidden(self.drop(grid))))

    def forward(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        grid = self.grid(x)
        return named(self.out(self.hidden_layer(grid)).float()), self.fd(grid).float()


def named(values: Tensor) -> dict[str, Tensor]:
    """Return the outputs by name, from what the last layer says (n, 23)."""
    parts = {name: values[:, start:end] for name, (start, end) in COLUMNS.items()}
    ways = {"p": lambda x: x.softmax(1), "o": torch.tanh, "d": torch.tanh}
    return {name: ways.get(name[0], lambda x: x)(part) for name, part in parts.items()}


def started(teacher: Path) -> Upper:
    """Return a net with the recognition network's weights, its dense layers narrowed to the units that weigh most."""
    net, weights = Upper(), Weights(teacher)
    state = net.state_dict()

    def put(name: str, value: Floats) -> None:
        state[name] = torch.from_numpy(np.ascontiguousarray(value))

    for ours, theirs in (("norm", "downsample.0"), ("down", "downsample.1")):
        for kind in ("weight", "bias"):
            put(f"{ours}.{kind}", weights[f"stages.2.{theirs}.{kind}"])
    for index in range(BLOCKS):
        name = f"stages.2.blocks.{index}"
        for part in ("conv_dw.weight", "conv_dw.bias", "norm.weight", "norm.bias", "gamma"):
            put(f"blocks.{index}.{part}", weights[f"{name}.{part}"])
        (into, into_bias), (back, back_bias) = weights.dense(f"{name}.mlp.fc1"), weights.dense(f"{name}.mlp.fc2")
        given = np.linalg.norm(into * weights[f"{name}.norm.weight"][:, None], axis=0)
        kept = np.argsort(-given * np.linalg.norm(back * weights[f"{name}.gamma"], axis=1))[:INNER]
        put(f"blocks.{index}.fc1.weight", into[:, kept].T)
        put(f"blocks.{index}.fc1.bias", into_bias[kept])
        put(f"blocks.{index}.fc2.weight", back[kept].T)
        put(f"blocks.{index}.fc2.bias", back_bias)
    net.load_state_dict(state)
    with torch.no_grad():
        net.out.weight.mul_(0.5)
        net.out.bias[21], net.out.bias[22] = 4.0, 0.0
    return net


class FullWalk(Walk):
    """The whole net as Keras layers, for one crop (1, 64, 64, 3), B, G, R, 0 to 255."""

    def first_stage(self, x: Any) -> Any:
        """Return the first stage's map (1, 24, 24, 32)."""
        x = self.ops.image.resize(x, (GROWN_PX, GROWN_PX), interpolation="bilinear")
        weight = self.w["stem.0.weight"].transpose(2, 3, 1, 0)[:, :, ::-1]  # takes B, G, R
        bias = self.w["stem.0.bias"] - weight.sum((0, 1, 2))
        x = self.with_weights(self.k.Conv2D(bias.size, 4, 4, "valid"), x, weight / 127.5, bias)
        x = self.norm(x) * self.w["stem.1.weight"] + self.w["stem.1.bias"]
        for block in range(3):
            x = self.block(f"stages.0.blocks.{block}", x)
        return x

    def first_stages(self, x: Any) -> Any:
        """Return the second stage's map (1, 12, 12, 64)."""
        x = self.downsampled("stages.1.downsample", self.first_stage(x))
        for block in range(2):
            x = self.block(f"stages.1.blocks.{block}", x)
        return self.split_block("stages.1.blocks.2", x, 2)

    def upper(self, x: Any, state: dict[str, Floats]) -> Any:
        """Return the 23 numbers (1, 23) that the run time reads."""
        down = state["down.weight"].transpose(2, 3, 1, 0)
        bias = state["down.bias"] + np.einsum("hwio,i->o", down, state["norm.bias"])
        down = down * state["norm.weight"][:, None]
        x = self.with_weights(self.k.Conv2D(CHANNELS, 2, 2, "valid"), self.norm(x), down, bias)
        for index in range(BLOCKS):
            part = {name.removeprefix(f"blocks.{index}."): value for name, value in state.items()}
            x = self.narrow_block(x, part)
        x = self.ops.reshape(self.k.AveragePooling2D(2)(self.norm(x)), (1, 9 * CHANNELS))
        values = self.said(self.with_weights(self.k.Dense(HIDDEN, activation="gelu"), x, *_hidden(state)), state)
        parts = [self.ops.softmax(values[:, start : start + 3], axis=-1) for start in (0, 3, 6)]
        return self.k.Concatenate()([*parts, self.ops.tanh(values[:, 9:21]), values[:, 21:23]])

    def said(self, x: Any, state: dict[str, Floats]) -> Any:
        return self.with_weights(self.k.Dense(23), x, state["out.weight"].T, state["out.bias"])

    def narrow_block(self, x: Any, part: dict[str, Floats]) -> Any:
        kernel = part["conv_dw.weight"].transpose(2, 3, 0, 1)
        y = self.with_weights(self.k.DepthwiseConv2D(kernel.shape[0], 1, "same"), x, kernel, part["conv_dw.bias"])
        into = part["fc1.weight"].T
        bias = part["fc1.bias"] + part["norm.bias"] @ into
        into = into * part["norm.weight"][:, None]
        y = self.with_weights(self.k.Conv2D(INNER, 1, activation="gelu"), self.norm(y), into[None, None], bias)
        back = part["fc2.weight"].T * part["gamma"]
        y = self.with_weights(self.k.Conv2D(CHANNELS, 1), y, back[None, None], part["fc2.bias"] * part["gamma"])
        return self.k.Add()([x, y])


def _hidden(state: dict[str, Floats]) -> tuple[Floats, Floats]:
    """Return weight (row, column, channel flat; 32) and bias, with the last norm's and batch norm's numbers in them."""
    weight = state["hidden.weight"].reshape(HIDDEN, CHANNELS, 9)
    bias = state["hidden.bias"] + np.einsum("ocp,c->o", weight, state["last.bias"])
    weight = (weight * state["last.weight"][None, :, None]).transpose(2, 1, 0).reshape(9 * CHANNELS, HIDDEN)
    factor = state["bn.weight"] / np.sqrt(state["bn.running_var"] + 1e-5)
    return weight * factor, (bias - state["bn.running_mean"]) * factor + state["bn.bias"]


class Deeper(nn.Module):
    """The second stage and what is behind it: takes the first stage's map (n, 24, 24, 32)."""

    def __init__(self, stage: nn.Module, upper: Upper) -> None:
        super().__init__()
        self.stage, self.upper = stage, upper

    def forward(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        seen: tuple[dict[str, Tensor], Tensor] = self.upper(self.stage(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        return seen


class Whole(nn.Module):
    """All of it, to be trained together: takes crops (n, 64, 64, 3), B, G, R, 0 to 255."""

    def __init__(self, stem: nn.Module, first: nn.Module, deeper: Deeper) -> None:
        super().__init__()
        self.stem, self.first, self.deeper = stem, first, deeper

    def forward(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        rgb = x.permute(0, 3, 1, 2).flip(1) / 127.5 - 1
        grown = F.interpolate(rgb, size=(GROWN_PX, GROWN_PX), mode="bilinear")
        seen: tuple[dict[str, Tensor], Tensor] = self.deeper(self.first(self.stem(grown)).permute(0, 2, 3, 1))
        return seen


def part_of_teacher(teacher: Path, name: str) -> nn.Module:
    """Return a part of the recognition network, trainable: stem, stages.0 or stages.1."""
    import timm

    part: nn.Module = timm.create_model("edgenext_x_small").get_submodule(name)
    weights, state = Weights(teacher), part.state_dict()
    for key in state:
        layer, _, kind = key.rpartition(".")
        value = weights.dense(f"{name}.{layer}")[0].T if _is_dense(layer, kind) else weights[f"{name}.{key}"]
        state[key] = torch.from_numpy(np.ascontiguousarray(value))
    part.load_state_dict(state)
    return part


def _is_dense(layer: str, kind: str) -> bool:
    return layer.rpartition(".")[2] in ("fc1", "fc2", "qkv", "proj") and kind == "weight"


def parted(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return trained weights of the recognition network's parts by their names in it, none where only the student's
    own layers were trained, and those of the student's own layers."""
    if "out.weight" in state:
        return {}, state
    parts: tuple[dict[str, Tensor], dict[str, Tensor]] = ({}, {})
    places = {"stem": "stem", "first": "stages.0", "stage": "stages.1"}
    for name, value in state.items():
        where, _, rest = name.removeprefix("deeper.").partition(".")
        parts[where == "upper"][rest if where == "upper" else f"{places[where]}.{rest}"] = value
    return parts


def walk(teacher: Path, trained: dict[str, Tensor]) -> FullWalk:
    """Return what builds Keras layers, with what was trained in place of the recognition network's weights."""
    weights = Weights(teacher)
    for name, value in trained.items():
        layer, _, kind = name.rpartition(".")
        number = value.float().numpy()
        if _is_dense(layer, kind):
            weights.put_dense(layer, number.T)
        else:
            weights.put(name, number)
    return FullWalk(weights)


def _tflite(made: Callable[[Any], dict[str, Any]]) -> bytes:
    import keras

    face = keras.Input((INPUT_PX, INPUT_PX, 3), batch_size=1, name="face")
    return to_tflite(keras.Model(face, made(face)))


def first_stage_model(teacher: Path) -> bytes:
    """Return the first stage alone as TFLite: crop in, map (24, 24, 32) out."""
    return _tflite(lambda face: {"map": walk(teacher, {}).first_stage(face)})


def first_stages_model(teacher: Path, trained: dict[str, Tensor] | None = None) -> bytes:
    """Return the first two stages alone as TFLite, as they will run: crop in, map (12, 12, 64) out."""
    return _tflite(lambda face: {"map": walk(teacher, trained or {}).first_stages(face)})


def full_model(teacher: Path, state: dict[str, Tensor]) -> bytes:
    """Return the whole net as TFLite: crop in, 23 numbers out in the order of OUTPUTS."""
    trained, upper = parted(state)
    layers, numbers = walk(teacher, trained), {name: value.float().numpy() for name, value in upper.items()}
    return _tflite(lambda face: {"values": layers.upper(layers.first_stages(face), numbers)})
