"""Fit what the SSR-Net says of its own certainty: the gender's temperature and the scale of the age's deviation.

Two numbers, fitted by likelihood on the calibration part, which neither trains nor judges, and folded into the biases
and weights of the last layers: the run time needs to know nothing of them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from training.estimator.data import Faces
from training.estimator.evaluate import predict_all, torch_predictor
from training.estimator.fake_int8 import without_ranges
from training.estimator.network import SSRNet

TEMPERATURES = np.geomspace(0.25, 4.0, 161)
YOUNGEST_YEARS = 4  # below, labels of gender are noise


def calibrated(state: dict[str, Tensor], faces: Faces) -> dict[str, Tensor]:
    """Return an SSRNet's weights, settled with rounding or not, with both numbers folded in; prints them."""
    state = without_ranges(state)
    net = SSRNet()
    net.load_state_dict(state)
    said, spread, p_female = predict_all(torch_predictor(net), faces)
    told = faces.years >= YOUNGEST_YEARS
    temperature = fit_temperature(p_female[told], faces.female[told] > 0.5)
    scale = float(np.sqrt(np.mean(((said - faces.years) / spread) ** 2)))
    print(f"{len(faces)} people: temperature {temperature:.3f}, standard deviation times {scale:.3f}")
    folded = {name: value.clone() for name, value in state.items()}
    for name in ("weight", "bias"):
        folded[f"layers.gender.{name}"] /= temperature
    folded["layers.log_variance.bias"] += 2 * float(np.log(scale))
    return folded


def fit_temperature(p_female: np.ndarray, female: np.ndarray) -> float:
    """Return the temperature (Guo et al. 2017) under which the labels are likeliest."""
    p = torch.from_numpy(np.clip(p_female, 1e-6, 1 - 1e-6)).logit()[None] / torch.from_numpy(TEMPERATURES)[:, None]
    truth = torch.from_numpy(female.astype(np.float64)).expand_as(p)
    losses = torch.nn.functional.binary_cross_entropy_with_logits(p, truth, reduction="none").mean(1)
    return float(TEMPERATURES[int(losses.argmin())])
