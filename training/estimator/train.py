"""Train the estimator in two stages, each resumable, and a third where integers hurt:

    python -m training.estimator.train teacher --data DIR --patches FILE --out DIR --minutes 115
    python -m training.estimator.train student --data DIR --patches FILE --out DIR --minutes 240
    python -m training.estimator.train settle  --data DIR --patches FILE --out DIR --minutes 10

`teacher` learns from the labels. `student`, the SSR-Net that ships, learns from labels and teacher on the same
augmented crop (distillation, Hinton et al. 2015). `settle` goes on from the student at a low rate with the integers'
rounding simulated (quantization-aware training, Jacob et al. 2018); the shipped net loses so little to its integers
(models/agender-ssrnet.md) that it went without. The schedule follows the clock. `--smoke` runs a few steps on
made-up faces.
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
import torch.nn.functional as F
from torch import Tensor, nn

from training.common.checkpoint import Average, begin_with, cosine, optimizer_of, save
from training.common.progress import plot, show
from training.estimator.data import Faces, Sampler, load
from training.estimator.evaluate import score_network
from training.estimator.fake_int8 import quantize_in_training
from training.estimator.lessons import Batch, Lessons, as_input
from training.estimator.network import Shape, SSRNet, count, years
from training.estimator.teacher import Teacher, gender_loss, teacher_loss

# The smaller collection is drawn more often than its size alone would have it.
COLLECTION_WEIGHTS = {"aaf": 1.6, "utkface": 1.0}
RATES = {"teacher": 2e-3, "student": 3e-3, "settle": 2e-4}
WEIGHT_DECAY = {"teacher": 0.05, "student": 0.01, "settle": 0.0}


@dataclass(frozen=True)
class Options:
    stage: str
    minutes: float
    batch: int = 128
    seed: int = 1
    rate: float | None = None
    taught: bool = True
    device: str = "cpu"
    evaluate_every_s: float = 420.0
    save_every_s: float = 120.0


def student_loss(outputs: dict[str, Tensor], ages: Tensor, female: Tensor, taught: Tensor | None) -> Tensor:
    """Age by error and by likelihood under the stated deviation, gender by cross entropy; both to the teacher too.

    `taught` (n, 2) are the teacher's years and logit of female.
    """
    said, log_variance, logit = years(outputs), outputs["log_variance"][:, 0], outputs["gender"][:, 0]
    age = F.smooth_l1_loss(said, ages, reduction="none", beta=2.0)
    # The deviation learns from the errors, but the errors not from the deviation: an unsure net must not shirk.
    spread = log_variance.clamp(-2, 7)
    likelihood = 0.5 * ((said.detach() - ages) ** 2 * (-spread).exp() + spread)
    gender = gender_loss(logit, ages, female)
    loss = age + 0.3 * likelihood + 5.0 * gender
    if taught is not None:
        follow = F.smooth_l1_loss(said, taught[:, 0], reduction="none", beta=1.0)
        agree = F.binary_cross_entropy_with_logits(logit, taught[:, 1].sigmoid(), reduction="none")
        loss = 0.4 * age + 1.2 * follow + 0.3 * likelihood + 2.0 * gender + 6.0 * agree
    return loss.mean()


class Trainer:
    """One stage of one run: model, averaged model, optimizer, and the seconds it has used."""

    def __init__(self, out: Path, options: Options) -> None:
        torch.manual_seed(options.seed)
        self.out, self.options = out, options
        self.model: nn.Module = Teacher() if options.stage == "teacher" else SSRNet()
        taught = options.stage != "teacher" and options.taught
        self.lessons = _lessons(out, options) if taught else None
        if options.stage == "settle":
            _load(self.model, out / "student.pt")
            quantize_in_training(self.model)
        self.model.to(options.device, memory_format=torch.channels_last).train()
        self.average = Average(self.model)
        self.rate = options.rate or RATES[options.stage]
        self.optimizer = optimizer_of(self.model, self.rate, WEIGHT_DECAY[options.stage])
        self.step, self.used_s = 0, 0.0
        self.history: list[dict[str, Any]] = []

    @property
    def rounds(self) -> bool:
        return self.options.stage == "settle"

    @property
    def path(self) -> Path:
        return self.out / f"{self.options.stage}.pt"

    def resume(self) -> None:
        state = torch.load(self.path, weights_only=False, map_location=self.options.device)
        self.model.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        self.average.updates = state["step"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.used_s, self.history = state["step"], state["used_s"], state["history"]

    def save(self) -> None:
        save(
            self.path,
            {"model": self.model.state_dict(), "average": self.average.model.state_dict()}
            | {"optimizer": self.optimizer.state_dict(), "step": self.step, "used_s": self.used_s}
            | {"history": self.history, "options": asdict(self.options)},
        )

    def one_step(self, sampler: Sampler) -> float:
        """Train on one batch and return its loss."""
        batch = self.lessons.batch(sampler) if self.lessons else _labelled(sampler, self.options.batch)
        rate = self.rate * cosine(self.used_s / (60 * self.options.minutes))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self._loss(batch)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.average.update(self.model)
        self.step += 1
        return loss.item()

    def _loss(self, batch: Batch) -> Tensor:
        # Simulated rounding needs more precision than bfloat16 has.
        device = self.options.device
        with torch.autocast(device, torch.bfloat16, enabled=not self.rounds):
            said = self.model(as_input(batch.crops, device))
        # What follows is small: on the processor, whatever the network ran on.
        if self.options.stage == "teacher":
            return teacher_loss(said[0].float().cpu(), said[1].float().cpu(), batch.years, batch.female)
        outputs = {name: value.float().cpu() for name, value in said.items()}
        return student_loss(outputs, batch.years, batch.female, batch.taught)

    def run(self, sampler: Sampler, held: Faces) -> None:
        losses: list[float] = []
        saved_s = scored_s = self.used_s
        while self.used_s < 60 * self.options.minutes:
            start = time.monotonic()
            losses.append(self.one_step(sampler))
            self.used_s += time.monotonic() - start
            if len(losses) == 50:
                self._show(float(np.mean(losses)))
                losses = []
            if self.used_s - scored_s >= self.options.evaluate_every_s:
                scored_s = self.used_s
                self.evaluate(held)
            if self.used_s - saved_s >= self.options.save_every_s:
                saved_s = self.used_s
                self.save()
        self.evaluate(held)
        self.save()

    def evaluate(self, held: Faces) -> None:
        """Score the averaged weights on the people held back; for the log only, nothing is chosen by it."""
        row = {"step": self.step, "minutes": round(self.used_s / 60, 2), **score_network(self.average.model, held)}
        self.history.append(row)
        self.path.with_suffix(".json").write_text(json.dumps(self.history))
        print("\n" + json.dumps(row), flush=True)

    def _show(self, loss: float) -> None:
        self.history.append({"step": self.step, "minutes": self.used_s / 60, "loss": loss})
        speed = self.step * self.options.batch / max(self.used_s, 1e-9)
        show(self.used_s, self.options.minutes, self.step, f"{speed:.0f} faces/s  {loss:.3f}")


def _labelled(sampler: Sampler, count: int) -> Batch:
    crops, years_, female = sampler.batch(count)
    return Batch(crops, torch.from_numpy(years_), torch.from_numpy(female))


def _lessons(out: Path, options: Options) -> Lessons:
    teacher = _load(Teacher(), out / "teacher.pt").to(options.device)
    return Lessons(teacher, options.batch, device=options.device)


def _load(model: nn.Module, path: Path) -> nn.Module:
    model.load_state_dict(torch.load(path, weights_only=False, map_location="cpu")["average"])
    return model.eval().requires_grad_(isinstance(model, SSRNet)).to(memory_format=torch.channels_last)


def made_up(count: int, seed: int) -> Faces:
    """Return ovals of which the brightness says the gender and the size the age: nobody's picture."""
    rng = np.random.default_rng(seed)
    female, ages = rng.integers(0, 2, count), rng.integers(5, 80, count)
    patches = np.full((count, 112, 112, 3), 60, np.uint8)
    for patch, light, age in zip(patches, female, ages, strict=True):
        cv2.ellipse(patch, (56, 56), (20 + int(age) // 4, 40), 0, 0, 360, (120 + 90 * int(light),) * 3, -1)
    names = np.where(np.arange(count) % 2, "aaf", "utkface")
    return Faces(patches, ages.astype(np.float32), female.astype(np.float32), names, np.full(count, "all"))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("teacher", "student", "settle"))
    parser.add_argument("--data", type=Path, help="folder of labelled pictures: training.estimator.people")
    parser.add_argument("--patches", type=Path, help="written by training.estimator.patches")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--rate", type=float, help="highest learning rate; default: the stage's own")
    parser.add_argument("--untaught", action="store_true", help="learn from the labels alone, without a teacher")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--save-every", type=float, default=120.0, metavar="SECONDS")
    parser.add_argument("--start", type=Path, help="begin with the averaged weights of this checkpoint, a new schedule")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--without", help="a collection (first part of the paths) to leave out, to test across them")
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "--device cuda: PyTorch sees no GPU here: install its CUDA build and a driver, or leave it out"
        )
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    options = Options(
        args.stage,
        args.minutes,
        batch=8 if args.smoke else 128,
        rate=args.rate,
        taught=not args.untaught,
        device=args.device,
        save_every_s=args.save_every,
    )
    if args.smoke:
        faces, held = made_up(32, 0), made_up(16, 1)
    else:
        faces, held = (load(args.data, args.patches, part) for part in ("training", "held_out"))
        if args.without:
            faces = faces.where(faces.collection != args.without)
    macs, params = count(Shape())
    print(f"SSR-Net: {macs / 1e6:.1f} M multiply-adds, {params} parameters; {len(faces)} people, {len(held)} held back")
    trainer = Trainer(args.out, options)
    if args.start:
        begin_with(args.start, trainer.model, trainer.average)
    if args.resume:
        trainer.resume()
    trainer.run(Sampler(faces, options.seed + trainer.step, COLLECTION_WEIGHTS), held)
    names = sorted(set(held.collection.tolist()))
    curves = (("loss",), [f"{name}_mae" for name in names], [f"{name}_gender" for name in names])
    plot(trainer.history, curves, trainer.path.with_suffix(".png"))


if __name__ == "__main__":
    main()
