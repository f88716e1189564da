"""Resumable state, averaged weights, the optimizer, and a schedule that follows the clock."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # optimizers load it, and behind it Triton, which crashes once TensorFlow is loaded
from torch import nn


class Average:
    """Exponential moving average of a model's weights and statistics, for evaluation and export."""

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.updates += 1
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        mine, theirs = self.model.state_dict(), model.state_dict()
        floats = [name for name, value in mine.items() if value.is_floating_point()]
        torch._foreach_lerp_([mine[n] for n in floats], [theirs[n] for n in floats], weight)


def begin_with(path: Path, model: nn.Module, average: Average) -> None:
    """Take the averaged weights of an earlier run; its schedule, optimizer and history stay behind."""
    weights = torch.load(path, weights_only=False, map_location="cpu")["average"]
    model.load_state_dict(weights)
    average.model.load_state_dict(weights)


def optimizer_of(model: nn.Module, rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Return an optimizer that lets weights decay, but neither biases nor norms."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, rate)


def cosine(progress: float, warmup: float = 0.02, floor: float = 0.005) -> float:
    """Return the learning rate's factor at a progress of 0..1: a linear warm-up, then half a cosine down to `floor`."""
    if progress < warmup:
        return max(progress / warmup, 1e-3)
    done = min((progress - warmup) / (1 - warmup), 1.0)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))


def save(path: Path, state: dict[str, Any]) -> None:
    """Write the state so that an interruption leaves the old file."""
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    partial.replace(path)
