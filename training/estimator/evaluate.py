"""How well an estimator does on people held back: errors, calibration, by age band and by group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_agender.records import Array
from training.estimator.data import Faces, plain
from training.estimator.lessons import as_input
from training.estimator.network import SSRNet, years
from training.estimator.teacher import distribution_moments

BANDS = ((0, 12), (13, 17), (18, 24), (25, 34), (35, 44), (45, 54), (55, 64), (65, 120))
ECE_BINS = 15
Floats = NDArray[np.float64]
# crops (n, 64, 64, 3) -> years (n,), their standard deviation (n,), probability of female (n,)
Predictor = Callable[[Array], tuple[Floats, Floats, Floats]]


def torch_predictor(model: nn.Module) -> Predictor:
    """Return a predictor over a trained SSRNet or Teacher, in float."""

    @torch.no_grad()
    def predict(crops: Array) -> tuple[Floats, Floats, Floats]:
        model.eval()
        said = model(as_input(crops))
        if isinstance(said, Mapping):
            mean, variance, logit = years(dict(said)), said["log_variance"][:, 0].exp(), said["gender"][:, 0]
        else:
            (mean, variance), logit = distribution_moments(said[0]), said[1]
        parts = (mean, variance.sqrt(), logit.sigmoid())
        return tuple(part.double().numpy() for part in parts)  # type: ignore[return-value]

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
    if isinstance(model, SSRNet):
        model.eval()
    scores = {}
    for name in sorted(set(faces.collection)):
        mask = faces.collection == name
        scores[f"{name}_mae"] = round(float(np.abs(said - faces.years)[mask].mean()), 3)
        scores[f"{name}_gender"] = round(float(((p_female >= 0.5) == (faces.female > 0.5))[mask].mean()), 4)
    return scores


def calibration_error(p_female: Floats, female: Array) -> float:
    """Return the expected calibration error (Guo et al. 2017) of the probability of the likelier gender, 15 bins."""
    confidence = np.maximum(p_female, 1 - p_female)
    right = (p_female >= 0.5) == (female > 0.5)
    bins = np.minimum(((confidence - 0.5) * 2 * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = [abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).sum() for b in np.unique(bins)]
    return float(sum(gaps) / len(right))


def report(predictor: Predictor, faces: Faces) -> dict[str, Any]:
    """Return everything a model card says: overall, by band, by group and gender, calibration, coverage."""
    said, spread, p_female = predict_all(predictor, faces)
    result: dict[str, Any] = {}
    for name in sorted(set(faces.collection)):
        chosen = faces.collection == name
        groups = [f"{g}/{'female' if f else 'male'}" for g, f in zip(faces.group, faces.female > 0.5, strict=True)]
        result[name] = {
            **_summary(said, p_female, faces, chosen),
            "ece": round(calibration_error(p_female[chosen], faces.female[chosen]), 4),
            "within_one_sd": round(float((np.abs(said - faces.years) <= spread)[chosen].mean()), 3),
            "bands": {f"{a}-{b}": _summary(said, p_female, faces, chosen & (faces.years >= a) & (faces.years <= b))
                      for a, b in BANDS},
            "groups": {
                g: _summary(said, p_female, faces, chosen & (np.array(groups) == g)) for g in sorted(set(groups))
            },
        }  # fmt: skip
    return result


def _summary(said: Floats, p_female: Floats, faces: Faces, mask: Array) -> dict[str, float]:
    if not mask.any():
        return {"n": 0}
    error, right = (said - faces.years)[mask], ((p_female >= 0.5) == (faces.female > 0.5))[mask]
    return {"n": int(mask.sum()), "mae_years": round(float(np.abs(error).mean()), 2),
            "bias_years": round(float(error.mean()), 2), "gender_accuracy": round(float(right.mean()), 4)}  # fmt: skip
