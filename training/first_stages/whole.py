"""Go on from the deeper net and train all of it, for MINUTES, resumable:

    python -m training.first_stages.whole --faces DIR --teacher teacher.onnx --out DIR --minutes 80 [--device cuda]

DIR of --out holds deeper.pt, of training.first_stages.train --deeper. The patch stem and the first stage learn at
EARLY of the others' rate: they were made for sharper faces than an enlarged crop shows. What they learn is float here
and int8 in the file that ships; nothing of that was seen in the scores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_agender.imaging.frame import Picture
from training.common.progress import plot
from training.first_stages.faces import Floats, load
from training.first_stages.network import CHANNELS, INNER, INPUT_PX, Deeper, Upper, Whole, part_of_teacher, started
from training.first_stages.targets import shares, targets, usable
from training.first_stages.train import Lesson, Pool, Trainer, judge_of

RATE, EARLY = 5e-4, 0.4
WHOLE = ("stem", "first", "deeper")  # the parts of the whole net


def crop_itself(crop: Picture) -> Floats:
    return crop.astype(np.float32)


def unfolded(teacher: Path) -> Whole:
    """Return the whole net with the recognition network's weights in its first parts."""
    stem, first, second = (part_of_teacher(teacher, name) for name in ("stem", "stages.0", "stages.1"))
    return Whole(stem, first, Deeper(second, Upper()))


def begun(teacher: Path, weights: Path) -> Whole:
    """Return the whole net with what was trained: all of it, or the second stage and the student's own layers."""
    net = unfolded(teacher)
    state = torch.load(weights, weights_only=False, map_location="cpu")["average"]
    whole = {name if "." in name and name.split(".")[0] in WHOLE else f"deeper.{name}": v for name, v in state.items()}
    net.load_state_dict(widened({**net.state_dict(), **whole}, started(teacher)))
    return net


def widened(state: dict[str, Tensor], full: Upper) -> dict[str, Tensor]:
    """Return the weights with as many inner units a block as the net has: the recognition network's next ones, which
    say nothing at first, so that the net says what it said before."""
    state = dict(state)
    for index, block in enumerate(full.blocks):
        name = f"deeper.upper.blocks.{index}"
        into, bias, back = (state[f"{name}.{part}"] for part in ("fc1.weight", "fc1.bias", "fc2.weight"))
        more = slice(len(bias), INNER)
        state[f"{name}.fc1.weight"] = torch.cat([into, block.fc1.weight.detach()[more]])
        state[f"{name}.fc1.bias"] = torch.cat([bias, block.fc1.bias.detach()[more]])
        state[f"{name}.fc2.weight"] = torch.cat([back, torch.zeros(CHANNELS, INNER - len(bias))], 1)
    return state


def slowed(trainer: Trainer, early: float) -> None:
    """Let the stem and the first stage learn at `early` of the rate."""
    slow = {id(p) for part in (trainer.net.stem, trainer.net.first) for p in part.parameters()}
    groups = trainer.optimizer.param_groups
    for group in list(groups):
        behind = [p for p in group["params"] if id(p) in slow]
        group["params"] = [p for p in group["params"] if id(p) not in slow]
        trainer.optimizer.add_param_group({"params": behind, "weight_decay": group["weight_decay"], "factor": early})


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=80.0)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    cv2.setNumThreads(1)
    faces, seen = load(args.faces), np.load(args.faces / "targets.npy")
    wanted = targets(faces)
    places = usable(faces, wanted)

    def lesson_of(rows: NDArray[np.intp]) -> Lesson:
        parts = (wanted.years[rows], wanted.female[rows], wanted.weight[rows], seen[rows].astype(np.float32))
        return Lesson(*(torch.from_numpy(part).to(args.device) for part in parts))

    path = args.out / "whole.pt"
    trainer = Trainer(path, begun(args.teacher, args.out / "deeper.pt"), args.rate, args.minutes, args.device)
    slowed(trainer, EARLY)
    if args.resume:
        trainer.resume()
    share = shares(faces, wanted, places)
    pool = Pool(faces, crop_itself, (INPUT_PX, INPUT_PX, 3), places, share, args.seed + trainer.step)
    trainer.run(pool, lesson_of, judge_of(faces, crop_itself))
    plot(trainer.history, (("age",), ("gender", "features")), path.with_suffix(".png"))


if __name__ == "__main__":
    main()
