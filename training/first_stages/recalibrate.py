"""Move the ages that a net says so that those of a kind are right in the mean, and fold it into the last layer.

What was trained on faces drawn evenly by age says too high an age of most strangers from 35 to 55, since few of whom it
says that age are older and many are younger. A monotone curve through KNOTS, with the least mean error on faces that
neither train nor judge, moves them. Ages count half-way to evenly: counted as they come, who is old is said to be two
years younger still. The last layer then learns to say the moved ages by itself: the run time needs to
know nothing of it.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from training.estimator.network import years as years_of
from training.first_stages.faces import Floats
from training.first_stages.network import AGE_ROWS, named

KNOTS = np.array([0, 4, 8, 13, 18, 25, 32, 40, 50, 60, 70, 100], np.float64)
EVEN, WIDEST = 0.5, 15  # 0: every face weighs alike; 1: every year of age, of the oldest 15 years
STIFF = 0.1  # how much a knot's move keeps to its neighbours'
NEAR = 1e-3  # how much the last layer keeps to what it was
CURVE_STEPS, CURVE_RATE = 500, 0.1
LAYER_STEPS, LAYER_RATE = 600, 0.01


def curve(said: Floats, years: Floats) -> NDArray[np.float64]:
    """Return the ages (12,) to say in place of KNOTS, rising. `years` (n, 2): the first and the last age allowed."""
    at = torch.from_numpy(np.stack([np.interp(said, KNOTS, row) for row in np.eye(len(KNOTS))], 1))
    low, high = torch.from_numpy(years.astype(np.float64)).T
    weight = torch.from_numpy(_weights(years))
    moves = torch.zeros(len(KNOTS), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([moves], CURVE_RATE)
    for _ in range(CURVE_STEPS):
        moved = torch.from_numpy(said.astype(np.float64)) + at @ moves
        off = torch.relu(torch.maximum(low - moved, moved - high))
        loss = (weight * (off**2 + 0.25).sqrt()).mean() + STIFF * (moves.diff() ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return np.maximum.accumulate(KNOTS + moves.detach().numpy()).clip(min=0)


def _weights(years: Floats) -> NDArray[np.float64]:
    """Return what each face weighs, 1 in the mean: rare ages more than they come."""
    among = np.clip(np.digitize(years.mean(1), KNOTS) - 1, 0, len(KNOTS) - 2)
    wide = np.diff(KNOTS).clip(max=WIDEST)
    weights: NDArray[np.float64] = (wide[among] / np.bincount(among, minlength=len(wide))[among]) ** EVEN
    return weights / weights.mean()


def moved(said: Floats, ages: NDArray[np.float64]) -> Floats:
    """Return what to say in place of the ages that were said."""
    return np.interp(said, KNOTS, ages).astype(np.float32)


def folded(hidden: Tensor, weight: Tensor, bias: Tensor, wanted: Floats) -> tuple[Tensor, Tensor]:
    """Return the last layer (23, h) and its bias with which `hidden` (n, h) is said to be the `wanted` ages (n,);
    what says deviation and gender stays."""
    mean, deviation = hidden.mean(0), hidden.std(0) + 1e-4
    x, goal = (hidden - mean) / deviation, torch.from_numpy(wanted)
    rows, start = weight * deviation, bias + weight @ mean
    more = [torch.zeros_like(each[:AGE_ROWS], requires_grad=True) for each in (rows, start)]
    optimizer = torch.optim.Adam(more, LAYER_RATE)
    for step in range(LAYER_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LAYER_RATE * (1 - step / LAYER_STEPS)
        said = years_of(named(F.pad(x @ (rows[:AGE_ROWS] + more[0]).T + start[:AGE_ROWS] + more[1], (0, 2))))
        loss = F.mse_loss(said, goal) + NEAR * sum((each**2).sum() for each in more)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    by_row, by_bias = more[0].detach() / deviation, more[1].detach()
    weight, bias = weight.clone(), bias.clone()
    weight[:AGE_ROWS] += by_row
    bias[:AGE_ROWS] += by_bias - by_row @ mean
    return weight, bias
