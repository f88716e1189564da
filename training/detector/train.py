"""Train the face detector: `python -m training.detector.train --data DIR --labels wider.json --minutes N --out DIR`.

The schedule follows the clock: the learning rate reaches its floor when the minutes are used up, however fast the
machine is. `--resume` continues from the last checkpoint, minutes already spent counted in. `--smoke` runs a few steps
on made-up pictures to show that all parts fit together.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.common.checkpoint import Average, begin_with, cosine, optimizer_of, save
from training.common.progress import plot, show
from training.detector.data import Labelled, Sampler, load, read_labels
from training.detector.evaluate import score_scenes, torch_predictor
from training.detector.loss import DetectionLoss, collate
from training.detector.network import INPUT_HEIGHT, INPUT_WIDTH, FaceSSD, Shape, count

BOX_WEIGHT = 2.0
CURVES = (("score_loss", "box_loss"), ("ap_15", "ap_8", "ap_4"))


@dataclass(frozen=True)
class Options:
    minutes: float
    batch: int = 32
    rate: float = 2.5e-3
    weight_decay: float = 0.02
    seed: int = 1
    evaluate_every_s: float = 900.0
    save_every_s: float = 120.0


class Trainer:
    """One run: model, averaged model, optimizer, and the seconds it has used."""

    def __init__(self, out: Path, options: Options, shape: Shape) -> None:
        torch.manual_seed(options.seed)
        self.out, self.options = out, options
        self.model = FaceSSD(shape).to(memory_format=torch.channels_last)
        self.average = Average(self.model)
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
            "shape": asdict(self.model.shape),
            "options": asdict(self.options),
        }
        save(self.out / "last.pt", state)

    def one_step(self, sampler: Sampler) -> tuple[float, float]:
        """Train on one batch and return the (score, box) losses."""
        inputs, targets = collate(sampler.batch(self.options.batch))
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.rate * cosine(self.used_s / (60 * self.options.minutes))
        with torch.autocast("cpu", torch.bfloat16):
            scores, distances = self.model(inputs)
        score_loss, box_loss = self.loss(scores, distances, targets)
        self.optimizer.zero_grad()
        (score_loss + BOX_WEIGHT * box_loss).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimizer.step()
        self.average.update(self.model)
        self.step += 1
        return score_loss.item(), box_loss.item()

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
                score, box = np.mean(losses, 0)
                losses = []
                row = {
                    "step": self.step,
                    "minutes": self.used_s / 60,
                    "score_loss": float(score),
                    "box_loss": float(box),
                }
                self.history.append(row)
                self._show(row)
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

    def _show(self, row: dict[str, float]) -> None:
        speed = self.step * self.options.batch / max(self.used_s, 1e-9)
        words = f"{speed:.0f} pictures/s  score {row['score_loss']:.3f}  box {row['box_loss']:.3f}"
        show(self.used_s, self.options.minutes, self.step, words)


def made_up(count: int, seed: int) -> list[Labelled]:
    """Return pictures of grey ellipses with boxes: enough to exercise every step without anyone's picture."""
    import cv2

    rng, pictures = np.random.default_rng(seed), []
    for index in range(count):
        luma = rng.integers(60, 200, (240, 320)).astype(np.uint8)
        x, y, half = (int(rng.integers(*r)) for r in ((60, 260), (60, 180), (10, 50)))
        cv2.ellipse(luma, (x, y), (int(half * 0.8), half), 0, 0, 360, 230, -1)
        box = np.array([[x - 0.8 * half, y - half, x + 0.8 * half, y + half]], np.float32)
        pictures.append(Labelled(f"made-up/{index}.png", luma, box, np.zeros(1, bool)))
    return pictures


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder that holds wider/, aaf/ and utkface/")
    parser.add_argument("--labels", type=Path, help="wider.json")
    parser.add_argument("--portraits", type=Path, help="written by training.detector.portraits")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=90.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rate", type=float, default=Options.rate)
    parser.add_argument("--start", type=Path, help="begin with the averaged weights of this checkpoint, a new schedule")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    options, shape = Options(args.minutes, rate=args.rate), Shape()
    if args.smoke:
        scenes, portraits, held = made_up(8, 0), made_up(4, 1), made_up(2, 2)
        options = Options(args.minutes, batch=4)
    else:
        rows = read_labels(args.labels)
        scenes, held = load(args.data, rows, held=False), load(args.data, rows, held=True)
        portraits = load(args.data, read_labels(args.portraits), held=False) if args.portraits else []
    macs, params = count(shape)
    print(
        f"{macs / 1e6:.1f} M multiply-adds, {params} parameters, {len(scenes)} scenes, {len(portraits)} portraits, "
        f"{len(held)} scenes held back",
        flush=True,
    )
    trainer = Trainer(args.out, options, shape)
    if args.start:
        begin_with(args.start, trainer.model, trainer.average)
    if args.resume:
        trainer.resume()
    trainer.run(Sampler(scenes, portraits, options.seed + trainer.step), held)
    plot(trainer.history, CURVES, args.out / "curves.png")


if __name__ == "__main__":
    main()
