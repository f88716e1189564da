"""Train the student's own layers on the maps of the first stages, for MINUTES, resumable:

    python -m training.first_stages.train --faces DIR --teacher teacher.onnx --out DIR --minutes 60 [--device cuda]

DIR of --faces is that of training.first_stages.faces and .features. The first stages run as the TFLite file that will
ship, so what is learnt fits their integers; each map is used several times, since making it costs most. The schedule
follows the clock. `--deeper` goes on from student.pt and trains the second stage too, at a third of the speed.
`--without COLLECTION` leaves one out; `--smoke` runs a few steps on made-up faces.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_agender.imaging.frame import Array, Picture
from training.common.checkpoint import Average, cosine, optimizer_of, save
from training.common.progress import plot, show
from training.estimator.network import years as years_of
from training.first_stages.crops import augmented, plain
from training.first_stages.faces import Faces, Floats, load
from training.first_stages.network import (
    FIRST_MAP,
    MAP,
    Deeper,
    Upper,
    first_stage_model,
    first_stages_model,
    part_of_teacher,
    started,
)
from training.first_stages.targets import shares, targets, usable

BATCH, USES, POOL = 128, 2, 20_000
RATE, DEEPER_RATE, WEIGHT_DECAY, AVERAGE = 2e-3, 5e-4, 0.03, 0.9985
JUDGED = 500  # faces of each collection that are held out, for the log
First = Callable[[Picture], Floats]


def opened(model: bytes) -> First:
    """Return what makes a crop's map (12, 12, 64)."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(crop: Picture) -> Floats:
        interpreter.set_tensor(given, crop[None].astype(np.float32))
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(made)[0])

    return run


@dataclass(frozen=True)
class Lesson:
    """What the faces of a batch should be said to be."""

    years: Tensor
    female: Tensor
    weight: Tensor
    seen: Tensor


def loss_of(outputs: dict[str, Tensor], features: Tensor, lesson: Lesson) -> tuple[Tensor, tuple[float, ...]]:
    """Return the loss, and its parts for the log: age, gender, features."""
    said, spread = years_of(outputs), outputs["log_variance"][:, 0].clamp(-2, 7)
    age = F.smooth_l1_loss(said, lesson.years, beta=2.0)
    # The deviation learns from the errors, but the errors not from the deviation: an unsure net must not shirk.
    likelihood = (0.5 * ((said.detach() - lesson.years) ** 2 * (-spread).exp() + spread)).mean()
    gender = F.binary_cross_entropy_with_logits(outputs["gender"][:, 0], lesson.female, reduction="none")
    gender = (lesson.weight * gender).mean()
    alike = F.mse_loss(features, lesson.seen)
    return age + 0.3 * likelihood + 7 * gender + 6 * alike, (age.item(), gender.item(), alike.item())


class Pool:
    """Maps that were made lately, with the faces that they are of."""

    def __init__(
        self, faces: Faces, first: First, shape: tuple[int, ...], places: NDArray[np.intp], share: Array, seed: int
    ) -> None:
        self._faces, self._first, self._places, self._share = faces, first, places, share
        self.rng = np.random.default_rng(seed)
        self._maps = np.empty((POOL, *shape), np.float16)
        self._of = np.zeros(POOL, np.intp)
        self._filled = self._next = self._drawn = 0

    def batch(self) -> tuple[Floats, NDArray[np.intp]]:
        """Return maps (128, 12, 12, 64) and the faces' places; every USES-th call brings fresh ones in."""
        if self._drawn % USES == 0:
            self._bring_in()
        self._drawn += 1
        rows = self.rng.integers(0, self._filled, BATCH)
        return self._maps[rows].astype(np.float32), self._of[rows]

    def _bring_in(self) -> None:
        chosen = self.rng.choice(self._places, BATCH, p=self._share)
        if self._next + BATCH > POOL:
            self._next = 0
        rows = slice(self._next, self._next + BATCH)
        self._maps[rows] = [self._first(augmented(self._faces, index, self.rng)) for index in chosen]
        self._of[rows] = chosen
        self._next += BATCH
        self._filled = max(self._filled, self._next)


class Trainer:
    """One run: net, averaged net, optimizer, and the seconds it has used."""

    def __init__(self, path: Path, net: nn.Module, rate: float, minutes: float, device: str = "cpu") -> None:
        self.path, self.rate, self.minutes, self.device = path, rate, minutes, device
        self.net = net.to(device).train()
        self.average = Average(self.net, AVERAGE)
        self.optimizer = optimizer_of(self.net, rate, WEIGHT_DECAY)
        self.step, self.used_s = 0, 0.0
        self.history: list[dict[str, Any]] = []

    def resume(self) -> None:
        state = torch.load(self.path, weights_only=False, map_location=self.device)
        self.net.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        self.average.updates = self.step = state["step"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.used_s, self.history = state["used_s"], state["history"]

    def save(self) -> None:
        state = {"model": self.net.state_dict(), "average": self.average.model.state_dict()}
        state |= {"optimizer": self.optimizer.state_dict(), "step": self.step, "used_s": self.used_s}
        save(self.path, state | {"history": self.history})

    def one_step(self, maps: Floats, lesson: Lesson) -> tuple[float, ...]:
        rate = self.rate * cosine(self.used_s / (60 * self.minutes), warmup=0.01, floor=0.01)
        for group in self.optimizer.param_groups:
            group["lr"] = group.get("factor", 1.0) * rate
        with torch.autocast(self.device, torch.bfloat16):
            outputs, features = self.net(torch.from_numpy(maps).to(self.device))
        loss, parts = loss_of({name: value.float() for name, value in outputs.items()}, features, lesson)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 8.0)
        self.optimizer.step()
        self.average.update(self.net)
        self.step += 1
        return parts

    def run(
        self, pool: Pool, lesson_of: Callable[[NDArray[np.intp]], Lesson], judge: Callable[[nn.Module], Any]
    ) -> None:
        losses: list[tuple[float, ...]] = []
        saved_s = judged_s = self.used_s
        while self.used_s < 60 * self.minutes:
            start = time.monotonic()
            maps, places = pool.batch()
            losses.append(self.one_step(maps, lesson_of(places)))
            self.used_s += time.monotonic() - start
            if len(losses) == 100:
                self._show(np.mean(losses, 0))
                losses = []
            if self.used_s - judged_s >= 300:
                judged_s = self.used_s
                self.history.append({"minutes": self.used_s / 60, **judge(self.average.model)})
                print("\n" + json.dumps(self.history[-1]), flush=True)
            if self.used_s - saved_s >= 120:
                saved_s = self.used_s
                self.save()
        self.history.append({"minutes": self.used_s / 60, **judge(self.average.model)})
        print("\n" + json.dumps(self.history[-1]), flush=True)
        self.save()

    def _show(self, parts: Array) -> None:
        age, gender, alike = (round(float(part), 3) for part in parts)
        self.history.append({"minutes": self.used_s / 60, "age": age, "gender": gender, "features": alike})
        speed = self.step * BATCH / max(self.used_s, 1e-9)
        words = f"{speed:.0f} faces/s  age {age}  gender {gender}  features {alike}"
        show(self.used_s, self.minutes, self.step, words)


def judge_of(faces: Faces, first: First) -> Callable[[nn.Module], dict[str, float]]:
    """Return what scores a net on faces held out; for the log only, nothing is chosen by it."""
    held = np.flatnonzero((faces.part == "held_out") & np.isin(faces.gender, ("female", "male")))
    chosen = {name: held[faces.collection[held] == name] for name in sorted(set(faces.collection[held]))}
    chosen = {name: places[:: max(len(places) // JUDGED, 1)] for name, places in chosen.items()}
    maps = {name: np.stack([first(plain(faces, i)) for i in places]) for name, places in chosen.items()}

    @torch.no_grad()
    def judge(net: nn.Module) -> dict[str, float]:
        net.eval()
        row = {}
        for name, places in chosen.items():
            outputs = heard(net, maps[name])
            said, p = years_of(outputs).numpy(), outputs["gender"][:, 0].numpy()
            low, high = faces.years[places].T
            error = np.maximum(np.maximum(low - said, said - high), 0)
            if not np.isnan(error).all():
                row[f"{name}_years"] = round(float(np.nanmean(error)), 2)
            row[f"{name}_gender"] = round(float(((p > 0) == (faces.gender[places] == "female")).mean()), 4)
        return row

    return judge


def heard(net: nn.Module, maps: Floats) -> dict[str, Tensor]:
    """Return what a net says of many maps, a batch at a time."""
    device = next(net.parameters()).device
    parts = [net(torch.from_numpy(maps[at : at + BATCH]).to(device))[0] for at in range(0, len(maps), BATCH)]
    return {name: torch.cat([part[name].float().cpu() for part in parts]) for name in parts[0]}


def made_up(count: int) -> Faces:
    """Return synthetic faces: ovals of which the brightness says the gender and the size the age."""
    rng = np.random.default_rng(0)
    female, ages = rng.integers(0, 2, count), rng.integers(5, 80, count)
    patches = np.full((count, 96, 96, 3), 60, np.uint8)
    for patch, light, age in zip(patches, female, ages, strict=True):
        cv2.ellipse(patch, (48, 48), (16 + int(age) // 5, 34), 0, 0, 360, (120 + 90 * int(light),) * 3, -1)
    landmarks = np.repeat(np.array([[[36, 42], [60, 42], [48, 54], [38, 66], [58, 66]]], np.float32), count, 0)
    landmarks[::5] = -1
    names = np.where(np.arange(count) % 2, "aaf", "utkface")
    parts = np.where(np.arange(count) % 4, "training", "held_out")
    years = np.repeat(ages[:, None], 2, 1).astype(np.float32)
    taught = np.column_stack([ages, np.full(count, 6), female * 0.9 + 0.05]).astype(np.float32)
    genders = np.where(female == 1, "female", "male")
    return Faces(patches, landmarks, np.arange(count).astype(str), names, parts, names, genders, years, taught)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--teacher", type=Path, help="teacher.onnx: the first stages and what the others start from")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", help="a collection to leave out, to be judged by it")
    parser.add_argument("--deeper", action="store_true", help="go on from student.pt, the second stage trained too")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    cv2.setNumThreads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.smoke:
        faces, first, net = made_up(64), _smoke_first, Upper()
        seen = np.zeros((len(faces), 96), np.float32)
    else:
        faces, seen = load(args.faces), np.load(args.faces / "targets.npy")
        net, first = (
            begun(args.teacher, args.out)
            if args.deeper
            else (started(args.teacher), opened(first_stages_model(args.teacher)))
        )
    wanted = targets(faces)
    places = usable(faces, wanted, args.without)
    print(f"{len(places)} faces to learn from, {int((faces.part == 'held_out').sum())} held out")

    def lesson_of(rows: NDArray[np.intp]) -> Lesson:
        parts = (wanted.years[rows], wanted.female[rows], wanted.weight[rows], seen[rows].astype(np.float32))
        return Lesson(*(torch.from_numpy(part).to(args.device) for part in parts))

    path, rate = args.out / ("deeper.pt" if args.deeper else "student.pt"), DEEPER_RATE if args.deeper else RATE
    trainer = Trainer(path, net, rate, args.minutes, args.device)
    if args.resume:
        trainer.resume()
    shape = FIRST_MAP if args.deeper else MAP
    pool = Pool(faces, first, shape, places, shares(faces, wanted, places), args.seed + trainer.step)
    trainer.run(pool, lesson_of, judge_of(faces, first))
    plot(trainer.history, (("age",), ("gender", "features")), path.with_suffix(".png"))


def begun(teacher: Path, out: Path) -> tuple[nn.Module, First]:
    """Return the second stage with the student's own layers behind it, and what makes the first stage's maps."""
    upper = Upper()
    upper.load_state_dict(torch.load(out / "student.pt", weights_only=False, map_location="cpu")["average"])
    return Deeper(part_of_teacher(teacher, "stages.1"), upper), opened(first_stage_model(teacher))


def _smoke_first(crop: Picture) -> Floats:
    small = cv2.resize(crop, MAP[:2], interpolation=cv2.INTER_AREA).astype(np.float32) / 128 - 1
    return np.tile(small, (1, 1, 22))[..., : MAP[2]]


if __name__ == "__main__":
    main()
