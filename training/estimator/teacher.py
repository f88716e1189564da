"""The teacher: a residual network (He et al. 2016) with squeeze-and-excitation (Hu et al. 2018) over the same crop.

It says an age as a distribution over 101 years, learnt from label distributions (DLDL, Gao et al. 2017) whose mean is
pulled to the truth as well, and gender as a logit. It never ships.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (32, 64, 128, 256)
BLOCKS = (1, 2, 2, 1)
CLASSES = 101


def _unit(inp: int, out: int, kernel: int = 3, stride: int = 1, act: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(inp, out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(out)]
    return nn.Sequential(*layers, *([nn.ReLU(True)] if act else []))


class Block(nn.Module):
    def __init__(self, inp: int, out: int, stride: int) -> None:
        super().__init__()
        self.a, self.b = _unit(inp, out, 3, stride), _unit(out, out, act=False)
        pool: nn.Module = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        same = inp == out and stride == 1
        self.sc: nn.Module = nn.Identity() if same else nn.Sequential(pool, _unit(inp, out, 1, act=False))
        inner = max(out // 8, 8)
        self.se = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(out, inner, 1), nn.ReLU(), nn.Conv2d(inner, out, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.b(self.a(x))
        return F.relu(y * self.se(y) + self.sc(x))


class Teacher(nn.Module):
    """Input as the SSR-Net's; returns age logits (n, 101) and the logit of female (n,)."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS, blocks: tuple[int, ...] = BLOCKS, drop: float = 0.2) -> None:
        super().__init__()
        layers: list[nn.Module] = [_unit(3, widths[0], 3, 2)]
        inp = widths[0]
        for stage, (out, count) in enumerate(zip(widths, blocks, strict=True)):
            for block in range(count):
                layers.append(Block(inp, out, 2 if block == 0 and stage > 0 else 1))
                inp = out
        self.f, self.d = nn.Sequential(*layers), nn.Dropout(drop)
        self.age, self.g = nn.Linear(inp, CLASSES), nn.Linear(inp, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.d(self.f(x).mean((2, 3)).float())
        return self.age(features), self.g(features)[:, 0]


def teacher_loss(age_logits: Tensor, gender_logits: Tensor, years: Tensor, female: Tensor) -> Tensor:
    """Label distribution, its mean, and gender with 3 % of label smoothing; infants' genders count less."""
    classes = torch.arange(float(CLASSES))
    spread = (1.5 + 0.03 * years)[:, None]
    wanted = torch.exp(-0.5 * ((classes - years[:, None]) / spread) ** 2)
    wanted = wanted / wanted.sum(1, keepdim=True)
    log_p = age_logits.log_softmax(1)
    mean = (log_p.exp() * classes).sum(1)
    age = -(wanted * log_p).sum(1) + 0.12 * F.smooth_l1_loss(mean, years, reduction="none", beta=2.0)
    return (age + 1.5 * gender_loss(gender_logits, years, female)).mean()


def gender_loss(logits: Tensor, years: Tensor, female: Tensor) -> Tensor:
    """Cross entropy (n,) with smoothed labels; below four years a face hardly tells, and labels are noisy."""
    weight = torch.where(years < 4, 0.4, 1.0)
    return weight * F.binary_cross_entropy_with_logits(logits, female * 0.94 + 0.03, reduction="none")


def distribution_moments(age_logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance (n,), in years, of age logits (n, 101)."""
    classes = torch.arange(float(CLASSES), device=age_logits.device)
    p = age_logits.softmax(1)
    mean = (p * classes).sum(1)
    return mean, (p * (classes - mean[:, None]) ** 2).sum(1)
