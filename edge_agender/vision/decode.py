"""From network outputs to ages, genders and boxes: no file, no interpreter, no OpenCV.

One face's outputs are a few dozen numbers: plain floats, where arrays would cost ten times the arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
MIN_STRETCH = 0.05


def sigmoid(logit: float) -> float:
    """Return 1 / (1 + e^-x) without overflow."""
    return 0.5 * (1 + math.tanh(0.5 * logit))


def softmax(logits: Sequence[float]) -> list[float]:
    """Return the probabilities that the logits stand for."""
    most = max(logits)
    parts = [math.exp(value - most) for value in logits]
    total = sum(parts)
    return [part / total for part in parts]


def logit(probability: float) -> float:
    """Return the x at which sigmoid(x) is `probability`."""
    return math.log(probability) - math.log1p(-probability)


def expectation(probabilities: Sequence[float], years: Sequence[float]) -> tuple[float, float]:
    """Return the mean and standard deviation, in years, of class probabilities (n,) standing for `years` (n,).

    The mean is DEX's (Rothe et al. 2015). Probabilities need not sum to one: int8 ones rarely do.
    """
    total = sum(probabilities)
    if not total > 0:
        return math.nan, math.nan
    mean = sum(weight * year for weight, year in zip(probabilities, years, strict=True)) / total
    variance = sum(weight * (year - mean) ** 2 for weight, year in zip(probabilities, years, strict=True)) / total
    return mean, math.sqrt(max(variance, 0.0))


def stagewise(
    probabilities: Sequence[float],
    offsets: Sequence[float],
    deltas: Sequence[float],
    bins: Sequence[int],
    range_years: float = 101.0,
    lambda_offset: float = 1.0,
    lambda_delta: float = 1.0,
) -> tuple[float, float]:
    """Return an age and its standard deviation from the stages of a soft stagewise regression (Yang et al. 2018).

    Stage k has bins[k] probabilities and as many offsets that shift its bins, one stage after the other, and a delta
    that narrows them. The deviation takes the stages as independent, which makes it a lower bound. Probabilities need
    not sum to one.
    """
    width, years, variance, first = range_years, 0.0, 0.0, 0
    for count, delta in zip(bins, deltas, strict=True):
        # A delta of -1 would make the bins infinitely wide; training holds it to the same limit.
        width /= count * max(1.0 + lambda_delta * delta, MIN_STRETCH)
        total = mean = square = 0.0
        for bin in range(count):
            weight, place = probabilities[first + bin], bin + lambda_offset * offsets[first + bin]
            total += weight
            mean += weight * place
            square += weight * place * place
        total = max(total, 1e-6)
        mean, square, first = mean / total, square / total, first + count
        years += mean * width
        variance += max(square - mean * mean, 0.0) * width * width
    return years, math.sqrt(variance)


def probability_of_two(pair: Sequence[float], wanted: int, logits: bool) -> float:
    """Return the share of class `wanted` in two scores, probabilities or logits."""
    scores = softmax(pair) if logits else pair
    total = sum(scores)
    return scores[wanted] / total if total > 0 else math.nan


def probability_of_one(value: float, low: float, high: float, logits: bool) -> float:
    """Return a number between `low` and `high`, or a logit, as a probability."""
    part = sigmoid(value) if logits else (value - low) / (high - low)
    return min(max(part, 0.0), 1.0) if math.isfinite(part) else math.nan


def temper(probability: float, temperature: float) -> float:
    """Return the probability with its logit divided by `temperature` (Guo et al. 2017)."""
    if temperature == 1.0 or not 0.0 < probability < 1.0:
        return probability
    return sigmoid(logit(probability) / temperature)


def cells(size: tuple[int, int], strides: Sequence[int]) -> tuple[Singles, Singles]:
    """Return the upper left corner (n, 2) and the stride (n, 1) of each cell, in pixels of a picture (width, height).

    Stride by stride, row by row, as a detector's outputs are laid out; the last cell of a row may reach outside.
    """
    corners, steps = [], []
    for stride in strides:
        columns, rows = (-(-side // stride) for side in size)
        y, x = (np.ravel(places) for places in np.mgrid[:rows, :columns])
        corners.append(np.stack([x, y], axis=1) * stride)
        steps.append(np.full((rows * columns, 1), stride))
    return np.concatenate(corners).astype(np.float32), np.concatenate(steps).astype(np.float32)
