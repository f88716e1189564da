"""From the trained layers to the TFLite file that ships, calibrated on strangers:

    python -m training.first_stages.convert --faces DIR --teacher teacher.onnx --weights student.pt \
        --out models/agender-ssrnet.tflite

The ages are moved by a curve (training.first_stages.recalibrate). The gender's temperature is fitted by likelihood to
faces of scenes and albums that neither train nor judge; curve and deviation to these and to the calibration parts of
All-Age-Faces and UTKFace, the deviation so that one of it covers 68 % at every age. All are folded into the last
layer: the run time needs to know nothing of them.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.estimator.calibrate import fit_temperature
from training.estimator.network import years as years_of
from training.first_stages.crops import plain
from training.first_stages.faces import Faces, load
from training.first_stages.network import Upper, first_stages_model, full_model, named, parted
from training.first_stages.recalibrate import KNOTS, curve, folded, moved
from training.first_stages.train import First, heard, opened

STRANGERS = ("wild", "adience")
COVERED, NEAR, STEPS = 0.6827, 0.01, 3000
SMALLEST = 0.5  # years: labels are whole ones


def calibrated(state: dict[str, Tensor], faces: Faces, first: First) -> dict[str, Tensor]:
    """Return the weights with ages moved, temperature and deviation folded in. `faces`: of the calibration part."""
    _, upper = parted(state)
    net = Upper()
    net.load_state_dict(upper)
    maps = np.stack([first(plain(faces, index)) for index in range(len(faces.path))])
    with torch.no_grad():
        outputs, hidden = heard(net.eval(), maps), net.hidden_layer(net.grid(torch.from_numpy(maps)))
    said = years_of(outputs).numpy()
    ages = curve(said, faces.years)
    print("ages moved:", ", ".join(f"{knot:.0f} to {age:.1f}" for knot, age in zip(KNOTS, ages, strict=True)))
    weight, bias = folded(hidden, upper["out.weight"], upper["out.bias"], moved(said, ages))
    said = years_of(named(hidden @ weight.T + bias)).numpy()
    far = np.isin(faces.collection, STRANGERS)
    temperature = fit_temperature(outputs["gender"][far, 0].sigmoid().double().numpy(), faces.gender[far] == "female")
    weight[22], bias[22] = weight[22] / temperature, bias[22] / temperature
    # Ages in groups have no error of their own within the group: only single years tell how wide it must be.
    exact = torch.from_numpy(faces.years[:, 0] == faces.years[:, 1])
    error = torch.from_numpy(np.abs(said - faces.years[:, 0]))
    weight[21], bias[21] = covering(hidden[exact], error[exact], weight[21], bias[21])
    print(f"temperature {temperature:.3f} by {int(far.sum())} strangers, deviation by {int(exact.sum())} faces")
    last = next(name for name in state if name.endswith("out.weight")).removesuffix(".weight")
    return {**state, f"{last}.weight": weight, f"{last}.bias": bias}


def covering(hidden: Tensor, error: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return the row (32,) and bias of the logarithm of the variance with which one deviation covers 68.3 % of errors.

    Quantile regression (Koenker and Bassett, 1978) of the error's logarithm on the hidden layer, near the trained row.
    """
    mean, deviation = hidden.mean(0), hidden.std(0) + 1e-4
    x = torch.cat([(hidden - mean) / deviation, torch.ones(len(hidden), 1)], 1).double()
    left = (2 * error.clamp(min=SMALLEST).log() - hidden @ weight - bias).double()
    more = torch.zeros(x.shape[1], dtype=torch.float64)
    for step in range(STEPS):
        below = (left < x @ more).double()
        pull = x.T @ (COVERED - below) / len(x) - NEAR * more * (torch.arange(len(more)) < len(more) - 1)
        more += pull * (1 - step / STEPS)
    slope = (more[:-1] / deviation).float()
    return weight + slope, bias + more[-1].float() - slope @ mean


def calibrating(faces: Faces) -> Faces:
    """Return the faces that calibrate."""
    chosen = (faces.part == "calibration") & np.isin(faces.gender, ("female", "male")) & ~np.isnan(faces.years[:, 0])
    return faces.where(chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    state = torch.load(args.weights, weights_only=False, map_location="cpu")["average"]
    first = opened(first_stages_model(args.teacher, parted(state)[0]))
    data = full_model(args.teacher, calibrated(state, calibrating(load(args.faces)), first))
    args.out.write_bytes(data)
    print(f"{args.out}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
