"""What an estimator says of many faces, and how far off it is: for training's log and for its calibration.

The figures of the card come from `edge-agender evaluate faces`, end to end on pictures (training.estimator.card).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_agender.imaging.frame import Array
from training.estimator.data import Faces, plain
from training.estimator.lessons import as_input
from training.estimator.network import years
from training.estimator.teacher import distribution_moments

Floats = NDArray[np.float64]
# crops (n, 64, 64, 3) -> years (n,), their standard deviation (n,), probability of female (n,)
Predictor = Callable[[Array], tuple[Floats, Floats, Floats]]


def torch_predictor(model: nn.Module) -> Predictor:
    """Return a predictor over a trained SSRNet or Teacher, in float."""

    @torch.no_grad()
    def predict(crops: Array) -> tuple[Floats, Floats, Floats]:
        model.eval()
        said = model(as_input(crops, next(model.parameters()).device.type))
        if isinstance(said, Mapping):
            mean, variance, logit = years(dict(said)), said["log_variance"][:, 0].exp(), said["gender"][:, 0]
        else:
            (mean, variance), logit = distribution_moments(said[0]), said[1]
        parts = (mean, variance.sqrt(), logit.sigmoid())
        return tuple(part.double().cpu().numpy() for part in parts)  # type: ignore[return-value]

    return predict


def predict_all(predictor: Predictor, faces: Faces, batch: int = 128) -> tuple[Floats, Floats, Floats]:
    """Return the predictions for every face's plain crop."""
    parts = []
    for start in range(0, len(faces), batch):
        parts.append(predictor(np.stack([plain(patch) for patch in faces.patches[start : start + batch]])))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]


def score_network(model: nn.Module, faces: Faces) -> dict[str, float]:
    """Return mean absolute error in years and share of right genders, by collection."""
    said, _, p_female = predict_all(torch_predictor(model), faces)
    scores = {}
    for name in sorted(set(faces.collection)):
        mask = faces.collection == name
        scores[f"{name}_mae"] = round(float(np.abs(said - faces.years)[mask].mean()), 3)
        scores[f"{name}_gender"] = round(float(((p_female >= 0.5) == (faces.female > 0.5))[mask].mean()), 4)
    return scores
