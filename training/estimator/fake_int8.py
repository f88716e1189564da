"""Training with the integers' rounding simulated: what TFLite will do to weights and activations.

After Jacob et al. (CVPR 2018): weights are rounded per output channel, symmetric; activations per tensor, with ranges
that follow the data. Gradients pass the rounding as if it were not there. Batch norm keeps its statistics, so that the
folded weights are what is rounded.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.estimator.network import ConvUnit

RANGE_MOMENTUM = 0.02


def rounded(x: Tensor, scale: Tensor, zero: Tensor, low: int, high: int) -> Tensor:
    """Return x as int8 would hold it; the gradient is that of a clamp."""
    stored = (x / scale + zero).clamp(low, high)
    return (stored + (stored.round() - stored).detach() - zero) * scale


class ActivationRange(nn.Module):
    """Follows the minimum and maximum of what passes, and rounds it to 256 levels between them."""

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(0.0))
        self.register_buffer("high", torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                low, high = x.min().clamp(max=0), x.max().clamp(min=1e-3)
                first = self.high == 0
                self.low.copy_(torch.where(first, low, torch.lerp(self.low, low, RANGE_MOMENTUM)))
                self.high.copy_(torch.where(first, high, torch.lerp(self.high, high, RANGE_MOMENTUM)))
        scale = (self.high - self.low).clamp(min=1e-6) / 255
        zero = (-self.low / scale).round() - 128
        return rounded(x, scale, zero, -128, 127)


def rounded_weight(weight: Tensor) -> Tensor:
    """Round weights (out, ...) per output channel to -127..127."""
    scale = weight.detach().abs().flatten(1).amax(1).clamp(min=1e-8) / 127
    shape = (-1, *([1] * (weight.ndim - 1)))
    zero = torch.zeros(())
    return rounded(weight, scale.view(shape), zero, -127, 127)


class RoundedConv(nn.Module):
    """A ConvUnit whose folded weights and output are rounded. Batch statistics are frozen: settling is short."""

    def __init__(self, unit: ConvUnit) -> None:
        super().__init__()
        self.conv, self.norm, self.act = unit.conv, unit.norm, unit.act
        self.range = ActivationRange()

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        factor = norm.weight * (norm.running_var + norm.eps).rsqrt()
        weight = rounded_weight(self.conv.weight * factor[:, None, None, None])
        bias = norm.bias - norm.running_mean * factor
        y = F.conv2d(x, weight, bias, self.conv.stride, self.conv.padding)
        return self.range(F.relu(y) if self.act == "relu" else torch.tanh(y) if self.act == "tanh" else y)


class RoundedDense(nn.Module):
    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias, self.range = layer.weight, layer.bias, ActivationRange()

    def forward(self, x: Tensor) -> Tensor:
        return self.range(F.linear(x, rounded_weight(self.weight), self.bias))


def quantize_in_training(model: nn.Module) -> None:
    """Replace, in place, every unit of an SSRNet by its rounded twin."""
    layers = model.layers
    assert isinstance(layers, nn.ModuleDict)
    for name, unit in list(layers.items()):
        if isinstance(unit, ConvUnit):
            layers[name] = RoundedConv(unit)
        elif isinstance(unit, nn.Linear):
            layers[name] = RoundedDense(unit)


def without_ranges(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a rounded SSRNet as those of a plain one; a plain one's as they are."""
    return {name: value for name, value in state.items() if ".range." not in name}
