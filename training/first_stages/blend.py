"""Blend the whole net's weights with those that it went on from, as far as strangers who calibrate are better for it:

    python -m training.first_stages.blend --faces DIR --teacher teacher.onnx --out DIR

Takes deeper.pt and whole.pt from DIR, writes blended.pt. What was tuned forgets some of what recognition knew of faces
unlike those tuned on; the mean of both weights keeps more (WiSE-FT, Wortsman et al., 2022). Nobody who judges is seen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.common.checkpoint import save
from training.estimator.calibrate import fit_temperature
from training.estimator.network import years as years_of
from training.first_stages.convert import STRANGERS, calibrating
from training.first_stages.crops import plain
from training.first_stages.faces import Faces, Floats, load
from training.first_stages.recalibrate import curve, moved
from training.first_stages.train import heard
from training.first_stages.whole import begun, unfolded

PARTS = (1.0, 0.8, 0.6, 0.4)
YEARS_A_NAT = 20.0  # so many years of age error weigh as much as one of the gender's logarithmic loss


def score(outputs: dict[str, Tensor], faces: Faces) -> tuple[float, float, float]:
    """Return years off the label with the best curve (training.first_stages.recalibrate), the gender's logarithmic loss
    at its best temperature, and the part that is right."""
    said, logit = years_of(outputs).numpy(), outputs["gender"][:, 0].double()
    said = moved(said, curve(said, faces.years))
    low, high = faces.years.T
    female = faces.gender == "female"
    logit = logit / fit_temperature(logit.sigmoid().numpy(), female)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, torch.from_numpy(female.astype(float)))
    right = ((logit > 0).numpy() == female).mean()
    return float(np.maximum(np.maximum(low - said, said - high), 0).mean()), float(loss), float(right)


def blended(old: dict[str, Tensor], new: dict[str, Tensor], part: float) -> dict[str, Tensor]:
    """Return the weights at `part` of the way from the old to the new; counters as the new has them."""
    return {k: torch.lerp(old[k], v, part) if v.is_floating_point() else v for k, v in new.items()}


def crops_of(faces: Faces) -> Floats:
    return np.stack([plain(faces, index) for index in range(len(faces))]).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    faces = calibrating(load(args.faces))
    faces = faces.where(np.isin(faces.collection, STRANGERS))
    crops, net = crops_of(faces), unfolded(args.teacher).eval()
    old = begun(args.teacher, args.out / "deeper.pt").state_dict()
    new = torch.load(args.out / "whole.pt", weights_only=False, map_location="cpu")["average"]
    scores: dict[float, float] = {}
    for part in (*PARTS, 0.0):
        net.load_state_dict(blended(old, new, part))
        with torch.no_grad():
            outputs = heard(net, crops)
        age, loss, right = score(outputs, faces)
        print(f"part {part}: {age:.3f} years, gender {100 * right:.2f} %, loss {loss:.4f}", flush=True)
        scores[part] = age + YEARS_A_NAT * loss
    chosen = min(scores, key=lambda part: scores[part])
    save(args.out / "blended.pt", {"average": blended(old, new, chosen), "part": chosen})
    print(f"blended.pt: {chosen} of whole.pt")


if __name__ == "__main__":
    main()
