"""From network outputs to ages, genders and boxes. NumPy only: no file, no interpreter, no OpenCV."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_agender.geometry import iou
from edge_agender.records import Array

Floats = NDArray[np.float64]
MIN_STRETCH = 0.05


def sigmoid(logits: Array) -> Floats:
    """Return 1 / (1 + e^-x) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(logits, float))))


def softmax(logits: Array) -> Floats:
    """Return probabilities over the last axis."""
    shifted = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), float)


def logit(probability: float) -> float:
    """Return the x at which sigmoid(x) is `probability`."""
    return float(np.log(probability) - np.log1p(-probability))


def expectation(probabilities: Array, years: Array) -> tuple[float, float]:
    """Return the mean and standard deviation, in years, of class probabilities (n,) standing for `years` (n,).

    The mean is DEX's (Rothe et al. 2015). Probabilities need not sum to one: int8 ones rarely do.
    """
    weights = np.asarray(probabilities, float)
    total = float(weights.sum())
    if not total > 0:
        return float("nan"), float("nan")
    mean = float((weights * years).sum() / total)
    variance = float((weights * (np.asarray(years, float) - mean) ** 2).sum() / total)
    return mean, float(np.sqrt(max(variance, 0.0)))


def stagewise(
    probabilities: Sequence[Array],
    offsets: Sequence[Array],
    deltas: Sequence[Array],
    range_years: float = 101.0,
    lambda_offset: float = 1.0,
    lambda_delta: float = 1.0,
) -> tuple[float, float]:
    """Return an age and its standard deviation from the stages of a soft stagewise regression (Yang et al. 2018).

    Stage k has probabilities (s_k,) over bins, offsets (s_k,) that shift the bins, and a delta that narrows them. The
    deviation takes the stages as independent, which makes it a lower bound. Probabilities need not sum to one.
    """
    width, years, variance = range_years, 0.0, 0.0
    # Plain floats: a stage has three bins, where arrays would cost ten times the arithmetic.
    for stage, shifts, delta in zip(probabilities, offsets, deltas, strict=True):
        weights = np.ravel(stage).tolist()
        # A delta of -1 would make the bins infinitely wide; training holds it to the same limit.
        width /= len(weights) * max(1.0 + lambda_delta * float(np.ravel(delta)[0]), MIN_STRETCH)
        places = [bin + lambda_offset * shift for bin, shift in enumerate(np.ravel(shifts).tolist())]
        total = max(sum(weights), 1e-6)
        mean = sum(weight * place for weight, place in zip(weights, places, strict=True)) / total
        square = sum(weight * place * place for weight, place in zip(weights, places, strict=True)) / total
        years += mean * width
        variance += max(square - mean * mean, 0.0) * width * width
    return years, math.sqrt(variance)


def probability_of_two(pair: Array, wanted: int, logits: bool) -> float:
    """Return the share of class `wanted` in two scores, probabilities or logits."""
    scores = softmax(pair) if logits else np.asarray(pair, float)
    total = float(scores.sum())
    return float(scores[wanted]) / total if total > 0 else float("nan")


def probability_of_one(value: float, low: float, high: float, logits: bool) -> float:
    """Return a number between `low` and `high`, or a logit, as a probability."""
    part = _sigmoid(value) if logits else (value - low) / (high - low)
    return min(max(part, 0.0), 1.0) if math.isfinite(part) else float("nan")


def temper(probability: float, temperature: float) -> float:
    """Return the probability with its logit divided by `temperature` (Guo et al. 2017)."""
    if temperature == 1.0 or not 0.0 < probability < 1.0:
        return probability
    return _sigmoid(logit(probability) / temperature)


def _sigmoid(value: float) -> float:
    return 0.5 * (1 + math.tanh(0.5 * value))


def distance_boxes(cells: NDArray[np.intp], distances: Array, columns: int, stride: int) -> Floats:
    """Return corners (n, 4) in network pixels of the boxes at flat cell numbers `cells` of a map `columns` wide.

    `distances` (n, 4): left, top, right and bottom from the cell's centre, in strides.
    """
    rows, places = np.divmod(cells, columns)
    centres = np.stack([places + 0.5, rows + 0.5], axis=1)
    reach = np.asarray(distances, float)
    return np.asarray(np.concatenate([centres - reach[:, :2], centres + reach[:, 2:]], axis=1) * stride, float)


def suppress(boxes: Floats, scores: Floats, max_iou: float, limit: int = 300) -> list[int]:
    """Return the boxes that stay, best first: none overlaps a better one by more than `max_iou`.

    `limit` bounds the candidates, best first, so that noise cannot make one frame quadratically dear.
    """
    if len(scores) < 2:
        return list(range(len(scores)))
    order = np.argsort(-scores, kind="stable")[:limit]
    candidates = boxes[order]
    overlap = iou(candidates, candidates) > max_iou
    free = np.ones(len(order), bool)
    kept = []
    for place in range(len(order)):
        if free[place]:
            kept.append(int(order[place]))
            free &= ~overlap[place]
    return kept
