"""From the trained layers to the TFLite file that ships, calibrated on strangers:

    python -m training.first_stages.convert --faces DIR --teacher teacher.onnx --weights student.pt \
        --out models/agender-ssrnet.tflite

The gender's temperature and the scale of the age's deviation are fitted by likelihood to faces of scenes and albums
that neither train nor judge, and folded into the last layer: the run time needs to know nothing of them.
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
from training.first_stages.network import Upper, first_stages_model, full_model, parted
from training.first_stages.train import First, opened

STRANGERS = ("wild", "adience")


def calibrated(state: dict[str, Tensor], faces: Faces, first: First) -> dict[str, Tensor]:
    """Return the weights with both numbers folded in; prints them. `faces`: of the calibration part, strangers only."""
    stage, upper = parted(state)
    net = Upper()
    net.load_state_dict(upper)
    maps = np.stack([first(plain(faces, index)) for index in range(len(faces.path))])
    with torch.no_grad():
        outputs, _ = net.eval()(torch.from_numpy(maps))
    said, logit = years_of(outputs).numpy(), outputs["gender"][:, 0]
    temperature = fit_temperature(logit.sigmoid().double().numpy(), faces.gender == "female")
    low, high = faces.years.T
    error = np.maximum(np.maximum(low - said, said - high), 0)
    spread = (0.5 * outputs["log_variance"][:, 0]).exp().numpy()
    # Ages in groups have no error of their own within the group: only years seen by eye tell how wide it must be.
    exact = (low == high) & ~np.isnan(low)
    scale = float(np.sqrt(np.mean((error[exact] / spread[exact]) ** 2)))
    print(f"{len(said)} strangers: temperature {temperature:.3f}, standard deviation times {scale:.3f}")
    folded = {name: value.clone() for name, value in state.items()}
    last = "upper.out" if stage else "out"
    folded[f"{last}.weight"][22] /= temperature
    folded[f"{last}.bias"][22] /= temperature
    folded[f"{last}.bias"][21] += 2 * float(np.log(scale))
    return folded


def strangers(faces: Faces) -> Faces:
    """Return the faces that calibrate."""
    chosen = (faces.part == "calibration") & np.isin(faces.collection, STRANGERS)
    chosen &= np.isin(faces.gender, ("female", "male")) & ~np.isnan(faces.years[:, 0])
    fields = {name: getattr(faces, name)[chosen] for name in faces.__dataclass_fields__}
    return Faces(**fields)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    state = torch.load(args.weights, weights_only=False, map_location="cpu")["average"]
    first = opened(first_stages_model(args.teacher, parted(state)[0]))
    data = full_model(args.teacher, calibrated(state, strangers(load(args.faces)), first))
    args.out.write_bytes(data)
    print(f"{args.out}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
