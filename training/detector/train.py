"""Train the face detector: `python -m training.detector.train --data DIR --labels FILE --yunet FILE --out DIR`.

It begins with YuNet-n's published weights. The schedule follows the clock: the learning rate reaches its floor when the
minutes are used up, however fast the machine is. `--resume` continues from the last checkpoint, minutes already spent
counted in. `--smoke` runs a few steps on made-up pictures to show that all parts fit together.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from training.common.checkpoint import Average, cosine, optimizer_of, save
from training.common.progress import plot, show
from training.detector.data import Faces, Labelled, Sampler, load, read_labels
from training.detector.evaluate import score_scenes
from training.detector.loss import DetectionLoss, collate
from training.detector.network import INPUT_HEIGHT, INPUT_WIDTH, FaceNet, count
from training.detector.predictors import torch_predictor
from training.detector.split import held_out
from training.detector.yunet import published

WEIGHTS = (1.0, 2.0, 5.0)  # of score, box and points
LOSSES = ("score_loss", "box_loss", "points_loss")
HEADS = ("head", "mark", "cells", "points")  # the layers that --heads-only trains
CURVES = (LOSSES, ("ap_15", "ap_8", "ap_4"))


@dataclass(frozen=True)
class Options:
    minutes: float
    batch: int = 16
    rate: float = 8e-5
    weight_decay: float = 0.01
    heads_only: bool = False
    seed: int = 1
    device: str = "cpu"
    evaluate_every_s: float = 900.0
    save_every_s: float = 60.0


class Trainer:
    """One run: model, averaged model, optimizer, and the seconds it has used."""

    def __init__(self, out: Path, options: Options, start: dict[str, Tensor] | None) -> None:
        torch.manual_seed(options.seed)
        self.out, self.options = out, options
        self.model = FaceNet().to(memory_format=torch.channels_last)
        if start is not None:
            self.model.load_state_dict(start)
        self.average = Average(self.model)
        for name, layer in self.model.layers.items():
            layer.requires_grad_(not options.heads_only or name.startswith(HEADS))
        self.optimizer = optimizer_of(self.model, options.rate, options.weight_decay)
        self.loss = DetectionLoss(INPUT_HEIGHT, INPUT_WIDTH)
        self.step, self.used_s = 0, 0.0
        self.history: list[dict[str, float]] = []

    def resume(self) -> None:
        state = torch.load(self.out / "last.pt", weights_only=False)
        self.model.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        self.average.updates = state["step"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.used_s, self.history = state["step"], state["used_s"], state["history"]

    def save(self) -> None:
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "used_s": self.used_s,
            "history": self.history,
            "options": asdict(self.options),
        }
        save(self.out / "last.pt", state)

    def one_step(self, sampler: Sampler) -> list[float]:
        """Train on one batch and return its losses."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.rate * cosine(self.used_s / (60 * self.options.minutes))
        inputs, targets = collate(sampler.batch(self.options.batch))
        with torch.autocast("cpu", torch.bfloat16):
            rows = self.model(inputs)
        losses = self.loss(rows, targets)
        self.optimizer.zero_grad()
        torch.stack([weight * loss for weight, loss in zip(WEIGHTS, losses, strict=True)]).sum().backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimizer.step()
        self.average.update(self.model)
        self.step += 1
        return [loss.item() for loss in losses]

    def run(self, sampler: Sampler, held: list[Labelled]) -> None:
        losses, saved_s, scored_s = [], self.used_s, self.used_s
        while self.used_s < 60 * self.options.minutes:
            start = time.monotonic()
            losses.append(self.one_step(sampler))
            self.used_s += time.monotonic() - start
            if self.used_s - scored_s >= self.options.evaluate_every_s:
                scored_s = self.used_s
                self.evaluate(held)
            if len(losses) == 50:
                self._note(losses)
                losses = []
            if self.used_s - saved_s >= self.options.save_every_s:
                saved_s = self.used_s
                self.save()
        self.evaluate(held)
        self.save()

    def evaluate(self, held: list[Labelled]) -> None:
        """Score the averaged weights on the scenes held back; for the log only, nothing is chosen by it."""
        row: dict[str, float] = {"step": self.step, "minutes": self.used_s / 60}
        row |= score_scenes(torch_predictor(self.average.model), held)
        self.history.append(row)
        (self.out / "history.json").write_text(json.dumps(self.history))
        print("\n" + json.dumps(row), flush=True)

    def _note(self, losses: list[list[float]]) -> None:
        means = dict(zip(LOSSES, np.mean(losses, 0).tolist(), strict=True))
        self.history.append({"step": self.step, "minutes": self.used_s / 60, **means})
        speed = self.step * self.options.batch / max(self.used_s, 1e-9)
        words = f"{speed:.0f} pictures/s  " + "  ".join(f"{name} {value:.3f}" for name, value in means.items())
        show(self.used_s, self.options.minutes, self.step, words)


def made_up(count: int, seed: int) -> list[Labelled]:
    """Return pictures of grey ellipses with boxes: enough to exercise every step without anyone's picture."""
    rng, pictures = np.random.default_rng(seed), []
    for index in range(count):
        bgr = rng.integers(60, 200, (240, 320, 3)).astype(np.uint8)
        x, y, half = (int(rng.integers(*r)) for r in ((60, 260), (60, 180), (10, 50)))
        cv2.ellipse(bgr, (x, y), (int(half * 0.8), half), 0, 0, 360, (230, 230, 230), -1)
        box = np.array([[x - 0.8 * half, y - half, x + 0.8 * half, y + half]], np.float32)
        points = np.float32([x, y]) + half * np.float32([[-0.3, -0.2], [0.3, -0.2], [0, 0.1], [-0.3, 0.5], [0.3, 0.5]])
        pictures.append(Labelled(f"made-up/{index}.png", bgr, Faces(box, np.zeros(1, bool), points[None])))
    return pictures


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder that holds wider/, nofaces/ and the portraits' folders")
    parser.add_argument("--labels", type=Path, help="written by training.detector.labels")
    parser.add_argument("--yunet", type=Path, help="yunet_n.onnx: where training begins")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rate", type=float, default=Options.rate)
    parser.add_argument("--heads-only", action="store_true", help="leave the layers before the heads as they are")
    parser.add_argument("--start", type=Path, help="begin with the averaged weights of this checkpoint instead")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    options = Options(args.minutes, rate=args.rate, heads_only=args.heads_only)
    start = None
    if args.smoke:
        scenes, portraits, empty, held = made_up(8, 0), made_up(4, 1), [], made_up(2, 2)
        options = Options(args.minutes, batch=4)
    else:
        start = torch.load(args.start, weights_only=False)["average"] if args.start else published(args.yunet)
        rows = read_labels(args.labels)
        held = load(args.data, [row for row in rows if row["kind"] == "scene" and held_out(str(row["path"]))])
        scenes = load(args.data, [row for row in rows if row["kind"] == "scene" and not held_out(str(row["path"]))])
        portraits, empty = (
            load(args.data, [row for row in rows if row["kind"] == kind and not held_out(str(row["path"]))])
            for kind in ("portrait", "empty")
        )
    macs, params = count()
    print(
        f"{macs / 1e6:.1f} M multiply-adds, {params} parameters, {len(scenes)} scenes, {len(portraits)} portraits, "
        f"{len(empty)} without faces, {len(held)} scenes held back",
        flush=True,
    )
    trainer = Trainer(args.out, options, start)
    if args.resume:
        trainer.resume()
    trainer.run(Sampler(scenes, portraits, empty, options.seed + trainer.step), held)
    plot(trainer.history, CURVES, args.out / "curves.png")


if __name__ == "__main__":
    main()
