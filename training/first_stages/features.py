"""What the recognition network sees in every face, as 96 numbers for the student to say as well:

    python -m training.first_stages.features --teacher teacher.onnx --out DIR

DIR is that of training.first_stages.faces. The means over a 3x3 grid behind stages 2 to 4, the mirror image's averaged
in, become half the hidden layer of a net that says age and gender from them, half their first principal parts. The
recognition network knows no age or gender, and the hidden layer is trained on the training part alone: nothing of the
faces held out comes in. After "FitNets" (Romero et al., 2015).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from edge_agender.imaging.frame import Picture
from edge_agender.imaging.preprocess import ARCFACE_PLACES
from training.common.checkpoint import cosine
from training.first_stages import crops
from training.first_stages.faces import PATCH_MARGIN, PATCH_PX, Faces, Floats, load
from training.first_stages.targets import Targets, shares, targets, usable

CHANNELS = (64, 100, 192)
FEATURES = "/Concat_output_0"  # the ONNX file's tensor of the features
HALF = 48
PX = 112
AGES = torch.arange(2.0, 101.0, 5.0)


def large(faces: Faces, index: int) -> Picture:
    """Return a face as the recognition network wants it (112, 112, 3), B, G, R."""
    patch, size = faces.patches[index], (PX, PX)
    if not faces.levelled(index):
        factor = PX / (PATCH_PX / (1 + 2 * PATCH_MARGIN) * (1 + 2 * crops.MARGIN))
        shift = PX / 2 - PATCH_PX / 2 * factor
        matrix = np.array([[factor, 0, shift], [0, factor, shift]])
    else:
        matrix, _ = cv2.estimateAffinePartial2D(faces.landmarks[index], ARCFACE_PLACES, method=cv2.LMEDS)
    return np.asarray(cv2.warpAffine(patch, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def extract(teacher: Path, faces: Faces, out: Path) -> None:
    """Write the network's features of every face (n, 3204) as float16."""
    import onnx
    import onnxruntime

    model = onnx.load(str(teacher))
    model.graph.output.append(onnx.helper.make_tensor_value_info(FEATURES, onnx.TensorProto.FLOAT, ["n", None]))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    shape = (len(faces), 9 * sum(CHANNELS))
    features = np.lib.format.open_memmap(out.with_suffix(".part"), "w+", np.float16, shape)
    for start in range(0, len(faces), 32):
        end = min(start + 32, len(faces))
        pictures = np.stack([large(faces, index)[:, :, ::-1] for index in range(start, end)])
        features[start:end] = session.run([FEATURES], {"rgb": pictures.transpose(0, 3, 1, 2).astype(np.float32)})[0]
        if start % 3200 == 0:
            print(f"features: {start} of {len(faces)}", flush=True)
    features.flush()
    out.with_suffix(".part").replace(out)


def symmetric(features: NDArray[np.float16]) -> Floats:
    """Return the features averaged with those of the mirror image, each once."""
    parts, start = [], 0
    for channels in CHANNELS:
        grid = features[:, start : start + 9 * channels].astype(np.float32).reshape(len(features), channels, 3, 3)
        parts.append(((grid + grid[..., ::-1]) / 2)[..., :2].reshape(len(features), -1))
        start += 9 * channels
    return np.concatenate(parts, 1)


def hidden(x: torch.Tensor, wanted: Targets, places: NDArray[np.intp], share: NDArray[np.float64]) -> Floats:
    """Train a head on the faces at `places`; return its hidden layer (n, 48) for all."""
    body = nn.Sequential(nn.Dropout(0.2), nn.Linear(x.shape[1], HALF, bias=False), nn.BatchNorm1d(HALF))
    head = nn.Sequential(nn.GELU(), nn.Dropout(0.3), nn.Linear(HALF, len(AGES) + 1))
    optimizer = torch.optim.AdamW([*body.parameters(), *head.parameters()], 2e-3, weight_decay=0.05)
    years, female, weight = (torch.from_numpy(each) for each in (wanted.years, wanted.female, wanted.weight))
    steps, rng = 10 * len(places) // 256, np.random.default_rng(3)
    for step in range(steps):
        chosen = rng.choice(places, min(256, len(places)), p=share)
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * cosine(step / steps)
        said = head(body(x[chosen]))
        spread = torch.exp(-0.5 * ((AGES - years[chosen][:, None]) / 5) ** 2)
        log_p = said[:, :-1].log_softmax(1)
        mean = (log_p.exp() * AGES).sum(1)
        loss = -(spread / spread.sum(1, keepdim=True) * log_p).sum(1).mean()
        loss = loss + 0.1 * F.smooth_l1_loss(mean, years[chosen], beta=2.0)
        gender = F.binary_cross_entropy_with_logits(said[:, -1], female[chosen], reduction="none")
        loss = loss + 1.5 * (weight[chosen] * gender).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return np.asarray(body.eval()(x).numpy(), np.float32)


def condensed(features: NDArray[np.float16], faces: Faces) -> Floats:
    """Return the 96 numbers of every face, each of about unit variance over the training part."""
    wanted = targets(faces)
    places = usable(faces, wanted)
    x = symmetric(features)
    mean, deviation = x[places].mean(0), x[places].std(0) + 1e-4
    x = np.clip((x - mean) / deviation, -6, 6) / 1.5
    seen = hidden(torch.from_numpy(x), wanted, places, shares(faces, wanted, places))
    some = x[places[::4]] - x[places[::4]].mean(0)
    _, size, directions = np.linalg.svd(some.T @ some)
    principal = x @ directions[:HALF].T
    seen, principal = ((part - part[places].mean(0)) / part[places].std(0) for part in (seen, principal))
    return np.concatenate([seen, principal * (size[:HALF] / size[0]) ** 0.15], 1).clip(-4, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    faces, kept = load(args.out), args.out / "features.npy"
    if not kept.exists():
        extract(args.teacher, faces, kept)
    np.save(args.out / "targets.npy", condensed(np.load(kept, mmap_mode="r"), faces).astype(np.float16))
    print(f"{len(faces)} faces in 96 numbers")


if __name__ == "__main__":
    main()
